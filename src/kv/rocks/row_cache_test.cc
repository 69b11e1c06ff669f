// What the cache of rows may answer, and what it may never.
#include "kv/rocks/row_cache.h"

#include <atomic>
#include <thread>

#include "base/str.h"
#include "kv/test_store.h"

namespace virga::kv {
namespace {

// A row is kept from its second read on.
void keep(RowCache& rows, std::string_view key, std::string_view value, Version version) {
  rows.found(key, value, version);
  rows.found(key, value, version);
}

TEST(RowCache, KeepsWhatIsReadTwice) {
  RowCache rows(1 << 20);
  rows.found("k", "1", 5);
  EXPECT_EQ(rows.find("k", 5), std::nullopt);
  rows.found("k", "1", 5);
  EXPECT_EQ(rows.find("k", 5), "1");
  EXPECT_EQ(rows.find("k", 9), "1");
  EXPECT_EQ(rows.find("k", 4), std::nullopt) << "an older instant may hold another value";
}

TEST(RowCache, AChangeIsNeverMissed) {
  RowCache rows(1 << 20);
  keep(rows, "k", "1", 5);
  rows.changes("k", 6);
  EXPECT_EQ(rows.find("k", 6), std::nullopt);
  keep(rows, "k", "1", 5);  // a reader that was slow
  EXPECT_EQ(rows.find("k", 6), std::nullopt);
  keep(rows, "k", "2", 6);
  EXPECT_EQ(rows.find("k", 6), "2");
  EXPECT_EQ(rows.find("k", 5), std::nullopt);
  rows.changes_everything(7);
  keep(rows, "k", "2", 6);
  EXPECT_EQ(rows.find("k", 7), std::nullopt);
}

TEST(RowCache, HoldsNoMoreThanItMay) {
  constexpr size_t kMost = 1 << 20;
  RowCache rows(kMost);
  for (int i = 0; i < 20'000; ++i) keep(rows, cat("row", i), std::string(1000, 'x'), 1);
  EXPECT_LE(rows.bytes(), kMost);
  EXPECT_GT(rows.bytes(), kMost / 2);
  keep(rows, "large", std::string(kMost / 2, 'x'), 1);
  EXPECT_EQ(rows.find("large", 1), std::nullopt);
  RowCache none(0);
  keep(none, "k", "1", 1);
  none.changes("k", 2);
  EXPECT_EQ(none.find("k", 1), std::nullopt);
}

TEST(RowCache, RowsReadInTurnsAreKeptAllOfThem) {
  RowCache rows(1 << 20);
  constexpr int kRows = 400;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < kRows; ++i) rows.found(cat("row", i), std::string(300, 'x'), 1);
  }
  int kept = 0;
  for (int i = 0; i < kRows; ++i) kept += rows.find(cat("row", i), 1).has_value();
  EXPECT_GT(kept, kRows * 98 / 100);
}

TEST(RowCache, WhatIsReadAgainStays) {
  RowCache rows(1 << 20);
  keep(rows, "hot", "1", 1);
  for (int i = 0; i < 50'000; ++i) {
    rows.find("hot", 1);
    keep(rows, cat("row", i), std::string(1000, 'x'), 1);
  }
  EXPECT_EQ(rows.find("hot", 1), "1");
}

// Writers of rows and readers of them: nobody sees less than what was acknowledged before, at any instant two rows that
// change together are the same, and the cache is what answers most.
TEST(RowCache, ReadersSeeWhatTheStoreHas) {
  TempDir dir;
  const auto db = open_rocks({.directory = dir / "db"});
  std::atomic<int> acknowledged = 0;
  std::atomic<bool> over = false;
  const auto write = [&](int n) {
    return run(db->transact([&](Txn& tx) -> Task<void> {
      for (const char* key : {"a", "b"}) tx.put(key, cat(n));
      co_return;
    }));
  };
  ASSERT_TRUE(write(0));
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      while (!over) {
        const int least = acknowledged;
        const auto snapshot = db->snapshot();
        const auto a = run(snapshot->get("a")), b = run(snapshot->get("b"));
        ASSERT_EQ(**a, **b);
        ASSERT_GE(std::stoi(**a), least);
      }
    });
  }
  for (int n = 1; n <= 300; ++n) {
    ASSERT_TRUE(write(n));
    acknowledged = n;
  }
  over = true;
  for (std::thread& reader : readers) reader.join();
  // An erased stretch takes its rows along.
  ASSERT_TRUE(run(db->transact([&](Txn& tx) -> Task<void> {
    tx.erase_range({"a", "c"});
    co_return;
  })));
  EXPECT_EQ(*run(db->snapshot()->get("a")), std::nullopt);
}

}  // namespace
}  // namespace virga::kv
