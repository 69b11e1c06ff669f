// Tables and items in the store: keys, records, and the transaction that changes an item with all its index rows.
//
// Keys, all under the tag "ddb", then one byte:
//   t  account, region, name                        the Table
//   r  table number u64, index number u32, row      an Item: of index 0 the whole item, else what the index projects
//   e  table number u64, seconds u64, row           nothing: an item's time of expiry
//   b  table number u64, index number u32           a Backfill: an index (or the expiry index) not complete yet
//   c  table number u64                             Counts of a large table
//   i  account, region, token                       an IdempotencyRecord of TransactWriteItems
//   s, k, h                                         streams: streams.h
//   a                                               contributor insights: insights.h
// A row is u32 hash, u16 length and bytes of the partition key, then of the table itself the sort key's bytes; of an
// index the index's sort keys (each delimited), u32 hash of the item's own key, its partition key (u16 length, bytes)
// and sort key. Of several partition keys each has its length before it. Hash first: segments of a parallel scan are
// ranges of it. Numbers are in their key form (number.h).
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/task.h"
#include "kv/db.h"
#include "services/dynamodb/insights.h"
#include "services/dynamodb/legacy.h"
#include "services/dynamodb/model.h"
#include "services/dynamodb/throttle.h"

namespace virga::dynamodb {

using TablePtr = std::shared_ptr<const Table>;

struct TableName {
  std::string account, region, name;
};

// Decoded tables by key. A table that nobody is changing is known without asking the store: this process is the only
// one that writes to it. One that a transaction means to change is read again and again until that has ended well.
// Thread-safe. Shared by all Stores of the service, as is the clock that stream records are stamped with.
class TableCache {
 public:
  TableCache(kv::Db& db, const Clock& clock) : db_(db), clock_(clock), throttle_(clock) {}

  // The table as the newest commit has it; null when that must be read.
  TablePtr current(const std::string& key) const;
  // A record read at `version`.
  TablePtr decode(const std::string& key, std::string bytes, kv::Version version);
  TablePtr peek(const std::string& key) const;  // as last seen: a hint; null when never seen
  // Whether any table may have a policy of its own.
  bool has_policies() const { return policies_.load(std::memory_order_relaxed); }
  // Whether any table has writes that ask for the item as it was.
  bool needs_old_items() const { return old_items_.load(std::memory_order_relaxed); }
  // Every transaction calls this before it writes or erases the record.
  void change(kv::Txn& tx, const std::string& key);
  void note_policy() { policies_.store(true, std::memory_order_relaxed); }
  Time now() const { return clock_.now(); }
  Throttle& throttle() { return throttle_; }
  KeyCounts& key_counts() { return key_counts_; }

 private:
  struct Entry {
    std::string bytes;
    TablePtr table;
    bool current = false;
    kv::Version floor = 0;              // what was read earlier may be older than the last change
    std::vector<kv::Version> changing;  // instants of the transactions that mean to change it
  };
  void settle(const std::string& key, kv::Version instant);

  kv::Db& db_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::atomic<bool> policies_ = false, old_items_ = false;
  const Clock& clock_;
  Throttle throttle_;
  KeyCounts key_counts_;
};

inline constexpr uint32_t kExpiryIndex = 0xFFFFFFFF;  // the number of the expiry index in backfills

struct Backfill {
  TableName table;
  std::string cursor;  // the last row done; empty: none
  template <class A>
  void fields(A& a) {
    a(1, table.account);
    a(2, table.region);
    a(3, table.name);
    a(4, cursor);
  }
};

struct Count {
  int64_t items = 0, bytes = 0;
  template <class A>
  void fields(A& a) {
    a(1, items);
    a(2, bytes);
  }
};
struct Counts {
  Time counted;
  std::vector<std::pair<int64_t, Count>> by_index;  // index number; 0 is the table
  template <class A>
  void fields(A& a) {
    a(1, counted);
    a(2, by_index);
  }
};

struct IdempotencyRecord {
  std::string digest;          // of the request
  std::vector<int64_t> units;  // that each action took of its table
  template <class A>
  void fields(A& a) {
    a(1, digest), a(2, units);
  }
};

// One change of one item, as a request asks for it. Borrows from the request.
enum class WriteKind : uint8_t { kPut, kUpdate, kDelete, kCheck };
enum class Cause : uint8_t { kRequest, kExpiry };
struct Write {
  WriteKind kind = WriteKind::kPut;
  TableName table;
  View subject;  // the item of a put, else the key
  std::optional<Node> condition;
  std::vector<UpdateAction> actions;  // of an update
  bool wants_old = false;             // the answer needs the item as it was
  double factor = 1;                  // of what it costs: a transaction's writes cost twice as much
  bool statement = false;             // of PartiQL, which contributor insights don't see
};

struct Written {
  TablePtr table;
  bool refused = false;               // the condition did not hold; nothing was changed
  std::optional<Item> before, after;  // before only when it was read, after only of an update
  double table_units = 0;
  std::map<std::string, double> local_units, global_units;
  double weight = 0;  // of a unit in contributor insights; 0: not counted
  std::vector<Contribution> contributions;
};

std::string table_key(const TableName& name);
kv::Range tables_of(const std::string& account, const std::string& region);
std::string rows_prefix(const Table& table, uint32_t index);
kv::Range rows_of_everything(const Table& table, char kind);  // 'r' or 'e'
std::string backfill_key(const Table& table, uint32_t index);
kv::Range all_backfills();
std::string counts_key(const Table& table);
std::string idempotency_key(const std::string& account, const std::string& region, const std::string& token);

std::string row_key(const Table& table, const Index* index, View item);  // the item has the keys
// The rows of one partition, narrowed by a condition on the sort key. Of an index whose keys have several attributes:
// the values of all partition keys, of the first sort keys, and a condition on the next one.
kv::Range partition_range(const Table& table, const Index* index, const std::vector<View>& hash,
                          const std::vector<View>& equal, const KeyCondition* sort);
// The rows of one segment of `total`.
kv::Range segment_range(const Table& table, const Index* index, uint32_t segment, uint32_t total);

// What can be said against a write before its item is known. Throws ValidationException.
void check_write(const Table& table, const Write& write);

class Store {
 public:
  Store(kv::Reader& reader, TableCache& cache) : reader_(reader), cache_(cache) {}
  Store(kv::Txn& tx, TableCache& cache) : reader_(tx), tx_(&tx), cache_(cache) {}

  TablePtr known_table(const std::string& key);  // null when it has to be looked for
  Task<TablePtr> find_table(TableName name);     // null when there is none
  Task<TablePtr> require_table(TableName name);  // fails with ResourceNotFoundException
  // Null, too, while the table is restored or imported: most of AWS does not see it yet.
  Task<TablePtr> find_ready_table(TableName name);
  void put_table(const Table& table);
  void erase_table(const TableName& name);

  Task<std::optional<Item>> find_item(TablePtr table, std::string row);

  // Of tables that are held to their capacity: whether a request may begin, and what it took. Throws when it may not.
  // `key` is whose access or refusal it is, where it is one's.
  void admit_read(const Table& table, const Index* index = nullptr, View key = {});
  void charge_read(const Table& table, const Index* index, double units, View key = {});
  // For contributor insights, where the table or index has them.
  void count(const Table& table, const Index* index, Counted what, View key, double amount);

  // Checks, reads, decides and writes. Fails with ValidationException and ResourceNotFoundException.
  Task<Written> write(const Write& write);
  // The rows of an item that changes from `before` to `after`: the item's own, those of indexes and of the expiry, and
  // the record in the table's stream. What is not present is no item.
  void replace(const Table& table, const std::string& row, View before, View after, Written* units,
               Cause cause = Cause::kRequest);
  // Puts the row of `item` in an index that is being filled.
  void fill(const Table& table, uint32_t index, const Item& item);

 private:
  void admit_write(const Table& table, const Write& write);
  void charge_write(Written& written, double factor);

  kv::Reader& reader_;
  kv::Txn* tx_ = nullptr;
  TableCache& cache_;
  // What this transaction will take of tables, and of their global indexes, that are held to their capacity.
  std::map<std::pair<uint64_t, uint32_t>, double> pending_;
};

}  // namespace virga::dynamodb
