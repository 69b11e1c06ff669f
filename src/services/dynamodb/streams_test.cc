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
  void pass(std::chrono::minutes time, F until) {
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

// Every four hours the shards are closed, and each has a child that goes on with what comes after.
TEST(Streams, HaveShardsThatFollowEachOther) {
  StreamsWorld w;
  const auto shards = [&](std::string more = "") {
    return w.call("DescribeStream", "{'StreamArn':'" + w.arn + "'" + more + "}")["StreamDescription"]["Shards"]
        .as_array();
  };
  const auto iterator = [&](Json shard, std::string kind, std::string more = "") {
    return w
        .call("GetShardIterator", "{'StreamArn':'" + w.arn + "','ShardId':'" + shard.string_or("ShardId") +
                                      "','ShardIteratorType':'" + kind + "'" + more + "}")
        .string_or("ShardIterator");
  };
  const auto numbers = [&](const std::string& from) {
    std::vector<std::string> out;
    for (Json& record : w.records(from)["Records"].as_array())
      out.push_back(record["dynamodb"].string_or("SequenceNumber"));
    return out;
  };
  const auto put = [&](std::string key) { w.call("PutItem", "{'TableName':'tab','Item':{'p':{'S':'" + key + "'}}}"); };
  put("a");
  w.clock.advance(std::chrono::minutes(230));
  const std::string open = iterator(shards()[0], "LATEST");
  put("b");
  w.pass(std::chrono::minutes(11), [&] { return shards().size() == 2; });
  put("c");
  EXPECT_EQ(numbers(open).size(), 1u);  // begun before, it ends with its shard
  EXPECT_EQ(w.records(open).string_or("NextShardIterator", "none"), "none");
  Json parent = shards()[0], child = shards()[1];
  EXPECT_EQ(child.string_or("ParentShardId"), parent.string_or("ShardId"));
  EXPECT_EQ(parent.find("ParentShardId"), nullptr);
  const auto of_parent = numbers(iterator(parent, "TRIM_HORIZON")), of_child = numbers(iterator(child, "TRIM_HORIZON"));
  ASSERT_EQ(of_parent.size(), 2u);
  ASSERT_EQ(of_child.size(), 1u);
  EXPECT_EQ(parent["SequenceNumberRange"].string_or("EndingSequenceNumber"), of_parent[1]);
  EXPECT_EQ(child["SequenceNumberRange"].find("EndingSequenceNumber"), nullptr);
  EXPECT_LT(of_parent[1], child["SequenceNumberRange"].string_or("StartingSequenceNumber"));
  // Who reads a closed shard to its end is told so; numbers belong to their own shard.
  EXPECT_EQ(w.records(iterator(parent, "TRIM_HORIZON")).string_or("NextShardIterator", "none"), "none");
  EXPECT_EQ(w.records(iterator(parent, "LATEST")).string_or("NextShardIterator", "none"), "none");
  EXPECT_NE(w.records(iterator(child, "LATEST")).string_or("NextShardIterator", "none"), "none");
  EXPECT_EQ(numbers(iterator(parent, "AFTER_SEQUENCE_NUMBER", ",'SequenceNumber':'" + of_parent[0] + "'")),
            std::vector{of_parent[1]});
  EXPECT_EQ(iterator(parent, "AT_SEQUENCE_NUMBER", ",'SequenceNumber':'" + of_child[0] + "'"), "");
  EXPECT_EQ(numbers(iterator(child, "AT_SEQUENCE_NUMBER", ",'SequenceNumber':'" + of_child[0] + "'")), of_child);
  const std::string filter = ",'ShardFilter':{'Type':'CHILD_SHARDS','ShardId':'";
  EXPECT_EQ(shards(filter + parent.string_or("ShardId") + "'}").at(0).string_or("ShardId"), child.string_or("ShardId"));
  EXPECT_TRUE(shards(filter + child.string_or("ShardId") + "'}").empty());
  // Event source mappings go from the one to the other.
  const kernel::Arn source = *kernel::parse_arn(w.arn);
  const auto listed = run(w.streams.stream_shards(w.ctx, source));
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 2u);
  EXPECT_TRUE((*listed)[0].parents.empty());
  EXPECT_EQ((*listed)[1].parents, std::vector{parent.string_or("ShardId")});
  const auto read = [&](size_t shard, std::string position) {
    return *run(w.streams.read_stream(w.ctx, source, (*listed)[shard].id, std::move(position), 10, 1 << 20));
  };
  const kernel::StreamPage page = read(0, "");
  EXPECT_EQ(page.records.size(), 2u);
  EXPECT_FALSE(page.ended);
  EXPECT_TRUE(read(0, page.position).ended);
  const auto latest = run(w.streams.stream_start(w.ctx, source, (*listed)[0].id, kernel::StreamStart::kLatest, Time{}));
  EXPECT_TRUE(read(0, *latest).ended);
  EXPECT_EQ(read(1, "").records.size(), 1u);
}

// A day after it was closed a shard is gone, and its child is the oldest.
TEST(Streams, ForgetShardsThatWereClosedADayAgo) {
  StreamsWorld w;
  const auto all = [&] {
    return w.call("DescribeStream", "{'StreamArn':'" + w.arn + "'}")["StreamDescription"]["Shards"].as_array();
  };
  const std::string first = w.shard().string_or("ShardId");
  std::string second;
  w.pass(std::chrono::hours(4), [&] {
    const auto shards = all();
    if (second.empty() && shards.size() == 2) {
      second = shards[1].string_or("ShardId");
      w.clock.advance(std::chrono::hours(24));
    }
    return shards[0].string_or("ShardId") == second;
  });
  EXPECT_EQ(w.shard().find("ParentShardId"), nullptr);
  EXPECT_EQ(w.call("GetShardIterator",
                   "{'StreamArn':'" + w.arn + "','ShardId':'" + first + "','ShardIteratorType':'TRIM_HORIZON'}")
                .string_or("error"),
            "ResourceNotFoundException");
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
  const std::string due = std::to_string(w.clock.now().seconds() - 1);
  w.call("PutItem", "{'TableName':'tab','Item':{'p':{'S':'a'},'e':{'N':'" + due + "'}}}");
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
