// Contributor insights: asking for them, and what CloudWatch is told of their rules.
#include <aws/dynamodb/errors.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/str.h"
#include "kernel/page.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/limits.h"
#include "services/dynamodb/request.h"
#include "services/dynamodb/service.h"

namespace virga::dynamodb {

namespace {

constexpr std::string_view kList = "dynamodb:ListContributorInsights";
constexpr std::chrono::minutes kKeepEvery{1};
constexpr uint64_t kKeptMinutes = 15 * 24 * 60;  // "Use Contributor Insights to analyze high-cardinality data"
constexpr size_t kRowsAtOnce = 100;
constexpr size_t kMostContributors = 25;  // "CloudWatch Contributor Insights for DynamoDB: How it works"

Error no_such_table(const TableName& name) {
  return err::ResourceNotFoundException(cat("Requested resource not found: Table: ", name.name, " not found"));
}

// Local indexes have none of their own. Throws for what is not there.
const Index* insights_index(const Table& table, const std::optional<std::string>& name) {
  if (!name) return nullptr;
  const Index* index = table.find_index(*name);
  if (!index || index->local) {
    throw err::ResourceNotFoundException(
        cat("Requested resource not found: Index: ", *name, " not found for table: ", table.name));
  }
  return index;
}

ContributorInsightsStatus status_of(const std::optional<InsightsUse>& use) {
  if (!use) return ContributorInsightsStatus::DISABLED;
  if (use->failed) return ContributorInsightsStatus::FAILED;
  return use->enabled ? ContributorInsightsStatus::ENABLED : ContributorInsightsStatus::DISABLED;
}
std::optional<ContributorInsightsMode> mode_of(const std::optional<InsightsUse>& use) {
  if (!use) return std::nullopt;
  return use->only_throttled ? ContributorInsightsMode::THROTTLED_KEYS
                             : ContributorInsightsMode::ACCESSED_AND_THROTTLED_KEYS;
}

// Calls `each` with the table and with each of its global indexes, in the order of their numbers.
template <class F>
void for_each_part(const Table& table, F each) {
  each(nullptr);
  for (const Index& index : table.indexes) {
    if (!index.local) each(&index);
  }
}

size_t count_rules(const Table& table) {
  size_t rules = 0;
  for_each_part(table, [&](const Index* index) { rules += rules_of(table, index).size(); });
  return rules;
}

std::vector<std::string> labels_of(const Table& table, const Index* index, bool by_item) {
  const KeyNames& keys = index ? index->key : table.key;
  std::vector<std::string> labels(keys.hashes().size(), "PartitionKey");
  if (by_item) labels.resize(labels.size() + keys.ranges().size(), "SortKey");
  return labels;
}

std::string definition_of(const Table& table, const Index* index, const RuleKind& rule) {
  Json keys = Json::array();
  for (const std::string& label : labels_of(table, index, rule.by_item)) keys.push_back(cat("$.", label));
  const Json schema = Json::object({{"Name", "ServiceLogRule"}, {"Version", 1}});
  Json contribution = Json::object({{"Filters", Json::array()}, {"Keys", std::move(keys)}});
  contribution["ValueOf"] = rule.what == Counted::kAccess ? "$.ConsumedThroughputUnits" : "$.ThrottleCount";
  return Json::object({{"Schema", schema},
                       {"ResourceArn", index ? table.index_arn(index->name) : table.arn()},
                       {"AggregateOn", "Sum"},
                       {"Contribution", std::move(contribution)}})
      .dump();
}

struct After {
  std::string table;
  int64_t part = 0;  // of the table's parts, the next one
  template <class A>
  void fields(A& a) {
    a(1, table), a(2, part);
  }
};

}  // namespace

Task<UpdateContributorInsightsOutput> DynamoService::update_contributor_insights(
    Ctx& ctx, const UpdateContributorInsightsInput& in) {
  const TableName name = table_named(ctx, in.table_name);
  const bool enable = in.contributor_insights_action == ContributorInsightsAction::ENABLE;
  const bool only_throttled = in.contributor_insights_mode == ContributorInsightsMode::THROTTLED_KEYS;
  co_return co_await transact([&](kv::Txn& tx) -> Task<UpdateContributorInsightsOutput> {
    Store store(tx, cache_);
    const TablePtr found = co_await store.find_table(name);
    if (!found) co_return no_such_table(name);
    Table table = *found;
    const Index* index = insights_index(table, in.index_name);
    if (enable && (table.restoring() || (index && index->state == IndexState::kCreating))) {
      co_return validation(cat("Table or Index is not in a valid state to update Key Access Insights: ",
                               index && !table.restoring() ? "Index" : "Table",
                               "Status must be ACTIVE to enable ContributorInsights."));
    }
    std::optional<InsightsUse>& use = index ? table.find_index(index->name)->insights : table.insights;
    UpdateContributorInsightsOutput out;
    out.table_name = table.name;
    out.index_name = in.index_name;
    const bool enabled = use && use->enabled;
    const bool same = enable ? enabled && use->only_throttled == only_throttled : !enabled && !(use && use->failed);
    if (same) {
      out.contributor_insights_status = status_of(use);
      out.contributor_insights_mode = mode_of(use);
      co_return out;
    }
    if (enable) {
      // The rules that a change of mode leaves keep their names.
      use = InsightsUse{true, only_throttled, enabled ? use->since : ctx.now(), ctx.now(), false};
      size_t rules = count_rules(table);
      for (const kv::Entry& row : co_await tx.scan(tables_of(name.account, name.region))) {
        const Table other = kv::decode<Table>(row.value);
        if (other.number != table.number) rules += count_rules(other);
      }
      use->failed = rules > kMaxInsightRules;
      use->enabled = !use->failed;
      kernel::Timer timer{std::string(kInsightsTimer), table.id, ctx.now() + kKeepEvery,
                          kv::encode(Backfill{name, {}})};
      co_await timers_.set(tx, std::move(timer));
    } else {
      use->enabled = use->failed = false;
      use->changed = ctx.now();
    }
    // What no rule shows any more is gone.
    const uint32_t number = index ? index->number : 0;
    const auto rules = rules_of(table, index);
    for (uint8_t rule = 0; rule < kRules.size(); ++rule) {
      if (std::find(rules.begin(), rules.end(), rule) != rules.end()) continue;
      tx.erase_range({insight_key(table.number, number, rule, 0), insight_key(table.number, number, rule + 1, 0)});
    }
    store.put_table(table);
    out.contributor_insights_status =
        enable ? ContributorInsightsStatus::ENABLING : ContributorInsightsStatus::DISABLING;
    out.contributor_insights_mode = mode_of(use);
    co_return out;
  });
}

Task<DescribeContributorInsightsOutput> DynamoService::describe_contributor_insights(
    Ctx& ctx, const DescribeContributorInsightsInput& in) {
  const TableName name = table_named(ctx, in.table_name);
  const auto reader = db_.snapshot();
  const TablePtr table = co_await Store(*reader, cache_).find_ready_table(name);
  if (!table) co_return no_such_table(name);
  const Index* index = insights_index(*table, in.index_name);
  const auto& use = insights_of(*table, index);
  DescribeContributorInsightsOutput out;
  out.table_name = table->name;
  out.index_name = in.index_name;
  out.contributor_insights_status = status_of(use);
  out.contributor_insights_mode = mode_of(use);
  if (!use) co_return out;
  out.last_update_date_time = use->changed;
  if (use->failed) {
    FailureException& failure = out.failure_exception.emplace();
    failure.exception_name = "LimitExceededException";
    failure.exception_description =
        "Amazon CloudWatch Contributor Insights rule limit reached. Please disable Contributor Insights for other "
        "tables/indexes OR disable other CloudWatch Contributor Insights rules before retrying.";
  }
  if (use->enabled) out.contributor_insights_rule_list.emplace();
  for (const uint8_t rule : rules_of(*table, index))
    out.contributor_insights_rule_list->push_back(rule_name(*table, index, rule));
  co_return out;
}

Task<ListContributorInsightsOutput> DynamoService::list_contributor_insights(Ctx& ctx,
                                                                             const ListContributorInsightsInput& in) {
  const int32_t most = in.max_results.value_or(100);
  if (most < 1) {
    co_return validation(cat("1 validation error detected: Value '", most,
                             "' at 'maxResults' failed to satisfy constraint: Member must have value greater than or "
                             "equal to 1"));
  }
  const auto limit = static_cast<size_t>(most);
  auto after = kernel::open_page<After>(tokens_, ctx, kList, in.next_token, validation("Invalid NextToken"));
  kv::Range range = tables_of(ctx.account, ctx.region);
  if (in.table_name) {
    const TableName name = table_named(ctx, *in.table_name);
    range = kv::Range{table_key(name), table_key(name) + '\0'};
  }
  if (after) range.begin = std::max(range.begin, table_key({ctx.account, ctx.region, after->table}));
  ListContributorInsightsOutput out;
  auto& summaries = out.contributor_insights_summaries.emplace();
  const auto reader = db_.snapshot();
  for (bool first = true;; first = false) {
    const auto rows = co_await reader->scan(range, {.limit = kRowsAtOnce});
    if (first && rows.empty() && in.table_name) co_return no_such_table(table_named(ctx, *in.table_name));
    for (const kv::Entry& row : rows) {
      const Table table = kv::decode<Table>(row.value);
      int64_t part = 0;
      for_each_part(table, [&](const Index* index) {
        const auto& use = insights_of(table, index);
        const bool listed = use && (use->enabled || use->failed);
        const bool before = after && after->table == table.name && part < after->part;
        const int64_t here = part++;
        if (!listed || before || out.next_token) return;
        if (summaries.size() == limit) {
          out.next_token = kernel::seal_page(tokens_, ctx, kList, After{table.name, here});
          return;
        }
        ContributorInsightsSummary& summary = summaries.emplace_back();
        summary.table_name = table.name;
        if (index) summary.index_name = index->name;
        summary.contributor_insights_status = status_of(use);
        summary.contributor_insights_mode = mode_of(use);
      });
      if (out.next_token) co_return out;
    }
    if (rows.size() < kRowsAtOnce) co_return out;
    range.begin = rows.back().key + '\0';
  }
}

Task<std::vector<kernel::InsightRule>> DynamoService::insight_rules(kernel::Home home) {
  std::vector<kernel::InsightRule> out;
  for (const kv::Entry& row : co_await db_.snapshot()->scan(tables_of(home.account, home.region))) {
    const Table table = kv::decode<Table>(row.value);
    for_each_part(table, [&](const Index* index) {
      for (const uint8_t rule : rules_of(table, index)) {
        out.push_back({rule_name(table, index, rule), definition_of(table, index, kRules[rule]),
                       labels_of(table, index, kRules[rule].by_item), kMostContributors});
      }
    });
  }
  co_return out;
}

Task<void> DynamoService::read_insights(kernel::Home home, std::string name, Time from, Time to, Each each) {
  // A count is in memory or in the store; while it moves it is in both or neither.
  const auto turn = co_await counts_turn_.acquire(err::InternalServerError("Too many reports are being read."));
  const auto reader = db_.snapshot();
  for (const kv::Entry& row : co_await reader->scan(tables_of(home.account, home.region))) {
    const Table table = kv::decode<Table>(row.value);
    std::optional<std::pair<uint32_t, uint8_t>> which;
    for_each_part(table, [&](const Index* index) {
      for (const uint8_t rule : rules_of(table, index)) {
        if (rule_name(table, index, rule) == name) which.emplace(index ? index->number : 0, rule);
      }
    });
    if (!which) continue;
    const auto [index, rule] = *which;
    // Nearly always later than what is in the store, but for a minute that is in both.
    KeyCounts::Counts fresh = cache_.key_counts().of(table.number);
    std::erase_if(fresh, [&](const auto& one) { return one.first.index != index || one.first.rule != rule; });
    const auto tell = [&](uint64_t minute, const kernel::Contributors& counts) {
      const Time at = Time::from_seconds(static_cast<int64_t>(minute) * 60);
      if (at >= from && at < to) each(at, counts);
    };
    const auto tell_before = [&](uint64_t minute) {
      while (!fresh.empty() && fresh.begin()->first.minute < minute) {
        tell(fresh.begin()->first.minute, fresh.begin()->second);
        fresh.erase(fresh.begin());
      }
    };
    kv::Range range{insight_key(table.number, index, rule, minute_of(from)),
                    insight_key(table.number, index, rule, minute_of(to) + 1)};
    for (;;) {
      const auto rows = co_await reader->scan(range, {.limit = kRowsAtOnce});
      for (const kv::Entry& entry : rows) {
        const uint64_t minute = read_be64(entry.key.data() + entry.key.size() - sizeof(uint64_t));
        tell_before(minute);
        auto counts = kv::decode<kernel::Contributors>(entry.value);
        if (auto more = fresh.extract({index, rule, minute})) counts.merge(more.mapped());
        tell(minute, counts);
      }
      if (rows.size() < kRowsAtOnce) break;
      range.begin = rows.back().key + '\0';
    }
    tell_before(UINT64_MAX);
    co_return;
  }
}

Task<void> DynamoService::keep_counts(TableName name, std::optional<kernel::Timer> timer) {
  const auto turn = co_await counts_turn_.acquire(err::InternalServerError("Too many reports are being read."));
  const auto reader = db_.snapshot();
  const TablePtr known = co_await Store(*reader, cache_).find_table(name);
  const KeyCounts::Counts counts = known ? cache_.key_counts().take(known->number) : KeyCounts::Counts();
  const auto kept = co_await as_result(db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, cache_);
    const TablePtr table = co_await store.find_table(name);
    if (timer && (!table || table->id != timer->id || !has_insights(*table))) {
      co_await timers_.clear(tx, timer->kind, timer->id);
      co_return;
    }
    if (!table || table->number != known->number) co_return;
    for (const auto& [which, counted] : counts) {
      // A rule may be gone since.
      bool there = false;
      for_each_part(*table, [&](const Index* index) {
        const auto rules = rules_of(*table, index);
        there = there || ((index ? index->number : 0) == which.index &&
                          std::find(rules.begin(), rules.end(), which.rule) != rules.end());
      });
      if (!there) continue;
      const std::string key = insight_key(table->number, which.index, which.rule, which.minute);
      kernel::Contributors all;
      if (const auto before = co_await tx.get(key)) all = kv::decode<kernel::Contributors>(*before);
      all.merge(counted);
      tx.put(key, kv::encode(all));
      const kv::Range old{
          insight_key(table->number, which.index, which.rule, 0),
          insight_key(table->number, which.index, which.rule, which.minute - std::min(which.minute, kKeptMinutes))};
      for (const kv::Entry& row : co_await tx.scan(old, {.limit = kRowsAtOnce})) tx.erase(row.key);
    }
    if (!timer) co_return;
    kernel::Timer next = *timer;
    next.due = clock_.now() + kKeepEvery;
    co_await timers_.set(tx, std::move(next));
  }));
  if (kept) co_return;
  if (known) cache_.key_counts().give_back(*known, counts);
  co_await fail_with(Failure(kept.error()));
}

}  // namespace virga::dynamodb
