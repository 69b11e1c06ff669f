#include "kernel/delivery.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/async.h"
#include "base/id.h"
#include "base/str.h"
#include "kernel/elapsed_clock.h"
#include "rt/reactor.h"

namespace virga::kernel {
namespace {

using std::chrono::seconds;

constexpr ErrorShape kBroken{"Broken", 500};

struct World {
  std::unique_ptr<kv::Db> db = kv::open_mem();
  ManualClock clock;
  ElapsedClock elapsed{clock};
  MetricRegistry metrics;
  std::optional<Deliveries> deliveries{std::in_place, *db, elapsed, metrics};
  std::vector<std::string> seen;  // lane:payload, in order of ending

  Task<void> send(std::string lane, std::string payload, std::string group = "", Time not_before = {}) {
    co_await db->transact([&](kv::Txn& tx) -> Task<void> {
      deliveries->enqueue(tx, {"t", lane, group, payload, not_before, ""});
      co_return;
    });
  }
  void note(const Attempt& attempt) { seen.push_back(cat(attempt.lane, ":", attempt.payload)); }
  // Until `count` were seen, or a while has passed.
  Task<void> settle(size_t count) {
    for (int i = 0; i < 400 && seen.size() < count; ++i) co_await sleep_for(Millis(5));
  }
  // Until what was started has ended: nothing runs, twice in a row.
  Task<void> quiet() {
    for (int i = 0, still = 0; i < 400 && still < 2; ++i) {
      co_await sleep_for(Millis(5));
      still = deliveries->running() == 0 ? still + 1 : 0;
    }
  }
  Task<size_t> rows() {
    const auto all = co_await db->snapshot()->scan(kv::prefix_range("dlv"));
    co_return all.size() - 1;  // the count of starts
  }
  void advance(Micros by) {
    clock.advance(by);
    deliveries->clock_moved();
  }
};

template <class F>
void with_world(F body) {
  World w;
  const auto done = run(body(w));
  EXPECT_TRUE(done) << describe(done.error());
}

TEST(Deliveries, ArriveAfterTheCommitAndAreForgotten) {
  with_world([](World& w) -> Task<void> {
    std::set<std::string> ids;
    w.deliveries->on("t", [&](Attempt a) -> Task<Verdict> {
      EXPECT_EQ(a.attempts, 0);
      EXPECT_EQ(a.accepted, w.clock.now());
      ids.insert(a.id);
      w.note(a);
      co_return Verdict::done();
    });
    co_await w.deliveries->start();
    const auto refused = co_await as_result(w.db->transact([&](kv::Txn& tx) -> Task<void> {
      w.deliveries->enqueue(tx, {"t", "x", "", "never", {}, ""});
      co_await fail(Error{&kBroken, "rolled back", nullptr, ""});
    }));
    EXPECT_FALSE(refused);
    kv::inject_conflicts(*w.db, 2);
    co_await w.send("a", "1");
    co_await w.send("b", "2");
    co_await w.settle(2);
    co_await w.quiet();
    EXPECT_EQ(w.seen, (std::vector<std::string>{"a:1", "b:2"}));
    EXPECT_EQ(ids.size(), 2u);
    EXPECT_EQ(co_await w.rows(), 0u);
    co_await w.deliveries->stop();
  });
}

// Of a row that can't be read nobody can make a delivery: it goes, and the next of its group has its turn.
TEST(Deliveries, ADamagedOneHoldsUpNothing) {
  with_world([](World& w) -> Task<void> {
    w.deliveries->on("t", [&](Attempt a) -> Task<Verdict> {
      w.note(a);
      co_return Verdict::done();
    });
    co_await w.send("a", "1", "g");
    co_await w.send("a", "2", "g");
    co_await w.send("b", "3");
    co_await w.db->transact([&](kv::Txn& tx) -> Task<void> {
      const auto rows = co_await tx.scan(kv::prefix_range("dlv"));  // both of the group, the other, the count of starts
      EXPECT_EQ(rows.size(), 4u);
      for (const size_t damaged : {0, 2}) tx.put(rows[damaged].key, "\x01\xff");
    });
    co_await w.deliveries->start();
    co_await w.settle(1);
    co_await w.quiet();
    EXPECT_EQ(w.seen, (std::vector<std::string>{"a:2"}));
    EXPECT_EQ(co_await w.rows(), 0u);
    EXPECT_EQ(w.deliveries->running(), 0u);
    co_await w.deliveries->stop();
  });
}

TEST(Deliveries, AreTriedAgainLaterEachTime) {
  with_world([](World& w) -> Task<void> {
    int64_t tries = 0;
    std::string id;
    w.deliveries->on("t", [&](Attempt a) -> Task<Verdict> {
      EXPECT_EQ(a.attempts, tries);
      if (tries++ == 0) id = a.id;
      EXPECT_EQ(a.id, id);
      w.note(a);
      if (tries == 1) co_return Error{&kBroken, "not yet", nullptr, ""};
      if (tries == 2) co_return Verdict::again().instead("two");
      if (tries == 3) {
        --tries;
        co_return tries == 2 && a.payload == "two" ? Verdict::later(seconds(100)).instead("three") : Verdict::done();
      }
      co_return Verdict::done();
    });
    co_await w.deliveries->start();
    co_await w.send("a", "one");
    co_await w.settle(1);
    co_await w.quiet();
    EXPECT_EQ(co_await w.rows(), 1u);
    EXPECT_EQ(w.seen.size(), 1u);  // the clock stands
    w.advance(Millis(499));
    co_await sleep_for(Millis(20));
    EXPECT_EQ(w.seen.size(), 1u);
    w.advance(Millis(501));
    co_await w.settle(2);
    co_await w.quiet();
    w.advance(Millis(999));
    co_await sleep_for(Millis(20));
    EXPECT_EQ(w.seen.size(), 2u);
    w.advance(Millis(1001));
    co_await w.settle(3);
    co_await w.quiet();
    w.advance(seconds(100));
    co_await w.settle(4);
    co_await w.quiet();
    EXPECT_EQ(w.seen, (std::vector<std::string>{"a:one", "a:one", "a:two", "a:three"}));
    EXPECT_EQ(co_await w.rows(), 0u);
    co_await w.deliveries->stop();
  });
}

TEST(Deliveries, WaitForTheirTime) {
  with_world([](World& w) -> Task<void> {
    w.deliveries->on("t", [&](Attempt a) -> Task<Verdict> {
      w.note(a);
      co_return Verdict::done();
    });
    co_await w.deliveries->start();
    const Time now = w.clock.now();
    co_await w.send("a", "late", "", now + seconds(20));
    co_await w.send("a", "early", "", now + seconds(10));
    co_await w.send("a", "in a group", "g", now + seconds(15));
    co_await sleep_for(Millis(20));
    EXPECT_TRUE(w.seen.empty());
    w.advance(seconds(10));
    co_await w.settle(1);
    EXPECT_EQ(w.seen, (std::vector<std::string>{"a:early"}));
    w.advance(seconds(5));
    co_await w.settle(2);
    EXPECT_EQ(w.seen.back(), "a:in a group");
    w.clock.advance(seconds(100));  // a jump nobody tells of
    co_await w.settle(3);
    EXPECT_EQ(w.seen.back(), "a:late");
    co_await w.deliveries->stop();
  });
}

TEST(Deliveries, AGroupKeepsItsOrderThroughRetriesAndOthersDoNotWait) {
  with_world([](World& w) -> Task<void> {
    std::map<std::string, int> running;
    w.deliveries->on("t", [&](Attempt a) -> Task<Verdict> {
      EXPECT_EQ(++running[a.group], 1);
      co_await sleep_for(Millis(1));
      --running[a.group];
      if (a.group == "g1" && a.payload == "3" && a.attempts < 2) co_return Verdict::again();
      w.seen.push_back(cat(a.group, ":", a.payload));
      co_return Verdict::done();
    });
    co_await w.deliveries->start();
    // More than is kept in memory of a group.
    for (int i = 0; i < 50; ++i) {
      co_await w.send("a", cat(i), "g1");
      co_await w.send("a", cat(i), "g2");
    }
    co_await w.settle(53);
    co_await w.quiet();
    EXPECT_EQ(w.seen.size(), 53u);
    for (int i = 0; i < 3; ++i) {
      w.advance(seconds(4));
      co_await sleep_for(Millis(20));
    }
    co_await w.settle(100);
    EXPECT_EQ(w.seen.size(), 100u);
    std::map<std::string, int> next;
    for (const std::string& each : w.seen) {
      const auto [group, payload] = split_once(each, ':');
      EXPECT_EQ(payload, cat(next[std::string(group)]++)) << each;
    }
    co_await w.quiet();
    EXPECT_EQ(co_await w.rows(), 0u);
    co_await w.deliveries->stop();
  });
}

TEST(Deliveries, ABusyTargetIsGivenWhatItTakes) {
  with_world([](World& w) -> Task<void> {
    int running = 0, attempts = 0;
    w.deliveries->on("t", [&](Attempt a) -> Task<Verdict> {
      ++attempts;
      if (running >= 3) co_return Verdict::busy(seconds(10));
      ++running;
      co_await sleep_for(Millis(1));
      --running;
      w.note(a);
      co_return Verdict::done();
    });
    co_await w.deliveries->start();
    co_await w.db->transact([&](kv::Txn& tx) -> Task<void> {
      for (int i = 0; i < 300; ++i) w.deliveries->enqueue(tx, {"t", "a", i % 2 ? "" : cat("g", i), cat(i), {}, ""});
      co_return;
    });
    co_await w.settle(300);  // the clock stands: what ends makes room
    EXPECT_EQ(w.seen.size(), 300u);
    EXPECT_LT(attempts, 900);
    co_await w.quiet();
    EXPECT_EQ(co_await w.rows(), 0u);
    co_await w.deliveries->stop();
  });
}

TEST(Deliveries, ABusyTargetIsAskedAgainInTime) {
  with_world([](World& w) -> Task<void> {
    int attempts = 0;
    w.deliveries->on("t", [&](Attempt a) -> Task<Verdict> {
      EXPECT_EQ(a.attempts, 0);
      if (++attempts < 7) co_return Verdict::busy(seconds(10));
      w.note(a);
      co_return Verdict::done();
    });
    co_await w.db->transact([&](kv::Txn& tx) -> Task<void> {
      for (int i = 0; i < 5; ++i) w.deliveries->enqueue(tx, {"t", "a", "", cat(i), {}, ""});
      co_return;
    });
    co_await w.deliveries->start();
    co_await w.quiet();
    EXPECT_EQ(attempts, 5);  // together, before the first was busy
    w.advance(seconds(10));
    co_await w.quiet();
    EXPECT_EQ(attempts, 6);
    EXPECT_EQ(co_await w.rows(), 5u);
    w.advance(seconds(10));
    co_await w.settle(5);
    EXPECT_EQ(w.seen, (std::vector<std::string>{"a:0", "a:1", "a:2", "a:3", "a:4"}));
    co_await w.quiet();
    co_await w.deliveries->stop();
  });
}

TEST(Deliveries, WritesOfAVerdictAreOneChangeWithIt) {
  with_world([](World& w) -> Task<void> {
    int tries = 0;
    w.deliveries->on("t", [&](Attempt a) -> Task<Verdict> {
      w.note(a);
      if (a.lane == "dead") co_return Verdict::done();
      if (tries++ == 0) {
        co_return Verdict::give_up().with(
            [](kv::Txn&) -> Task<void> { co_await fail(Error{&kBroken, "can't be written", nullptr, ""}); });
      }
      co_return Verdict::give_up().with([&w](kv::Txn& tx) -> Task<void> {
        w.deliveries->enqueue(tx, {"t", "dead", "", "letter", {}, ""});
        tx.put("said", "so");
        co_return;
      });
    });
    co_await w.deliveries->start();
    co_await w.send("a", "1");
    co_await w.settle(1);
    co_await w.quiet();
    EXPECT_EQ(co_await w.rows(), 1u);  // its writes failed: it is tried again
    w.advance(seconds(1));
    co_await w.settle(3);
    co_await w.quiet();
    EXPECT_EQ(w.seen, (std::vector<std::string>{"a:1", "a:1", "dead:letter"}));
    EXPECT_EQ(co_await w.db->snapshot()->get("said"), "so");
    EXPECT_EQ(co_await w.rows(), 0u);
    co_await w.deliveries->stop();
  });
}

TEST(Deliveries, LanesThatHangDoNotStopTheOthers) {
  with_world([](World& w) -> Task<void> {
    Event released;
    size_t hanging = 0;
    w.deliveries->on("t",
                     [&](Attempt a) -> Task<Verdict> {
                       if (a.lane.starts_with("slow")) {
                         ++hanging;
                         co_await released.wait();
                         co_return Verdict::done();
                       }
                       co_await sleep_for(Millis(1));
                       w.note(a);
                       co_return Verdict::done();
                     },
                     {.lane = 64, .pool = 1024});
    co_await w.deliveries->start();
    const auto send_all = [&](std::string kind, int lanes, int each) -> Task<void> {
      co_await w.db->transact([&](kv::Txn& tx) -> Task<void> {
        for (int lane = 0; lane < lanes; ++lane) {
          for (int i = 0; i < each; ++i) w.deliveries->enqueue(tx, {"t", cat(kind, lane), "", cat(i), {}, ""});
        }
        co_return;
      });
    };
    co_await send_all("slow", 300, 20);
    co_await sleep_for(Millis(50));
    EXPECT_GE(hanging, 300u);  // each its first
    EXPECT_LT(hanging, 1024u);
    co_await send_all("fast", 700, 4);
    co_await w.settle(2800);
    EXPECT_EQ(w.seen.size(), 2800u);
    released.set();
    for (int i = 0; i < 2000 && co_await w.rows() > 0; ++i) co_await sleep_for(Millis(5));
    EXPECT_EQ(hanging, 6000u);
    EXPECT_EQ(co_await w.rows(), 0u);
    co_await w.deliveries->stop();
  });
}

TEST(Deliveries, AFewCommitsRemoveMany) {
  with_world([](World& w) -> Task<void> {
    w.deliveries->on("t", [&](Attempt a) -> Task<Verdict> {
      co_await sleep_for(Millis(1));
      w.note(a);
      co_return Verdict::done();
    });
    co_await w.deliveries->start();
    co_await w.db->transact([&](kv::Txn& tx) -> Task<void> {
      for (int i = 0; i < 1000; ++i) w.deliveries->enqueue(tx, {"t", cat(i), "", "x", {}, ""});
      co_return;
    });
    const uint64_t before = w.db->stats().commits;
    co_await w.settle(1000);
    co_await w.quiet();
    EXPECT_EQ(co_await w.rows(), 0u);
    EXPECT_LT(w.db->stats().commits - before, 500u);
    co_await w.deliveries->stop();
  });
}

TEST(Deliveries, OneLaneDeliversMoreThanMemoryHolds) {
  with_world([](World& w) -> Task<void> {
    std::set<std::string> all;
    w.deliveries->on("t",
                     [&](Attempt a) -> Task<Verdict> {
                       EXPECT_TRUE(all.insert(a.payload).second) << "twice: " << a.payload;
                       w.note(a);
                       if (all.size() % 10 == 0) co_await sleep_for(Millis(1));
                       co_return Verdict::done();
                     },
                     {.lane = 8});
    co_await w.deliveries->start();
    for (int batch = 0; batch < 20; ++batch) {
      co_await w.db->transact([&](kv::Txn& tx) -> Task<void> {
        for (int i = 0; i < 100; ++i) w.deliveries->enqueue(tx, {"t", "a", "", cat(batch, ".", i), {}, ""});
        co_return;
      });
    }
    co_await w.settle(2000);
    co_await w.quiet();
    EXPECT_EQ(all.size(), 2000u);
    EXPECT_EQ(co_await w.rows(), 0u);
    co_await w.deliveries->stop();
  });
}

TEST(Deliveries, ARestartDeliversWhatWasLeft) {
  with_world([](World& w) -> Task<void> {
    Event never;
    int cut_off = 0;
    w.deliveries->on("t", [&](Attempt a) -> Task<Verdict> {
      if (a.payload == "put off") co_return Verdict::again(seconds(60));
      ++cut_off;
      co_await never.wait();
      co_return Verdict::done();
    });
    co_await w.deliveries->start();
    const Time now = w.clock.now();
    co_await w.send("a", "loose");
    co_await w.send("b", "put off");
    co_await w.send("c", "delayed", "", now + seconds(30));
    for (int i = 0; i < 40; ++i) co_await w.send("d", cat(i), "g");
    co_await sleep_for(Millis(30));
    EXPECT_EQ(cut_off, 2);
    co_await w.deliveries->stop(Millis(20));
    never.set();  // what ends now is nobody's any more
    co_await sleep_for(Millis(10));

    w.deliveries.emplace(*w.db, w.elapsed, w.metrics);
    w.deliveries->on("t", [&](Attempt a) -> Task<Verdict> {
      EXPECT_EQ(a.attempts, a.payload == "put off" ? 1 : 0);
      w.note(a);
      co_return Verdict::done();
    });
    co_await w.send("d", "40", "g");  // before the start, and after what is older
    co_await w.deliveries->start();
    co_await w.settle(42);
    EXPECT_EQ(w.seen.size(), 42u);
    w.advance(seconds(60));
    co_await w.settle(44);
    co_await w.quiet();
    EXPECT_EQ(w.seen.size(), 44u);
    int next = 0;
    for (const std::string& each : w.seen) {
      if (each.starts_with("d:")) EXPECT_EQ(each, cat("d:", next++));
    }
    EXPECT_EQ(co_await w.rows(), 0u);
    co_await w.deliveries->stop();
  });
}

TEST(Deliveries, ManyGroupsOfOneLane) {
  with_world([](World& w) -> Task<void> {
    std::map<std::string, int> next;
    w.deliveries->on("t", [&](Attempt a) -> Task<Verdict> {
      EXPECT_EQ(a.payload, cat(next[a.group]++)) << a.group;
      w.note(a);
      co_return Verdict::done();
    });
    for (int i = 0; i < 2; ++i) {
      co_await w.db->transact([&](kv::Txn& tx) -> Task<void> {
        for (int g = 0; g < 5000; ++g) w.deliveries->enqueue(tx, {"t", "a", cat("g", g), cat(i), {}, ""});
        co_return;
      });
      if (i == 0) co_await w.deliveries->start();  // half is found, half arrives
    }
    co_await w.settle(10'000);
    co_await w.quiet();
    EXPECT_EQ(w.seen.size(), 10'000u);
    EXPECT_EQ(co_await w.rows(), 0u);
    co_await w.deliveries->stop();
  });
}

TEST(Deliveries, AStoreThatRefusesDelaysButLosesNothing) {
  with_world([](World& w) -> Task<void> {
    w.deliveries->on("t", [&](Attempt a) -> Task<Verdict> {
      w.note(a);
      kv::inject_conflicts(*w.db, kv::kMaxAttempts);  // removing it will fail once
      co_return Verdict::done();
    });
    co_await w.deliveries->start();
    co_await w.send("a", "1");
    co_await w.settle(1);
    for (int i = 0; i < 400 && co_await w.rows() > 0; ++i) co_await sleep_for(Millis(10));
    EXPECT_EQ(co_await w.rows(), 0u);
    EXPECT_EQ(w.seen.size(), 1u);
    co_await w.deliveries->stop();
  });
}

// Many reactors send and deliver at once: everything is done once at the least, groups in order.
TEST(Deliveries, FromAllThreads) {
  constexpr int kThreads = 4, kRounds = 150;
  const auto db = kv::open_mem();
  SystemClock clock;
  ElapsedClock elapsed{clock};
  MetricRegistry metrics;
  rt::Reactors reactors(kThreads);
  Deliveries deliveries(*db, elapsed, metrics);
  std::mutex mutex;
  std::map<std::string, int> done;
  std::map<std::string, int> next;
  deliveries.on("t", [&](Attempt a) -> Task<Verdict> {
    if (random_u64() % 4 == 0) co_await sleep_for(Micros(random_u64() % 2000));
    if (random_u64() % 4 == 0) co_await move_to(reactors.next());
    const uint64_t dice = random_u64() % 16;
    if (dice == 0) co_return Verdict::again(Millis(random_u64() % 3));
    if (dice == 1) co_return Verdict::later(Micros(0));
    {
      std::lock_guard lock(mutex);
      ++done[a.id];
      if (!a.group.empty()) {
        EXPECT_EQ(a.payload, cat(next[cat(a.lane, "/", a.group)]++));
      }
    }
    if (dice == 2) {
      co_return Verdict::done().with([id = a.id](kv::Txn& tx) -> Task<void> {
        tx.put(cat("said/", id), "");
        co_return;
      });
    }
    co_return Verdict::done();
  });
  reactors.start();
  ASSERT_TRUE(rt::run_on(reactors[0], deliveries.start()));
  std::vector<std::thread> senders;
  std::atomic<int> sent = 0;
  for (int t = 0; t < kThreads; ++t) {
    senders.emplace_back([&, t] {
      const auto ended = rt::run_on(reactors[t], [](auto& db, auto& deliveries, auto& sent, int t) -> Task<void> {
        for (int i = 0; i < kRounds; ++i) {
          co_await db->transact([&](kv::Txn& tx) -> Task<void> {
            deliveries.enqueue(tx, {"t", cat("lane", i % 7), "", "x", {}, ""});
            deliveries.enqueue(tx, {"t", "grouped", cat(t), cat(i), {}, ""});
            co_return;
          });
          sent += 2;
          if (i % 16 == 0) co_await sleep_for(Micros(200));
        }
      }(db, deliveries, sent, t));
      EXPECT_TRUE(ended);
    });
  }
  for (std::thread& sender : senders) sender.join();
  const auto all_done = [&] {
    std::lock_guard lock(mutex);
    return done.size() == static_cast<size_t>(sent.load());
  };
  for (int i = 0; i < 6000 && !all_done(); ++i) std::this_thread::sleep_for(Millis(10));
  EXPECT_TRUE(all_done());
  EXPECT_TRUE(rt::run_on(reactors[0], deliveries.stop()));
  for (const auto& [id, count] : done) EXPECT_EQ(count, 1) << id;
  reactors.stop();
  reactors.close();
}

TEST(Deliveries, BackOffDoublesWithJitterUpToFiveMinutes) {
  for (int64_t attempts : {0, 3, 30}) {
    const Micros most = std::min<Micros>(seconds(300), seconds(1ll << std::min<int64_t>(attempts, 20)));
    for (int i = 0; i < 100; ++i) {
      EXPECT_LE(back_off(attempts), most);
      EXPECT_GE(back_off(attempts), most / 2);
    }
  }
}

}  // namespace
}  // namespace virga::kernel
