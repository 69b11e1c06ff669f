// Contributor insights over time: what is counted moves to the store each minute and is forgotten after fifteen days.
#include "services/dynamodb/insights.h"

#include <gtest/gtest.h>

#include "kv/record.h"
#include "services/dynamodb/ops_test_world.h"

namespace virga::dynamodb {
namespace {

struct InsightsWorld : World {
  std::string rule;

  InsightsWorld() {
    call("CreateTable",
         "{'TableName':'tab','BillingMode':'PAY_PER_REQUEST','AttributeDefinitions':[{'AttributeName':'p',"
         "'AttributeType':'S'}],'KeySchema':[{'AttributeName':'p','KeyType':'HASH'}]}");
    call("UpdateContributorInsights", "{'TableName':'tab','ContributorInsightsAction':'ENABLE'}");
    Json told = call("DescribeContributorInsights", "{'TableName':'tab'}");
    rule = told["ContributorInsightsRuleList"].as_array().at(0).as_string();
  }
  void get(const std::string& key) {
    call("GetItem", "{'TableName':'tab','ConsistentRead':true,'Key':{'p':{'S':'" + key + "'}}}");
  }
  // The sums of the minutes, oldest first, of all time.
  std::vector<double> minutes() {
    std::vector<double> out;
    run(service.read_insights(kernel::home_of(ctx), rule, Time(), clock.now() + std::chrono::hours(1),
                              [&](Time, const kernel::Contributors& counted) { out.push_back(counted.sum()); }))
        .value();
    return out;
  }
  Task<size_t> rows() {
    co_return (co_await db->snapshot()->scan({insight_key(0, 0, 0, 0), insight_key(UINT64_MAX, 0, 0, 0)})).size();
  }
  // Moves the clock and lets the timers do their work.
  Task<void> pass(std::chrono::minutes time, size_t rows_then) {
    clock.advance(time);
    for (int i = 0; i < 1000 && co_await rows() != rows_then; ++i) co_await sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(co_await rows(), rows_then);
  }
};

TEST(Insights, MoveToTheStoreAndGoAfterFifteenDays) {
  InsightsWorld w;
  w.get("a");
  EXPECT_EQ(w.minutes(), (std::vector<double>{1}));
  const auto done = run([&]() -> Task<void> {
    w.timers.start();
    co_await w.pass(std::chrono::minutes(1), 1);
    EXPECT_EQ(w.minutes(), (std::vector<double>{1}));
    w.get("a");
    w.get("b");
    EXPECT_EQ(w.minutes(), (std::vector<double>{1, 2}));
    co_await w.pass(std::chrono::minutes(1), 2);
    EXPECT_EQ(w.minutes(), (std::vector<double>{1, 2}));
    w.clock.advance(std::chrono::hours(15 * 24));
    w.get("c");
    co_await w.pass(std::chrono::minutes(2), 1);
    EXPECT_EQ(w.minutes(), (std::vector<double>{1}));
    co_await w.timers.stop();
  }());
  EXPECT_TRUE(done);
  w.call("DeleteTable", "{'TableName':'tab'}");
  EXPECT_EQ(run(w.rows()).value(), 0u);
}

TEST(Insights, ABodyThatRunsAgainCountsOnce) {
  InsightsWorld w;
  kv::inject_conflicts(*w.db, 3);
  w.call("PutItem", "{'TableName':'tab','Item':{'p':{'S':'a'}}}");
  EXPECT_EQ(w.minutes(), (std::vector<double>{3}));
}

TEST(Insights, ARestoredTableHasNone) {
  InsightsWorld w;
  w.call("CreateBackup", "{'TableName':'tab','BackupName':'b12'}");
  const std::string arn =
      w.call("ListBackups", "{'TableName':'tab'}")["BackupSummaries"].as_array().at(0).string_or("BackupArn");
  run([&]() -> Task<void> {
    for (int i = 0; i < 1000; ++i) {
      Json told = w.call("RestoreTableFromBackup", "{'TargetTableName':'new','BackupArn':'" + arn + "'}");
      if (told.string_or("error") != "BackupInUseException") break;
      co_await sleep_for(std::chrono::milliseconds(5));
    }
  }())
      .value();
  EXPECT_EQ(w.call("DescribeContributorInsights", "{'TableName':'new'}").string_or("ContributorInsightsStatus"),
            "DISABLED");
  run(w.service.stop()).value();
}

}  // namespace
}  // namespace virga::dynamodb
