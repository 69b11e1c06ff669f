// What the store costs: durable commits through Db against the same writes made directly in RocksDB, grouped the same.
// Prints one JSON object a line: {"name": …, "value": …, "unit": …}. Arguments: a folder on the disk to measure,
// seconds.
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/encoding.h"
#include "base/id.h"
#include "base/str.h"
#include "kv/db.h"
#include "kv/key.h"
#include "kv/rocks/open.h"

namespace virga {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kValue = 1024;

double seconds_since(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

void report(std::string_view name, double value, std::string_view unit) {
  std::printf("{\"name\": \"%.*s\", \"value\": %.3f, \"unit\": \"%.*s\"}\n", static_cast<int>(name.size()), name.data(),
              value, static_cast<int>(unit.size()), unit.data());
  std::fflush(stdout);
}

double percentile(std::vector<double>& values, double p) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(p * static_cast<double>(values.size())))];
}

double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

std::string random_key() { return kv::KeyWriter("bench").u64(random_u64()); }

std::string random_value() {
  std::string value;
  while (value.size() < kValue) append_be64(value, random_u64());
  return value;
}

struct Outcome {
  double rate, p50, p99, group, cpu;
};

// `writers` coroutines on `threads` executors, each committing one new 1 KB row after the other.
Outcome through_db(const std::string& directory, int threads, int writers, double seconds, bool reads) {
  const auto db = kv::open_rocks({.directory = directory});
  std::atomic<uint64_t> commits = 0;
  std::vector<std::vector<double>> latencies(static_cast<size_t>(threads));
  const auto begun = Clock::now();
  const double cpu = cpu_seconds();
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      const auto all = [&]() -> Task<void> {
        int left = writers / threads;
        const auto writer = [&]() -> Task<void> {
          while (seconds_since(begun) < seconds) {
            const auto started = Clock::now();
            std::string key = random_key(), value = random_value();
            co_await db->transact([&](kv::Txn& tx) -> Task<void> {
              if (reads) co_await tx.get(key);
              tx.put(key, value);
            });
            latencies[static_cast<size_t>(t)].push_back(seconds_since(started) * 1e6);
            commits.fetch_add(1, std::memory_order_relaxed);
          }
          --left;
        };
        for (int w = 0, n = left; w < n; ++w) start_background("bench", writer());
        while (left > 0) co_await sleep_for(Micros(1000));
      };
      if (const auto result = run(all()); !result) std::fprintf(stderr, "%s\n", describe(result.error()).c_str());
    });
  }
  for (auto& thread : running) thread.join();
  const double took = seconds_since(begun);
  std::vector<double> merged;
  for (auto& some : latencies) merged.insert(merged.end(), some.begin(), some.end());
  const auto stats = db->stats();
  const auto n = static_cast<double>(commits.load());
  return {n / took, percentile(merged, 0.5), percentile(merged, 0.99),
          n / static_cast<double>(std::max<uint64_t>(1, stats.syncs)), (cpu_seconds() - cpu) / n * 1e6};
}

// One thread that writes batches of `group` rows, each synced.
double direct(const std::string& directory, size_t group, double seconds) {
  const auto opened = kv::open_rocks_files({.directory = directory});
  rocksdb::WriteOptions durable;
  durable.sync = true;
  uint64_t rows = 0;
  const auto begun = Clock::now();
  while (seconds_since(begun) < seconds) {
    rocksdb::WriteBatch batch;
    for (size_t i = 0; i < group; ++i) batch.Put(random_key(), random_value());
    if (!opened.db->Write(durable, &batch).ok()) std::abort();
    rows += group;
  }
  return static_cast<double>(rows) / seconds_since(begun);
}

double resident_mb() {
  std::ifstream statm("/proc/self/statm");
  long size = 0, resident = 0;
  statm >> size >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
}

int main_of(const std::string& base, double seconds) {
  std::filesystem::remove_all(base);
  std::filesystem::create_directories(base);
  int next = 0;
  const auto folder = [&] { return cat(base, "/", next++); };

  report("kv.rss_before_open", resident_mb(), "MB");
  const auto begun = Clock::now();
  {
    const auto db = kv::open_rocks({.directory = cat(base, "/open")});
    report("kv.open_empty", seconds_since(begun) * 1e3, "ms");
    report("kv.rss_open", resident_mb(), "MB");
  }
  const auto again = Clock::now();
  {
    const auto db = kv::open_rocks({.directory = cat(base, "/open")});
    report("kv.open_again", seconds_since(again) * 1e3, "ms");
  }
  for (const int writers : {2, 32, 128}) {
    const std::string name = cat("kv.commit_", writers);
    // Ours and RocksDB's in turns: on a shared machine only neighbours in time compare.
    std::vector<double> rates, p50s, p99s, groups, cpus, rocks, ratios;
    for (int round = 0; round < 3; ++round) {
      const Outcome ours = through_db(folder(), 2, writers, seconds, false);
      const double theirs = direct(folder(), std::max<size_t>(1, static_cast<size_t>(ours.group + 0.5)), seconds);
      rates.push_back(ours.rate);
      p50s.push_back(ours.p50);
      p99s.push_back(ours.p99);
      groups.push_back(ours.group);
      cpus.push_back(ours.cpu);
      rocks.push_back(theirs);
      ratios.push_back(ours.rate / theirs);
    }
    report(name, percentile(rates, 0.5), "1/s");
    report(cat(name, "_p50"), percentile(p50s, 0.5), "us");
    report(cat(name, "_p99"), percentile(p99s, 0.5), "us");
    report(cat(name, "_group"), percentile(groups, 0.5), "commits/sync");
    report(cat(name, "_cpu"), percentile(cpus, 0.5), "us/commit");
    report(cat(name, "_rocksdb"), percentile(rocks, 0.5), "1/s");
    report(cat(name, "_ratio"), percentile(ratios, 0.5), "");
  }
  report("kv.read_commit_128", through_db(folder(), 2, 128, seconds, true).rate, "1/s");
  report("kv.rss_end", resident_mb(), "MB");
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
  return virga::main_of(virga::cat(argv[1], "/kv_bench"), argc > 2 ? std::atof(argv[2]) : 1.0);
}
