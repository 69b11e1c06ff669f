#include "services/cloudwatch/service.h"

#include <aws/cloudwatch/model.h>

#include "base/str.h"
#include "services/cloudwatch/api.h"

namespace virga::cloudwatch {

CloudWatchService::CloudWatchService(kernel::Deps& deps) : deps_(deps), writer_(deps.db, deps.timers, deps.clock) {
  deps.timers.on(std::string(kTrimTimer), [this](kernel::Timer timer) { return writer_.trim(std::move(timer)); });
}

const wire::ServiceModel& CloudWatchService::model() const { return kModel; }

void CloudWatchService::operations(kernel::OpTable& t) {
  t.add<op::PutMetricData>(this, &CloudWatchService::put_metric_data)
      .access([](const Ctx&, const PutMetricDataInput& in) {
        return std::vector<kernel::Access>{
            {"cloudwatch:PutMetricData", "*", {{"cloudwatch:namespace", {in.namespace_}}}}};
      })
      .data_plane();
  t.add<op::ListMetrics>(this, &CloudWatchService::list_metrics);
  t.add<op::GetMetricStatistics>(this, &CloudWatchService::get_metric_statistics);
  t.add<op::GetMetricData>(this, &CloudWatchService::get_metric_data);
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
