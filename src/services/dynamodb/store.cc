#include "services/dynamodb/store.h"

#include <aws/dynamodb/errors.h>

#include <algorithm>

#include "base/crypto.h"
#include "base/encoding.h"
#include "kv/depend.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/limits.h"
#include "services/dynamodb/recovery.h"
#include "services/dynamodb/streams.h"
#include "services/dynamodb/update.h"

namespace virga::dynamodb {

namespace {

// ConsumedThroughputUnits of contributor insights: a unit of writing counts as three of reading.
constexpr double kWriteWeight = 3;

kv::KeyWriter key(char kind) { return std::move(kv::KeyWriter("ddb").u8(static_cast<uint8_t>(kind))); }

// The order in which AWS keeps partitions, as its scans show: by MD5 over a fixed word and the key.
void append_hash_form(std::string& out, View value) {
  if (value.is(Type::kN)) {
    value.number().append_hash_form(out);
  } else {
    out += value.content();
  }
}
uint32_t partition_hash(View hash, View range = {}) {
  std::string text = "Outliers";
  append_hash_form(text, hash);
  if (range.present()) append_hash_form(text, range);
  return read_be32(md5(text).data());
}

void write_partition(kv::KeyWriter& w, std::string_view partition) {
  std::string length;
  append_be16(length, static_cast<uint16_t>(partition.size()));
  w.raw(length).raw(partition);
}

void write_hash_and_partition(kv::KeyWriter& w, View partition) {
  w.u32(partition_hash(partition));
  write_partition(w, partition.content());
}
void write_hash_and_partition(kv::KeyWriter& w, const std::vector<View>& partition) {
  if (partition.size() == 1) return write_hash_and_partition(w, partition[0]);
  std::string text;
  for (const View value : partition) {
    append_be16(text, static_cast<uint16_t>(value.content().size()));
    text += value.content();
  }
  w.u32(read_be32(md5(text).data()));
  write_partition(w, text);
}

std::vector<View> values_of(View item, const std::vector<std::string_view>& names) {
  std::vector<View> out;
  for (const std::string_view name : names) out.push_back(item.find(name));
  return out;
}

// The item's own part of a row: what follows the prefix in the table itself, without the hash.
void write_own_key(kv::KeyWriter& w, const Table& table, View item) {
  write_partition(w, item.find(table.key.hash).content());
  if (!table.key.range.empty()) w.raw(item.find(table.key.range).content());
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out += c;
    if (c == '\0') out += '\xFF';
  }
  return out;
}

std::string expiry_key(const Table& table, int64_t seconds, View item) {
  kv::KeyWriter w = key('e');
  w.u64(table.number).u64(static_cast<uint64_t>(seconds));
  write_hash_and_partition(w, item.find(table.key.hash));
  if (!table.key.range.empty()) w.raw(item.find(table.key.range).content());
  return std::move(w).take();
}

// An update expression has words of its own for an index key of the wrong type.
void check_new_index_keys(const Table& table, const std::vector<UpdateAction>& actions, View item) {
  for (const UpdateAction& action : actions) {
    if (action.legacy || action.path.size() > 1) continue;
    const std::string& name = action.path[0].name;
    const View value = item.find(name);
    for (const Index& index : table.indexes) {
      if (index.key.has(name) && value.present() && value.type() != table.type_of(name)) {
        throw validation("The update expression attempted to update the secondary index key to unsupported type");
      }
    }
  }
  check_index_keys(table, item);
}

}  // namespace

TablePtr TableCache::current(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(key);
  return entry == entries_.end() || !entry->second.current ? nullptr : entry->second.table;
}

TablePtr TableCache::decode(const std::string& key, std::string bytes, kv::Version version) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[key];
  if (!entry.table || entry.bytes != bytes) {
    auto table = std::make_shared<const Table>(kv::decode<Table>(bytes));
    if (!table->policy.empty()) note_policy();
    if (table->needs_old_item()) old_items_.store(true, std::memory_order_relaxed);
    // A reader of an older instant does not push out what is newer.
    if (entry.current) return table;
    entry.table = std::move(table);
    entry.bytes = std::move(bytes);
  }
  entry.current = entry.changing.empty() && version >= entry.floor;
  return entry.table;
}

void TableCache::change(kv::Txn& tx, const std::string& key) {
  const kv::Version instant = tx.version();
  {
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_[key];
    entry.current = false;
    entry.changing.push_back(instant);
  }
  tx.on_commit([this, key, instant] { settle(key, instant); });
}

// A change that began at `instant` has been committed: those that began earlier are over, one way or the other, for
// all read the record that they meant to change.
void TableCache::settle(const std::string& key, kv::Version instant) {
  const kv::Version now = db_.snapshot()->version();
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[key];
  entry.floor = std::max(entry.floor, now);
  std::erase_if(entry.changing, [&](kv::Version other) { return other <= instant; });
}

TablePtr TableCache::peek(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(key);
  return entry == entries_.end() ? nullptr : entry->second.table;
}

std::string table_key(const TableName& name) {
  return key('t').text(name.account).text(name.region).text(name.name).take();
}
kv::Range tables_of(const std::string& account, const std::string& region) {
  return kv::prefix_range(key('t').text(account).text(region).view());
}
std::string rows_prefix(const Table& table, uint32_t index) { return key('r').u64(table.number).u32(index); }
kv::Range rows_of_everything(const Table& table, char kind) {
  return kv::prefix_range(key(kind).u64(table.number).view());
}
std::string backfill_key(const Table& table, uint32_t index) { return key('b').u64(table.number).u32(index); }
kv::Range all_backfills() { return kv::prefix_range(key('b').view()); }
std::string counts_key(const Table& table) { return key('c').u64(table.number); }
std::string idempotency_key(const std::string& account, const std::string& region, const std::string& token) {
  return key('i').text(account).text(region).text(token);
}

std::string row_key(const Table& table, const Index* index, View item) {
  kv::KeyWriter w = key('r');
  w.u64(table.number).u32(index ? index->number : 0);
  if (!index) {
    w.u32(partition_hash(item.find(table.key.hash)));
    write_own_key(w, table, item);
  } else {
    write_hash_and_partition(w, values_of(item, index->key.hashes()));
    for (const View value : values_of(item, index->key.ranges())) w.text(value.content());
    // Items with the same index key stand in the order of their own keys' hash.
    w.u32(partition_hash(item.find(table.key.hash), table.key.range.empty() ? View() : item.find(table.key.range)));
    write_own_key(w, table, item);
  }
  return std::move(w).take();
}

kv::Range partition_range(const Table& table, const Index* index, const std::vector<View>& hash,
                          const std::vector<View>& equal, const KeyCondition* sort) {
  kv::KeyWriter w = key('r');
  w.u64(table.number).u32(index ? index->number : 0);
  write_hash_and_partition(w, hash);
  for (const View value : equal) w.text(value.content());
  const std::string prefix = std::move(w).take();
  kv::Range range = kv::prefix_range(prefix);
  if (!sort) return range;
  // Where rows with this sort key begin, and where those after them do. In an index a sort key is delimited and other
  // parts follow; in the table it is the end of the key.
  const auto from = [&](View value) {
    return index ? prefix + escaped(value.content()) + std::string("\0\1", 2) : prefix + std::string(value.content());
  };
  const auto after = [&](View value) { return index ? kv::prefix_end(from(value)) : from(value) + '\0'; };
  const auto& values = sort->values;
  switch (sort->comparison) {
    case NodeKind::kEq:
      return {from(values[0]), after(values[0])};
    case NodeKind::kLt:
      range.end = from(values[0]);
      break;
    case NodeKind::kLe:
      range.end = after(values[0]);
      break;
    case NodeKind::kGt:
      range.begin = after(values[0]);
      break;
    case NodeKind::kGe:
      range.begin = from(values[0]);
      break;
    case NodeKind::kBetween:
      return {from(values[0]), after(values[1])};
    default: {  // begins_with
      return kv::prefix_range(prefix + (index ? escaped(values[0].content()) : std::string(values[0].content())));
    }
  }
  return range;
}

kv::Range segment_range(const Table& table, const Index* index, uint32_t segment, uint32_t total) {
  const std::string prefix = rows_prefix(table, index ? index->number : 0);
  kv::Range range = kv::prefix_range(prefix);
  const auto boundary = [&](uint64_t s) {
    std::string out = prefix;
    append_be32(out, static_cast<uint32_t>(((s << 32) + total - 1) / total));
    return out;
  };
  if (segment > 0) range.begin = boundary(segment);
  if (segment + 1 < total) range.end = boundary(uint64_t{segment} + 1);
  return range;
}

TablePtr Store::known_table(const std::string& key) {
  TablePtr table = cache_.current(key);
  if (table && tx_) kv::depend_on(*tx_, key);
  return table;
}

Task<TablePtr> Store::find_table(TableName name) {
  const std::string k = table_key(name);
  if (TablePtr table = known_table(k)) co_return table;
  auto bytes = co_await reader_.get(k);
  if (!bytes) co_return TablePtr();
  co_return cache_.decode(k, std::move(*bytes), reader_.version());
}

Task<TablePtr> Store::require_table(TableName name) {
  TablePtr table = co_await find_table(std::move(name));
  if (!table || table->restoring()) co_return err::ResourceNotFoundException("Requested resource not found");
  co_return table;
}

Task<TablePtr> Store::find_ready_table(TableName name) {
  TablePtr table = co_await find_table(std::move(name));
  co_return table && !table->restoring() ? std::move(table) : TablePtr();
}

void Store::put_table(const Table& table) {
  std::string k = table_key({table.account, table.region, table.name});
  cache_.change(*tx_, k);
  if (!table.policy.empty()) cache_.note_policy();
  tx_->put(std::move(k), kv::encode(table));
}

void Store::erase_table(const TableName& name) {
  std::string k = table_key(name);
  cache_.change(*tx_, k);
  tx_->erase(std::move(k));
}

Task<std::optional<Item>> Store::find_item(TablePtr table, std::string row) {
  auto bytes = co_await reader_.get(std::move(row));
  if (!bytes) co_return std::optional<Item>();
  co_return Item::of_bytes(std::move(*bytes));
}

void Store::count(const Table& table, const Index* index, Counted what, View key, double amount) {
  if (!is_counted(table, index, what) || !key.present()) return;
  cache_.key_counts().add(table, contribution(table, index, what, key, amount), cache_.now());
}

void Store::admit_read(const Table& table, const Index* index, View key) {
  if (!is_metered(table)) return;
  try {
    cache_.throttle().admit(table, index, false);
  } catch (const Error&) {
    count(table, index, Counted::kThrottle, key, 1);
    throw;
  }
}
void Store::charge_read(const Table& table, const Index* index, double units, View key) {
  if (is_metered(table)) cache_.throttle().take(table, index, false, units);
  count(table, index, Counted::kAccess, key, units);
}
void Store::admit_write(const Table& table, const Write& write) {
  if (!is_metered(table)) return;
  try {
    cache_.throttle().admit(table, nullptr, true, pending_[{table.number, 0}]);
  } catch (const Error&) {
    if (!write.statement) count(table, nullptr, Counted::kThrottle, write.subject, 1);
    throw;
  }
  // What the capacity of an index refuses, AWS counts nowhere.
  for (const Index& index : table.indexes) {
    if (!index.local) cache_.throttle().admit(table, &index, true, pending_[{table.number, index.number}]);
  }
}

// What a write took is known when it is committed.
void Store::charge_write(Written& written, double factor) {
  if (!written.contributions.empty()) {
    tx_->on_commit([&cache = cache_, table = written.table, all = std::move(written.contributions)] {
      for (const Contribution& one : all) cache.key_counts().add(*table, one, cache.now());
    });
  }
  if (!is_metered(*written.table)) return;
  const TablePtr& table = written.table;
  double own = written.table_units * factor;
  for (const auto& [name, units] : written.local_units) own += units;
  const auto take = [&](const Index* index, double units) {
    pending_[{table->number, index ? index->number : 0}] += units;
    tx_->on_commit([&throttle = cache_.throttle(), table, index, units] { throttle.take(*table, index, true, units); });
  };
  take(nullptr, own);
  for (const auto& [name, units] : written.global_units) take(table->find_index(name), units);
}

void check_write(const Table& table, const Write& write) {
  if (write.kind == WriteKind::kPut) {
    check_item(table, write.subject);
  } else {
    check_key(table, write.subject);
  }
  if (write.kind == WriteKind::kUpdate) check_update_targets(table, write.actions);
  if (write.condition) {
    std::vector<const Path*> paths;
    collect_paths(*write.condition, paths);
    check_key_paths(table, paths);
  }
}

Task<Written> Store::write(const Write& write) {
  Written out;
  // Hardly a write has to wait for its table.
  out.table = known_table(table_key(write.table));
  if (!out.table || out.table->restoring()) out.table = co_await require_table(write.table);
  const Table& table = *out.table;
  check_write(table, write);
  admit_write(table, write);
  if (!write.statement) out.weight = kWriteWeight * write.factor;
  const bool counted = out.weight > 0 && is_counted(table, nullptr, Counted::kAccess);
  const auto contribute = [&](double units) {
    if (!counted) return;
    out.contributions.push_back(contribution(table, nullptr, Counted::kAccess, write.subject, out.weight * units));
  };
  const std::string row = row_key(table, nullptr, write.subject);
  // A plain put or delete of a table without indexes changes the row without reading it.
  if (write.wants_old || write.condition || write.kind == WriteKind::kUpdate || write.kind == WriteKind::kCheck ||
      table.needs_old_item() || is_metered(table)) {
    out.before = co_await find_item(out.table, row);
  } else if (counted) {
    // Only for its size: nothing hangs on it when others change it meanwhile.
    if (auto bytes = co_await tx_->get_relaxed(row)) out.before = Item::of_bytes(std::move(*bytes));
  }
  const size_t old_size = out.before ? out.before->view().item_size() : 0;
  if (write.condition && !holds(*write.condition, out.before ? out.before->view() : Item().view())) {
    out.refused = true;
    // No commit follows, and yet the item was accessed.
    if (is_metered(table)) cache_.throttle().take(table, nullptr, true, write.factor * write_units(old_size));
    if (counted) count(table, nullptr, Counted::kAccess, write.subject, out.weight * write_units(old_size));
    co_return out;
  }
  View after;
  switch (write.kind) {
    case WriteKind::kCheck:
      out.table_units = write_units(old_size);
      contribute(out.table_units);
      charge_write(out, write.factor);
      co_return out;
    case WriteKind::kDelete:
      break;
    case WriteKind::kPut:
      after = write.subject;
      break;
    case WriteKind::kUpdate: {
      const bool only_removes =
          !write.actions.empty() && std::all_of(write.actions.begin(), write.actions.end(), [](const auto& a) {
            return a.kind == UpdateKind::kRemove || a.kind == UpdateKind::kDelete;
          });
      // An update that only takes away does not bring an item into being.
      if (!out.before && only_removes) {
        out.table_units = 1;
        contribute(1);
        charge_write(out, write.factor);
        co_return out;
      }
      out.after = updated_item(write.actions, out.before ? out.before->view() : write.subject);
      if (out.after->view().item_size() > kMaxItemSize) {
        throw validation("Item size to update has exceeded the maximum allowed size");
      }
      check_new_index_keys(table, write.actions, *out.after);
      after = *out.after;
      break;
    }
  }
  replace(table, row, view_of(out.before), after, &out);
  double units = out.table_units;
  for (const auto& [name, local] : out.local_units) units += local;
  contribute(units);
  charge_write(out, write.factor);
  co_return out;
}

void Store::replace(const Table& table, const std::string& row, View before, View after, Written* units, Cause cause) {
  if (table.recovery) {
    const size_t prefix = rows_prefix(table, 0).size();
    tx_->put_ordered(undo_prefix(table.number),
                     kv::encode(Undo{cache_.now(), row.substr(prefix), before.present(), std::string(before.bytes())}));
  }
  if (table.streams()) record_change(*tx_, table, row, before, after, cause, cache_.now());
  if (after.present()) {
    tx_->put(row, std::string(after.bytes()));
  } else {
    tx_->erase(row);
  }
  if (units) {
    units->table_units +=
        write_units_of_change(before.present() ? before.item_size() : 0, after.present() ? after.item_size() : 0);
  }
  for (const Index& index : table.indexes) {
    const bool was = before.present() && in_index(index, before);
    const bool is = after.present() && in_index(index, after);
    const std::string old_row = was ? row_key(table, &index, before) : std::string();
    const std::string new_row = is ? row_key(table, &index, after) : std::string();
    const Item old_entry = was ? project_into(table, index, before) : Item();
    const Item new_entry = is ? project_into(table, index, after) : Item();
    const auto charge = [&](const Item& entry, size_t bytes) {
      if (!units) return;
      const double cost = write_units(bytes);
      (index.local ? units->local_units : units->global_units)[index.name] += cost;
      if (index.local || units->weight == 0 || !is_counted(table, &index, Counted::kAccess)) return;
      units->contributions.push_back(contribution(table, &index, Counted::kAccess, entry, units->weight * cost));
    };
    if (was && old_row != new_row) {
      tx_->erase(old_row);
      charge(old_entry, old_entry.view().item_size());
    }
    // While the index is being filled a row may be missing even though the item has not changed.
    const bool unchanged = old_row == new_row && old_entry == new_entry && index.state == IndexState::kActive;
    if (is && !unchanged) {
      tx_->put(new_row, new_entry.bytes());
      charge(new_entry, std::max(new_entry.view().item_size(), old_row == new_row ? old_entry.view().item_size() : 0));
    }
  }
  if (table.expiry) {
    const auto old_time = before.present() ? table.expiry_of(before) : std::nullopt;
    const auto new_time = after.present() ? table.expiry_of(after) : std::nullopt;
    if (old_time && old_time != new_time) tx_->erase(expiry_key(table, *old_time, before));
    if (new_time) tx_->put(expiry_key(table, *new_time, after), "");
  }
}

void Store::fill(const Table& table, uint32_t number, const Item& item) {
  if (number == kExpiryIndex) {
    if (const auto time = table.expiry_of(item)) tx_->put(expiry_key(table, *time, item), "");
    return;
  }
  for (const Index& index : table.indexes) {
    if (index.number != number || !in_index(index, item) || !suits_index(table, index, item)) continue;
    tx_->put(row_key(table, &index, item), project_into(table, index, item).bytes());
  }
}

}  // namespace virga::dynamodb
