#pragma once

#include <aws/cloudwatch/ops.h>
#include <aws/cloudwatch/types.h>

#include "kernel/context.h"
#include "kernel/deps.h"
#include "kernel/insight_source.h"
#include "kernel/service.h"
#include "services/cloudwatch/store.h"

namespace virga::cloudwatch {

using kernel::Ctx;

class CloudWatchService final : public kernel::Service {
 public:
  explicit CloudWatchService(kernel::Deps& deps);
  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;
  Task<void> start() override;
  Task<void> stop() override;

  // ops_metric.cc
  Task<PutMetricDataOutput> put_metric_data(Ctx& ctx, const PutMetricDataInput& in);
  Task<ListMetricsOutput> list_metrics(Ctx& ctx, const ListMetricsInput& in);
  Task<GetMetricStatisticsOutput> get_metric_statistics(Ctx& ctx, const GetMetricStatisticsInput& in);
  Task<GetMetricDataOutput> get_metric_data(Ctx& ctx, const GetMetricDataInput& in);

  // ops_insight_rule.cc
  Task<DescribeInsightRulesOutput> describe_insight_rules(Ctx& ctx, const DescribeInsightRulesInput& in);
  Task<GetInsightRuleReportOutput> get_insight_rule_report(Ctx& ctx, const GetInsightRuleReportInput& in);

 private:
  // collect.cc. Keeps what other services measured since the last time.
  Task<void> collect();
  Task<void> collect_always();

  Task<std::vector<kernel::InsightRule>> all_rules(Ctx& ctx);  // by name
  kernel::Deps& deps_;
  MetricWriter writer_;
  Semaphore collecting_{1, 10'000};
  virga::Event stopping_, stopped_;
};

}  // namespace virga::cloudwatch
