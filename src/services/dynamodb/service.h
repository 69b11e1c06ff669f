// DynamoDB: its operations and its background work.
#pragma once

#include <aws/dynamodb/errors.h>
#include <aws/dynamodb/types.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "base/async.h"
#include "kernel/deps.h"
#include "kernel/insight_source.h"
#include "kernel/service.h"
#include "kernel/timers.h"
#include "kernel/tokens.h"
#include "kv/db.h"
#include "services/dynamodb/partiql.h"
#include "services/dynamodb/recovery.h"
#include "services/dynamodb/store.h"
#include "services/dynamodb/transact.h"
#include "services/dynamodb/transfer.h"
#include "services/dynamodb/turns.h"

namespace virga::dynamodb {

using kernel::Ctx;

class DynamoService : public kernel::Service, public kernel::InsightSource {
 public:
  explicit DynamoService(kernel::Deps& deps);

  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;
  Task<void> start() override;
  Task<void> stop() override;

  // ops_table.cc
  Task<CreateTableOutput> create_table(Ctx& ctx, const CreateTableInput& in);
  Task<DescribeTableOutput> describe_table(Ctx& ctx, const DescribeTableInput& in);
  Task<UpdateTableOutput> update_table(Ctx& ctx, const UpdateTableInput& in);
  Task<DeleteTableOutput> delete_table(Ctx& ctx, const DeleteTableInput& in);
  Task<ListTablesOutput> list_tables(Ctx& ctx, const ListTablesInput& in);

  // ops_settings.cc
  Task<DescribeTimeToLiveOutput> describe_time_to_live(Ctx& ctx, const DescribeTimeToLiveInput& in);
  Task<UpdateTimeToLiveOutput> update_time_to_live(Ctx& ctx, const UpdateTimeToLiveInput& in);
  Task<TagResourceOutput> tag_resource(Ctx& ctx, const TagResourceInput& in);
  Task<UntagResourceOutput> untag_resource(Ctx& ctx, const UntagResourceInput& in);
  Task<ListTagsOfResourceOutput> list_tags_of_resource(Ctx& ctx, const ListTagsOfResourceInput& in);
  Task<DescribeEndpointsResponse> describe_endpoints(Ctx& ctx, const DescribeEndpointsRequest& in);
  Task<DescribeLimitsOutput> describe_limits(Ctx& ctx, const DescribeLimitsInput& in);

  // ops_backup.cc
  Task<CreateBackupOutput> create_backup(Ctx& ctx, const CreateBackupInput& in);
  Task<DescribeBackupOutput> describe_backup(Ctx& ctx, const DescribeBackupInput& in);
  Task<DeleteBackupOutput> delete_backup(Ctx& ctx, const DeleteBackupInput& in);
  Task<ListBackupsOutput> list_backups(Ctx& ctx, const ListBackupsInput& in);
  Task<RestoreTableFromBackupOutput> restore_table_from_backup(Ctx& ctx, const RestoreTableFromBackupInput& in);
  Task<RestoreTableToPointInTimeOutput> restore_table_to_point_in_time(Ctx& ctx,
                                                                       const RestoreTableToPointInTimeInput& in);
  Task<DescribeContinuousBackupsOutput> describe_continuous_backups(Ctx& ctx, const DescribeContinuousBackupsInput& in);
  Task<UpdateContinuousBackupsOutput> update_continuous_backups(Ctx& ctx, const UpdateContinuousBackupsInput& in);

  // ops_transfer.cc
  Task<ExportTableToPointInTimeOutput> export_table(Ctx& ctx, const ExportTableToPointInTimeInput& in);
  Task<DescribeExportOutput> describe_export(Ctx& ctx, const DescribeExportInput& in);
  Task<ListExportsOutput> list_exports(Ctx& ctx, const ListExportsInput& in);
  Task<ImportTableOutput> import_table(Ctx& ctx, const ImportTableInput& in);
  Task<DescribeImportOutput> describe_import(Ctx& ctx, const DescribeImportInput& in);
  Task<ListImportsOutput> list_imports(Ctx& ctx, const ListImportsInput& in);

  // ops_policy.cc
  Task<PutResourcePolicyOutput> put_resource_policy(Ctx& ctx, const PutResourcePolicyInput& in);
  Task<GetResourcePolicyOutput> get_resource_policy(Ctx& ctx, const GetResourcePolicyInput& in);
  Task<DeleteResourcePolicyOutput> delete_resource_policy(Ctx& ctx, const DeleteResourcePolicyInput& in);
  Task<std::optional<std::string>> resource_policy(Ctx& ctx, std::string resource) override;

  // ops_insights.cc
  Task<UpdateContributorInsightsOutput> update_contributor_insights(Ctx& ctx, const UpdateContributorInsightsInput& in);
  Task<DescribeContributorInsightsOutput> describe_contributor_insights(Ctx& ctx,
                                                                        const DescribeContributorInsightsInput& in);
  Task<ListContributorInsightsOutput> list_contributor_insights(Ctx& ctx, const ListContributorInsightsInput& in);
  Task<std::vector<kernel::InsightRule>> insight_rules(kernel::Home home) override;
  Task<void> read_insights(kernel::Home home, std::string rule, Time from, Time to, Each each) override;

  // ops_item.cc
  Task<GetItemOutput> get_item(Ctx& ctx, const GetItemInput& in);
  Task<PutItemOutput> put_item(Ctx& ctx, const PutItemInput& in);
  Task<UpdateItemOutput> update_item(Ctx& ctx, const UpdateItemInput& in);
  Task<DeleteItemOutput> delete_item(Ctx& ctx, const DeleteItemInput& in);

  // ops_query.cc
  Task<QueryOutput> query(Ctx& ctx, const QueryInput& in);
  Task<ScanOutput> scan(Ctx& ctx, const ScanInput& in);

  // ops_batch.cc
  Task<BatchGetItemOutput> batch_get_item(Ctx& ctx, const BatchGetItemInput& in);
  Task<BatchWriteItemOutput> batch_write_item(Ctx& ctx, const BatchWriteItemInput& in);

  // ops_transact.cc
  Task<TransactGetItemsOutput> transact_get_items(Ctx& ctx, const TransactGetItemsInput& in);
  Task<TransactWriteItemsOutput> transact_write_items(Ctx& ctx, const TransactWriteItemsInput& in);

  // ops_partiql.cc
  Task<ExecuteStatementOutput> execute_statement(Ctx& ctx, const ExecuteStatementInput& in);
  Task<BatchExecuteStatementOutput> batch_execute_statement(Ctx& ctx, const BatchExecuteStatementInput& in);
  Task<ExecuteTransactionOutput> execute_transaction(Ctx& ctx, const ExecuteTransactionInput& in);

 private:
  // A transaction whose conflicts, when they never end, are refused in DynamoDB's words.
  template <class F>
  auto transact(F body) -> decltype(body(std::declval<kv::Txn&>())) {
    auto result = co_await as_result(db_.transact(body));
    if (!result) {
      if (kv::is_conflict(result.error())) {
        co_await fail(err::TransactionConflictException("Transaction is ongoing for the item"));
      }
      co_await fail_with(std::move(result.error()));
    }
    co_return std::move(*result);
  }

  // All of `actions` or none; fails with the reasons in their order.
  Task<Outcome> run_transaction(Ctx& ctx, const std::vector<Action>& actions, std::optional<Idempotency> idempotency);

  // One write, committed. Fails when its condition does not hold.
  Task<Written> run_write(const Action& action);
  Task<double> units_of_attempt(TablePtr table, const Write& write);
  // The turn of each write that reads its item first.
  std::vector<uint32_t> turns_of(const std::vector<const Write*>& writes) const;
  struct Selected {
    std::vector<Item> items;
    std::optional<ConsumedCapacity> consumed;
    std::optional<Item> last_key;
    size_t last_part = 0;  // of the partitions that an IN lists
  };
  Task<Selected> select(Ctx& ctx, const Statement& statement, const ExecuteStatementInput& in);

  // The items and bytes of each index: counted now when the table is small, else as last counted.
  Task<Counts> count(TablePtr table);
  Task<TableDescription> describe(TablePtr table, bool with_counts);
  // Of the collection that `item`, or its key, is in; nothing for tables without them.
  Task<std::optional<ItemCollectionMetrics>> collection_metrics(TablePtr table, View item);

  // loops.cc
  void start_backfill(std::string key);
  Task<void> run_backfill(std::string key);
  Task<bool> backfill_step(std::string key);
  Task<void> expire_items(kernel::Timer timer);
  Task<void> forget_token(kernel::Timer timer);
  Task<void> recount(TablePtr table);
  Task<void> forget_undo(kernel::Timer timer);

  // ops_insights.cc. Moves what was counted of a table to the store.
  Task<void> keep_counts(TableName name, std::optional<kernel::Timer> timer);

  // ops_transfer.cc
  Task<void> run_export(Ctx ctx, Export work, std::unique_ptr<kv::Reader> instant);
  Task<void> write_export(Ctx& ctx, Export& work, kv::Reader& instant);
  Task<void> run_import(Ctx ctx, Import work);
  Task<void> read_import(Ctx& ctx, Import& work);
  Task<void> end_import(Import work);
  Task<void> end_transfers();
  template <class Record, class Wanted, class Each>
  Task<void> list_transfers(Ctx& ctx, char kind, std::string_view operation, std::optional<std::string> token,
                            size_t limit, std::optional<std::string>& next, Wanted wanted, Each each);

  // jobs.cc. `instant` is what a backup copies; a restore takes none.
  void start_job(std::string key, std::unique_ptr<kv::Reader> instant);
  Task<void> run_job(std::string key, std::unique_ptr<kv::Reader> instant);
  Task<void> copy_to_backup(std::string key, Job job, kv::Reader& instant);
  Task<void> restore_backup(std::string key, Job job);
  Task<void> restore_time(std::string key, Job job);
  Task<void> finish_restore(std::string key, Job job);
  static Task<TablePtr> job_table(Store& store, const Job& job);

  kv::Db& db_;
  const Clock& clock_;
  kernel::Timers& timers_;
  kernel::Tokens& tokens_;
  kernel::Cloud& cloud_;
  TableCache cache_;
  Turns turns_;
  Semaphore counts_turn_{1, 10'000};  // of who moves counts to the store or reads them
  // Background work under way; stop() waits for it.
  std::atomic<bool> stopping_{false};
  std::atomic<int> running_{0};
  std::mutex counting_mutex_;
  std::set<uint64_t> counting_;
};

// The id of the timer that sweeps a table's expired items.
std::string expiry_timer_id(const Table& table);

}  // namespace virga::dynamodb
