#include "base/async.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/metrics.h"

namespace virga {
namespace {

constexpr ErrorShape kBusy{.code = "Busy"};
Error busy() { return {.shape = &kBusy}; }

Task<void> set_later(Event& event) {
  co_await sleep_for(Micros(200));
  event.set();
}

TEST(Event, WakesWaiters) {
  Event event;
  const auto body = [&]() -> Task<int> {
    std::vector<Task<void>> tasks;
    tasks.push_back(event.wait());
    tasks.push_back(event.wait());
    tasks.push_back(set_later(event));
    co_await when_all(std::move(tasks));
    co_await event.wait();
    co_return 1;
  };
  EXPECT_EQ(run(body()).value(), 1);
  event.reset();
  EXPECT_FALSE(event.is_set());
}

TEST(Event, WaitsForALimitedTime) {
  Event event;
  const auto body = [&]() -> Task<bool> {
    const bool early = co_await event.wait_for(Micros(500));
    EXPECT_FALSE(early);
    std::thread other([&] { event.set(); });
    const bool in_time = co_await event.wait_for(std::chrono::seconds(1));
    other.join();
    co_return in_time;
  };
  EXPECT_TRUE(run(body()).value());
}

TEST(Semaphore, ServesInOrderAndRefusesBeyondItsBound) {
  Semaphore semaphore(2, 2);
  std::vector<int> order;
  const auto work = [&](int id, uint64_t units) -> Task<int> {
    Semaphore::Permit permit = co_await semaphore.acquire(busy(), units);
    order.push_back(id);
    co_await sleep_for(Micros(100));
    co_return id;
  };
  const auto body = [&]() -> Task<int> {
    std::vector<Task<int>> tasks;
    tasks.push_back(work(0, 1));
    tasks.push_back(work(1, 2));
    tasks.push_back(work(2, 1));
    tasks.push_back(work(3, 1));
    tasks.push_back(work(4, 3));
    const auto results = co_await when_all_results(std::move(tasks));
    EXPECT_TRUE(results[0] && results[1] && results[2]);
    EXPECT_EQ(error_of(results[3])->shape, &kBusy);
    EXPECT_EQ(error_of(results[4])->shape, &kBusy);
    co_return 0;
  };
  run(body()).value();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(semaphore.free_units(), 2u);
  EXPECT_TRUE(semaphore.try_acquire(2));
}

TEST(WhenAll, WaitsForTasksOnOtherThreads) {
  std::vector<std::thread> threads;
  const auto elsewhere = [&](int v) -> Task<int> {
    co_await suspend_until([&](Resume resume) { threads.emplace_back([resume] { resume(); }); });
    co_return v;
  };
  const auto body = [&]() -> Task<int> {
    std::vector<Task<int>> tasks;
    for (int i = 0; i < 8; ++i) tasks.push_back(elsewhere(i));
    int sum = 0;
    for (const int v : co_await when_all(std::move(tasks))) sum += v;
    const std::vector<int> none = co_await when_all(std::vector<Task<int>>());
    co_return sum + static_cast<int>(none.size());
  };
  EXPECT_EQ(run(body()).value(), 28);
  for (std::thread& thread : threads) thread.join();
}

TEST(WhenAll, FailsWithTheFirstFailureAfterAllEnded) {
  int ended = 0;
  const auto work = [&](bool good) -> Task<int> {
    co_await sleep_for(Micros(50));
    ++ended;
    if (!good) co_return busy();
    co_return 1;
  };
  const auto body = [&]() -> Task<std::vector<int>> {
    std::vector<Task<int>> tasks;
    tasks.push_back(work(false));
    tasks.push_back(work(true));
    co_return co_await when_all(std::move(tasks));
  };
  EXPECT_NE(error_of(run(body())), nullptr);
  EXPECT_EQ(ended, 2);
}

TEST(WhenAll, LongLoopsDoNotGrowTheStack) {
  const auto one = []() -> Task<int> { co_return 1; };
  Event event;
  event.set();
  const auto body = [&]() -> Task<int> {
    int sum = 0;
    for (int i = 0; i < 100'000; ++i) {
      std::vector<Task<int>> tasks;
      tasks.push_back(one());
      sum += (co_await when_all(std::move(tasks)))[0];
      co_await event.wait();
    }
    co_return sum;
  };
  EXPECT_EQ(run(body()).value(), 100'000);
}

TEST(Metrics, RendersForPrometheus) {
  MetricRegistry registry;
  registry.counter("requests_total", "Requests.", {{"service", "s\"3"}}).add(3);
  registry.counter("requests_total", "Requests.", {{"service", "s\"3"}}).add();
  registry.gauge("open", "Open connections.").set(-2);
  const double bounds[] = {1, 2.5};
  Histogram& h = registry.histogram("took_ms", "Time.", {}, bounds);
  h.observe(1);
  h.observe(2);
  h.observe(9);
  EXPECT_EQ(registry.render(),
            "# HELP open Open connections.\n# TYPE open gauge\nopen -2\n"
            "# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total{service=\"s\\\"3\"} 4\n"
            "# HELP took_ms Time.\n# TYPE took_ms histogram\ntook_ms_bucket{le=\"1\"} 1\ntook_ms_bucket{le=\"2.5\"} 2\n"
            "took_ms_bucket{le=\"+Inf\"} 3\ntook_ms_sum 12\ntook_ms_count 3\n");
  EXPECT_GT(h.quantile(0.5), 1.0);
}

}  // namespace
}  // namespace virga
