#include "services/cloudwatch/service.h"

#include <aws/cloudwatch/model.h>

#include "base/str.h"
#include "services/cloudwatch/api.h"

namespace virga::cloudwatch {

const wire::ServiceModel& CloudWatchService::model() const { return kModel; }

void CloudWatchService::operations(kernel::OpTable& t) {
  t.add<op::DescribeInsightRules>(this, &CloudWatchService::describe_insight_rules);
  t.add<op::GetInsightRuleReport>(this, &CloudWatchService::get_insight_rule_report)
      .resource([](const Ctx& ctx, const auto& in) {
        return kernel::arn(ctx, "cloudwatch", cat("insight-rule/", in.rule_name));
      });
}

std::unique_ptr<kernel::Service> make_cloudwatch(kernel::Deps& deps) {
  return std::make_unique<CloudWatchService>(deps);
}

}  // namespace virga::cloudwatch
