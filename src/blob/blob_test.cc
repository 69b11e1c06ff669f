#include "blob/blob.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "base/encoding.h"
#include "base/fault.h"
#include "blob/sums.h"
#include "kv/record.h"
#include "kv/test_store.h"

namespace virga::blob {
namespace {

using kv::get;
using kv::TempDir;

const Error kTooLarge{nullptr, "", nullptr, ""};

std::string noise(size_t size, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

class Blobs : public testing::Test {
 protected:
  void open(FileOptions options = {}) {
    store_.reset();
    if (!db_) db_ = kv::open_mem();
    store_ = open_files(dir_ / "blobs", *db_, options);
  }
  void SetUp() override { open(); }

  Ref make(std::string_view content, size_t chunk = 100'000) {
    return get([&]() -> Task<Ref> {
      const auto writer = store_->create();
      for (size_t at = 0; at < content.size(); at += chunk) co_await writer->write(content.substr(at, chunk));
      co_return co_await writer->finish();
    }());
  }
  std::string content(const Ref& ref, uint64_t offset = 0, uint64_t length = UINT64_MAX) {
    return get([&]() -> Task<std::string> {
      std::string out;
      const Body body = store_->read(ref, offset, length);
      while (auto chunk = co_await body->next()) {
        EXPECT_FALSE(chunk->empty());
        out += *chunk;
      }
      EXPECT_EQ(body->size(), out.size());
      co_return out;
    }());
  }
  void keep(const Ref& ref) {
    get(db_->transact([&](kv::Txn& tx) -> Task<void> { co_await store_->keep(tx, ref); }));
  }
  void drop(const Ref& ref) {
    get(db_->transact([&](kv::Txn& tx) -> Task<void> { co_await store_->drop(tx, ref); }));
  }
  size_t sweep() { return get(store_->sweep()); }
  size_t files() {
    size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_ / "blobs"))
      count += entry.is_regular_file();
    return count;
  }
  std::string failure(const Ref& ref, uint64_t offset = 0, uint64_t length = UINT64_MAX) {
    try {
      content(ref, offset, length);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  }

  TempDir dir_;
  std::unique_ptr<kv::Db> db_;
  std::unique_ptr<Store> store_;
};

TEST(Sums, CombineAsIfOnePiece) {
  const std::string all = noise(300'000);
  for (const size_t cut : {0u, 1u, 5u, 65536u, 131072u, 299'999u, 300'000u}) {
    const std::string_view a = std::string_view(all).substr(0, cut), b = std::string_view(all).substr(cut);
    EXPECT_EQ(combine_crc32c(crc32c(a), crc32c(b), b.size()), crc32c(all)) << cut;
  }
  BlockSums sums;
  for (size_t at = 0; at < all.size(); at += 777) sums.update(std::string_view(all).substr(at, 777));
  EXPECT_EQ(sums.whole(), crc32c(all));
  EXPECT_EQ(sums.blocks().size(), 5u);
  EXPECT_EQ(sums.blocks()[4], crc32c(std::string_view(all).substr(4 * kBlock)));
  EXPECT_EQ(decode_sums(encode_sums(sums.blocks())), sums.blocks());
}

TEST_F(Blobs, KeepContentOfEverySize) {
  for (const size_t size : {0u, 1u, 4096u, 4097u, 65535u, 65536u, 65537u, 262'144u, 1'000'003u}) {
    const std::string bytes = noise(size);
    const Ref ref = make(bytes);
    EXPECT_EQ(ref.size, size);
    EXPECT_EQ(ref.crc32c, crc32c(bytes));
    EXPECT_EQ(ref.id.empty(), size <= kInlineMost);
    EXPECT_EQ(content(ref), bytes);
    if (!ref.id.empty()) {
      std::ifstream file(store_->path(ref), std::ios::binary);
      EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), bytes);
    }
    const Ref stored = kv::decode<Ref>(kv::encode(ref));
    EXPECT_EQ(content(stored), bytes);
  }
}

TEST_F(Blobs, ReadAnyRange) {
  const std::string bytes = noise(700'001);
  const Ref ref = make(bytes), small = make("hello");
  for (const uint64_t offset :
       {0ul, 1ul, 65535ul, 65536ul, 262'143ul, 262'144ul, 600'000ul, 700'000ul, 700'001ul, 900'000ul}) {
    for (const uint64_t length : {0ul, 1ul, 100ul, 65536ul, 300'000ul, UINT64_MAX}) {
      const std::string expected = offset < bytes.size() ? bytes.substr(offset, length) : "";
      EXPECT_EQ(content(ref, offset, length), expected) << offset << " " << length;
    }
  }
  EXPECT_EQ(content(small, 1, 3), "ell");
  EXPECT_EQ(content(small, 9, 3), "");
}

TEST_F(Blobs, DamageIsFoundWhereItIs) {
  const Ref ref = make(noise(300'000));
  const auto flip = [](const std::string& path, off_t at) {
    const int fd = ::open(path.c_str(), O_RDWR);
    char byte;
    ASSERT_EQ(pread(fd, &byte, 1, at), 1);
    byte = static_cast<char>(byte ^ 1);
    ASSERT_EQ(pwrite(fd, &byte, 1, at), 1);
    close(fd);
  };
  flip(store_->path(ref), 150'000);
  EXPECT_NE(failure(ref).find("damaged at byte 131072"), std::string::npos) << failure(ref);
  EXPECT_EQ(failure(ref, 0, 100'000), "");
  EXPECT_EQ(failure(ref, 200'000, 10), "");
  EXPECT_NE(failure(ref, 140'000, 10), "");

  const Ref small = make(noise(5000));
  flip(store_->path(small), 4999);
  EXPECT_NE(failure(small).find("damaged"), std::string::npos);
  const Ref cut = make(noise(5000));
  std::filesystem::resize_file(store_->path(cut), 100);
  EXPECT_NE(failure(cut).find("ends early"), std::string::npos);
  std::filesystem::remove(store_->path(cut));
  EXPECT_NE(failure(cut).find("No such file"), std::string::npos);
}

TEST_F(Blobs, ConcatenateAlignedAndNot) {
  const auto joined = [&](const std::vector<size_t>& sizes) {
    std::vector<Ref> parts;
    std::string expected;
    for (const size_t size : sizes) {
      const std::string bytes = noise(size, static_cast<unsigned>(parts.size()));
      parts.push_back(make(bytes));
      expected += bytes;
    }
    const Ref ref = get(store_->concat(parts));
    EXPECT_EQ(ref.size, expected.size());
    EXPECT_EQ(ref.crc32c, crc32c(expected));
    EXPECT_EQ(content(ref), expected);
    EXPECT_EQ(content(ref, ref.size / 2, 70'000), expected.substr(expected.size() / 2, 70'000));
  };
  joined({});
  joined({10, 20});
  joined({0, 300'000, 0});
  joined({65536 * 5, 65536 * 2, 100});
  joined({65536 * 5, 65536, 65536 * 3});
  joined({65536 * 5, 100'000});
  joined({100'000, 100'000, 7});
  joined({5000, 65536});
}

TEST_F(Blobs, SweepTakesOnlyWhatNobodyRefersTo) {
  open({.unkept_grace = Micros(0), .dropped_grace = Micros(0)});
  const Ref kept = make(noise(100'000)), twice = make(noise(5000)), never = make(noise(5000, 2)), tiny = make("inline");
  keep(kept);
  keep(twice);
  keep(twice);
  keep(tiny);
  drop(tiny);
  drop(twice);
  EXPECT_EQ(sweep(), 1u);
  EXPECT_NE(failure(never), "");
  EXPECT_EQ(failure(twice), "");
  drop(twice);
  EXPECT_EQ(sweep(), 1u);
  EXPECT_NE(failure(twice), "");
  EXPECT_EQ(content(kept), noise(100'000));
  EXPECT_EQ(files(), 2u);  // the content and its sums
  drop(kept);
  EXPECT_EQ(sweep(), 1u);
  EXPECT_EQ(files(), 0u);
  EXPECT_EQ(get(db_->snapshot()->scan({})).size(), 0u);
  EXPECT_THROW(keep(never), std::runtime_error);
  EXPECT_THROW(drop(kept), std::runtime_error);
}

TEST_F(Blobs, GraceProtectsTheYoung) {
  const Ref unkept = make(noise(5000)), dropped = make(noise(5000));
  keep(dropped);
  drop(dropped);
  EXPECT_EQ(sweep(), 0u);
  EXPECT_EQ(failure(unkept), "");
  keep(dropped);  // a record that is still read may be copied
  open({.unkept_grace = Micros(0), .dropped_grace = Micros(0)});
  EXPECT_EQ(sweep(), 1u);
  EXPECT_EQ(failure(dropped), "");
  EXPECT_NE(failure(unkept), "");
}

TEST_F(Blobs, LeftoversOfAFormerProcessGo) {
  const Ref kept = make(noise(5000)), unkept = make(noise(200'000));
  keep(kept);
  // A writer that a crash cut off leaves a file behind.
  std::filesystem::create_directories(dir_ / "blobs/zz");
  std::ofstream(dir_ / "blobs/zz/zzhalf") << "half";
  open();
  EXPECT_EQ(sweep(), 2u);
  EXPECT_EQ(files(), 1u);
  EXPECT_EQ(failure(kept), "");
}

TEST_F(Blobs, AbandonedWritersLeaveNothing) {
  get([&]() -> Task<void> {
    const auto writer = store_->create();
    co_await writer->write(noise(600'000));
    EXPECT_EQ(files(), 1u);
  }());
  store_.reset();  // waits for the removal
  EXPECT_EQ(files(), 0u);
}

TEST_F(Blobs, SweepsByItself) {
  open({.unkept_grace = Micros(0), .dropped_grace = Micros(0)});
  get([&]() -> Task<void> {
    const auto writer = store_->create();
    co_await writer->write(noise(5000));
    co_await writer->finish();
    for (int i = 0; i < 100 && files() > 0; ++i) co_await sleep_for(std::chrono::milliseconds(20));
  }());
  EXPECT_EQ(files(), 0u);
}

#if VIRGA_FAULTS
TEST_F(Blobs, FailedWriteSaysWhyAndLeavesNothing) {
  arm_fault("blob.write_fails", FaultAction::kFail);
  try {
    make(noise(400'000));
    ADD_FAILURE() << "the write did not fail";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string_view(error.what()).find("No space left"), std::string_view::npos) << error.what();
  }
  disarm_faults();
  store_.reset();
  EXPECT_EQ(files(), 0u);
}

TEST_F(Blobs, KilledAnywhereKeepsWhatWasCommitted) {
  for (const char* point : {"blob.before_sync", "blob.after_sync", "blob.before_remove", "blob.after_remove"}) {
    TempDir dir;
    const pid_t child = fork();
    if (child == 0) {
      const auto db = kv::open_rocks({.directory = dir / "db"});
      const auto store = open_files(dir / "blobs", *db, {.unkept_grace = Micros(0), .dropped_grace = Micros(0)});
      const auto save = [&](std::string key) {
        get([&]() -> Task<void> {
          const auto writer = store->create();
          co_await writer->write(noise(100'000));
          const Ref ref = co_await writer->finish();
          co_await db->transact([&](kv::Txn& tx) -> Task<void> {
            co_await store->keep(tx, ref);
            tx.put(key, kv::encode(ref));
          });
        }());
      };
      save("first");
      arm_fault(point, FaultAction::kKill);
      get(db->transact([&](kv::Txn& tx) -> Task<void> {
        const auto ref = kv::decode<Ref>(*co_await tx.get("first"));
        tx.put("moved", kv::encode(ref));
        co_await store->keep(tx, ref);
      }));
      get([&]() -> Task<void> {  // something to sweep
        if (std::string_view(point).ends_with("remove")) {
          disarm_faults();
          const auto writer = store->create();
          co_await writer->write(noise(5000));
          co_await writer->finish();
          arm_fault(point, FaultAction::kKill);
          co_await store->sweep();
        }
      }());
      save("second");
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << point;
    const auto db = kv::open_rocks({.directory = dir / "db"});
    const auto store = open_files(dir / "blobs", *db, {.unkept_grace = Micros(0), .dropped_grace = Micros(0)});
    get(store->sweep());
    size_t files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir / "blobs"))
      files += entry.is_regular_file();
    EXPECT_EQ(files, 2u) << point;
    EXPECT_EQ(kv::read(*db, "second"), std::nullopt);
    for (const char* key : {"first", "moved"}) {
      const auto ref = kv::decode<Ref>(*kv::read(*db, key));
      EXPECT_EQ(
          get([&]() -> Task<std::string> { co_return co_await read_all(*store->read(ref), 1 << 20, kTooLarge); }()),
          noise(100'000));
    }
    EXPECT_EQ(get(db->snapshot()->scan(kv::prefix_range("blob"))).size(), 1u) << point;
  }
}
#endif

}  // namespace
}  // namespace virga::blob
