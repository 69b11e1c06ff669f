#include <aws/dynamodb/errors.h>

#include <algorithm>

#include "base/id.h"
#include "base/str.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/limits.h"
#include "services/dynamodb/new_table.h"
#include "services/dynamodb/recovery.h"
#include "services/dynamodb/request.h"
#include "services/dynamodb/schema.h"
#include "services/dynamodb/service.h"
#include "services/dynamodb/streams.h"

namespace virga::dynamodb {

namespace {

Error no_such_table(const std::string& name) {
  return err::ResourceNotFoundException(cat("Requested resource not found: Table: ", name, " not found"));
}

Error not_restored_yet(const std::string& table) {
  return err::ResourceInUseException(cat("Table is being used: ", table));
}

bool is_same_day(Time a, Time b) { return a.seconds() / 86'400 == b.seconds() / 86'400; }

// Four decreases a day are free, and then one an hour.
void check_decrease(Throughput& throughput, Time now) {
  constexpr int64_t kFree = 4;
  constexpr std::chrono::hours kBetween{1};
  if (!is_same_day(now, throughput.last_decrease)) throughput.decreases = 0;
  if (throughput.decreases < kFree || now - throughput.last_decrease >= kBetween) return;
  throw err::LimitExceededException(
      cat("Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After the "
          "first 4 decreases, each subsequent decrease in the same UTC day can be performed at most once every 3600 "
          "seconds. Number of decreases today: ",
          throughput.decreases, ". Last decrease at ", throughput.last_decrease.seconds(),
          ". Next decrease can be made at ", (throughput.last_decrease + kBetween).seconds()));
}

// On demand can be chosen four times in twenty-four hours.
void check_billing_changes(Table& table, Time now) {
  constexpr size_t kMost = 4;
  constexpr std::chrono::hours kWindow{24};
  std::erase_if(table.to_on_demand, [&](Time at) { return now - at >= kWindow; });
  if (table.to_on_demand.size() >= kMost) {
    throw err::LimitExceededException(cat(
        "Subscriber limit exceeded: Update to PayPerRequest mode are limited to 4 times in 1 day(s). Last update at ",
        table.to_on_demand.back().seconds(), ". Next update can be made at ",
        (table.to_on_demand.front() + kWindow).seconds()));
  }
  table.to_on_demand.push_back(now);
}

// Sets new units of the index, or of the table, with what AWS remembers of the change. Throws when nothing changes.
void set_throughput(Table& table, Index* index, const ProvisionedThroughput& in, Time now) {
  Throughput& throughput = index ? index->throughput : table.throughput;
  if (in.read_capacity_units == throughput.read && in.write_capacity_units == throughput.write) {
    const std::string of = index ? cat("index ", index->name) : "the table";
    throw validation(cat(
        "The provisioned throughput for ", index ? "the " : "", of,
        " will not change. The requested value equals the current value. Current ReadCapacityUnits provisioned for ",
        of, ": ", throughput.read, ". Requested ReadCapacityUnits: ", in.read_capacity_units,
        ". Current WriteCapacityUnits provisioned for ", of, ": ", throughput.write,
        ". Requested WriteCapacityUnits: ", in.write_capacity_units,
        ". Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."));
  }
  const bool less = in.read_capacity_units < throughput.read || in.write_capacity_units < throughput.write;
  if (less) check_decrease(throughput, now);
  if (in.read_capacity_units > throughput.read || in.write_capacity_units > throughput.write)
    throughput.last_increase = now;
  if (less) {
    throughput.last_decrease = now;
    ++throughput.decreases;
  }
  throughput.read = in.read_capacity_units;
  throughput.write = in.write_capacity_units;
}

void change_billing(Table& table, const UpdateTableInput& in, Time now) {
  const bool to_on_demand = in.billing_mode ? *in.billing_mode == BillingMode::PAY_PER_REQUEST : table.on_demand;
  if (to_on_demand && in.provisioned_throughput) {
    throw invalid_parameter(
        "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST");
  }
  if (to_on_demand && !table.on_demand) {
    check_billing_changes(table, now);
    table.on_demand_since = now;
    table.throughput = {};
    for (Index& index : table.indexes) index.throughput = {};
  }
  table.on_demand = to_on_demand;
  if (table.on_demand) return;
  if (in.billing_mode == BillingMode::PROVISIONED) {
    for (const Index& index : table.indexes) {
      if (index.local || index.throughput.read != 0) continue;
      const bool given =
          in.global_secondary_index_updates &&
          std::any_of(in.global_secondary_index_updates->begin(), in.global_secondary_index_updates->end(),
                      [&](const auto& u) { return u.update && u.update->index_name == index.name; });
      if (!given) {
        throw invalid_parameter(cat("ProvisionedThroughput must be specified for index: ", index.name));
      }
    }
  }
  if (in.provisioned_throughput) set_throughput(table, nullptr, *in.provisioned_throughput, now);
}

void change_index(Table& table, Index& index, const UpdateGlobalSecondaryIndexAction& in, Time now) {
  if (table.on_demand && (in.provisioned_throughput || !(in.on_demand_throughput || in.warm_throughput))) {
    throw invalid_parameter(cat("The only Updates for index: ", index.name,
                                " when TableThroughputMode is PAY_PER_REQUEST can be to OnDemandThroughput, "
                                "WarmThroughput"));
  }
  set_warmth(table, &index, in.warm_throughput, in.on_demand_throughput);
  if (in.provisioned_throughput) set_throughput(table, &index, *in.provisioned_throughput, now);
}

// A table's may be empty, an index's may not.
void check_warmth(const UpdateGlobalSecondaryIndexAction& in) {
  const auto& warm = in.warm_throughput;
  if (!warm || warm->read_units_per_second || warm->write_units_per_second) return;
  throw invalid_parameter(
      cat("WarmThroughput must have at least one of ReadUnitsPerSecond or WriteUnitsPerSecond specified for index: ",
          in.index_name));
}

// Most of what UpdateTable changes it changes alone. Bounds without a member are as if they had not been given.
void check_alone(const UpdateTableInput& in) {
  const bool units = in.provisioned_throughput.has_value();
  const bool stream = in.stream_specification.has_value();
  const bool indexes = in.global_secondary_index_updates.has_value();
  const auto& most = in.on_demand_throughput;
  const bool on_demand = most && (most->max_read_request_units || most->max_write_request_units);
  const auto& warmth = in.warm_throughput;
  const bool warm = warmth && (warmth->read_units_per_second || warmth->write_units_per_second);
  const std::pair<bool, std::string_view> alone[] = {
      {in.sse_specification.has_value(), "Server-Side Encryption modification"},
      {in.table_class.has_value(), "TableClass modification"},
      {in.deletion_protection_enabled.has_value(), "DeletionProtection modification"},
  };
  int given = units + stream + indexes + on_demand + warm + in.billing_mode.has_value();
  for (const auto& [is_given, name] : alone) given += is_given;
  const auto refuse = [](std::string_view name) {
    throw invalid_parameter(cat(name, " must be the only operation in the request"));
  };
  for (const auto& [is_given, name] : alone) {
    if (is_given && given > 1) refuse(name);
  }
  if (on_demand && (stream || warm)) {
    throw invalid_parameter("OnDemandThroughput can only be combined with BillingMode in an UpdateTable request");
  }
  const auto changes_index = [&](auto member) {
    return indexes && std::ranges::any_of(*in.global_secondary_index_updates,
                                          [&](const auto& update) { return (update.*member).has_value(); });
  };
  const bool adds = changes_index(&GlobalSecondaryIndexUpdate::create);
  const bool adds_or_removes = adds || changes_index(&GlobalSecondaryIndexUpdate::delete_);
  if (warm && adds) {
    throw invalid_parameter("Create global secondary index cannot be specified when updating WarmThroughput");
  }
  if (warm && (stream || units || in.billing_mode)) refuse("WarmThroughput");
  if (stream && (units || in.billing_mode == BillingMode::PROVISIONED)) {
    throw invalid_parameter("You cannot modify stream status while updating table IOPS");
  }
  if (adds_or_removes && units) {
    throw invalid_parameter("You cannot create or delete index while updating table IOPS");
  }
  if (adds_or_removes && stream) {
    throw invalid_parameter("You cannot create or delete index while changing stream status");
  }
}

void check_update(const UpdateTableInput& in) {
  const bool indexes = in.global_secondary_index_updates && !in.global_secondary_index_updates->empty();
  if (!in.provisioned_throughput && !in.billing_mode && !indexes && !in.sse_specification && !in.replica_updates &&
      !in.stream_specification && !in.table_class && !in.deletion_protection_enabled && !in.warm_throughput &&
      !in.on_demand_throughput && !in.multi_region_consistency && !in.global_table_witness_updates &&
      !in.global_table_settings_replication_mode) {
    throw validation(
        "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, "
        "SSESpecification, ReplicaUpdates, MultiAccountReplicaReady, ReplicaTransitRoleArn, MultiRegionConsistency, "
        "DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass is required");
  }
  if (in.global_secondary_index_updates && !indexes) {
    throw invalid_parameter("List of GlobalSecondaryIndexUpdates is empty");
  }
  if (in.billing_mode == BillingMode::PROVISIONED && !in.provisioned_throughput) {
    throw invalid_parameter("ProvisionedThroughput must be specified when BillingMode is PROVISIONED");
  }
  if (indexes) {
    for (const GlobalSecondaryIndexUpdate& update : *in.global_secondary_index_updates) {
      if (update.update) check_warmth(*update.update);
    }
  }
  check_alone(in);
  if (in.provisioned_throughput) check_units(*in.provisioned_throughput);
  if (!indexes) return;
  std::vector<std::string> names;
  int changes = 0;
  for (const GlobalSecondaryIndexUpdate& update : *in.global_secondary_index_updates) {
    const int given = update.create.has_value() + update.update.has_value() + update.delete_.has_value();
    if (given != 1) {
      throw invalid_parameter(
          given ? "Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object"
                : "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
                  "GlobalSecondaryIndexUpdate.Delete must not be null");
    }
    const std::string& name = update.create   ? update.create->index_name
                              : update.update ? update.update->index_name
                                              : update.delete_->index_name;
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      throw invalid_parameter(
          cat("Only one global secondary index update per index is allowed simultaneously. Index: ", name));
    }
    names.push_back(name);
    if (!update.update) ++changes;
  }
  if (changes > 1) {
    throw err::LimitExceededException(
        "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table");
  }
}

void check_stream(const std::optional<StreamSpecification>& in) {
  if (!in || in->stream_enabled == in->stream_view_type.has_value()) return;
  throw invalid_parameter(
      in->stream_enabled ? "Table is being created with a stream enabled, UpdateViewType is required"
                         : "Table is being created with a stream disabled, UpdateViewType should not be specified");
}

void mark_status(TableDescription& description, TableStatus status) { description.table_status = status; }

// An index that changed is told as being updated, one that was removed as being deleted.
void mark_indexes(const std::vector<GlobalSecondaryIndexUpdate>& updates, const Table& before, TableDescription& out) {
  const auto named = [](TableDescription& table, const std::string& name) -> GlobalSecondaryIndexDescription& {
    return *std::find_if(table.global_secondary_indexes->begin(), table.global_secondary_indexes->end(),
                         [&](const GlobalSecondaryIndexDescription& index) { return index.index_name == name; });
  };
  TableDescription old = description_of(before);
  for (const GlobalSecondaryIndexUpdate& update : updates) {
    if (update.update) named(out, update.update->index_name).index_status = IndexStatus::UPDATING;
    if (!update.delete_) continue;
    if (!out.global_secondary_indexes) out.global_secondary_indexes.emplace();
    out.global_secondary_indexes->push_back(named(old, update.delete_->index_name));
    out.global_secondary_indexes->back().index_status = IndexStatus::DELETING;
  }
}

// While it is made, a table or an index tells of the warmth that was asked for and of no other.
template <class Status, class Description>
void mark_warmth(const Throughput& asked, Status status, Description& out) {
  if (!asked.warm_read && !asked.warm_write) return out.warm_throughput.reset();
  out.warm_throughput->status = status;
}

}  // namespace

Error being_created(const std::string& table) {
  return err::ResourceInUseException(
      cat("Attempt to change a resource which is still in use: Table is being created: ", table));
}

Task<void> add_table(kv::Txn& tx, Store& store, const Table& table) {
  const auto others = co_await tx.scan(tables_of(table.account, table.region), {.limit = kMaxTables});
  if (others.size() == kMaxTables) {
    co_await fail(err::LimitExceededException(
        cat("Subscriber limit exceeded: There is a limit of ", kMaxTables, " tables per subscriber")));
  }
  store.put_table(table);
}

Task<CreateTableOutput> DynamoService::create_table(Ctx& ctx, const CreateTableInput& in) {
  const TableName name = new_table_name(ctx, in.table_name);
  refuse_unbuilt(in);
  check_stream(in.stream_specification);
  Table table = table_of(in);
  table.name = name.name;
  table.account = name.account;
  table.region = name.region;
  table.id = uuid();
  table.number = random_u64();
  table.created = ctx.now();
  if (!table.policy.empty()) table.policy_revision = policy_revision_after("", table.created);
  if (table.on_demand) table.on_demand_since = table.created;

  const Table bare = table;
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    table = bare;  // a try that met a conflict may have given it a stream
    Store store(tx, cache_);
    if (const TablePtr there = co_await store.find_table(name)) {
      co_await fail(there->restore && there->restore->in_progress
                        ? not_restored_yet(name.name)
                        : err::ResourceInUseException(cat("Table already exists: ", name.name)));
    }
    if (in.stream_specification && in.stream_specification->stream_enabled) {
      co_await change_stream(tx, timers_, table, *in.stream_specification, ctx.now());
    }
    co_await add_table(tx, store, table);
  });
  // The table is ready with the commit; the answer shows the moment before, as AWS's does.
  CreateTableOutput out;
  out.table_description = description_of(table);
  mark_status(*out.table_description, TableStatus::CREATING);
  if (table.on_demand) out.table_description->billing_mode_summary->last_update_to_pay_per_request_date_time.reset();
  mark_warmth(table.throughput, TableStatus::UPDATING, *out.table_description);
  if (out.table_description->global_secondary_indexes) {
    for (auto& index : *out.table_description->global_secondary_indexes) {
      index.index_status = IndexStatus::CREATING;
      mark_warmth(table.find_index(*index.index_name)->throughput, IndexStatus::UPDATING, index);
    }
  }
  co_return out;
}

Task<DescribeTableOutput> DynamoService::describe_table(Ctx& ctx, const DescribeTableInput& in) {
  const TableName name = table_named(ctx, in.table_name);
  const auto reader = db_.snapshot();
  Store store(*reader, cache_);
  const TablePtr table = co_await store.find_table(name);
  if (!table) co_return no_such_table(name.name);
  DescribeTableOutput out;
  out.table = co_await describe(table, true);
  co_return out;
}

Task<TableDescription> DynamoService::describe(TablePtr table, bool with_counts) {
  TableDescription out = description_of(*table);
  const auto forget_other_days = [now = clock_.now()](std::optional<ProvisionedThroughputDescription>& of) {
    const bool today = of && of->last_decrease_date_time && is_same_day(*of->last_decrease_date_time, now);
    if (of && !today) of->number_of_decreases_today = 0;
  };
  forget_other_days(out.provisioned_throughput);
  if (out.global_secondary_indexes) {
    for (auto& index : *out.global_secondary_indexes) forget_other_days(index.provisioned_throughput);
  }
  if (!with_counts) co_return out;
  const Counts counts = co_await count(table);
  const auto of = [&](uint32_t number) {
    for (const auto& [index, c] : counts.by_index) {
      if (index == static_cast<int64_t>(number)) return c;
    }
    return Count{};
  };
  out.item_count = of(0).items;
  out.table_size_bytes = of(0).bytes;
  size_t local = 0, global = 0;
  for (const Index& index : table->indexes) {
    const Count c = of(index.number);
    if (index.local) {
      (*out.local_secondary_indexes)[local].item_count = c.items;
      (*out.local_secondary_indexes)[local++].index_size_bytes = c.bytes;
    } else {
      (*out.global_secondary_indexes)[global].item_count = c.items;
      (*out.global_secondary_indexes)[global++].index_size_bytes = c.bytes;
    }
  }
  co_return out;
}

Task<UpdateTableOutput> DynamoService::update_table(Ctx& ctx, const UpdateTableInput& in) {
  const TableName name = table_named(ctx, in.table_name);
  check_update(in);
  refuse_unbuilt(in);

  TablePtr before;
  Table changed = co_await db_.transact([&](kv::Txn& tx) -> Task<Table> {
    Store store(tx, cache_);
    before = co_await store.find_table(name);
    if (!before || (before->restoring() && !before->importing)) co_return no_such_table(name.name);
    Table table = *before;
    if (table.importing) co_return being_created(name.name);
    if (table.updating() && in.global_secondary_index_updates) {
      co_return err::ResourceInUseException(
          cat("Attempt to change a resource which is still in use: Table is being updated: ", table.name));
    }
    // All tables are, by AWS's own keys, unless a key is asked for, which is refused above.
    if (in.sse_specification) co_return invalid_parameter("Table is already encrypted by default");
    if (in.billing_mode || in.provisioned_throughput) change_billing(table, in, ctx.now());
    set_warmth(table, nullptr, in.warm_throughput, in.on_demand_throughput);
    if (in.table_class) {
      const bool infrequent = is_infrequent(*in.table_class);
      if (infrequent != table.infrequent_access) table.class_changed = ctx.now();
      table.infrequent_access = infrequent;
    }
    if (in.deletion_protection_enabled) table.deletion_protection = *in.deletion_protection_enabled;
    if (in.attribute_definitions) merge_definitions(table, *in.attribute_definitions);
    if (in.global_secondary_index_updates) {
      for (const GlobalSecondaryIndexUpdate& update : *in.global_secondary_index_updates) {
        if (update.create) {
          const Index& index = add_global_index(table, *update.create,
                                                in.attribute_definitions.value_or(std::vector<AttributeDefinition>()));
          const std::string key = backfill_key(table, index.number);
          tx.put(key, kv::encode(Backfill{name, {}}));
          tx.on_commit([this, key] { start_backfill(key); });
          continue;
        }
        const std::string& index_name = update.update ? update.update->index_name : update.delete_->index_name;
        Index* index = table.find_index(index_name);
        if (!index) {
          co_return err::ResourceNotFoundException(
              cat("Requested resource not found: Index ", index_name, " for table ", table.name));
        }
        if (index->local) {
          co_return validation(cat("Cannot ", update.update ? "update" : "delete",
                                   " an index that is not a GlobalSecondaryIndex: ", index_name));
        }
        if (update.update) {
          change_index(table, *index, *update.update, ctx.now());
          continue;
        }
        tx.erase_range(kv::prefix_range(rows_prefix(table, index->number)));
        if (index->insights) tx.erase_range(insight_rows_of(table, index->number));
        std::erase_if(table.indexes, [&](const Index& i) { return i.name == index_name; });
      }
    }
    if (in.stream_specification) co_await change_stream(tx, timers_, table, *in.stream_specification, ctx.now());
    drop_unused_definitions(table);
    store.put_table(table);
    co_return table;
  });
  UpdateTableOutput out;
  out.table_description = co_await describe(std::make_shared<const Table>(std::move(changed)), true);
  mark_status(*out.table_description, TableStatus::UPDATING);
  if (in.warm_throughput) out.table_description->warm_throughput->status = TableStatus::UPDATING;
  if (in.global_secondary_index_updates) {
    mark_indexes(*in.global_secondary_index_updates, *before, *out.table_description);
  }
  co_return out;
}

Task<DeleteTableOutput> DynamoService::delete_table(Ctx& ctx, const DeleteTableInput& in) {
  const TableName name = table_named(ctx, in.table_name);
  Table gone = co_await db_.transact([&](kv::Txn& tx) -> Task<Table> {
    Store store(tx, cache_);
    const TablePtr table = co_await store.find_table(name);
    if (!table) co_return no_such_table(name.name);
    if (table->restoring()) co_return being_created(name.name);
    if (table->deletion_protection) {
      co_return validation(
          cat("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection "
              "first."));
    }
    store.erase_table(name);
    tx.erase_range(rows_of_everything(*table, 'r'));
    tx.erase_range(rows_of_everything(*table, 'e'));
    tx.erase_range(rows_of_everything(*table, 'b'));
    tx.erase(counts_key(*table));
    if (has_insights(*table)) {
      tx.erase_range(rows_of_everything(*table, 'a'));
      tx.on_commit([this, number = table->number] { cache_.key_counts().take(number); });
      co_await timers_.clear(tx, kInsightsTimer, table->id);
    }
    if (table->recovery) {
      tx.erase_range(kv::prefix_range(undo_prefix(table->number)));
      co_await timers_.clear(tx, std::string(kUndoTimer), table->id);
    }
    if (table->expiry) co_await timers_.clear(tx, "ddb.ttl", expiry_timer_id(*table));
    if (table->streams()) co_await close_stream(tx, timers_, *table, ctx.now());
    co_return *table;
  });
  DeleteTableOutput out;
  // Of a table that goes, AWS no longer tells the schema.
  TableDescription& last = out.table_description.emplace(description_of(gone));
  last.creation_date_time.reset();
  last.key_schema.reset();
  last.attribute_definitions.reset();
  last.local_secondary_indexes.reset();
  last.global_secondary_indexes.reset();
  last.warm_throughput.reset();
  mark_status(last, TableStatus::DELETING);
  co_return out;
}

Task<ListTablesOutput> DynamoService::list_tables(Ctx& ctx, const ListTablesInput& in) {
  kv::Range range = tables_of(ctx.account, ctx.region);
  if (in.exclusive_start_table_name) {
    range.begin = table_key({ctx.account, ctx.region, *in.exclusive_start_table_name}) + '\0';
  }
  const auto limit = static_cast<size_t>(in.limit.value_or(100));
  const auto reader = db_.snapshot();
  const auto rows = co_await reader->scan(range, {.limit = limit + 1});
  ListTablesOutput out;
  out.table_names.emplace();
  for (const kv::Entry& row : rows) {
    if (out.table_names->size() == limit) {
      out.last_evaluated_table_name = out.table_names->back();
      break;
    }
    out.table_names->push_back(kv::decode<Table>(row.value).name);
  }
  co_return out;
}

}  // namespace virga::dynamodb
