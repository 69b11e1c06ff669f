// The store's contract, run against every engine.
#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "base/id.h"
#include "kv/key.h"
#include "kv/test_store.h"
#include "kv/write_set.h"

namespace virga::kv {
namespace {

class Contract : public testing::TestWithParam<const char*> {
 protected:
  Contract() {
    if (std::string_view(GetParam()) == "mem") {
      db_ = open_mem();
    } else {
      db_ = open_rocks({.directory = dir_ / "db", .gap_worth = 4});
    }
  }
  Db& db() { return *db_; }
  // Commits inside another transaction's body: how a test makes things happen in between.
  Task<void> write(std::string key, std::string value) {
    co_await db().transact([&](Txn& tx) -> Task<void> {
      tx.put(key, value);
      co_return;
    });
  }
  std::string scan(Range range, ScanOptions options = {}) {
    const auto reader = db().snapshot();
    return keys_of(get(reader->scan(std::move(range), options)));
  }
  void fill(std::string_view keys) {
    get(db().transact([&](Txn& tx) -> Task<void> {
      for (std::string_view key : split(keys, ' ')) tx.put(std::string(key), cat("v-", key));
      co_return;
    }));
  }

 private:
  TempDir dir_;
  std::unique_ptr<Db> db_;
};

INSTANTIATE_TEST_SUITE_P(Engines, Contract, testing::Values("mem", "rocks"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Contract, CommitsAllOrNothing) {
  fill("a");
  const auto failed = run(db().transact([&](Txn& tx) -> Task<void> {
    tx.put("a", "changed");
    tx.put("b", "new");
    co_await fail(conflict_error());
  }));
  ASSERT_FALSE(failed);
  EXPECT_EQ(read(db(), "a"), "v-a");
  EXPECT_EQ(read(db(), "b"), std::nullopt);

  get(db().transact([&](Txn& tx) -> Task<void> {
    tx.put("b", "2");
    tx.erase("a");
    co_return;
  }));
  EXPECT_EQ(scan({}), "b");
}

// Work that an executor runs after each other, whatever it destroys when.
TEST_P(Contract, CommitsFromWorkInARow) {
  const auto all = [&]() -> Task<void> {
    int left = 3;
    const auto one = [&](std::string key) -> Task<void> {
      co_await write(std::move(key), "v");
      --left;
    };
    start_background("test", one("a"));
    Executor::current()->post([&] { start_background("test", one("b")); });
    Executor::current()->post([&] { start_background("test", one("c")); });
    for (int waits = 0; left > 0 && waits < 5000; ++waits) co_await sleep_for(Micros(2000));
    EXPECT_EQ(left, 0);
  };
  get(all());
  EXPECT_EQ(scan({}), "a b c");
}

TEST_P(Contract, ExceptionInTheBodyRollsBack) {
  const auto failed = run(db().transact([&](Txn& tx) -> Task<int> {
    tx.put("a", "1");
    throw std::runtime_error("no");
    co_return 1;
  }));
  ASSERT_FALSE(failed);
  EXPECT_EQ(describe(failed.error()), "no");
  EXPECT_EQ(scan({}), "");
}

TEST_P(Contract, SnapshotStaysAtItsInstant) {
  fill("a b");
  const auto before = db().snapshot();
  get(db().transact([&](Txn& tx) -> Task<void> {
    tx.erase("a");
    tx.put("b", "2");
    tx.put("c", "3");
    co_return;
  }));
  EXPECT_EQ(keys_of(get(before->scan({}))), "a b");
  EXPECT_EQ(get(before->get("b")), "v-b");
  EXPECT_EQ(get(before->get("c")), std::nullopt);
  EXPECT_EQ(scan({}), "b c");
  EXPECT_LT(before->version(), db().snapshot()->version());
}

TEST_P(Contract, ReadsItsOwnWrites) {
  fill("a b c d e");
  get(db().transact([&](Txn& tx) -> Task<void> {
    tx.put("bb", "new");
    tx.erase("c");
    EXPECT_EQ(co_await tx.get("bb"), "new");
    EXPECT_EQ(co_await tx.get("c"), std::nullopt);
    EXPECT_EQ(keys_of(co_await tx.scan({})), "a b bb d e");
    tx.erase_range({"b", "d"});
    EXPECT_EQ(co_await tx.get("b"), std::nullopt);
    EXPECT_EQ(co_await tx.get_relaxed("bb"), std::nullopt);
    EXPECT_EQ(keys_of(co_await tx.scan({})), "a d e");
    tx.put("bz", "after");
    EXPECT_EQ(keys_of(co_await tx.scan({})), "a bz d e");
    EXPECT_EQ(keys_of(co_await tx.scan({}, {.reverse = true})), "e d bz a");
    EXPECT_EQ(keys_of(co_await tx.scan({"a", "d"}, {.limit = 1, .reverse = true})), "bz");
    EXPECT_EQ(keys_of(co_await tx.scan({"b", "e"}, {.limit = 2})), "bz d");
  }));
  EXPECT_EQ(scan({}), "a bz d e");
}

TEST_P(Contract, ScansWithLimitsBothWays) {
  fill("a b c d e");
  EXPECT_EQ(scan({"b", "d"}), "b c");
  EXPECT_EQ(scan({"b", ""}), "b c d e");
  EXPECT_EQ(scan({"b", ""}, {.limit = 2}), "b c");
  EXPECT_EQ(scan({"", "d"}, {.limit = 2, .reverse = true}), "c b");
  EXPECT_EQ(scan({}, {.limit = 0}), "");
  EXPECT_EQ(scan({"d", "b"}), "");
  // Each entry is four bytes: the second reaches five.
  EXPECT_EQ(scan({}, {.byte_limit = 5}), "a b");
  EXPECT_EQ(scan({}, {.byte_limit = 1}), "a");
  EXPECT_EQ(scan({}, {.byte_limit = 5, .reverse = true}), "e d");
}

TEST_P(Contract, RetriesWhenAReadKeyChanged) {
  fill("n");
  int attempts = 0;
  get(db().transact([&](Txn& tx) -> Task<void> {
    const auto value = co_await tx.get("n");
    if (++attempts == 1) co_await write("n", "other");
    tx.put("copy", *value);
  }));
  EXPECT_EQ(attempts, 2);
  EXPECT_EQ(read(db(), "copy"), "other");
}

TEST_P(Contract, RetriesWhenAnAbsentKeyAppeared) {
  int attempts = 0;
  get(db().transact([&](Txn& tx) -> Task<void> {
    const bool there = (co_await tx.get("n")).has_value();
    if (++attempts == 1) co_await write("n", "1");
    if (!there) tx.put("n", "mine");
  }));
  EXPECT_EQ(attempts, 2);
  EXPECT_EQ(read(db(), "n"), "1");
}

TEST_P(Contract, BlindWritesAndRelaxedReadsDoNotConflict) {
  fill("n");
  int attempts = 0;
  get(db().transact([&](Txn& tx) -> Task<void> {
    EXPECT_EQ(co_await tx.get_relaxed("n"), "v-n");
    if (++attempts == 1) co_await write("n", "other");
    tx.put("n", "mine");
    tx.erase_range({"x", "y"});
  }));
  EXPECT_EQ(attempts, 1);
  EXPECT_EQ(read(db(), "n"), "mine");
}

TEST_P(Contract, ReadOnlyTransactionsNeverConflict) {
  fill("a b");
  int attempts = 0;
  const std::string seen = get(db().transact([&](Txn& tx) -> Task<std::string> {
    ++attempts;
    const auto a = co_await tx.get("a");
    co_await write("a", "2");
    co_await write("b", "2");
    co_return cat(*a, *co_await tx.get("b"));
  }));
  EXPECT_EQ(attempts, 1);
  EXPECT_EQ(seen, "v-av-b");
}

TEST_P(Contract, NoWriteSkew) {
  // Two doctors are on call; each may leave only while the other stays.
  fill("on/1 on/2");
  int attempts = 0;
  const auto leave = [&](std::string who) -> Task<void> {
    co_await db().transact([&](Txn& tx) -> Task<void> {
      if ((co_await tx.scan(prefix_range("on/"))).size() > 1) tx.erase(who);
    });
  };
  get(db().transact([&](Txn& tx) -> Task<void> {
    const bool may = (co_await tx.scan(prefix_range("on/"))).size() > 1;
    if (++attempts == 1) co_await leave("on/2");
    if (may) tx.erase("on/1");
    tx.put("asked", "1");
  }));
  EXPECT_EQ(attempts, 2);
  EXPECT_EQ(scan(prefix_range("on/")), "on/1");
}

TEST_P(Contract, ScansConflictWithPhantomsExactlyWhereTheyPassed) {
  fill("a b c d");
  const auto attempts_when = [&](ScanOptions options, std::string changed) {
    int attempts = 0;
    get(db().transact([&](Txn& tx) -> Task<void> {
      co_await tx.scan({"a", "e"}, options);
      if (++attempts == 1) co_await write(changed, "phantom");
      tx.put("z", "1");
    }));
    return attempts;
  };
  EXPECT_EQ(attempts_when({}, "bb"), 2);
  EXPECT_EQ(attempts_when({}, "e"), 1);
  EXPECT_EQ(attempts_when({}, "dd"), 2);
  EXPECT_EQ(attempts_when({.limit = 1}, "a"), 2);
  EXPECT_EQ(attempts_when({.limit = 1}, "aa"), 1);
  EXPECT_EQ(attempts_when({.limit = 1, .reverse = true}, "ddd"), 2);
  EXPECT_EQ(attempts_when({.limit = 1, .reverse = true}, "c"), 1);
  EXPECT_EQ(attempts_when({.limit = 100}, "0"), 1);
}

TEST_P(Contract, EraseRangeConflictsWithReadersOfItsKeys) {
  const auto attempts_when = [&](auto read_it) {
    fill("r/1 r/2 s");
    int attempts = 0;
    get(db().transact([&](Txn& tx) -> Task<void> {
      co_await read_it(tx);
      if (++attempts == 1) {
        co_await db().transact([&](Txn& other) -> Task<void> {
          other.erase_range(prefix_range("r/"));
          co_return;
        });
      }
      tx.put("z", "1");
    }));
    return attempts;
  };
  EXPECT_EQ(attempts_when([](Txn& tx) -> Task<void> { co_await tx.get("r/2"); }), 2);
  EXPECT_EQ(attempts_when([](Txn& tx) -> Task<void> { co_await tx.scan(prefix_range("r/")); }), 2);
  EXPECT_EQ(attempts_when([](Txn& tx) -> Task<void> { co_await tx.get("s"); }), 1);
  EXPECT_EQ(scan(prefix_range("r/")), "");
}

TEST_P(Contract, EraseRangeTakesManyKeysAndThoseWrittenLater) {
  get(db().transact([&](Txn& tx) -> Task<void> {
    for (int i = 0; i < 3000; ++i) tx.put(cat("m/", 100000 + i), "x");
    tx.put("m0", "stays");
    co_return;
  }));
  int attempts = 0;
  get(db().transact([&](Txn& tx) -> Task<void> {
    ++attempts;
    EXPECT_EQ((co_await tx.scan(prefix_range("m/"), {.limit = 1})).size(), 1u);
    co_await write("m/zz", "late");
    tx.erase_range(prefix_range("m/"));
    tx.put("m/kept", "1");
  }));
  EXPECT_EQ(attempts, 1);
  EXPECT_EQ(scan(prefix_range("m")), "m/kept m0");
  put(db(), "m/100001", "again");
  EXPECT_EQ(scan(prefix_range("m")), "m/100001 m/kept m0");
}

TEST_P(Contract, EffectsRunOnceAndOnlyAfterACommit) {
  fill("n");
  int effects = 0, attempts = 0;
  get(db().transact([&](Txn& tx) -> Task<void> {
    co_await tx.get("n");
    tx.on_commit([&] {
      ++effects;
      EXPECT_EQ(read(db(), "m"), "1");
    });
    if (++attempts < 3) co_await write("n", "again");
    EXPECT_EQ(effects, 0);
    tx.put("m", "1");
  }));
  EXPECT_EQ(attempts, 3);
  EXPECT_EQ(effects, 1);
  const auto failed = run(db().transact([&](Txn& tx) -> Task<void> {
    tx.on_commit([&] { ++effects; });
    tx.put("q", "1");
    co_await fail(conflict_error());
  }));
  EXPECT_FALSE(failed);
  EXPECT_EQ(effects, 1);
}

TEST_P(Contract, GivesUpAfterTooManyConflicts) {
  fill("n");
  int attempts = 0;
  const auto result = run(db().transact([&](Txn& tx) -> Task<void> {
    co_await tx.get("n");
    co_await write("n", cat(++attempts));
    tx.put("m", "1");
  }));
  ASSERT_FALSE(result);
  EXPECT_TRUE(is_conflict(result.error()));
  EXPECT_EQ(error_of(result)->shape->code, "TransactionConflict");
  EXPECT_EQ(attempts, kMaxAttempts);
  EXPECT_GE(db().stats().conflicts, static_cast<uint64_t>(kMaxAttempts));
}

TEST_P(Contract, LogsKeepOrderAndForget) {
  for (int i = 0; i < 5; ++i) {
    get(db().transact([&](Txn& tx) -> Task<void> {
      tx.append("orders", cat("a", i));
      tx.append("others", cat("x", i));
      tx.append("orders", cat("b", i));
      co_return;
    }));
  }
  const auto values = [&](LogPosition after, size_t limit) {
    std::string out;
    const auto reader = db().snapshot();
    for (const LogRecord& record : get(reader->read_log("orders", after, limit))) out += record.value;
    return out;
  };
  EXPECT_EQ(values("", 100), "a0b0a1b1a2b2a3b3a4b4");
  const auto some = get(db().snapshot()->read_log("orders", "", 3));
  ASSERT_EQ(some.size(), 3u);
  EXPECT_EQ(some[0].position.size(), 10u);
  EXPECT_LT(some[0].position, some[1].position);
  EXPECT_EQ(values(some[2].position, 2), "b1a2");
  get(db().transact([&](Txn& tx) -> Task<void> {
    tx.trim_log("orders", some[2].position);
    tx.append("orders", "new");
    co_return;
  }));
  EXPECT_EQ(values("", 100), "b1a2b2a3b3a4b4new");
  EXPECT_EQ(get(db().snapshot()->read_log("others", "", 100)).size(), 5u);
  EXPECT_EQ(get(db().snapshot()->read_log("order", "", 100)).size(), 0u);
}

TEST_P(Contract, OrderedPutsAreUniqueAndInCommitOrder) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        get(db().transact([&](Txn& tx) -> Task<void> {
          tx.put_ordered("q/", cat(t, ":", 100 + i));
          tx.put_ordered("q/", cat(t, ":", 100 + i, "+"));
          co_return;
        }));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const auto entries = get(db().snapshot()->scan(prefix_range("q/")));
  ASSERT_EQ(entries.size(), 200u);
  std::map<char, std::string> last;
  for (const Entry& entry : entries) {
    EXPECT_EQ(entry.key.size(), 12u);
    EXPECT_LT(last[entry.value[0]], entry.value);
    last[entry.value[0]] = entry.value;
  }
  EXPECT_EQ(db().stats().conflicts, 0u);
}

TEST_P(Contract, CountersFromManyThreads) {
  constexpr int kThreads = 4, kEach = 50;
  std::vector<std::thread> threads;
  std::atomic<int> effects = 0;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        get(db().transact([&](Txn& tx) -> Task<void> {
          const auto value = co_await tx.get("counter");
          tx.put("counter", cat(parse_int(value.value_or("0")).value() + 1));
          tx.on_commit([&] { ++effects; });
        }));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(read(db(), "counter"), cat(kThreads * kEach));
  EXPECT_EQ(effects, kThreads * kEach);
  EXPECT_GE(db().stats().commits, static_cast<uint64_t>(kThreads * kEach));
}

TEST_P(Contract, LargeValuesAndLimits) {
  const std::string large(3 << 20, 'x');
  put(db(), "large", large);
  EXPECT_EQ(read(db(), "large"), large);
  put(db(), std::string(kMaxKey, 'k'), "");
  EXPECT_EQ(read(db(), std::string(kMaxKey, 'k')), "");
  const auto refused = [&](std::string key, size_t value) {
    return !run(db().transact([&](Txn& tx) -> Task<void> {
      tx.put(key, std::string(value, 'v'));
      co_return;
    }));
  };
  EXPECT_TRUE(refused(std::string(kMaxKey + 1, 'k'), 1));
  EXPECT_TRUE(refused("", 1));
  EXPECT_TRUE(refused("\xff", 1));
  EXPECT_TRUE(refused("\xffmeta/version", 1));
  EXPECT_TRUE(refused("k", kMaxValue + 1));
  EXPECT_EQ(read(db(), "\xffmeta/format"), std::nullopt);
  const std::string bytes("\0\1\xfe\xff\0", 5);
  put(db(), bytes, bytes);
  EXPECT_EQ(read(db(), bytes), bytes);
}

// Random transactions on few keys, against a map that does the same.
TEST_P(Contract, AgreesWithAModel) {
  std::mt19937 random(20240501);
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const auto key = [&] { return cat("k", pick(40) + 10); };
  std::map<std::string, std::string> model;
  for (int round = 0; round < 300; ++round) {
    const bool rolls_back = pick(6) == 0;
    auto copy = model;
    const auto result = run(db().transact([&](Txn& tx) -> Task<void> {
      copy = model;
      for (int step = 0; step < 12; ++step) {
        const std::string a = key(), b = key();
        switch (pick(6)) {
          case 0:
          case 1: {
            std::string value = cat(round, ".", step);
            copy[a] = value;
            tx.put(a, value);
            break;
          }
          case 2:
            copy.erase(a);
            tx.erase(a);
            break;
          case 3:
            if (a < b && pick(2)) {
              copy.erase(copy.lower_bound(a), copy.lower_bound(b));
              tx.erase_range({a, b});
            }
            break;
          case 4: {
            const auto value = co_await tx.get(a);
            const auto found = copy.find(a);
            EXPECT_EQ(value, found == copy.end() ? std::nullopt : std::optional(found->second));
            break;
          }
          default: {
            const ScanOptions options{.limit = static_cast<size_t>(pick(10)), .reverse = pick(2) == 0};
            std::string expected;
            size_t left = options.limit;
            if (a < b && options.reverse) {
              for (auto it = copy.lower_bound(b); left > 0 && it != copy.lower_bound(a); --left)
                append(expected, (--it)->first, "=", it->second, " ");
            } else if (a < b) {
              for (auto it = copy.lower_bound(a); left > 0 && it != copy.lower_bound(b); --left, ++it)
                append(expected, it->first, "=", it->second, " ");
            }
            std::string got;
            for (const Entry& entry : co_await tx.scan({a, b}, options)) append(got, entry.key, "=", entry.value, " ");
            EXPECT_EQ(got, expected);
          }
        }
      }
      if (rolls_back) co_await fail(conflict_error());
    }));
    EXPECT_EQ(result.has_value(), !rolls_back);
    if (result) model = copy;
    std::string expected, got;
    for (const auto& [k, v] : model) append(expected, k, "=", v, " ");
    for (const Entry& entry : get(db().snapshot()->scan({}))) append(got, entry.key, "=", entry.value, " ");
    ASSERT_EQ(got, expected) << "round " << round;
  }
}

// Money moves between accounts from several threads while readers add it up: every instant is consistent.
TEST_P(Contract, ConcurrentTransfersKeepTheSum) {
  constexpr int kAccounts = 6;
  get(db().transact([&](Txn& tx) -> Task<void> {
    for (int i = 0; i < kAccounts; ++i) tx.put(cat("acc/", i), "100");
    co_return;
  }));
  std::atomic<bool> stop = false;
  std::thread reader([&] {
    while (!stop) {
      int64_t sum = 0;
      for (const Entry& entry : get(db().snapshot()->scan(prefix_range("acc/")))) sum += *parse_int(entry.value);
      EXPECT_EQ(sum, 100 * kAccounts);
    }
  });
  std::vector<std::thread> writers;
  for (int t = 0; t < 3; ++t) {
    writers.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < 40; ++i) {
        const std::string from = cat("acc/", random() % kAccounts), to = cat("acc/", random() % kAccounts);
        if (from == to) continue;
        get(db().transact([&](Txn& tx) -> Task<void> {
          const int64_t a = *parse_int(*co_await tx.get(from)), b = *parse_int(*co_await tx.get(to));
          tx.put(from, cat(a - 1));
          tx.put(to, cat(b + 1));
        }));
      }
    });
  }
  for (auto& writer : writers) writer.join();
  stop = true;
  reader.join();
}

// Producers put at the back, consumers take from the front: each item is taken exactly once, and none is overlooked.
TEST_P(Contract, QueueWithManyConsumers) {
  constexpr int kProducers = 2, kConsumers = 3, kEach = 60;
  std::vector<std::thread> threads;
  for (int p = 0; p < kProducers; ++p) {
    threads.emplace_back([&, p] {
      for (int i = 0; i < kEach; ++i) {
        get(db().transact([&](Txn& tx) -> Task<void> {
          tx.put_ordered("q/", cat(p, "-", i));
          co_return;
        }));
      }
    });
  }
  std::mutex mutex;
  std::multiset<std::string> taken;
  for (int c = 0; c < kConsumers; ++c) {
    threads.emplace_back([&] {
      const auto consume = [&]() -> Task<void> {
        while (true) {
          {
            std::lock_guard lock(mutex);
            if (taken.size() == kProducers * kEach) co_return;
          }
          Version seen = 0;
          const auto value = co_await db().transact([&](Txn& tx) -> Task<std::optional<std::string>> {
            seen = tx.version();
            const auto front = co_await tx.scan(prefix_range("q/"), {.limit = 1});
            if (front.empty()) co_return std::nullopt;
            tx.erase(front[0].key);
            co_return front[0].value;
          });
          if (value) {
            std::lock_guard lock(mutex);
            taken.insert(*value);
          } else {
            co_await db().wait_change("q/", seen, std::chrono::milliseconds(50));
          }
        }
      };
      get(consume());
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(taken.size(), static_cast<size_t>(kProducers * kEach));
  EXPECT_EQ(std::set<std::string>(taken.begin(), taken.end()).size(), taken.size());
  EXPECT_EQ(scan(prefix_range("q/")), "");
}

}  // namespace
}  // namespace virga::kv
