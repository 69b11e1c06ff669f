#include "base/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

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

}  // namespace
}  // namespace virga
