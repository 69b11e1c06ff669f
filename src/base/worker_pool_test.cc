#include "base/worker_pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <fstream>
#include <latch>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

namespace virga {
namespace {

TEST(WorkerPool, RunsElsewhereAndComesBack) {
  WorkerPool pool(2);
  const auto here = std::this_thread::get_id();
  const auto task = [&]() -> Task<int> {
    const auto there = co_await pool.run([] { return std::this_thread::get_id(); });
    EXPECT_NE(there, here);
    EXPECT_EQ(std::this_thread::get_id(), here);
    bool ran = false;
    co_await pool.run([&] { ran = true; });
    EXPECT_TRUE(ran);
    const auto failed = co_await as_result(pool.run([]() -> int { throw std::runtime_error("broken"); }));
    EXPECT_FALSE(failed);
    co_return 7;
  };
  EXPECT_EQ(run(task()).value(), 7);
}

TEST(WorkerPool, FinishesWhatItWasGiven) {
  std::atomic<int> done = 0;
  {
    WorkerPool pool(3);
    for (int i = 0; i < 100; ++i) pool.post([&] { ++done; });
  }
  EXPECT_EQ(done, 100);
}

// No thread could be made: that is said, and later there are threads again.
TEST(WorkerPool, GoesOnAfterTheMachineHadNoThreads) {
  WorkerPool pool(1);
  rlimit usual;
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &usual), 0);
  rlim_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlimit tight{pages * 4096 + (1 << 20), usual.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &tight), 0);
  std::latch end(1);
  std::vector<std::jthread> others;  // on the stacks that are kept of threads that have ended
  try {
    while (others.size() < 100) others.emplace_back([&] { end.wait(); });
  } catch (const std::system_error&) {
  }
  bool refused = false;
  try {
    pool.post([] {});
  } catch (const std::system_error&) {
    refused = true;
  }
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &usual), 0);
  end.count_down();
  EXPECT_TRUE(refused);
  EXPECT_EQ(run(pool.run([] { return 7; })).value(), 7);
}

}  // namespace
}  // namespace virga
