// Metrics over time: what is old is forgotten, first what is of fine resolution.
#include "services/cloudwatch/store.h"

#include <gtest/gtest.h>

#include "kernel/test_world.h"
#include "kv/key.h"
#include "services/cloudwatch/service.h"

namespace virga::cloudwatch {
namespace {

struct World : kernel::ServiceWorld<CloudWatchService> {
  void put(const std::string& metric) {
    const Json answer = call("PutMetricData", "{'Namespace':'n','MetricData':[{'MetricName':'" + metric +
                                                  "','Value':1,'StorageResolution':1}]}");
    EXPECT_EQ(answer.string_or("error"), "");
  }
  Task<size_t> rows(char kind) {
    const auto prefix = std::string(kv::KeyWriter("cw").u8(static_cast<uint8_t>(kind)));
    co_return (co_await db->snapshot()->scan(kv::prefix_range(prefix))).size();
  }
  Task<void> pass(std::chrono::hours time, char kind, size_t rows_then) {
    clock.advance(time);
    for (int i = 0; i < 1000 && co_await rows(kind) != rows_then; ++i)
      co_await sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(co_await rows(kind), rows_then) << kind;
  }
};

TEST(Metrics, AreForgottenWhenTheyAreOld) {
  World w;
  w.put("a");
  w.put("b");
  const auto done = run([&]() -> Task<void> {
    w.timers.start();
    co_await w.pass(std::chrono::hours(4), 'f', 0);
    EXPECT_EQ(co_await w.rows('d'), 2u);
    w.clock.advance(std::chrono::hours(14 * 24));
    w.put("b");
    co_await w.pass(std::chrono::hours(30), 'd', 1);
    co_await w.pass(std::chrono::hours(0), 'm', 1);
    co_await w.pass(std::chrono::hours(16 * 24), 'm', 0);
    EXPECT_EQ(co_await w.rows('d'), 0u);
    co_await w.timers.stop();
  }());
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace virga::cloudwatch
