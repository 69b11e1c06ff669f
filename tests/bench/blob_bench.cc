// What blobs cost: durable small objects from many writers, and the throughput of a large one.
// Prints one JSON object a line: {"name": …, "value": …, "unit": …}. Arguments: a folder on the disk to measure,
// seconds a round.
#include "blob/blob.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/str.h"
#include "kv/record.h"

namespace virga {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

void report(std::string_view name, double value, std::string_view unit) {
  std::printf("{\"name\": \"%.*s\", \"value\": %.3f, \"unit\": \"%.*s\"}\n", static_cast<int>(name.size()), name.data(),
              value, static_cast<int>(unit.size()), unit.data());
  std::fflush(stdout);
}

// Objects of `size` bytes, each written, synced and committed, by 32 writers on two threads.
double objects(kv::Db& db, blob::Store& store, size_t size, double seconds) {
  std::atomic<uint64_t> made = 0;
  const std::string content(size, 'x');
  const auto begun = Clock::now();
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      const auto all = [&]() -> Task<void> {
        int left = 16;
        const auto writer = [&](int w) -> Task<void> {
          for (int i = 0; seconds_since(begun) < seconds; ++i) {
            const auto out = store.create();
            co_await out->write(content);
            const blob::Ref ref = co_await out->finish();
            co_await db.transact([&](kv::Txn& tx) -> Task<void> {
              co_await store.keep(tx, ref);
              tx.put(cat("o/", size, "/", t, "/", w, "/", i), kv::encode(ref));
            });
            ++made;
          }
          --left;
        };
        for (int w = 0, n = left; w < n; ++w) start_background("bench", writer(w));
        while (left > 0) co_await sleep_for(Micros(1000));
      };
      if (const auto result = run(all()); !result) std::fprintf(stderr, "%s\n", describe(result.error()).c_str());
    });
  }
  for (auto& thread : threads) thread.join();
  return static_cast<double>(made.load()) / seconds_since(begun);
}

Task<void> large(blob::Store& store) {
  constexpr size_t kChunk = 64 << 10, kSize = 256 << 20;
  const double mb = kSize / 1e6;
  const std::string chunk(kChunk, 'y');
  auto begun = Clock::now();
  const auto out = store.create();
  for (size_t written = 0; written < kSize; written += kChunk) co_await out->write(chunk);
  const blob::Ref ref = co_await out->finish();
  report("blob.write_large", mb / seconds_since(begun), "MB/s");

  begun = Clock::now();
  const Body body = store.read(ref);
  while (co_await body->next()) {
  }
  report("blob.read_large", mb / seconds_since(begun), "MB/s");

  begun = Clock::now();
  constexpr int kRanges = 2000;
  for (int i = 0; i < kRanges; ++i) {
    const Body range = store.read(ref, static_cast<uint64_t>(i) * 100'003, 4096);
    while (co_await range->next()) {
    }
  }
  report("blob.read_range_4k", seconds_since(begun) / kRanges * 1e6, "us");

  begun = Clock::now();
  const blob::Ref joined = co_await store.concat({ref, ref});
  report("blob.concat", 2 * mb / seconds_since(begun), "MB/s");
}

int main_of(const std::string& base, double seconds) {
  std::filesystem::remove_all(base);
  {
    const auto db = kv::open_rocks({.directory = cat(base, "/db")});
    const auto store = blob::open_files(cat(base, "/blobs"), *db);
    for (const size_t size : {1u << 10, 16u << 10, 256u << 10})
      report(cat("blob.put_", size >> 10, "k"), objects(*db, *store, size, seconds), "1/s");
    if (const auto result = run(large(*store)); !result) std::fprintf(stderr, "%s\n", describe(result.error()).c_str());
  }
  std::filesystem::remove_all(base);
  return 0;
}

}  // namespace
}  // namespace virga

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s FOLDER [SECONDS]\n", argv[0]);
    return 2;
  }
  return virga::main_of(virga::cat(argv[1], "/blob_bench"), argc > 2 ? std::atof(argv[2]) : 1.0);
}
