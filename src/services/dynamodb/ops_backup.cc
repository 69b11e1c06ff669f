#include <aws/dynamodb/errors.h>

#include <algorithm>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/id.h"
#include "base/str.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/new_table.h"
#include "services/dynamodb/recovery.h"
#include "services/dynamodb/request.h"
#include "services/dynamodb/restore.h"
#include "services/dynamodb/schema.h"
#include "services/dynamodb/service.h"

namespace virga::dynamodb {

std::string backup_key(const std::string& account, const std::string& region, const std::string& id) {
  return kv::KeyWriter("ddb").u8('B').text(account).text(region).text(id);
}
kv::Range backups_of(const std::string& account, const std::string& region) {
  return kv::prefix_range(kv::KeyWriter("ddb").u8('B').text(account).text(region).view());
}
std::string backup_rows(uint64_t number) { return kv::KeyWriter("ddb").u8('d').u64(number); }
std::string undo_prefix(uint64_t table) { return kv::KeyWriter("ddb").u8('u').u64(table); }
std::string job_key(const std::string& id) { return kv::KeyWriter("ddb").u8('j').text(id); }
kv::Range all_jobs() { return kv::prefix_range(kv::KeyWriter("ddb").u8('j').view()); }

namespace {

constexpr int kDefaultDays = 35;
constexpr std::chrono::hours kTrimEvery{1};

Error no_table(const std::string& name) { return err::TableNotFoundException(cat("Table not found: ", name)); }
// While a table is restored there is none to back up; while it is imported it is there.
void check_backed_up(const TablePtr& table, const std::string& name) {
  if (!table || (table->restoring() && !table->importing)) throw no_table(name);
  if (!table->importing) return;
  throw err::ContinuousBackupsUnavailableException(
      cat("Backups are being enabled for the table: ", name, ". Please retry later"));
}
Error no_backup(const std::string& arn) { return err::BackupNotFoundException(cat("Backup not found: ", arn)); }

// The id in a backup's ARN, whichever region that names; empty when it is of another account.
std::string backup_id(const Ctx& ctx, const std::string& arn) {
  constexpr std::string_view kBackup = "/backup/";
  const auto parsed = kernel::parse_arn(arn);
  const size_t at = arn.find(kBackup);
  if (!parsed || at == std::string::npos) throw validation("Invalid Backup ARN");
  if (parsed->partition != "aws" || parsed->service != "dynamodb") throw invalid_request("BackupArn is not valid");
  if (parsed->account != ctx.account) return {};
  return arn.substr(at + kBackup.size());
}

BackupDetails details_of(const Backup& backup) {
  BackupDetails out;
  out.backup_arn = backup.arn();
  out.backup_name = backup.name;
  out.backup_size_bytes = backup.bytes;
  out.backup_status = backup.available ? BackupStatus::AVAILABLE : BackupStatus::CREATING;
  out.backup_type = BackupType::USER;
  out.backup_creation_date_time = backup.created;
  return out;
}

BackupDescription backup_description(const Backup& backup) {
  const TableDescription table = description_of(backup.table);
  BackupDescription out;
  out.backup_details = details_of(backup);
  SourceTableDetails& source = out.source_table_details.emplace();
  source.table_name = backup.table.name;
  source.table_id = backup.table.id;
  source.table_arn = backup.table.arn();
  source.table_size_bytes = backup.bytes;
  source.item_count = backup.items;
  source.key_schema = *table.key_schema;
  source.table_creation_date_time = backup.table.created;
  source.provisioned_throughput = {backup.table.throughput.read, backup.table.throughput.write};
  source.billing_mode = backup.table.on_demand ? BillingMode::PAY_PER_REQUEST : BillingMode::PROVISIONED;
  source.on_demand_throughput = table.on_demand_throughput;
  SourceTableFeatureDetails& features = out.source_table_feature_details.emplace();
  if (table.local_secondary_indexes) {
    features.local_secondary_indexes.emplace();
    for (const auto& index : *table.local_secondary_indexes) {
      features.local_secondary_indexes->push_back({index.index_name, index.key_schema, index.projection});
    }
  }
  if (table.global_secondary_indexes) {
    features.global_secondary_indexes.emplace();
    for (const auto& index : *table.global_secondary_indexes) {
      GlobalSecondaryIndexInfo& info = features.global_secondary_indexes->emplace_back();
      info.index_name = index.index_name;
      info.key_schema = index.key_schema;
      info.projection = index.projection;
      const Throughput& given = backup.table.find_index(*index.index_name)->throughput;
      info.provisioned_throughput = ProvisionedThroughput{given.read, given.write};
    }
  }
  features.stream_description = table.stream_specification;
  if (backup.table.expiry) {
    auto& life = features.time_to_live_description.emplace();
    life.time_to_live_status = TimeToLiveStatus::ENABLED;
    life.attribute_name = backup.table.expiry->attribute;
  }
  return out;
}

ContinuousBackupsDescription recovery_of(const Table& table, Time now) {
  ContinuousBackupsDescription out;
  out.continuous_backups_status = ContinuousBackupsStatus::ENABLED;
  auto& recovery = out.point_in_time_recovery_description.emplace();
  recovery.point_in_time_recovery_status =
      table.recovery ? PointInTimeRecoveryStatus::ENABLED : PointInTimeRecoveryStatus::DISABLED;
  if (table.recovery) {
    recovery.recovery_period_in_days = static_cast<int32_t>(table.recovery->days);
    recovery.earliest_restorable_date_time =
        std::max(table.recovery->since, now - std::chrono::hours(24 * table.recovery->days));
    recovery.latest_restorable_date_time = now;
  }
  return out;
}

// Whether a restore from the backup is under way.
Task<bool> is_restored_from(kv::Txn& tx, std::string backup) {
  for (const kv::Entry& row : co_await tx.scan(all_jobs())) {
    const Job job = kv::decode<Job>(row.value);
    if (job.kind == JobKind::kRestoreBackup && job.backup == backup) co_return true;
  }
  co_return false;
}

Error target_is_taken(const Table& target, const std::string& backup_arn) {
  if (target.restore && target.restore->in_progress) {
    return err::TableInUseException(cat("Table: ", target.name, " is already being restored from backup: ",
                                        target.restore->backup.empty() ? backup_arn : target.restore->backup));
  }
  return err::TableAlreadyExistsException(cat("Table already exists: ", target.name));
}

}  // namespace

Task<CreateBackupOutput> DynamoService::create_backup(Ctx& ctx, const CreateBackupInput& in) {
  const TableName name = table_named(ctx, in.table_name);
  Backup backup;
  backup.name = in.backup_name;
  backup.created = ctx.now();
  backup.number = random_u64();
  const std::string suffix = hex_encode(random_bytes(4));
  const std::string millis = std::to_string(backup.created.micros / 1000);
  backup.id = cat(std::string(millis.size() < 14 ? 14 - millis.size() : 0, '0'), millis, "-", suffix);
  const std::string job = uuid();
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx, cache_);
    const TablePtr table = co_await store.find_table(name);
    check_backed_up(table, name.name);
    backup.table = *table;
    const std::string key = backup_key(ctx.account, ctx.region, backup.id);
    tx.put(key, kv::encode(backup));
    tx.put(job_key(job), kv::encode(Job{JobKind::kBackup, name, table->number, key, {}, {}, {}}));
  });
  // What the backup holds is the table at this instant.
  start_job(job_key(job), db_.snapshot());
  CreateBackupOutput out;
  out.backup_details = details_of(backup);
  co_return out;
}

Task<DescribeBackupOutput> DynamoService::describe_backup(Ctx& ctx, const DescribeBackupInput& in) {
  const auto record = co_await db_.snapshot()->get(backup_key(ctx.account, ctx.region, backup_id(ctx, in.backup_arn)));
  if (!record) co_return no_backup(in.backup_arn);
  DescribeBackupOutput out;
  out.backup_description = backup_description(kv::decode<Backup>(*record));
  out.backup_description->backup_details->backup_arn = in.backup_arn;
  co_return out;
}

Task<DeleteBackupOutput> DynamoService::delete_backup(Ctx& ctx, const DeleteBackupInput& in) {
  const std::string key = backup_key(ctx.account, ctx.region, backup_id(ctx, in.backup_arn));
  Backup gone = co_await transact([&](kv::Txn& tx) -> Task<Backup> {
    const auto record = co_await tx.get(key);
    if (!record) co_await fail(no_backup(in.backup_arn));
    Backup backup = kv::decode<Backup>(*record);
    if (!backup.available) co_await fail(err::BackupInUseException(cat("Backup is being created: ", in.backup_arn)));
    // Without its rows a restore under way would end early, with a table that looks whole.
    if (co_await is_restored_from(tx, key)) {
      co_await fail(err::BackupInUseException(cat("Backup is being used to restore table: ", in.backup_arn)));
    }
    tx.erase(key);
    tx.erase_range(kv::prefix_range(backup_rows(backup.number)));
    co_return backup;
  });
  DeleteBackupOutput out;
  out.backup_description = backup_description(gone);
  out.backup_description->backup_details->backup_arn = in.backup_arn;
  out.backup_description->backup_details->backup_status = BackupStatus::DELETED;
  co_return out;
}

Task<ListBackupsOutput> DynamoService::list_backups(Ctx& ctx, const ListBackupsInput& in) {
  const size_t limit = static_cast<size_t>(in.limit.value_or(100));
  kv::Range range = backups_of(ctx.account, ctx.region);
  if (in.time_range_lower_bound && in.time_range_upper_bound &&
      *in.time_range_lower_bound > *in.time_range_upper_bound) {
    co_return invalid_parameter("Time range lower bound must be less than or equal to upper bound");
  }
  if (in.exclusive_start_backup_arn) {
    const std::string id = backup_id(ctx, *in.exclusive_start_backup_arn);
    if (kernel::parse_arn(*in.exclusive_start_backup_arn)->region != ctx.region) {
      co_return invalid_request("The supplied ExclusiveStartBackupArn does not match the region");
    }
    range.begin = backup_key(ctx.account, ctx.region, id) + '\0';
  }
  ListBackupsOutput out;
  out.backup_summaries.emplace();
  if (in.backup_type == BackupTypeFilter::SYSTEM || in.backup_type == BackupTypeFilter::AWS_BACKUP) co_return out;
  const std::optional<std::string> table =
      in.table_name ? std::optional(table_named(ctx, *in.table_name).name) : std::nullopt;
  const auto reader = db_.snapshot();
  for (;;) {
    const auto rows = co_await reader->scan(range, {.limit = 100});
    for (const kv::Entry& row : rows) {
      const Backup backup = kv::decode<Backup>(row.value);
      if (table && backup.table.name != *table) continue;
      if (in.time_range_lower_bound && backup.created < *in.time_range_lower_bound) continue;
      if (in.time_range_upper_bound && backup.created >= *in.time_range_upper_bound) continue;
      if (out.backup_summaries->size() == limit) {
        out.last_evaluated_backup_arn = out.backup_summaries->back().backup_arn;
        co_return out;
      }
      BackupSummary& summary = out.backup_summaries->emplace_back();
      summary.table_name = backup.table.name;
      summary.table_id = backup.table.id;
      summary.table_arn = backup.table.arn();
      summary.backup_arn = backup.arn();
      summary.backup_name = backup.name;
      summary.backup_creation_date_time = backup.created;
      summary.backup_status = backup.available ? BackupStatus::AVAILABLE : BackupStatus::CREATING;
      summary.backup_type = BackupType::USER;
      summary.backup_size_bytes = backup.bytes;
    }
    if (rows.size() < 100) co_return out;
    range.begin = rows.back().key + '\0';
  }
}

Task<RestoreTableFromBackupOutput> DynamoService::restore_table_from_backup(Ctx& ctx,
                                                                            const RestoreTableFromBackupInput& in) {
  const TableName target = new_table_name(ctx, in.target_table_name);
  const std::string key = backup_key(ctx.account, ctx.region, backup_id(ctx, in.backup_arn));
  const std::string job = uuid();
  Table made = co_await transact([&](kv::Txn& tx) -> Task<Table> {
    const auto record = co_await tx.get(key);
    if (!record) co_await fail(no_backup(in.backup_arn));
    const Backup backup = kv::decode<Backup>(*record);
    if (!backup.available) co_await fail(err::BackupInUseException(cat("Backup is being created: ", in.backup_arn)));
    Store store(tx, cache_);
    if (const TablePtr there = co_await store.find_table(target)) {
      co_await fail(target_is_taken(*there, in.backup_arn));
    }
    if (co_await is_restored_from(tx, key)) {
      co_await fail(err::BackupInUseException(cat("Backup is being used to restore another table: ", in.backup_arn)));
    }
    Table table = restored_table(ctx, backup.table, in);
    table.restore = Restore{in.backup_arn, backup.table.arn(), backup.created, true};
    co_await add_table(tx, store, table);
    tx.put(job_key(job), kv::encode(Job{JobKind::kRestoreBackup, target, table.number, key, {}, {}, {}}));
    co_return table;
  });
  start_job(job_key(job), nullptr);
  RestoreTableFromBackupOutput out;
  out.table_description = description_of(made);
  co_return out;
}

Task<RestoreTableToPointInTimeOutput> DynamoService::restore_table_to_point_in_time(
    Ctx& ctx, const RestoreTableToPointInTimeInput& in) {
  if (!in.source_table_name && !in.source_table_arn) {
    co_return validation("The parameter 'TableName' is required but was not present in the request");
  }
  if (in.source_table_name && in.source_table_arn) {
    co_return validation("Must provide exactly one of: sourceTableArn, sourceTableName");
  }
  const bool latest = in.use_latest_restorable_time.value_or(false);
  if (latest && in.restore_date_time) {
    co_return invalid_request(
        "Both RestoreDateTime and UseLatestRestorableTime cannot be set for point-in-time restore request. Please "
        "specify either RestoreDateTime time or UseLatestRestorableTime");
  }
  if (!latest && !in.restore_date_time) {
    co_return invalid_request(
        "Either one of RestoreDateTime or UseLatestRestorableTime must be specified, but not both");
  }
  if (in.source_table_arn) {
    const auto arn = kernel::parse_arn(*in.source_table_arn);
    if (!arn || arn->service != "dynamodb" || !arn->resource.starts_with("table/")) {
      co_return validation("sourceTableArn is not a valid ARN");
    }
    if (arn->region != ctx.region) co_return validation("Restores from other regions are not supported here yet.");
  }
  const TableName source = table_named(ctx, in.source_table_name ? *in.source_table_name : *in.source_table_arn);
  const TableName target = new_table_name(ctx, in.target_table_name);
  const Time now = ctx.now();
  const Time at = latest ? now : *in.restore_date_time;
  const std::string job = uuid();
  Table made = co_await transact([&](kv::Txn& tx) -> Task<Table> {
    Store store(tx, cache_);
    const TablePtr from = co_await store.find_table(source);
    if (!from) co_await fail(no_table(source.name));
    if (!from->recovery) {
      co_await fail(err::PointInTimeRecoveryUnavailableException(
          cat("Point in time recovery is not enabled for table '", source.name, "'")));
    }
    const auto window = recovery_of(*from, now).point_in_time_recovery_description;
    if (at < *window->earliest_restorable_date_time || at > now) {
      const auto shown = [](Time time) { return iso8601(Time::from_seconds(time.seconds())); };
      co_await fail(err::InvalidRestoreTimeException(
          cat("RestoreDateTime '", shown(at), "' must be within EarliestRestorableDateTime '",
              shown(*window->earliest_restorable_date_time), "' and LatestRestorableDateTime '", shown(now), "'")));
    }
    if (const TablePtr there = co_await store.find_table(target)) {
      co_await fail(target_is_taken(*there, ""));
    }
    Table table = restored_table(ctx, *from, in);
    table.restore = Restore{"", from->arn(), at, true};
    co_await add_table(tx, store, table);
    tx.put(job_key(job), kv::encode(Job{JobKind::kRestoreTime, target, table.number, {}, *from, at, {}}));
    co_return table;
  });
  start_job(job_key(job), nullptr);
  RestoreTableToPointInTimeOutput out;
  out.table_description = description_of(made);
  co_return out;
}

Task<DescribeContinuousBackupsOutput> DynamoService::describe_continuous_backups(
    Ctx& ctx, const DescribeContinuousBackupsInput& in) {
  const TableName name = table_named(ctx, in.table_name);
  const auto reader = db_.snapshot();
  Store store(*reader, cache_);
  const TablePtr table = co_await store.find_table(name);
  if (!table || (table->restoring() && !table->importing)) co_return no_table(name.name);
  DescribeContinuousBackupsOutput out;
  out.continuous_backups_description = recovery_of(*table, ctx.now());
  co_return out;
}

Task<UpdateContinuousBackupsOutput> DynamoService::update_continuous_backups(Ctx& ctx,
                                                                             const UpdateContinuousBackupsInput& in) {
  const TableName name = table_named(ctx, in.table_name);
  const PointInTimeRecoverySpecification& wanted = in.point_in_time_recovery_specification;
  if (wanted.recovery_period_in_days && !wanted.point_in_time_recovery_enabled) {
    co_return invalid_request("Cannot specify RecoveryPeriodInDays when disabling point-in-time recovery.");
  }
  Table changed = co_await transact([&](kv::Txn& tx) -> Task<Table> {
    Store store(tx, cache_);
    const TablePtr found = co_await store.find_table(name);
    check_backed_up(found, name.name);
    Table table = *found;
    if (wanted.point_in_time_recovery_enabled) {
      if (!table.recovery) table.recovery = Recovery{ctx.now(), kDefaultDays};
      if (wanted.recovery_period_in_days) table.recovery->days = *wanted.recovery_period_in_days;
      kernel::Timer timer{std::string(kUndoTimer), table.id, ctx.now() + kTrimEvery, kv::encode(Backfill{name, {}})};
      co_await timers_.set(tx, std::move(timer));
    } else if (table.recovery) {
      table.recovery.reset();
      tx.erase_range(kv::prefix_range(undo_prefix(table.number)));
      co_await timers_.clear(tx, std::string(kUndoTimer), table.id);
    }
    store.put_table(table);
    co_return table;
  });
  UpdateContinuousBackupsOutput out;
  out.continuous_backups_description = recovery_of(changed, ctx.now());
  co_return out;
}

Task<void> DynamoService::forget_undo(kernel::Timer timer) {
  constexpr size_t kRows = 1000;
  const Backfill which = kv::decode<Backfill>(timer.payload);
  for (bool more = true; more && !stopping_;) {
    more = co_await db_.transact([&](kv::Txn& tx) -> Task<bool> {
      Store store(tx, cache_);
      const TablePtr table = co_await store.find_table(which.table);
      if (!table || !table->recovery || table->id != timer.id) {
        co_await timers_.clear(tx, timer.kind, timer.id);
        co_return false;
      }
      const Time oldest = clock_.now() - std::chrono::hours(24 * table->recovery->days);
      // Other writers only add at the end, so what is read here is not looked at for conflicts.
      const auto rows = co_await db_.snapshot()->scan(kv::prefix_range(undo_prefix(table->number)),
                                                      {.limit = kRows, .byte_limit = 4 << 20});
      size_t old = 0;
      while (old < rows.size() && kv::decode<Undo>(rows[old].value).at < oldest) ++old;
      if (old > 0) tx.erase_range({rows[0].key, rows[old - 1].key + '\0'});
      if (old > 0 && old == rows.size()) co_return true;
      kernel::Timer next = timer;
      next.due = clock_.now() + kTrimEvery;
      co_await timers_.set(tx, std::move(next));
      co_return false;
    });
  }
}

}  // namespace virga::dynamodb
