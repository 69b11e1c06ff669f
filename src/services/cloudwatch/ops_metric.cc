// Metrics: values that are put, which metrics there are, and their statistics.
#include <aws/cloudwatch/errors.h>

#include <algorithm>
#include <cmath>

#include "base/str.h"
#include "kernel/page.h"
#include "kv/record.h"
#include "services/cloudwatch/request.h"
#include "services/cloudwatch/service.h"

namespace virga::cloudwatch {

namespace {

constexpr size_t kMostData = 1000;   // of a PutMetricData
constexpr size_t kMostValues = 150;  // of a datum
constexpr std::chrono::hours kOldest{14 * 24}, kNewest{2};
constexpr std::chrono::hours kListed{14 * 24}, kRecent{3};
constexpr size_t kListedAtOnce = 500;
constexpr size_t kMostQueries = 500;
constexpr size_t kMostPoints = 100'800;
constexpr int64_t kMostStatistics = 1440;

Error invalid(std::string message) { return err::InvalidParameterValueException(std::move(message)); }

void check_value(double value, const std::string& where) {
  static const double kLargest = std::ldexp(1, 360);
  if (std::isfinite(value) && std::abs(value) <= kLargest) return;
  throw invalid(cat("The value ", value, " for parameter ", where, " is invalid."));
}

void check_namespace(const std::string& name) {
  if (name.starts_with("AWS/")) throw invalid(cat("The value ", name, " for parameter Namespace is invalid."));
}

Summary summary_of(const MetricDatum& datum, const std::string& where) {
  const int given = datum.value.has_value() + datum.values.has_value() + datum.statistic_values.has_value();
  if (given > 1) {
    throw err::InvalidParameterCombinationException(cat("The parameters ", where, ".Value, ", where, ".Values and ",
                                                        where, ".StatisticValues are mutually exclusive."));
  }
  if (given == 0) {
    throw err::MissingRequiredParameterException(cat("At least one of the parameters ", where, ".Value, ", where,
                                                     ".Values and ", where, ".StatisticValues must be specified."));
  }
  Summary out;
  if (datum.value) {
    check_value(*datum.value, where + ".Value");
    out.add(*datum.value, 1);
  } else if (datum.values) {
    const size_t size = datum.values->size();
    if (size == 0 || size > kMostValues)
      throw invalid(cat("The collection ", where, ".Values must have between 1 and ", kMostValues, " values."));
    if (datum.counts && datum.counts->size() != size)
      throw invalid(cat("The collections ", where, ".Values and ", where, ".Counts must have the same size."));
    for (size_t i = 0; i < size; ++i) {
      check_value((*datum.values)[i], where + ".Values");
      const double times = datum.counts ? (*datum.counts)[i] : 1;
      if (!(times > 0) || !std::isfinite(times))
        throw invalid(cat("The value ", times, " for parameter ", where, ".Counts is invalid."));
      out.add((*datum.values)[i], times);
    }
  } else {
    const StatisticSet& set = *datum.statistic_values;
    for (const double value : {set.sample_count, set.sum, set.minimum, set.maximum})
      check_value(value, where + ".StatisticValues");
    if (set.sample_count <= 0)
      throw invalid(cat("The parameter ", where, ".StatisticValues.SampleCount must be greater than 0."));
    if (set.minimum > set.maximum) {
      throw invalid(cat("The parameter ", where, ".StatisticValues.Maximum must be greater than ", where,
                        ".StatisticValues.Minimum."));
    }
    out.add_statistics(set.sample_count, set.sum, set.minimum, set.maximum);
  }
  return out;
}

Time time_of(const MetricDatum& datum, const std::string& where, Time now) {
  const Time at = datum.timestamp.value_or(now);
  if (at < now - kOldest)
    throw invalid(cat("The parameter ", where, ".Timestamp must specify a time no more than two weeks in the past."));
  if (at > now + kNewest)
    throw invalid(cat("The parameter ", where, ".Timestamp must specify a time within two hours in the future."));
  return at;
}

Stat require_stat(std::string_view name, std::string_view parameter) {
  if (const auto stat = stat_named(name)) return *stat;
  throw invalid(cat("The value ", name, " for parameter ", parameter,
                    " is not supported here: only SampleCount, Average, Sum, Minimum, Maximum and percentiles are."));
}

// The member of a datapoint that a statistic goes to.
std::optional<double> Datapoint::* member_of(Statistic statistic) {
  switch (statistic) {
    case Statistic::SampleCount:
      return &Datapoint::sample_count;
    case Statistic::Average:
      return &Datapoint::average;
    case Statistic::Sum:
      return &Datapoint::sum;
    case Statistic::Minimum:
      return &Datapoint::minimum;
    case Statistic::Maximum:
      return &Datapoint::maximum;
  }
  return &Datapoint::sum;
}

void check_times(Time start, Time end) {
  if (start >= end) throw invalid("The parameter StartTime must be less than the parameter EndTime.");
}

void check_queries(const GetMetricDataInput& in) {
  check_times(in.start_time, in.end_time);
  if (in.metric_data_queries.size() > kMostQueries)
    throw err::ValidationError(
        cat("The collection MetricDataQueries must not have a size greater than ", kMostQueries, "."));
  std::vector<std::string_view> ids;
  for (const MetricDataQuery& query : in.metric_data_queries) {
    const std::string& id = query.id;
    const auto good = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
    if (id[0] < 'a' || id[0] > 'z' || !std::all_of(id.begin(), id.end(), good)) {
      throw err::ValidationError(cat("The value ", id,
                                     " for parameter MetricDataQueries.member.Id is not matching the expected pattern "
                                     "^[a-z][a-zA-Z0-9_]*$."));
    }
    if (std::find(ids.begin(), ids.end(), id) != ids.end())
      throw err::ValidationError(cat("The values for parameter MetricDataQueries.member.Id are not unique: ", id, "."));
    ids.push_back(id);
    if (query.expression) throw err::ValidationError("Expression in a MetricDataQuery is not supported here yet.");
    if (!query.metric_stat)
      throw err::ValidationError(cat("The query ", id, " must have a MetricStat or an Expression."));
    if (!query.metric_stat->metric.namespace_ || !query.metric_stat->metric.metric_name)
      throw err::ValidationError(cat("The metric of query ", id, " must have a Namespace and a MetricName."));
    if (query.label && query.label->find("${") != std::string::npos)
      throw err::ValidationError("Dynamic labels are not supported here yet.");
    check_period(query.metric_stat->period);
    require_stat(query.metric_stat->stat, "MetricStat.Stat");
  }
}

bool matches(const MetricRecord& metric, const ListMetricsInput& in) {
  if (in.metric_name && metric.name != *in.metric_name) return false;
  if (!in.dimensions) return true;
  return std::all_of(in.dimensions->begin(), in.dimensions->end(), [&](const DimensionFilter& filter) {
    return std::any_of(metric.dimensions.begin(), metric.dimensions.end(), [&](const auto& dimension) {
      return dimension.first == filter.name && (!filter.value || dimension.second == *filter.value);
    });
  });
}

// Where a page of metrics or of queries' points ended.
struct AfterMetric {
  std::string key;
  int64_t query = 0, point = 0;
  template <class A>
  void fields(A& a) {
    a(1, key), a(2, query), a(3, point);
  }
};

}  // namespace

Task<PutMetricDataOutput> CloudWatchService::put_metric_data(Ctx& ctx, const PutMetricDataInput& in) {
  check_namespace(in.namespace_);
  if (in.entity_metric_data) co_return invalid("EntityMetricData is not supported here yet.");
  if (!in.metric_data || in.metric_data->empty())
    co_return err::MissingRequiredParameterException("The parameter MetricData is required.");
  if (in.metric_data->size() > kMostData)
    co_return invalid(cat("The collection MetricData must not have a size greater than ", kMostData, "."));
  Values values;
  for (size_t i = 0; i < in.metric_data->size(); ++i) {
    const MetricDatum& datum = (*in.metric_data)[i];
    const std::string where = cat("MetricData.member.", i + 1);
    const Summary summary = summary_of(datum, where);
    const int64_t at = time_of(datum, where, ctx.now()).seconds();
    const int32_t resolution = datum.storage_resolution.value_or(60);
    if (resolution != 1 && resolution != 60)
      co_return invalid(cat("The parameter ", where, ".StorageResolution must be 1 or 60."));
    const std::string unit(to_string(datum.unit.value_or(StandardUnit::None)));
    MetricRecord metric = metric_of(in.namespace_, datum.metric_name, datum.dimensions);
    const std::string key = metric_key(kernel::home_of(ctx), metric);
    values.data[{key, Grain::kMinute, at - at % 60, unit}].merge(summary);
    if (resolution == 1) values.data[{key, Grain::kSecond, at, unit}].merge(summary);
    values.metrics.try_emplace(key, std::move(metric));
  }
  co_await writer_.put(std::move(values));
  co_return PutMetricDataOutput{};
}

Task<ListMetricsOutput> CloudWatchService::list_metrics(Ctx& ctx, const ListMetricsInput& in) {
  constexpr std::string_view kOperation = "cloudwatch:ListMetrics";
  if (in.include_linked_accounts.value_or(false)) co_return invalid("IncludeLinkedAccounts is not supported here yet.");
  const auto after = kernel::open_page<AfterMetric>(deps_.tokens, ctx, kOperation, in.next_token,
                                                    invalid("The value for parameter NextToken is invalid."));
  ListMetricsOutput out;
  auto& metrics = out.metrics.emplace();
  if (in.owning_account && *in.owning_account != ctx.account) co_return out;
  kv::Range range = metrics_of(kernel::home_of(ctx), in.namespace_, in.metric_name);
  if (after) range.begin = std::max(range.begin, after->key + '\0');
  const Time since = ctx.now() - (in.recently_active ? kRecent : kListed);
  co_await collect();
  const auto reader = deps_.db.snapshot();
  for (;;) {
    const auto rows = co_await reader->scan(range, {.limit = kListedAtOnce});
    for (const kv::Entry& row : rows) {
      const MetricRecord metric = kv::decode<MetricRecord>(row.value);
      if (metric.last < since || !matches(metric, in)) continue;
      if (metrics.size() == kListedAtOnce) {
        out.next_token = kernel::seal_page(deps_.tokens, ctx, kOperation,
                                           AfterMetric{range.begin.substr(0, range.begin.size() - 1), 0, 0});
        co_return out;
      }
      Metric& told = metrics.emplace_back();
      told.namespace_ = metric.name_space;
      told.metric_name = metric.name;
      told.dimensions.emplace();
      for (const auto& [name, value] : metric.dimensions) told.dimensions->push_back({name, value});
      range.begin = row.key + '\0';
    }
    if (rows.size() < kListedAtOnce) co_return out;
    range.begin = rows.back().key + '\0';
  }
}

Task<GetMetricStatisticsOutput> CloudWatchService::get_metric_statistics(Ctx& ctx, const GetMetricStatisticsInput& in) {
  check_times(in.start_time, in.end_time);
  check_period(in.period);
  if (!in.statistics && !in.extended_statistics)
    co_return err::InvalidParameterCombinationException("Must specify either Statistics or ExtendedStatistics");
  std::vector<std::pair<std::string, Stat>> extended;
  for (const std::string& name : in.extended_statistics.value_or(std::vector<std::string>())) {
    const Stat stat = require_stat(name, "ExtendedStatistics");
    if (stat.kind != Stat::Kind::kPercentile)
      co_return invalid(cat("The value ", name, " for parameter ExtendedStatistics is invalid."));
    extended.emplace_back(name, stat);
  }
  const int64_t points = (in.end_time - start_of(in.start_time, in.period)) / std::chrono::seconds(in.period);
  if (points > kMostStatistics) {
    co_return err::InvalidParameterCombinationException(
        cat("You have requested up to ", points,
            " datapoints, which exceeds the limit of 1,440. You may reduce the datapoints requested by increasing "
            "Period, or decreasing the time range."));
  }
  const std::string key = metric_key(kernel::home_of(ctx), metric_of(in.namespace_, in.metric_name, in.dimensions));
  GetMetricStatisticsOutput out;
  out.label = in.metric_name;
  out.datapoints.emplace();
  co_await collect();
  const auto reader = deps_.db.snapshot();
  for (const Period& period : co_await periods_of(*reader, key, in.start_time, in.end_time, in.period, in.unit, true)) {
    Datapoint& told = out.datapoints->emplace_back();
    told.timestamp = period.at;
    from_string(period.unit, told.unit.emplace());
    for (const Statistic statistic : in.statistics.value_or(std::vector<Statistic>()))
      told.*member_of(statistic) = value_of(*stat_named(to_string(statistic)), period.summary);
    for (const auto& [name, stat] : extended) {
      const auto value = value_of(stat, period.summary);
      if (!value) continue;
      if (!told.extended_statistics) told.extended_statistics.emplace();
      (*told.extended_statistics)[name] = *value;
    }
  }
  co_return out;
}

Task<GetMetricDataOutput> CloudWatchService::get_metric_data(Ctx& ctx, const GetMetricDataInput& in) {
  constexpr std::string_view kOperation = "cloudwatch:GetMetricData";
  check_queries(in);
  const auto after =
      kernel::open_page<AfterMetric>(deps_.tokens, ctx, kOperation, in.next_token,
                                     err::InvalidNextToken("The value for parameter NextToken is invalid."));
  const auto most = static_cast<size_t>(std::max(in.max_datapoints.value_or(kMostPoints), 1));
  size_t left = std::min(most, kMostPoints);
  GetMetricDataOutput out;
  auto& results = out.metric_data_results.emplace();
  co_await collect();
  const auto reader = deps_.db.snapshot();
  for (size_t i = after ? static_cast<size_t>(after->query) : 0; i < in.metric_data_queries.size(); ++i) {
    const MetricDataQuery& query = in.metric_data_queries[i];
    if (!query.return_data.value_or(true)) continue;
    const MetricStat& wanted = *query.metric_stat;
    const MetricRecord metric =
        metric_of(*wanted.metric.namespace_, *wanted.metric.metric_name, wanted.metric.dimensions);
    auto periods = co_await periods_of(*reader, metric_key(kernel::home_of(ctx), metric), in.start_time, in.end_time,
                                       wanted.period, wanted.unit, false);
    if (in.scan_by != ScanBy::TimestampAscending) std::reverse(periods.begin(), periods.end());
    MetricDataResult& told = results.emplace_back();
    told.id = query.id;
    told.label = query.label.value_or(metric.name);
    told.status_code = StatusCode::Complete;
    told.timestamps.emplace();
    told.values.emplace();
    const Stat stat = *stat_named(wanted.stat);
    for (size_t p = after && static_cast<size_t>(after->query) == i ? static_cast<size_t>(after->point) : 0;
         p < periods.size(); ++p) {
      const auto value = value_of(stat, periods[p].summary);
      if (!value) continue;
      if (left == 0) {
        told.status_code = StatusCode::PartialData;
        out.next_token = kernel::seal_page(deps_.tokens, ctx, kOperation,
                                           AfterMetric{{}, static_cast<int64_t>(i), static_cast<int64_t>(p)});
        co_return out;
      }
      --left;
      told.timestamps->push_back(periods[p].at);
      told.values->push_back(*value);
    }
  }
  co_return out;
}

}  // namespace virga::cloudwatch
