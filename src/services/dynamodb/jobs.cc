// Copying in the background: backups and restores. A job is a record until it is done, and goes on after a restart.
#include "base/log.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/dynamodb/recovery.h"
#include "services/dynamodb/service.h"

namespace virga::dynamodb {

namespace {
constexpr size_t kRows = 200;  // in one transaction
constexpr size_t kBytes = 1 << 20;
}  // namespace

void DynamoService::start_job(std::string key, std::unique_ptr<kv::Reader> instant) {
  ++running_;
  start_background("dynamodb.job", run_job(std::move(key), std::move(instant)));
}

Task<void> DynamoService::run_job(std::string key, std::unique_ptr<kv::Reader> instant) {
  const auto record = co_await db_.snapshot()->get(key);
  if (record) {
    const Job job = kv::decode<Job>(*record);
    const auto done = co_await as_result(job.kind == JobKind::kBackup          ? copy_to_backup(key, job, *instant)
                                         : job.kind == JobKind::kRestoreBackup ? restore_backup(key, job)
                                                                               : restore_time(key, job));
    if (!done) {
      log_error("dynamodb", "copying a table was interrupted; it goes on after the next start",
                {{"table", job.table.name}, {"failure", virga::describe(done.error())}});
    }
  }
  --running_;
}

// A backup that a stop cut off begins anew, and then holds the table as it is at that later instant.
Task<void> DynamoService::copy_to_backup(std::string key, Job job, kv::Reader& instant) {
  const auto record = co_await instant.get(job.backup);
  if (!record) co_return;
  Backup backup = kv::decode<Backup>(*record);
  const std::string from = rows_prefix(backup.table, 0), to = backup_rows(backup.number);
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    tx.erase_range(kv::prefix_range(to));
    co_return;
  });
  kv::Range range = kv::prefix_range(from);
  while (!stopping_) {
    const auto rows = co_await instant.scan(range, {.limit = kRows, .byte_limit = kBytes});
    co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
      for (const kv::Entry& row : rows) tx.put(to + row.key.substr(from.size()), row.value);
      if (rows.empty()) {
        backup.available = true;
        tx.put(job.backup, kv::encode(backup));
        tx.erase(key);
      }
      co_return;
    });
    if (rows.empty()) co_return;
    for (const kv::Entry& row : rows) {
      ++backup.items;
      backup.bytes += static_cast<int64_t>(View(row.value).item_size());
    }
    range.begin = rows.back().key + '\0';
  }
}

// The table that a job fills; null when it is gone.
Task<TablePtr> DynamoService::job_table(Store& store, const Job& job) {
  const TablePtr table = co_await store.find_table(job.table);
  co_return table && table->number == job.number ? table : TablePtr();
}

Task<void> DynamoService::finish_restore(std::string key, Job job) {
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, cache_);
    tx.erase(key);
    const TablePtr found = co_await job_table(store, job);
    if (!found) co_return;
    Table table = *found;
    table.restore->in_progress = false;
    store.put_table(table);
  });
}

Task<void> DynamoService::restore_backup(std::string key, Job job) {
  const auto record = co_await db_.snapshot()->get(job.backup);
  if (!record) co_return co_await finish_restore(key, job);
  const std::string from = backup_rows(kv::decode<Backup>(*record).number);
  while (!stopping_) {
    Job next = job;  // becomes `job` once committed: after a conflict the same rows are to be copied again
    const bool more = co_await db_.transact([&](kv::Txn& tx) -> Task<bool> {
      Store store(tx, cache_);
      const TablePtr table = co_await job_table(store, job);
      if (!table) co_return false;
      kv::Range range = kv::prefix_range(from);
      if (!job.cursor.empty()) range.begin = job.cursor + '\0';
      const auto rows = co_await tx.scan(range, {.limit = kRows, .byte_limit = kBytes});
      const std::string to = rows_prefix(*table, 0);
      for (const kv::Entry& row : rows) {
        store.replace(*table, to + row.key.substr(from.size()), View(), View(row.value), nullptr);
      }
      if (rows.empty()) co_return false;
      next.cursor = rows.back().key;
      tx.put(key, kv::encode(next));
      co_return true;
    });
    job = std::move(next);
    if (!more) co_return co_await finish_restore(key, job);
  }
}

// The source as it is now, and then what changed since that time taken back, newest first. One that a stop cut off
// begins anew.
Task<void> DynamoService::restore_time(std::string key, Job job) {
  const auto instant = db_.snapshot();
  const std::string from = rows_prefix(job.source, 0);
  const auto change = [&](const std::vector<kv::Entry>& rows, bool undo) -> Task<void> {
    co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
      Store store(tx, cache_);
      const TablePtr table = co_await job_table(store, job);
      if (!table) co_return;
      const std::string to = rows_prefix(*table, 0);
      for (const kv::Entry& row : rows) {
        const Undo past = undo ? kv::decode<Undo>(row.value) : Undo{{}, row.key.substr(from.size()), true, row.value};
        const auto now = undo ? co_await store.find_item(table, to + past.row) : std::nullopt;
        if (!now && !past.existed) continue;
        store.replace(*table, to + past.row, view_of(now), past.existed ? View(past.before) : View(), nullptr);
      }
    });
  };
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, cache_);
    if (const TablePtr table = co_await job_table(store, job)) tx.erase_range(rows_of_everything(*table, 'r'));
  });
  for (kv::Range range = kv::prefix_range(from); !stopping_;) {
    const auto rows = co_await instant->scan(range, {.limit = kRows, .byte_limit = kBytes});
    if (rows.empty()) break;
    co_await change(rows, false);
    range.begin = rows.back().key + '\0';
  }
  for (kv::Range range = kv::prefix_range(undo_prefix(job.source.number)); !stopping_;) {
    auto rows = co_await instant->scan(range, {.limit = kRows, .byte_limit = kBytes, .reverse = true});
    size_t later = 0;
    while (later < rows.size() && kv::decode<Undo>(rows[later].value).at > job.at) ++later;
    const bool last = later < rows.size() || rows.empty();
    rows.resize(later);
    if (!rows.empty()) {
      range.end = rows.back().key;
      co_await change(rows, true);
    }
    if (last) break;
  }
  if (!stopping_) co_await finish_restore(key, job);
}

}  // namespace virga::dynamodb
