// Contributor insights: the rules that other services keep for their resources, and reports of what they counted.
#include <aws/cloudwatch/errors.h>

#include <algorithm>

#include "base/str.h"
#include "kernel/page.h"
#include "services/cloudwatch/report.h"
#include "services/cloudwatch/service.h"

namespace virga::cloudwatch {

namespace {

constexpr int64_t kMinute = 60;
constexpr int64_t kMostPoints = 1440;

struct AfterRule {
  std::string name;
  template <class A>
  void fields(A& a) {
    a(1, name);
  }
};

// A statistic that a report can have, and where it is.
struct PointStatistic {
  std::string_view name;
  std::optional<double> InsightRuleMetricDatapoint::* member;
  double (*value)(const Report::Point&);
};
constexpr PointStatistic kPointStatistics[] = {
    {"UniqueContributors", &InsightRuleMetricDatapoint::unique_contributors, [](const auto& p) { return p.unique; }},
    {"MaxContributorValue", &InsightRuleMetricDatapoint::max_contributor_value, [](const auto& p) { return p.most; }},
    {"SampleCount", &InsightRuleMetricDatapoint::sample_count, [](const auto& p) { return p.samples; }},
    {"Sum", &InsightRuleMetricDatapoint::sum, [](const auto& p) { return p.sum; }},
    {"Minimum", &InsightRuleMetricDatapoint::minimum, [](const auto& p) { return p.smallest; }},
    {"Maximum", &InsightRuleMetricDatapoint::maximum, [](const auto& p) { return p.largest; }},
    {"Average", &InsightRuleMetricDatapoint::average, [](const auto& p) { return p.sum / p.samples; }},
};

const PointStatistic& statistic_named(const std::string& name) {
  const auto found = std::find_if(std::begin(kPointStatistics), std::end(kPointStatistics),
                                  [&](const PointStatistic& s) { return equals_ignoring_case(s.name, name); });
  if (found == std::end(kPointStatistics))
    throw err::InvalidParameterValueException(cat("The parameter Metrics has an unknown value: ", name));
  return *found;
}

void check_report(const GetInsightRuleReportInput& in) {
  if (in.start_time >= in.end_time) {
    throw err::InvalidParameterValueException("The parameter StartTime must be less than the parameter EndTime.");
  }
  if (in.period % kMinute != 0) {
    throw err::InvalidParameterValueException("The parameter Period must be a multiple of 60.");
  }
  const int64_t points = (in.end_time - in.start_time) / std::chrono::seconds(in.period);
  if (points > kMostPoints) {
    throw err::InvalidParameterValueException(
        cat("You have requested up to ", points, " datapoints, which exceeds the limit of 1,440."));
  }
  if (in.order_by && !equals_ignoring_case(*in.order_by, "Sum") && !equals_ignoring_case(*in.order_by, "Maximum")) {
    throw err::InvalidParameterValueException("The parameter OrderBy must be Sum or Maximum.");
  }
}

}  // namespace

Task<std::vector<kernel::InsightRule>> CloudWatchService::all_rules(Ctx& ctx) {
  std::vector<kernel::InsightRule> rules;
  for (kernel::InsightSource* source : kernel::insight_sources(deps_.cloud)) {
    auto some = co_await source->insight_rules(kernel::home_of(ctx));
    std::move(some.begin(), some.end(), std::back_inserter(rules));
  }
  std::sort(rules.begin(), rules.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  co_return rules;
}

Task<DescribeInsightRulesOutput> CloudWatchService::describe_insight_rules(Ctx& ctx,
                                                                           const DescribeInsightRulesInput& in) {
  constexpr std::string_view kOperation = "cloudwatch:DescribeInsightRules";
  const auto after = kernel::open_page<AfterRule>(deps_.tokens, ctx, kOperation, in.next_token,
                                                  err::InvalidNextToken("The next token is invalid."));
  const auto limit = static_cast<size_t>(in.max_results.value_or(500));
  DescribeInsightRulesOutput out;
  out.insight_rules.emplace();
  for (kernel::InsightRule& rule : co_await all_rules(ctx)) {
    if (after && rule.name <= after->name) continue;
    if (out.insight_rules->size() == limit) {
      out.next_token = kernel::seal_page(deps_.tokens, ctx, kOperation, AfterRule{out.insight_rules->back().name});
      break;
    }
    InsightRule& told = out.insight_rules->emplace_back();
    told.name = std::move(rule.name);
    told.state = "ENABLED";
    told.schema = R"({"Name": "ServiceLogRule", "Version": 1})";
    told.definition = std::move(rule.definition);
    told.managed_rule = true;
  }
  co_return out;
}

Task<GetInsightRuleReportOutput> CloudWatchService::get_insight_rule_report(Ctx& ctx,
                                                                            const GetInsightRuleReportInput& in) {
  check_report(in);
  std::vector<const PointStatistic*> statistics;
  for (const std::string& name : in.metrics.value_or(std::vector<std::string>()))
    statistics.push_back(&statistic_named(name));
  const auto rules = co_await all_rules(ctx);
  const auto rule = std::find_if(rules.begin(), rules.end(), [&](const auto& r) { return r.name == in.rule_name; });
  if (rule == rules.end()) {
    co_return err::ResourceNotFoundException(
        cat("Insight rule ", in.rule_name, " does not exist."),
        Json::object({{"ResourceType", "InsightRule"}, {"ResourceId", in.rule_name}}));
  }
  const int32_t most = in.max_contributor_count.value_or(10);
  if (most < 1 || static_cast<size_t>(most) > rule->most_contributors) {
    co_return err::InvalidParameterValueException(
        cat("The parameter MaxContributorCount must be between 1 and ", rule->most_contributors, " for this rule."));
  }
  Report report(in.period);
  for (kernel::InsightSource* source : kernel::insight_sources(deps_.cloud)) {
    co_await source->read_insights(
        kernel::home_of(ctx), in.rule_name, period_of(in.start_time, in.period), in.end_time,
        [&](Time minute, const kernel::Contributors& counted) { report.add(minute, counted); });
  }
  report.finish();

  GetInsightRuleReportOutput out;
  out.key_labels = rule->labels;
  out.aggregation_statistic = "Sum";
  out.aggregate_value = report.total().sum();
  out.approximate_unique_count = static_cast<int64_t>(report.total().unique());
  out.contributors.emplace();
  for (const Report::Series& one :
       report.top(static_cast<size_t>(most), in.order_by && equals_ignoring_case(*in.order_by, "Maximum"))) {
    InsightRuleContributor& told = out.contributors->emplace_back();
    told.keys = kernel::contributor_parts(one.key);
    told.approximate_aggregate_value = one.sum;
    for (const auto& [at, value] : one.values) told.datapoints.push_back({at, value});
  }
  out.metric_datapoints.emplace();
  if (statistics.empty()) co_return out;
  for (const Report::Point& point : report.points()) {
    InsightRuleMetricDatapoint& told = out.metric_datapoints->emplace_back();
    told.timestamp = point.at;
    for (const PointStatistic* statistic : statistics) told.*(statistic->member) = statistic->value(point);
  }
  co_return out;
}

}  // namespace virga::cloudwatch
