// What only a store on disk promises: it survives closing, failing disks and other processes.
#include <rocksdb/db.h>
#include <sys/wait.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "base/encoding.h"
#include "base/fault.h"
#include "base/str.h"
#include "kv/test_store.h"

namespace rocksdb::crc32c {  // checksum.cc
uint32_t Extend(uint32_t crc, const char* data, size_t size);
uint32_t Crc32cCombine(uint32_t first, uint32_t second, size_t size);
}  // namespace rocksdb::crc32c

namespace virga::kv {
namespace {

std::string refusal(const std::string& directory) {
  try {
    open_rocks({.directory = directory});
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(Rocks, ReopeningKeepsEverything) {
  TempDir dir;
  Version version = 0;
  LogPosition first;
  for (int round = 0; round < 4; ++round) {
    const auto db = open_rocks({.directory = dir / "db", .memtable_bytes = 256 << 10});
    EXPECT_EQ(db->snapshot()->version(), version);
    for (int i = 0; i < 20; ++i) {
      get(db->transact([&](Txn& tx) -> Task<void> {
        tx.put(cat("k/", round, "/", i), std::string(20'000, 'x'));
        tx.append("log", cat(round * 20 + i));
        co_return;
      }));
    }
    version = db->snapshot()->version();
    EXPECT_EQ(version, static_cast<Version>(20 * (round + 1)));
    const auto records = get(db->snapshot()->read_log("log", "", 1000));
    ASSERT_EQ(records.size(), 20u * static_cast<size_t>(round + 1));
    for (size_t i = 0; i < records.size(); ++i) EXPECT_EQ(records[i].value, cat(i));
    if (round == 0) first = records[0].position;
    EXPECT_EQ(records[0].position, first);
    EXPECT_EQ(get(db->snapshot()->scan(prefix_range("k/"))).size(), 20u * static_cast<size_t>(round + 1));
  }
}

// A start that was cut off before its files were on the disk: they may be there and hold nothing.
TEST(Rocks, AnUnfinishedMakingIsMadeAnew) {
  TempDir dir;
  std::filesystem::create_directories(dir / "db");
  for (const char* name : {"UNFINISHED", "CURRENT", "MANIFEST-000005"})
    std::ofstream(cat(dir / "db", "/", name)).flush();
  for (int round = 0; round < 2; ++round) {
    const auto db = open_rocks({.directory = dir / "db"});
    EXPECT_FALSE(std::filesystem::exists(cat(dir / "db", "/UNFINISHED")));
    EXPECT_EQ(get(db->snapshot()->scan(prefix_range(""))).size(), static_cast<size_t>(round));
    put(*db, cat("k", round), "v");
  }
}

TEST(Rocks, RefusesAFolderInUse) {
  TempDir dir;
  const auto db = open_rocks({.directory = dir / "db"});
  EXPECT_NE(refusal(dir / "db").find("in use by another process"), std::string::npos) << refusal(dir / "db");
}

// Names another format in a closed store; gives the one that was named before.
uint64_t rename_format(const std::string& directory, uint64_t number) {
  rocksdb::DB* db = nullptr;
  EXPECT_TRUE(rocksdb::DB::Open({}, directory, &db).ok());
  const std::unique_ptr<rocksdb::DB> owned(db);
  std::string before, format;
  EXPECT_TRUE(owned->Get({}, "\xffmeta/format", &before).ok());
  append_be64(format, number);
  EXPECT_TRUE(owned->Put({}, "\xffmeta/format", format).ok());
  return read_be64(before.data());
}

TEST(Rocks, RefusesANewerFormat) {
  TempDir dir;
  open_rocks({.directory = dir / "db"}).reset();
  rename_format(dir / "db", 3);
  EXPECT_NE(refusal(dir / "db").find("format 3 and this build reads up to 2"), std::string::npos)
      << refusal(dir / "db");
}

TEST(Rocks, TakesAnOlderFormatOver) {
  TempDir dir;
  put(*open_rocks({.directory = dir / "db"}), "a", "1");
  EXPECT_EQ(rename_format(dir / "db", 1), 2U);
  put(*open_rocks({.directory = dir / "db"}), "b", "2");
  EXPECT_EQ(rename_format(dir / "db", 2), 2U);
}

TEST(Rocks, SaysWhatToDoAboutDamage) {
  TempDir dir;
  {
    const auto db = open_rocks({.directory = dir / "db"});
    put(*db, "a", "1");
  }
  for (const auto& file : std::filesystem::directory_iterator(dir / "db")) {
    if (file.path().filename().string().starts_with("MANIFEST")) std::filesystem::resize_file(file.path(), 20);
  }
  EXPECT_NE(refusal(dir / "db").find("is damaged"), std::string::npos) << refusal(dir / "db");
}

std::string log_file(const std::string& directory) {
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    if (file.path().extension() == ".log") return file.path().string();
  }
  return "";
}

// The log's size stays the same from one commit to the next: a sync then waits for its own bytes only. The same where
// the file system takes no direct writes.
class Log : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (!GetParam()) return;
    if (!faults_built_in()) GTEST_SKIP();
    arm_fault("kv.rocks.no_direct_log", FaultAction::kFail);
  }
  void TearDown() override { disarm_faults(); }
};
INSTANTIATE_TEST_SUITE_P(Rocks, Log, testing::Bool());

TEST_P(Log, IsFilledAheadAndCutWhenItIsClosed) {
  TempDir dir;
  auto db = open_rocks({.directory = dir / "db"});
  put(*db, "k0", "1");
  const std::string log = log_file(dir / "db");
  const auto size = std::filesystem::file_size(log);
  for (int i = 1; i < 10; ++i) put(*db, cat("k", i), std::string(1000, 'x'));
  EXPECT_EQ(std::filesystem::file_size(log), size);
  put(*db, "large", std::string(1 << 20, 'x'));
  EXPECT_GT(std::filesystem::file_size(log), (1u << 20) + 20'000);
  db.reset();
  EXPECT_LT(std::filesystem::file_size(log), (1u << 20) + 20'000);
  db = open_rocks({.directory = dir / "db"});
  EXPECT_EQ(read(*db, "k9"), std::string(1000, 'x'));
  EXPECT_EQ(read(*db, "large"), std::string(1 << 20, 'x'));
}

// What an acknowledged commit wrote is in the file, whatever its size makes of pages and pieces.
TEST_P(Log, HoldsWhatIsAcknowledged) {
  TempDir dir;
  std::map<std::string, std::string> rows;
  const auto db = open_rocks({.directory = dir / "db"});
  int copies = 0;
  for (const size_t size : {1u, 300u, 4000u, 4096u, 70'000u, 262'144u, 600'000u, 30u, 8192u, 100u}) {
    const std::string key = cat("k", rows.size());
    rows[key] = std::string(size, static_cast<char>('a' + rows.size()));
    put(*db, key, rows[key]);
    // As a machine finds it that was cut off now.
    const std::string copy = dir / cat("copy", copies++);
    std::filesystem::copy(dir / "db", copy);
    std::filesystem::remove(copy + "/LOCK");
    const auto again = open_rocks({.directory = copy});
    for (const auto& [name, value] : rows) EXPECT_EQ(read(*again, name), value);
  }
}

TEST(Rocks, ChecksumsOfPartsMakeThatOfTheWhole) {
  const std::string first = "nothing acknowledged", second = " is ever lost";
  EXPECT_EQ(rocksdb::crc32c::Crc32cCombine(crc32c(first), crc32c(second), second.size()), crc32c(first + second));
  EXPECT_EQ(rocksdb::crc32c::Extend(crc32c(first), second.data(), second.size()), crc32c(first + second));
}

TEST(Rocks, NoticesThatAcknowledgedCommitsAreMissing) {
  TempDir dir;
  {
    const auto db = open_rocks({.directory = dir / "db"});
    for (int i = 0; i < 10; ++i) put(*db, cat("k", i), "1");
  }
  const std::string log = log_file(dir / "db");
  std::filesystem::resize_file(log, std::filesystem::file_size(log) - 5);
  EXPECT_NE(refusal(dir / "db").find("the last 1 of 10 commits are missing"), std::string::npos) << refusal(dir / "db");
  std::filesystem::remove(dir / "db/ACKNOWLEDGED");
  const auto db = open_rocks({.directory = dir / "db"});
  EXPECT_EQ(db->snapshot()->version(), 9u);
  EXPECT_EQ(read(*db, "k8"), "1");
  EXPECT_EQ(read(*db, "k9"), std::nullopt);
}

TEST(Rocks, AHalfWrittenCommitIsNoDamage) {
  TempDir dir;
  {
    const auto db = open_rocks({.directory = dir / "db"});
    for (int i = 0; i < 10; ++i) put(*db, cat("k", i), "1");
  }
  std::ofstream(log_file(dir / "db"), std::ios::app | std::ios::binary) << std::string(100, '\x5a');
  const auto db = open_rocks({.directory = dir / "db"});
  EXPECT_EQ(db->snapshot()->version(), 10u);
  put(*db, "k10", "1");
  EXPECT_EQ(db->snapshot()->version(), 11u);
}

TEST(Rocks, SaysWhyAFolderCannotBeMade) {
  TempDir dir;
  {
    const auto db = open_rocks({.directory = dir / "db"});
  }
  EXPECT_NE(refusal(dir / "db/CURRENT/x").find("can't be made"), std::string::npos) << refusal(dir / "db/CURRENT/x");
}

TEST(Rocks, CheckpointIsAWholeStore) {
  TempDir dir;
  const auto db = open_rocks({.directory = dir / "db"});
  for (int i = 0; i < 50; ++i) put(*db, cat("k", i), std::string(10'000, 'x'));
  const Version version = db->snapshot()->version();
  get(db->checkpoint(dir / "copy"));
  put(*db, "after", "1");
  const auto copy = open_rocks({.directory = dir / "copy"});
  EXPECT_EQ(copy->snapshot()->version(), version);
  EXPECT_EQ(get(copy->snapshot()->scan({})).size(), 50u);
  put(*copy, "own", "1");
  EXPECT_EQ(read(*db, "own"), std::nullopt);
  const auto again = run(db->checkpoint(dir / "copy"));
  ASSERT_FALSE(again);
  EXPECT_NE(describe(again.error()).find("could not be made"), std::string::npos);
}

TEST(Rocks, StatsMove) {
  TempDir dir;
  const auto db = open_rocks({.directory = dir / "db"});
  put(*db, "a", std::string(5000, 'x'));
  const auto stats = db->stats();
  EXPECT_EQ(stats.commits, 1u);
  EXPECT_EQ(stats.syncs, 1u);
  EXPECT_GT(stats.bytes_written, 5000u);
  EXPECT_GT(stats.memory_bytes, 5000u);
}

// Walks that skip remembered gaps see what a map sees, at every instant that somebody still reads.
TEST(Rocks, GapsHideNothing) {
  TempDir dir;
  const auto db = open_rocks({.directory = dir / "db", .memtable_bytes = 128 << 10, .gap_worth = 1});
  std::mt19937 random(7);
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  using Model = std::map<std::string, std::string>;
  Model model;
  std::vector<std::pair<std::unique_ptr<Reader>, Model>> readers;
  const auto key = [&] { return cat("q", pick(3), "/", 100 + pick(400)); };
  const auto text = [](const auto& entries) {
    std::string out;
    for (const auto& [k, v] : entries) append(out, k, "=", v, " ");
    return out;
  };
  for (int round = 0; round < 100; ++round) {
    get(db->transact([&](Txn& tx) -> Task<void> {
      for (int step = pick(20); step >= 0; --step) {
        const std::string a = key(), b = key();
        switch (pick(8)) {
          case 0:  // takes from the front, as queues do
          case 1:
          case 2: {
            const std::string prefix = cat("q", pick(3), "/");
            for (int n = pick(6); n >= 0; --n) {
              const auto front = co_await tx.scan(prefix_range(prefix), {.limit = 1});
              if (front.empty()) break;
              EXPECT_EQ(front[0].key, model.lower_bound(prefix)->first);
              tx.erase(front[0].key);
              model.erase(front[0].key);
            }
            break;
          }
          case 3:
            if (a < b && pick(4) == 0) {
              tx.erase_range({a, b});
              model.erase(model.lower_bound(a), model.lower_bound(b));
            }
            break;
          default:
            tx.put(a, cat(round));
            model[a] = cat(round);
        }
      }
    }));
    if (pick(4) == 0) readers.emplace_back(db->snapshot(), model);
    if (readers.size() > 6) readers.erase(readers.begin() + pick(6));
    readers.emplace_back(db->snapshot(), model);
    for (const auto& [reader, then] : readers) {
      std::string a = pick(2) ? cat("q", pick(3), "/") : key(), b = key();
      if (a > b) std::swap(a, b);
      Model expected(then.lower_bound(a), then.lower_bound(b));
      std::vector<std::pair<std::string, std::string>> got;
      for (Entry& entry : get(reader->scan({a, b}))) got.emplace_back(entry.key, entry.value);
      ASSERT_EQ(text(got), text(expected)) << round;
      got.clear();
      for (Entry& entry : get(reader->scan({a, b}, {.reverse = true})))
        got.emplace(got.begin(), entry.key, entry.value);
      ASSERT_EQ(text(got), text(expected)) << round;
    }
    readers.pop_back();
  }
}

// Taking from the front of a queue costs the same however much was taken before.
TEST(Rocks, FrontOfALongQueueIsNear) {
  TempDir dir;
  const auto db = open_rocks({.directory = dir / "db"});
  constexpr int kRecords = 20'000;
  for (int i = 0; i < kRecords; i += 1000) {
    get(db->transact([&](Txn& tx) -> Task<void> {
      for (int n = 0; n < 1000; ++n) tx.append("jobs", "x");
      co_return;
    }));
  }
  std::chrono::steady_clock::duration first{}, last{};
  for (int taken = 0; taken < kRecords; taken += 200) {
    const auto begun = std::chrono::steady_clock::now();
    const auto records = get(db->snapshot()->read_log("jobs", "", 200));
    ASSERT_EQ(records.size(), 200u);
    get(db->transact([&](Txn& tx) -> Task<void> {
      tx.trim_log("jobs", records.back().position);
      co_return;
    }));
    const auto took = std::chrono::steady_clock::now() - begun;
    if (taken < kRecords / 10) first += took;
    if (taken >= kRecords - kRecords / 10) last += took;
  }
  EXPECT_LT(last, first * 4 + std::chrono::milliseconds(20));
  EXPECT_TRUE(get(db->snapshot()->read_log("jobs", "", 1)).empty());
}

#if VIRGA_FAULTS
TEST(Rocks, FailedWriteFailsTheTransactionAndLaterOnesGoOn) {
  TempDir dir;
  const auto db = open_rocks({.directory = dir / "db"});
  put(*db, "a", "1");
  arm_fault("kv.rocks.write_fails", FaultAction::kFail);
  int effects = 0;
  const auto increment = [&] {
    return run(db->transact([&](Txn& tx) -> Task<void> {
      const auto value = co_await tx.get("a");
      tx.on_commit([&] { ++effects; });
      tx.put("a", cat(*parse_int(*value) + 1));
    }));
  };
  const auto failed = increment();
  ASSERT_FALSE(failed);
  EXPECT_NE(describe(failed.error()).find("nothing was saved"), std::string::npos);
  EXPECT_EQ(read(*db, "a"), "1");
  disarm_faults();
  EXPECT_TRUE(increment());
  EXPECT_EQ(read(*db, "a"), "2");
  EXPECT_EQ(effects, 1);
}

// A process is killed at each point of a commit; the store it leaves holds all of what was acknowledged, and of what
// was not, all or nothing.
TEST(Rocks, KilledAtAnyPointKeepsWhatWasAcknowledged) {
  for (const char* point : {"kv.rocks.before_write", "kv.rocks.after_write", "kv.rocks.after_publish"}) {
    TempDir dir;
    int acknowledged[2];
    ASSERT_EQ(pipe(acknowledged), 0);
    const pid_t child = fork();
    if (child == 0) {
      const auto db = open_rocks({.directory = dir / "db"});
      arm_fault(point, FaultAction::kKill, 7);
      for (int i = 1;; ++i) {
        get(db->transact([&](Txn& tx) -> Task<void> {
          tx.put("left", cat(i));
          tx.append("log", cat(i));
          tx.put("right", cat(i));
          co_return;
        }));
        if (::write(acknowledged[1], "x", 1) != 1) _exit(1);
      }
    }
    close(acknowledged[1]);
    int count = 0;
    for (char byte; ::read(acknowledged[0], &byte, 1) == 1;) ++count;
    close(acknowledged[0]);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << point;
    EXPECT_EQ(count, 7) << point;
    const auto db = open_rocks({.directory = dir / "db"});
    const int64_t left = *parse_int(*read(*db, "left"));
    EXPECT_EQ(left, std::string_view(point) == "kv.rocks.before_write" ? 7 : 8) << point;
    EXPECT_EQ(read(*db, "right"), cat(left));
    EXPECT_EQ(get(db->snapshot()->read_log("log", "", 100)).size(), static_cast<size_t>(left));
    EXPECT_EQ(db->snapshot()->version(), static_cast<Version>(left));
  }
}
#endif

}  // namespace
}  // namespace virga::kv
