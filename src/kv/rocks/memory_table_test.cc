// The table in memory against a map: in order both ways, at every instant, also while it is written to.
#include <rocksdb/db.h>

#include <atomic>
#include <map>
#include <optional>
#include <random>
#include <thread>

#include "base/str.h"
#include "kv/rocks/open.h"
#include "kv/test_store.h"

namespace virga::kv {
namespace {

using Rows = std::map<std::string, std::string>;

std::string random_key(std::mt19937& random) {
  std::string key = "k";
  for (auto length = random() % 4; length > 0; --length) key += static_cast<char>("\0a\x7f\xff"[random() % 4]);
  return key;
}

void expect_rows(rocksdb::DB& db, const rocksdb::Snapshot* at, const Rows& rows, std::mt19937& random) {
  rocksdb::ReadOptions options;
  options.snapshot = at;
  const std::unique_ptr<rocksdb::Iterator> found(db.NewIterator(options));
  Rows forwards, backwards;
  for (found->SeekToFirst(); found->Valid(); found->Next()) {
    EXPECT_TRUE(forwards.empty() || forwards.rbegin()->first < found->key().ToString());
    forwards.emplace_hint(forwards.end(), found->key().ToString(), found->value().ToString());
  }
  for (found->SeekToLast(); found->Valid(); found->Prev())
    backwards.emplace_hint(backwards.begin(), found->key().ToString(), found->value().ToString());
  EXPECT_EQ(forwards, rows);
  EXPECT_EQ(backwards, rows);
  for (int i = 0; i < 20; ++i) {
    const std::string key = random_key(random);
    const auto next = rows.lower_bound(key);
    found->Seek(key);
    ASSERT_EQ(found->Valid(), next != rows.end());
    if (found->Valid()) EXPECT_EQ(found->key().ToString(), next->first);
    const auto above = rows.upper_bound(key);
    found->SeekForPrev(key);
    ASSERT_EQ(found->Valid(), above != rows.begin());
    if (found->Valid()) EXPECT_EQ(found->key().ToString(), std::prev(above)->first);
    std::string value;
    EXPECT_EQ(db.Get(options, key, &value).ok(), rows.contains(key));
  }
}

// Whether rows come one by one or wait for each other.
class Insertion : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(MemoryTable, Insertion, testing::Bool());

TEST_P(Insertion, HasWhatAMapHas) {
  TempDir dir;
  const auto opened = open_rocks_files({.directory = dir / "db", .memtable_bytes = 1 << 20});
  rocksdb::DB& db = *opened.db;
  std::mt19937 random(7);
  Rows rows;
  for (int round = 0; round < 20; ++round) {
    const Rows before = rows;
    const rocksdb::Snapshot* const then = db.GetSnapshot();
    rocksdb::WriteBatch batch;
    for (int i = 0; i < 50; ++i) {
      const std::string key = random_key(random);
      if (random() % 3 == 0) {
        batch.Delete(key);
        rows.erase(key);
      } else {
        std::string value(random() % 300, static_cast<char>('a' + i % 26));
        batch.Put(key, value);
        rows.insert_or_assign(key, std::move(value));
      }
    }
    if (GetParam()) {
      const std::string last = cat("last", round % 3);
      batch.Put(last, cat(round));
      rows.insert_or_assign(last, cat(round));
      opened.tables->gather_until(last);
    }
    ASSERT_TRUE(db.Write({}, &batch).ok());
    expect_rows(db, nullptr, rows, random);
    expect_rows(db, then, before, random);
    db.ReleaseSnapshot(then);
  }
}

TEST(MemoryTable, TakesOverTheMemoryOfTablesThatAreInFiles) {
  TempDir dir;
  const auto opened = open_rocks_files({.directory = dir / "db", .memtable_bytes = 1 << 20});
  rocksdb::DB& db = *opened.db;
  std::mt19937 random(5);
  Rows rows;
  // Rows of all sizes, some too large for a block; an iterator holds on to tables after they are in files.
  for (int round = 0; round < 12; ++round) {
    const std::unique_ptr<rocksdb::Iterator> held(db.NewIterator({}));
    const Rows then = rows;
    for (int i = 0; i < 60; ++i) {
      const std::string key = cat(random() % 200);
      std::string value(size_t{1} << random() % 18, static_cast<char>('a' + random() % 26));
      ASSERT_TRUE(db.Put({}, key, value).ok());
      rows.insert_or_assign(key, std::move(value));
    }
    if (round % 3 == 0) ASSERT_TRUE(db.Flush({}).ok());
    if (round % 4 == 0) opened.tables->rest();
    expect_rows(db, nullptr, rows, random);
    auto expected = then.begin();
    for (held->SeekToFirst(); held->Valid(); held->Next(), ++expected) {
      ASSERT_NE(expected, then.end());
      EXPECT_EQ(held->value().ToString(), expected->second);
    }
    EXPECT_EQ(expected, then.end());
    // Flushes come in time: tables hold no more than they may.
    uint64_t bytes = 0;
    ASSERT_TRUE(db.GetIntProperty("rocksdb.cur-size-active-mem-table", &bytes));
    EXPECT_LE(bytes, (1u << 20) + (256u << 10));
  }
}

TEST(MemoryTable, HasAfterAStartWhatTheLogHas) {
  TempDir dir;
  std::mt19937 random(11);
  Rows rows;
  // Keys of every length around the parts that they are sorted by, some much alike, many written again and again.
  const auto key_of = [&] { return std::string(random() % 20 * 5, 'p') + random_key(random); };
  for (int start = 0; start < 3; ++start) {
    const auto opened = open_rocks_files({.directory = dir / "db"});
    expect_rows(*opened.db, nullptr, rows, random);
    for (int i = 0; i < 2000; ++i) {
      const std::string key = i % 3 == 0 ? std::string(
                                               "\xff"
                                               "often")
                                         : key_of();
      if (random() % 4 == 0) {
        ASSERT_TRUE(opened.db->Delete({}, key).ok());
        rows.erase(key);
      } else {
        const std::string value = cat(start, "/", i);
        ASSERT_TRUE(opened.db->Put({}, key, value).ok());
        rows.insert_or_assign(key, value);
      }
    }
    expect_rows(*opened.db, nullptr, rows, random);
  }
}

TEST(MemoryTable, IsReadWhileItIsWritten) {
  TempDir dir;
  const auto opened = open_rocks_files({.directory = dir / "db"});
  rocksdb::DB& db = *opened.db;
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  std::atomic<int> looks = 0;
  for (int reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&] {
      while (!done || looks < 20) {
        // Batches put two rows, so an instant has an even number, in order.
        const std::unique_ptr<rocksdb::Iterator> found(db.NewIterator({}));
        std::optional<std::string> last;
        size_t count = 0;
        for (found->SeekToFirst(); found->Valid(); found->Next(), ++count) {
          EXPECT_TRUE(!last || *last < found->key().ToString());
          last = found->key().ToString();
        }
        EXPECT_EQ(count % 2, 0u);
        ++looks;
      }
    });
  }
  std::mt19937 random(3);
  for (int i = 0; i < 4000; ++i) {
    rocksdb::WriteBatch batch;
    const std::string key = cat(random(), "/", i);
    batch.Put(cat(key, "/a"), std::string(100, 'x'));
    batch.Put(cat(key, "/b"), std::string(100, 'y'));
    if (i % 2 == 0) opened.tables->gather_until(cat(key, "/b"));
    ASSERT_TRUE(db.Write({}, &batch).ok());
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace virga::kv
