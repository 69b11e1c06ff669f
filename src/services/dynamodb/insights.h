// Contributor insights: which keys of a table or a global index are accessed and throttled most. Counted in memory for
// each minute, by each thread on its own, and moved to the store once a minute.
//
// Keys, under the tag "ddb" like those of store.h:
//   a  table number u64, index number u32, rule u8, minute u64      kernel::Contributors of that minute
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/contributors.h"
#include "kv/db.h"
#include "services/dynamodb/model.h"

namespace virga::dynamodb {

inline constexpr std::string_view kInsightsTimer = "ddb.insights";

enum class Counted : uint8_t { kAccess, kThrottle };

// Local indexes are their table's.
inline const std::optional<InsightsUse>& insights_of(const Table& table, const Index* index) {
  return index && !index->local ? index->insights : table.insights;
}
inline bool is_counted(const Table& table, const Index* index, Counted what) {
  const auto& use = insights_of(table, index);
  return use && use->enabled && (what == Counted::kThrottle || !use->only_throttled);
}
bool has_insights(const Table& table);  // of its own or of an index

// What a rule counts.
struct RuleKind {
  std::string_view code;  // in its name
  Counted what;
  bool by_item;  // by partition and sort key
};
inline constexpr std::array<RuleKind, 4> kRules{{{"PKC", Counted::kAccess, false},
                                                 {"SKC", Counted::kAccess, true},
                                                 {"PKT", Counted::kThrottle, false},
                                                 {"SKT", Counted::kThrottle, true}}};
// Those that a table or an index has, by their places in kRules; none when it has no insights.
std::vector<uint8_t> rules_of(const Table& table, const Index* index);
std::string rule_name(const Table& table, const Index* index, uint8_t rule);

// One access or refusal: by whom, and how much it counts.
struct Contribution {
  uint32_t index = 0;
  Counted what = Counted::kAccess;
  std::string partition, item;  // item empty: of a partition alone
  double amount = 0;
};
// `item` has the keys of the table or the index; without the sort key it stands for the partition.
Contribution contribution(const Table& table, const Index* index, Counted what, View item, double amount);

kv::Range insight_rows_of(const Table& table, uint32_t index);
std::string insight_key(uint64_t table, uint32_t index, uint8_t rule, uint64_t minute);
inline uint64_t minute_of(Time t) { return static_cast<uint64_t>(std::max<int64_t>(t.seconds(), 0)) / 60; }

// What was counted and is not in the store yet. Thread-safe.
class KeyCounts {
 public:
  struct Which {
    uint32_t index;
    uint8_t rule;
    uint64_t minute;
    auto operator<=>(const Which&) const = default;
  };
  using Counts = std::map<Which, kernel::Contributors>;

  void add(const Table& table, const Contribution& contribution, Time now);
  Counts of(uint64_t table) const;
  Counts take(uint64_t table);
  void give_back(const Table& table, const Counts& counts);
  struct Counting {
    std::string account, region, name;
    uint64_t number;
  };
  std::vector<Counting> counting() const;  // tables of which there is something

 private:
  static constexpr size_t kShards = 16, kMostTables = 1000, kMostMinutes = 4;
  struct Entry {
    Counting table;
    Counts counts;
  };
  struct Shard {
    mutable std::mutex mutex;
    std::map<uint64_t, Entry> tables;
  };
  // Where to count; null when there is too much already. The lock is held.
  static kernel::Contributors* place(Shard& shard, const Table& table, const Which& which);
  Shard& shard();  // the calling thread's
  std::array<Shard, kShards> shards_;
};

}  // namespace virga::dynamodb
