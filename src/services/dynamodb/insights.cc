#include "services/dynamodb/insights.h"

#include <algorithm>
#include <atomic>

#include "base/encoding.h"
#include "base/str.h"
#include "kv/key.h"

namespace virga::dynamodb {

namespace {

constexpr size_t kMostName = 82;  // of the table and index in a rule's name, which has 128 characters at the most

std::string text_of(View value) {
  if (value.is(Type::kN)) return value.number().text();
  return value.is(Type::kB) ? base64_encode(value.content()) : std::string(value.content());
}

// Whether `item` has all of `names`, whose values are added to `parts`.
bool add_parts(std::vector<std::string>& parts, View item, const std::vector<std::string_view>& names) {
  for (const std::string_view name : names) {
    const View value = item.find(name);
    if (!value.present()) return false;
    parts.push_back(text_of(value));
  }
  return true;
}

uint32_t number_of(const Index* index) { return index && !index->local ? index->number : 0; }
const KeyNames& keys_of(const Table& table, const Index* index) {
  return index && !index->local ? index->key : table.key;
}

}  // namespace

bool has_insights(const Table& table) {
  return (table.insights && table.insights->enabled) ||
         std::any_of(table.indexes.begin(), table.indexes.end(),
                     [](const Index& index) { return index.insights && index.insights->enabled; });
}

std::vector<uint8_t> rules_of(const Table& table, const Index* index) {
  std::vector<uint8_t> out;
  for (uint8_t i = 0; i < kRules.size(); ++i) {
    if (!is_counted(table, index, kRules[i].what)) continue;
    if (!kRules[i].by_item || !keys_of(table, index).range.empty()) out.push_back(i);
  }
  return out;
}

std::string rule_name(const Table& table, const Index* index, uint8_t rule) {
  std::string resource = table.name;
  if (index) append(resource, "-", index->name);
  return cat("DynamoDBContributorInsights-", kRules[rule].code, "-", resource.substr(0, kMostName), "-",
             insights_of(table, index)->since.millis());
}

Contribution contribution(const Table& table, const Index* index, Counted what, View item, double amount) {
  const KeyNames& keys = keys_of(table, index);
  Contribution out{number_of(index), what, {}, {}, amount};
  std::vector<std::string> parts;
  if (!add_parts(parts, item, keys.hashes())) return out;
  out.partition = kernel::contributor_key(parts);
  const auto ranges = keys.ranges();
  if (!ranges.empty() && add_parts(parts, item, ranges)) out.item = kernel::contributor_key(parts);
  return out;
}

kv::Range insight_rows_of(const Table& table, uint32_t index) {
  return kv::prefix_range(kv::KeyWriter("ddb").u8('a').u64(table.number).u32(index).view());
}
std::string insight_key(uint64_t table, uint32_t index, uint8_t rule, uint64_t minute) {
  return kv::KeyWriter("ddb").u8('a').u64(table).u32(index).u8(rule).u64(minute);
}

KeyCounts::Shard& KeyCounts::shard() {
  static std::atomic<size_t> threads{0};
  thread_local const size_t mine = threads++;
  return shards_[mine % kShards];
}

kernel::Contributors* KeyCounts::place(Shard& shard, const Table& table, const Which& which) {
  auto entry = shard.tables.find(table.number);
  if (entry == shard.tables.end()) {
    if (shard.tables.size() >= kMostTables) shard.tables.erase(shard.tables.begin());
    entry =
        shard.tables.emplace(table.number, Entry{{table.account, table.region, table.name, table.number}, {}}).first;
  }
  Counts& counts = entry->second.counts;
  const auto [found, fresh] = counts.try_emplace(which);
  if (!fresh) return &found->second;
  // Only when the store can't take them are there more minutes than the one that runs and the one before.
  const auto first = counts.lower_bound({which.index, which.rule, 0});
  if (std::distance(first, counts.upper_bound({which.index, which.rule, UINT64_MAX})) > std::ptrdiff_t{kMostMinutes}) {
    const bool own = first == found;
    counts.erase(first);
    if (own) return nullptr;
  }
  return &found->second;
}

void KeyCounts::add(const Table& table, const Contribution& c, Time now) {
  if (c.partition.empty()) return;
  Shard& mine = shard();
  const std::lock_guard lock(mine.mutex);
  for (uint8_t i = 0; i < kRules.size(); ++i) {
    const std::string& key = kRules[i].by_item ? c.item : c.partition;
    if (kRules[i].what != c.what || key.empty()) continue;
    if (kernel::Contributors* counts = place(mine, table, {c.index, i, minute_of(now)})) counts->add(key, c.amount);
  }
}

KeyCounts::Counts KeyCounts::of(uint64_t table) const {
  Counts out;
  for (const Shard& one : shards_) {
    const std::lock_guard lock(one.mutex);
    const auto entry = one.tables.find(table);
    if (entry == one.tables.end()) continue;
    for (const auto& [which, counts] : entry->second.counts) out[which].merge(counts);
  }
  return out;
}

KeyCounts::Counts KeyCounts::take(uint64_t table) {
  Counts out;
  for (Shard& one : shards_) {
    Counts counts;
    {
      const std::lock_guard lock(one.mutex);
      const auto entry = one.tables.find(table);
      if (entry == one.tables.end()) continue;
      counts = std::move(entry->second.counts);
      one.tables.erase(entry);
    }
    for (const auto& [which, part] : counts) out[which].merge(part);
  }
  return out;
}

void KeyCounts::give_back(const Table& table, const Counts& counts) {
  Shard& mine = shard();
  const std::lock_guard lock(mine.mutex);
  for (const auto& [which, part] : counts) {
    if (kernel::Contributors* here = place(mine, table, which)) here->merge(part);
  }
}

std::vector<KeyCounts::Counting> KeyCounts::counting() const {
  std::map<uint64_t, Counting> out;
  for (const Shard& one : shards_) {
    const std::lock_guard lock(one.mutex);
    for (const auto& [number, entry] : one.tables) out.try_emplace(number, entry.table);
  }
  std::vector<Counting> list;
  for (auto& [number, table] : out) list.push_back(std::move(table));
  return list;
}

}  // namespace virga::dynamodb
