// Background work: filling new indexes, expiring items, forgetting idempotency tokens, counting large tables.
#include <algorithm>

#include "base/log.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/dynamodb/limits.h"
#include "services/dynamodb/service.h"

namespace virga::dynamodb {

namespace {
constexpr size_t kBackfillRows = 100;  // in one transaction
constexpr size_t kBackfillBytes = 1 << 20;
constexpr size_t kExpireRows = 25;
constexpr size_t kCountRows = 1000;  // counted while the caller waits
constexpr size_t kCountBytes = 4 << 20;
constexpr std::chrono::minutes kCountAge{5};  // how old a count of a large table may be before it is made again
constexpr std::chrono::seconds kExpiryInterval{60};
// Rows of the expiry index, of which the item's own part follows the table and the time.
constexpr size_t kExpiryTime = sizeof(uint64_t);
}  // namespace

std::string expiry_timer_id(const Table& table) { return table.id; }

void DynamoService::start_backfill(std::string key) {
  ++running_;
  start_background("dynamodb.backfill", run_backfill(std::move(key)));
}

Task<void> DynamoService::run_backfill(std::string key) {
  for (;;) {
    if (stopping_) break;
    auto more = co_await as_result(backfill_step(key));
    if (!more) {
      // A busy table: the step conflicted too often. The work stays recorded.
      log_warning("dynamodb", "filling an index was interrupted", {{"failure", virga::describe(more.error())}});
      if (!kv::is_conflict(more.error())) break;
      continue;
    }
    if (!*more) break;
  }
  --running_;
}

Task<bool> DynamoService::backfill_step(std::string key) {
  co_return co_await db_.transact([&](kv::Txn& tx) -> Task<bool> {
    const auto record = co_await tx.get(key);
    if (!record) co_return false;  // done, or the table is gone
    Backfill work = kv::decode<Backfill>(*record);
    kv::KeyReader reader(key);
    reader.text();
    reader.u8();
    reader.u64();
    const uint32_t number = reader.u32();
    Store store(tx, cache_);
    const TablePtr table = co_await store.find_table(work.table);
    if (!table || backfill_key(*table, number) != key) {
      tx.erase(key);
      co_return false;
    }
    kv::Range rows = kv::prefix_range(rows_prefix(*table, 0));
    if (!work.cursor.empty()) rows.begin = work.cursor + '\0';
    const auto entries = co_await tx.scan(rows, {.limit = kBackfillRows, .byte_limit = kBackfillBytes});
    for (const kv::Entry& entry : entries) store.fill(*table, number, Item::of_bytes(entry.value));
    if (!entries.empty()) {
      work.cursor = entries.back().key;
      tx.put(key, kv::encode(work));
      co_return true;
    }
    Table done = *table;
    if (number == kExpiryIndex) {
      if (done.expiry) done.expiry->state = IndexState::kActive;
    } else {
      for (Index& index : done.indexes) {
        if (index.number == number) index.state = IndexState::kActive;
      }
    }
    store.put_table(done);
    tx.erase(key);
    co_return false;
  });
}

Task<void> DynamoService::expire_items(kernel::Timer timer) {
  const Backfill which = kv::decode<Backfill>(timer.payload);
  const int64_t now = clock_.now().seconds();
  const int64_t oldest = now - kOldestExpiry.count();
  for (bool more = true; more && !stopping_;) {
    more = co_await db_.transact([&](kv::Txn& tx) -> Task<bool> {
      Store store(tx, cache_);
      const TablePtr table = co_await store.find_table(which.table);
      if (!table || !table->expiry || expiry_timer_id(*table) != timer.id) {
        co_await timers_.clear(tx, timer.kind, timer.id);
        co_return false;
      }
      const std::string prefix = rows_of_everything(*table, 'e').begin;
      const auto at = [&](int64_t seconds) {
        return std::string(kv::KeyWriter("ddb").u8('e').u64(table->number).u64(static_cast<uint64_t>(seconds)).view());
      };
      const kv::Range due{at(oldest), at(now)};
      const auto rows = co_await tx.scan(due, {.limit = kExpireRows});
      for (const kv::Entry& row : rows) {
        const std::string item_row = rows_prefix(*table, 0) + row.key.substr(prefix.size() + kExpiryTime);
        const auto item = co_await store.find_item(table, item_row);
        // The index may be behind nothing, but what is deleted must really be due.
        const auto due_at = item ? table->expiry_of(*item) : std::nullopt;
        if (due_at && *due_at >= oldest && *due_at < now)
          store.replace(*table, item_row, *item, View(), nullptr, Cause::kExpiry);
        tx.erase(row.key);
      }
      if (rows.size() == kExpireRows) co_return true;
      kernel::Timer next = timer;
      next.due = clock_.now() + kExpiryInterval;
      co_await timers_.set(tx, std::move(next));
      co_return false;
    });
  }
}

Task<void> DynamoService::forget_token(kernel::Timer timer) {
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    tx.erase(timer.id);
    co_await timers_.clear(tx, timer.kind, timer.id);
  });
}

Task<Counts> DynamoService::count(TablePtr table) {
  const auto reader = db_.snapshot();
  Counts counts;
  counts.counted = clock_.now();
  bool complete = true;
  for (size_t i = 0; i <= table->indexes.size() && complete; ++i) {
    const uint32_t number = i ? table->indexes[i - 1].number : 0;
    const auto rows = co_await reader->scan(kv::prefix_range(rows_prefix(*table, number)),
                                            {.limit = kCountRows, .byte_limit = kCountBytes});
    Count count;
    for (const kv::Entry& row : rows) {
      ++count.items;
      count.bytes += static_cast<int64_t>(View(row.value).item_size());
    }
    complete = rows.size() < kCountRows && static_cast<size_t>(count.bytes) < kCountBytes / 2;
    counts.by_index.emplace_back(number, count);
  }
  if (complete) co_return counts;
  // A large table: what was counted last, like AWS, whose numbers are some hours old.
  const auto last = co_await reader->get(counts_key(*table));
  const Counts known = last ? kv::decode<Counts>(*last) : counts;
  if (!last || clock_.now() - known.counted > kCountAge) {
    bool first;
    {
      const std::lock_guard lock(counting_mutex_);
      first = counting_.insert(table->number).second;
    }
    if (first) {
      ++running_;
      start_background("dynamodb.count", recount(table));
    }
  }
  co_return known;
}

Task<void> DynamoService::recount(TablePtr table) {
  const auto finish = [this, number = table->number] {
    const std::lock_guard lock(counting_mutex_);
    counting_.erase(number);
    --running_;
  };
  Counts counts;
  counts.counted = clock_.now();
  for (size_t i = 0; i <= table->indexes.size(); ++i) {
    const uint32_t number = i ? table->indexes[i - 1].number : 0;
    Count count;
    kv::Range range = kv::prefix_range(rows_prefix(*table, number));
    for (;;) {
      if (stopping_) co_return finish();
      // A new snapshot for each page: a count is an estimate, and a long-lived snapshot holds back the store.
      const auto rows = co_await db_.snapshot()->scan(range, {.limit = kCountRows, .byte_limit = kCountBytes});
      for (const kv::Entry& row : rows) {
        ++count.items;
        count.bytes += static_cast<int64_t>(View(row.value).item_size());
      }
      if (rows.empty()) break;
      range.begin = rows.back().key + '\0';
    }
    counts.by_index.emplace_back(number, count);
  }
  auto stored = co_await as_result(db_.transact([&](kv::Txn& tx) -> Task<void> {
    const auto current = co_await tx.get(table_key({table->account, table->region, table->name}));
    // Not for a table that was deleted meanwhile.
    if (current && kv::decode<Table>(*current).number == table->number) tx.put(counts_key(*table), kv::encode(counts));
  }));
  if (!stored) log_warning("dynamodb", "a count was not kept", {{"failure", virga::describe(stored.error())}});
  finish();
}

}  // namespace virga::dynamodb
