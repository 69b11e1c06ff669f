#include "kernel/timers.h"

#include <gtest/gtest.h>

#include "base/async.h"
#include "base/id.h"
#include "kernel/elapsed_clock.h"

namespace virga::kernel {
namespace {

using std::chrono::seconds;

constexpr ErrorShape kBroken{"Broken", 500};

struct World {
  std::unique_ptr<kv::Db> db = kv::open_mem();
  ManualClock clock;
  ElapsedClock elapsed{clock};
  Timers timers{*db, elapsed};
  std::vector<std::string> fired;

  Task<void> set(std::string id, Time due, std::string payload = "") {
    co_await db->transact([&](kv::Txn& tx) -> Task<void> { co_await timers.set(tx, {"t", id, due, payload}); });
  }
  Task<void> clear(std::string id) {
    co_await db->transact([&](kv::Txn& tx) -> Task<void> { co_await timers.clear(tx, "t", id); });
  }
  // Until `count` have fired, or a while has passed.
  Task<void> settle(size_t count) {
    for (int i = 0; i < 200 && fired.size() < count; ++i) co_await sleep_for(Millis(10));
  }
  void clear_when_fired() {
    timers.on("t", [this](Timer t) -> Task<void> {
      fired.push_back(t.id + t.payload);
      co_await clear(t.id);
    });
  }
};

TEST(Timers, FireInOrderWhenDue) {
  World w;
  w.clear_when_fired();
  const auto done = run([](World& w) -> Task<void> {
    w.timers.start();
    co_await w.set("late", w.clock.now() + seconds(20));
    co_await w.set("early", w.clock.now() + seconds(10), "!");
    co_await sleep_for(Millis(20));
    EXPECT_TRUE(w.fired.empty());
    w.clock.advance(seconds(10));
    co_await w.settle(1);
    EXPECT_EQ(w.fired, (std::vector<std::string>{"early!"}));
    w.clock.advance(seconds(10));
    co_await w.settle(2);
    EXPECT_EQ(w.fired.back(), "late");
    co_await w.timers.stop();
  }(w));
  ASSERT_TRUE(done);
}

TEST(Timers, SetAgainReplacesAndClearForgets) {
  World w;
  w.clear_when_fired();
  const auto done = run([](World& w) -> Task<void> {
    const Time now = w.clock.now();
    co_await w.set("a", now + seconds(10), "1");
    co_await w.set("a", now - seconds(1), "2");
    co_await w.set("b", now - seconds(1));
    co_await w.clear("b");
    w.timers.start();
    co_await w.settle(1);
    w.clock.advance(seconds(60));
    co_await sleep_for(Millis(600));
    co_await w.timers.stop();
    EXPECT_EQ(w.fired, (std::vector<std::string>{"a2"}));
  }(w));
  ASSERT_TRUE(done);
}

TEST(Timers, FailuresComeAgainLater) {
  World w;
  w.timers.on("t", [&w](Timer t) -> Task<void> {
    w.fired.push_back(t.id);
    if (w.fired.size() < 3) co_await fail(Error{&kBroken, "not yet", nullptr, ""});
    co_await w.clear(t.id);
  });
  const auto done = run([](World& w) -> Task<void> {
    co_await w.set("a", w.clock.now());
    w.timers.start();
    co_await w.settle(1);
    co_await sleep_for(Millis(30));
    EXPECT_EQ(w.fired.size(), 1u);  // the clock stands
    w.clock.advance(seconds(1));
    co_await w.settle(2);
    co_await sleep_for(Millis(30));
    w.clock.advance(seconds(1));
    co_await sleep_for(Millis(600));
    EXPECT_EQ(w.fired.size(), 2u);  // twice as long
    w.clock.advance(seconds(1));
    co_await w.settle(3);
    EXPECT_EQ(w.fired.size(), 3u);
    co_await sleep_for(Millis(30));
    co_await w.timers.stop();
  }(w));
  ASSERT_TRUE(done);
}

TEST(Timers, SurviveARestart) {
  World w;
  const auto done = run([](World& w) -> Task<void> {
    co_await w.set("a", w.clock.now() + seconds(5));
    w.clock.advance(seconds(100));
    Timers again(*w.db, w.elapsed);
    again.on("t", [&w](Timer t) -> Task<void> {
      w.fired.push_back(t.id);
      co_await w.clear(t.id);
    });
    again.start();
    co_await w.settle(1);
    co_await again.stop();
    EXPECT_EQ(w.fired.size(), 1u);
  }(w));
  ASSERT_TRUE(done);
}

TEST(Timers, ManyAtOnce) {
  World w;
  w.clear_when_fired();
  const auto done = run([](World& w) -> Task<void> {
    co_await w.db->transact([&](kv::Txn& tx) -> Task<void> {
      for (int i = 0; i < 500; ++i) co_await w.timers.set(tx, {"t", std::to_string(i), w.clock.now(), ""});
    });
    w.timers.start();
    co_await w.settle(500);
    EXPECT_EQ(w.fired.size(), 500u);
    co_await w.timers.stop();
  }(w));
  ASSERT_TRUE(done);
}

}  // namespace
}  // namespace virga::kernel
