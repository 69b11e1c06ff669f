// What a group keeps no longer goes, stream by stream, while others write.
#include <gtest/gtest.h>

#include <chrono>

#include "base/async.h"
#include "kernel/test_world.h"
#include "services/logs/limits.h"
#include "services/logs/service.h"

namespace virga::logs {
namespace {

using std::chrono::hours;

struct World : kernel::ServiceWorld<LogsService> {
  void put(const std::string& stream, const std::string& message) {
    const Json put = call("PutLogEvents",
                          cat("{'logGroupName':'g','logStreamName':'", stream,
                              "','logEvents':[{'timestamp':", clock.now().millis(), ",'message':'", message, "'}]}"));
    ASSERT_FALSE(put.find("error")) << put.dump();
  }
  std::string messages(const std::string& stream) {
    const Json got =
        call("GetLogEvents", cat("{'logGroupName':'g','logStreamName':'", stream, "','startFromHead':true}"));
    std::string out;
    for (const Json& event : got.find("events")->as_array()) append(out, event.string_or("message"), " ");
    return out;
  }
};

TEST(Retention, DeletesWhatIsOlderAndNothingElse) {
  World w;
  w.call("CreateLogGroup", "{'logGroupName':'g'}");
  for (const std::string stream : {"a", "b", "new"})
    w.call("CreateLogStream", cat("{'logGroupName':'g','logStreamName':'", stream, "'}"));
  w.call("PutRetentionPolicy", "{'logGroupName':'g','retentionInDays':1}");
  w.put("a", "old");
  w.put("b", "older");
  w.clock.advance(hours(23));
  w.put("a", "young");
  w.put("new", "young");
  w.clock.advance(hours(2));
  kv::inject_conflicts(*w.db, 3);
  const auto done = run([](World& w) -> Task<void> {
    w.timers.start();
    for (int i = 0; i < 500; ++i) {
      co_await sleep_for(Millis(10));
      const auto view = w.db->snapshot();
      if ((co_await Store(*view, home_of(w.ctx)).read_events("g", "b", "", "", 10, 10'000, false)).empty()) break;
    }
    co_await w.timers.stop();
  }(w));
  EXPECT_TRUE(done);
  EXPECT_EQ(w.messages("a"), "young ");
  EXPECT_EQ(w.messages("b"), "");
  EXPECT_EQ(w.messages("new"), "young ");
  // 26 bytes are counted for each event beside its message.
  EXPECT_EQ(w.call("DescribeLogGroups", "{}")["logGroups"].as_array()[0].find("storedBytes")->as_int(), 2 * (5 + 26));
}

TEST(StoredBytes, OfManyStreamsAreCountedOnceAMinute) {
  World w;
  w.call("CreateLogGroup", "{'logGroupName':'g'}");
  const auto stored = [&] {
    return w.call("DescribeLogGroups", "{}")["logGroups"].as_array()[0].find("storedBytes")->as_int();
  };
  const auto add = [&](size_t number) {
    w.call("CreateLogStream", cat("{'logGroupName':'g','logStreamName':'", number, "'}"));
  };
  for (size_t i = 0; i < kManyStreams; ++i) add(i);
  w.put("0", "one");
  EXPECT_EQ(stored(), 3 + 26);
  w.put("1", "two");
  EXPECT_EQ(stored(), 2 * (3 + 26));
  add(kManyStreams);
  EXPECT_EQ(stored(), 2 * (3 + 26));
  w.put("2", "six");
  EXPECT_EQ(stored(), 2 * (3 + 26));
  w.clock.advance(std::chrono::minutes(1));
  EXPECT_EQ(stored(), 3 * (3 + 26));
  w.put("3", "ten");
  w.call("DeleteLogGroup", "{'logGroupName':'g'}");
  w.clock.advance(std::chrono::milliseconds(1));
  w.call("CreateLogGroup", "{'logGroupName':'g'}");
  EXPECT_EQ(stored(), 0);
}

}  // namespace
}  // namespace virga::logs
