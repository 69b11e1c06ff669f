// Waiting for changes, on every engine.
#include <thread>

#include "kv/key.h"
#include "kv/test_store.h"
#include "kv/watch.h"

namespace virga::kv {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Watching : public testing::TestWithParam<const char*> {
 protected:
  Watching() {
    if (std::string_view(GetParam()) == "mem") {
      db_ = open_mem();
    } else {
      db_ = open_rocks({.directory = dir_ / "db"});
    }
  }
  Db& db() { return *db_; }

 private:
  TempDir dir_;
  std::unique_ptr<Db> db_;
};

INSTANTIATE_TEST_SUITE_P(Engines, Watching, testing::Values("mem", "rocks"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Watching, SeesWhatWasCommittedBeforeItWaits) {
  const Version before = db().snapshot()->version();
  put(db(), "a/1", "x");
  EXPECT_TRUE(get(db().wait_change("a/", before, seconds(5))));
  EXPECT_TRUE(get(db().wait_change("", before, seconds(5))));
  EXPECT_FALSE(get(db().wait_change("b/", before, milliseconds(5))));
  EXPECT_FALSE(get(db().wait_change("a/1/", before, Micros(0))));
  EXPECT_FALSE(get(db().wait_change("a/", db().snapshot()->version(), milliseconds(5))));
}

TEST_P(Watching, IsWokenOnlyForItsOwnPrefix) {
  const Version since = db().snapshot()->version();
  std::thread waker([&] {
    std::this_thread::sleep_for(milliseconds(10));
    db().wake("b/");
    db().wake("a/");
  });
  EXPECT_TRUE(get(db().wait_change("a/", since, seconds(20))));
  EXPECT_EQ(db().snapshot()->version(), since);
  waker.join();
}

TEST_P(Watching, WakesForAKeyAnErasureAndARange) {
  for (const int how : {0, 1, 2, 3}) {
    put(db(), "a/1", "x");
    const Version since = db().snapshot()->version();
    std::thread writer([&] {
      std::this_thread::sleep_for(milliseconds(10));
      get(db().transact([&](Txn& tx) -> Task<void> {
        if (how == 0) tx.put("a/2", "y");
        if (how == 1) tx.erase("a/1");
        if (how == 2) tx.erase_range({"a", "b"});
        if (how == 3) tx.put_ordered("a/", "z");
        co_return;
      }));
    });
    EXPECT_TRUE(get(db().wait_change("a/", since, seconds(20)))) << how;
    EXPECT_GT(db().snapshot()->version(), since);
    writer.join();
  }
}

TEST_P(Watching, WakesForALog) {
  const Version since = db().snapshot()->version();
  std::thread writer([&] {
    get(db().transact([&](Txn& tx) -> Task<void> {
      tx.append("jobs", "1");
      co_return;
    }));
  });
  EXPECT_TRUE(get(db().wait_log("jobs", since, seconds(20))));
  EXPECT_EQ(get(db().snapshot()->read_log("jobs", "", 10)).size(), 1u);
  writer.join();
}

TEST_P(Watching, TimesOutInOrder) {
  const Version since = db().snapshot()->version();
  std::vector<int> order;
  const auto all = [&]() -> Task<void> {
    int left = 3;
    const auto wait = [&](int ms) -> Task<void> {
      EXPECT_FALSE(co_await db().wait_change(cat("t", ms), since, milliseconds(ms)));
      order.push_back(ms);
      --left;
    };
    // The later deadline registers first, so its timer must give way to the earlier ones.
    start_background("test", wait(60));
    start_background("test", wait(20));
    start_background("test", wait(40));
    while (left > 0) co_await sleep_for(milliseconds(2));
  };
  get(all());
  EXPECT_EQ(order, (std::vector{20, 40, 60}));
}

// A reader that follows a log by waiting misses nothing while several threads append.
TEST_P(Watching, FollowersMissNothing) {
  constexpr int kWriters = 3, kEach = 60;
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        get(db().transact([&](Txn& tx) -> Task<void> {
          tx.append("l", "r");
          co_return;
        }));
      }
    });
  }
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&] {
      const auto follow = [&]() -> Task<void> {
        LogPosition position;
        for (int seen = 0; seen < kWriters * kEach;) {
          const auto reader = db().snapshot();
          const auto records = co_await reader->read_log("l", position, 7);
          seen += static_cast<int>(records.size());
          if (!records.empty()) {
            position = records.back().position;
          } else if (!co_await db().wait_log("l", reader->version(), seconds(20))) {
            ADD_FAILURE() << "missed a wake-up after " << seen;
            co_return;
          }
        }
      };
      get(follow());
    });
  }
  for (auto& thread : threads) thread.join();
  for (auto& reader : readers) reader.join();
}

TEST(WatchRegistry, ManyWaitersCostUnrelatedCommitsNothing) {
  const auto registry = std::make_shared<WatchRegistry>();
  constexpr int kWaiters = 10'000;
  int woken = 0;
  const auto all = [&]() -> Task<void> {
    const auto wait = [&](int i) -> Task<void> {
      EXPECT_TRUE(co_await registry->wait(cat("queue/", i, "/"), 0, seconds(60)));
      ++woken;
    };
    for (int i = 0; i < kWaiters; ++i) start_background("test", wait(i));
    EXPECT_EQ(registry->waiting(), static_cast<size_t>(kWaiters));
    Version version = 0;
    const auto publish = [&](const std::string& key) {
      const Change change{++version, key};
      return registry->publish({&change, 1});
    };
    const auto begun = std::chrono::steady_clock::now();
    constexpr int kCommits = 10'000;
    for (int i = 0; i < kCommits; ++i) EXPECT_TRUE(publish(cat("table/items/", i)).empty());
    const auto took = std::chrono::steady_clock::now() - begun;
    EXPECT_LT(took / kCommits, std::chrono::microseconds(50));
    for (int i = 0; i < kWaiters; ++i) {
      for (const Resume& resume : publish(cat("queue/", i, "/x"))) resume.later();
    }
    while (woken < kWaiters) co_await sleep_for(milliseconds(1));
    EXPECT_EQ(registry->waiting(), 0u);
    // What is long ago can't be told: the answer is yes.
    EXPECT_TRUE(co_await registry->wait("nothing", 0, seconds(60)));
    EXPECT_FALSE(co_await registry->wait("nothing", version, milliseconds(1)));
  };
  get(all());
}

}  // namespace
}  // namespace virga::kv
