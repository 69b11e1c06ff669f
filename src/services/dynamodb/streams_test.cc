// What time does to streams: expired items, trimmed records, iterators that grew old.
#include "services/dynamodb/streams.h"

#include <gtest/gtest.h>

#include "services/dynamodb/ops_test_world.h"
#include "services/dynamodb/streams_service.h"

namespace virga::dynamodb {
namespace {

const char* kTable =
    "{'TableName':'tab','ProvisionedThroughput':{'ReadCapacityUnits':1,'WriteCapacityUnits':1},"
    "'AttributeDefinitions':[{'AttributeName':'p','AttributeType':'S'}],"
    "'KeySchema':[{'AttributeName':'p','KeyType':'HASH'}],"
    "'StreamSpecification':{'StreamEnabled':true,'StreamViewType':'KEYS_ONLY'}}";

struct StreamsWorld : World {
  StreamsService streams{deps};
  std::string arn;

  StreamsWorld() {
    streams.operations(table);
    arn = call("CreateTable", kTable)["TableDescription"].string_or("LatestStreamArn");
  }
  Json shard() {
    Json description = call("DescribeStream", "{'StreamArn':'" + arn + "'}");
    return description["StreamDescription"]["Shards"].as_array().at(0);
  }
  std::string iterator(std::string kind, std::string more = "") {
    return call("GetShardIterator", "{'StreamArn':'" + arn + "','ShardId':'" + shard().string_or("ShardId") +
                                        "','ShardIteratorType':'" + kind + "'" + more + "}")
        .string_or("ShardIterator");
  }
  Json records(const std::string& iterator) { return call("GetRecords", "{'ShardIterator':'" + iterator + "'}"); }
  // Moves the clock and lets the timers fire until `until` holds.
  template <class F>
  void pass(std::chrono::hours time, F until) {
    clock.advance(time);
    ASSERT_TRUE(run([&]() -> Task<void> {
      timers.start();
      for (int i = 0; i < 200 && !until(); ++i) co_await sleep_for(std::chrono::milliseconds(10));
      co_await timers.stop();
    }()));
    EXPECT_TRUE(until());
  }
};

TEST(Streams, ForgetWhatIsOlderThanADay) {
  StreamsWorld w;
  w.call("PutItem", "{'TableName':'tab','Item':{'p':{'S':'a'}}}");
  const std::string first =
      w.records(w.iterator("TRIM_HORIZON"))["Records"].as_array().at(0)["dynamodb"].string_or("SequenceNumber");
  const auto count = [&] { return w.records(w.iterator("TRIM_HORIZON"))["Records"].as_array().size(); };
  w.clock.advance(std::chrono::hours(1));
  w.call("PutItem", "{'TableName':'tab','Item':{'p':{'S':'b'}}}");
  EXPECT_EQ(count(), 2u);
  w.clock.advance(std::chrono::minutes(1));
  w.pass(std::chrono::hours(23), [&] { return count() == 1; });
  EXPECT_EQ(
      w.call("GetShardIterator", "{'StreamArn':'" + w.arn + "','ShardId':'" + w.shard().string_or("ShardId") +
                                     "','ShardIteratorType':'AT_SEQUENCE_NUMBER','SequenceNumber':'" + first + "'}")
          .string_or("error"),
      "TrimmedDataAccessException");
}

TEST(Streams, GoWithTheirLastRecord) {
  StreamsWorld w;
  w.call("PutItem", "{'TableName':'tab','Item':{'p':{'S':'a'}}}");
  w.call("UpdateTable", "{'TableName':'tab','StreamSpecification':{'StreamEnabled':false}}");
  w.pass(std::chrono::hours(25), [&] { return w.call("ListStreams", "{}")["Streams"].as_array().empty(); });
}

TEST(Streams, IteratorsGrowOld) {
  StreamsWorld w;
  const std::string iterator = w.iterator("LATEST");
  w.clock.advance(std::chrono::minutes(14));
  const std::string next = w.records(iterator).string_or("NextShardIterator");
  w.clock.advance(std::chrono::minutes(2));
  EXPECT_EQ(w.records(iterator).string_or("error"), "ExpiredIteratorException");
  EXPECT_EQ(w.records(next).string_or("error"), "");
}

TEST(Streams, TellOfExpiry) {
  StreamsWorld w;
  w.call("UpdateTimeToLive", "{'TableName':'tab','TimeToLiveSpecification':{'Enabled':true,'AttributeName':'e'}}");
  w.call("PutItem", "{'TableName':'tab','Item':{'p':{'S':'a'},'e':{'N':'1'}}}");
  w.pass(std::chrono::hours(1),
         [&] { return w.records(w.iterator("TRIM_HORIZON"))["Records"].as_array().size() == 2; });
  Json removed = w.records(w.iterator("TRIM_HORIZON"))["Records"].as_array().at(1);
  EXPECT_EQ(removed.string_or("eventName"), "REMOVE");
  EXPECT_EQ(removed["userIdentity"].string_or("PrincipalId"), "dynamodb.amazonaws.com");
}

TEST(Streams, NumberTheirRecordsByPosition) {
  const std::string position = position_at(77);
  EXPECT_EQ(sequence_of(position), "10000000000000000007765535");
  EXPECT_EQ(position_of(sequence_of(position)), position);
  EXPECT_EQ(sequence_of(position_before(position)), "10000000000000000007765534");
  EXPECT_FALSE(position_of("123"));
}

}  // namespace
}  // namespace virga::dynamodb
