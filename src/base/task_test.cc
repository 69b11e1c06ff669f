#include "base/task.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include "base/executor.h"
#include "base/source.h"

namespace virga {
namespace {

constexpr ErrorShape kNotFound{.code = "NotFound", .status = 404};
Error not_found() { return {.shape = &kNotFound, .message = "gone"}; }

struct Trace {
  std::vector<std::string>& lines;
  std::string name;
  ~Trace() { lines.push_back("~" + name); }
};

Task<int> value(int v) { co_return v; }
Task<int> refuses() { co_return not_found(); }
Task<void> refuses_void() { co_await fail(not_found()); }
Task<int> throws() {
  throw std::runtime_error("boom");
  co_return 1;
}
Task<int> throws_error() {
  throw not_found();
  co_return 1;
}

TEST(Task, ReturnsValues) {
  const auto sum = []() -> Task<int> { co_return co_await value(1) + co_await value(2); };
  EXPECT_EQ(run(sum()).value(), 3);
}

TEST(Task, FailureSkipsAwaitersAndRunsDestructors) {
  std::vector<std::string> lines;
  const auto inner = [&]() -> Task<int> {
    Trace trace{lines, "inner"};
    co_return not_found();
  };
  const auto middle = [&]() -> Task<int> {
    Trace trace{lines, "middle"};
    const int v = co_await inner();
    lines.push_back("never");
    co_return v;
  };
  const auto outer = [&]() -> Task<int> {
    Result<int> result = co_await as_result(middle());
    lines.push_back("seen");
    EXPECT_FALSE(result);
    EXPECT_EQ(error_of(result)->shape->code, "NotFound");
    co_return 7;
  };
  EXPECT_EQ(run(outer()).value(), 7);
  EXPECT_EQ(lines, (std::vector<std::string>{"~inner", "~middle", "seen"}));
}

TEST(Task, FailureReachesTheRoot) {
  const Result<int> result = run([]() -> Task<int> { co_return co_await refuses(); }());
  ASSERT_NE(error_of(result), nullptr);
  EXPECT_EQ(error_of(result)->message, "gone");
}

TEST(Task, VoidTasksFailByAwaiting) {
  const auto body = []() -> Task<int> {
    co_await refuses_void();
    co_return 1;
  };
  EXPECT_NE(error_of(run(body())), nullptr);
}

TEST(Task, FailureCanBePassedOn) {
  const auto body = []() -> Task<int> {
    Result<int> first = co_await as_result(refuses());
    co_await fail_with(std::move(first.error()));
    co_return 1;
  };
  EXPECT_EQ(error_of(run(body()))->shape, &kNotFound);
}

TEST(Task, ExceptionsBecomeFailures) {
  const Result<int> result = run([]() -> Task<int> { co_return co_await throws(); }());
  ASSERT_FALSE(result);
  EXPECT_EQ(error_of(result), nullptr);
  EXPECT_EQ(describe(result.error()), "boom");
  EXPECT_NE(error_of(run(throws_error())), nullptr);
}

TEST(Task, UnstartedTasksMayBeDropped) {
  {
    Task<int> dropped = value(1);
  }
  Task<int> kept = value(1);
  kept = value(2);
  EXPECT_EQ(run(std::move(kept)).value(), 2);
}

TEST(Task, LongChainsDoNotGrowTheStack) {
  const auto body = []() -> Task<int> {
    int sum = 0;
    for (int i = 0; i < 200'000; ++i) {
      sum += co_await value(1);
      if (i % 1000 == 0) (void)co_await as_result(refuses());
    }
    co_return sum;
  };
  EXPECT_EQ(run(body()).value(), 200'000);
}

TEST(Task, FailsAfterSuspension) {
  const auto late = []() -> Task<int> {
    co_await sleep_for(Micros(100));
    co_return not_found();
  };
  const auto middle = [&]() -> Task<int> { co_return co_await late() + 1; };
  const auto outer = [&]() -> Task<int> {
    const Result<int> result = co_await as_result(middle());
    co_return result ? 0 : 1;
  };
  EXPECT_EQ(run(outer()).value(), 1);
}

TEST(Source, ReadsAllWithinALimit) {
  const auto read = [](uint64_t most) -> Task<std::string> {
    const Body body = body_of("hello");
    co_return co_await read_all(*body, most, not_found());
  };
  EXPECT_EQ(run(read(5)).value(), "hello");
  EXPECT_NE(error_of(run(read(4))), nullptr);
  const auto empty = []() -> Task<std::string> { co_return co_await read_all(*body_of(""), 0, not_found()); };
  EXPECT_EQ(run(empty()).value(), "");
}

}  // namespace
}  // namespace virga
