#include "services/dynamodb/service.h"

#include <aws/dynamodb/model.h>
#include <aws/dynamodb/ops.h>

#include "base/executor.h"
#include "base/log.h"
#include "base/str.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/dynamodb/access.h"
#include "services/dynamodb/api.h"
#include "services/dynamodb/request.h"

namespace virga::dynamodb {

DynamoService::DynamoService(kernel::Deps& deps)
    : db_(deps.db),
      clock_(deps.clock),
      timers_(deps.timers),
      tokens_(deps.tokens),
      cloud_(deps.cloud),
      cache_(deps.db, deps.clock) {
  timers_.on("ddb.ttl", [this](kernel::Timer timer) { return expire_items(std::move(timer)); });
  timers_.on(std::string(kUndoTimer), [this](kernel::Timer timer) { return forget_undo(std::move(timer)); });
  timers_.on(std::string(kInsightsTimer), [this](kernel::Timer timer) {
    const Backfill which = kv::decode<Backfill>(timer.payload);
    return keep_counts(which.table, std::move(timer));
  });
  timers_.on("ddb.token", [this](kernel::Timer timer) { return forget_token(std::move(timer)); });
}

const wire::ServiceModel& DynamoService::model() const { return kModel; }

void DynamoService::operations(kernel::OpTable& t) {
  const TableCache* cache = &cache_;
  const auto table = [](const Ctx& ctx, const auto& in) { return table_arn_of(ctx, in.table_name); };
  const auto tagged = [](const Ctx&, const auto& in) { return in.resource_arn; };
  t.add<op::CreateTable>(this, &DynamoService::create_table).resource(table);
  t.add<op::DescribeTable>(this, &DynamoService::describe_table).resource(table).guarded();
  t.add<op::UpdateTable>(this, &DynamoService::update_table).resource(table).guarded();
  t.add<op::DeleteTable>(this, &DynamoService::delete_table).resource(table).guarded();
  t.add<op::ListTables>(this, &DynamoService::list_tables);
  t.add<op::DescribeTimeToLive>(this, &DynamoService::describe_time_to_live).resource(table).guarded();
  t.add<op::UpdateTimeToLive>(this, &DynamoService::update_time_to_live).resource(table).guarded();
  t.add<op::TagResource>(this, &DynamoService::tag_resource).resource(tagged).guarded();
  t.add<op::UntagResource>(this, &DynamoService::untag_resource).resource(tagged).guarded();
  t.add<op::ListTagsOfResource>(this, &DynamoService::list_tags_of_resource).resource(tagged).guarded();
  t.add<op::DescribeContinuousBackups>(this, &DynamoService::describe_continuous_backups).resource(table).guarded();
  t.add<op::UpdateContinuousBackups>(this, &DynamoService::update_continuous_backups).resource(table).guarded();
  const auto insights = [](const Ctx& ctx, const auto& in) {
    return cat(table_arn_of(ctx, in.table_name), in.index_name ? cat("/index/", *in.index_name) : "");
  };
  t.add<op::UpdateContributorInsights>(this, &DynamoService::update_contributor_insights).resource(insights).guarded();
  t.add<op::DescribeContributorInsights>(this, &DynamoService::describe_contributor_insights)
      .resource(insights)
      .guarded();
  t.add<op::ListContributorInsights>(this, &DynamoService::list_contributor_insights);
  const auto of_backup = [](const Ctx&, const auto& in) { return in.backup_arn; };
  t.add<op::CreateBackup>(this, &DynamoService::create_backup).resource(table).guarded();
  t.add<op::DescribeBackup>(this, &DynamoService::describe_backup).resource(of_backup);
  t.add<op::DeleteBackup>(this, &DynamoService::delete_backup).resource(of_backup);
  t.add<op::ListBackups>(this, &DynamoService::list_backups);
  t.add<op::RestoreTableFromBackup>(this, &DynamoService::restore_table_from_backup).resource(of_backup);
  t.add<op::RestoreTableToPointInTime>(this, &DynamoService::restore_table_to_point_in_time)
      .resource([](const Ctx& ctx, const auto& in) {
        return table_arn_of(ctx, in.source_table_name ? *in.source_table_name : in.source_table_arn.value_or("*"));
      });
  t.add<op::ExportTableToPointInTime>(this, &DynamoService::export_table).resource([](const Ctx& ctx, const auto& in) {
    return table_arn_of(ctx, in.table_arn);
  });
  t.add<op::DescribeExport>(this, &DynamoService::describe_export).resource([](const Ctx&, const auto& in) {
    return in.export_arn;
  });
  t.add<op::ListExports>(this, &DynamoService::list_exports);
  t.add<op::ImportTable>(this, &DynamoService::import_table).resource([](const Ctx& ctx, const auto& in) {
    return table_arn_of(ctx, in.table_creation_parameters.table_name);
  });
  t.add<op::DescribeImport>(this, &DynamoService::describe_import).resource([](const Ctx&, const auto& in) {
    return in.import_arn;
  });
  t.add<op::ListImports>(this, &DynamoService::list_imports);
  // No policy shuts out an account's root, and those of other accounts are told why they are not served.
  const auto policy_of = [](std::string_view operation) {
    return [operation](const Ctx& ctx, const auto& in) {
      std::vector<kernel::Access> out;
      const auto arn = kernel::parse_arn(in.resource_arn);
      const bool foreign = arn && arn->account != ctx.principal.account;
      if (!foreign && ctx.principal.kind != kernel::Principal::Kind::kRoot) {
        out.push_back({cat("dynamodb:", operation), in.resource_arn, {}});
      }
      return out;
    };
  };
  t.add<op::PutResourcePolicy>(this, &DynamoService::put_resource_policy)
      .access(policy_of("PutResourcePolicy"))
      .guarded();
  t.add<op::GetResourcePolicy>(this, &DynamoService::get_resource_policy)
      .access(policy_of("GetResourcePolicy"))
      .guarded();
  t.add<op::DeleteResourcePolicy>(this, &DynamoService::delete_resource_policy)
      .access(policy_of("DeleteResourcePolicy"))
      .guarded();
  t.add<op::DescribeEndpoints>(this, &DynamoService::describe_endpoints);
  t.add<op::DescribeLimits>(this, &DynamoService::describe_limits);

  const auto access = [cache](const Ctx& ctx, const auto& in) { return access_of(*cache, ctx, in); };
  t.add<op::GetItem>(this, &DynamoService::get_item).access(access).guarded().data_plane();
  t.add<op::PutItem>(this, &DynamoService::put_item).access(access).guarded().data_plane();
  t.add<op::UpdateItem>(this, &DynamoService::update_item).access(access).guarded().data_plane();
  t.add<op::DeleteItem>(this, &DynamoService::delete_item).access(access).guarded().data_plane();
  t.add<op::Query>(this, &DynamoService::query).access(access).guarded().data_plane();
  t.add<op::Scan>(this, &DynamoService::scan).access(access).guarded().data_plane();
  t.add<op::BatchGetItem>(this, &DynamoService::batch_get_item).access(access).guarded().data_plane();
  t.add<op::BatchWriteItem>(this, &DynamoService::batch_write_item).access(access).guarded().data_plane();
  t.add<op::TransactGetItems>(this, &DynamoService::transact_get_items).access(access).guarded().data_plane();
  t.add<op::TransactWriteItems>(this, &DynamoService::transact_write_items).access(access).guarded().data_plane();
  t.add<op::ExecuteStatement>(this, &DynamoService::execute_statement).access(access).guarded().data_plane();
  // Asks for each statement by itself.
  t.add<op::BatchExecuteStatement>(this, &DynamoService::batch_execute_statement)
      .access([](const Ctx&, const BatchExecuteStatementInput&) { return std::vector<kernel::Access>(); })
      .data_plane();
  t.add<op::ExecuteTransaction>(this, &DynamoService::execute_transaction).access(access).guarded().data_plane();
}

Task<void> DynamoService::start() {
  const auto reader = db_.snapshot();
  // Indexes that were being filled when the process ended.
  for (const kv::Entry& entry : co_await reader->scan(all_backfills())) start_backfill(entry.key);
  co_await end_transfers();
  for (const kv::Entry& entry : co_await reader->scan(all_jobs())) start_job(entry.key, db_.snapshot());
  // Permissions ask for partition keys before an operation reads its table, so the schemas are known from the start.
  kv::Range range = kv::prefix_range(kv::KeyWriter("ddb").u8('t').view());
  for (;;) {
    const auto tables = co_await reader->scan(range, {.limit = 100});
    for (const kv::Entry& entry : tables) cache_.decode(entry.key, entry.value, reader->version());
    if (tables.empty()) break;
    range.begin = tables.back().key + '\0';
  }
}

Task<void> DynamoService::stop() {
  stopping_ = true;
  while (running_ > 0) co_await sleep_for(std::chrono::milliseconds(5));
  for (auto& table : cache_.key_counts().counting()) {
    const auto kept = co_await as_result(keep_counts({table.account, table.region, table.name}, std::nullopt));
    if (!kept) log_warning("dynamodb", "counts of keys were not kept", {{"failure", virga::describe(kept.error())}});
  }
}

std::unique_ptr<kernel::Service> make_dynamodb(kernel::Deps& deps) { return std::make_unique<DynamoService>(deps); }

}  // namespace virga::dynamodb
