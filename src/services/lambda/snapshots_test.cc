#include "services/lambda/snapshots.h"

#include <gtest/gtest.h>

#include "base/executor.h"

namespace virga::lambda {
namespace {

class Fake final : public sandbox::Instance {
 public:
  Task<void> begin(sandbox::Environment) override { co_return; }
  Task<sandbox::Outcome> invoke(sandbox::Invocation) override { co_return sandbox::Outcome{}; }
  Task<sandbox::Outcome> initialised() override { co_return sandbox::Outcome{}; }
  Task<sandbox::Outcome> restore() override { co_return sandbox::Outcome{}; }
  bool alive() const override { return true; }
};

Snapshots::Of of(const std::string& function, int version = 1) {
  auto record = std::make_shared<VersionRecord>();
  record->version = static_cast<uint64_t>(version);
  return {{"000000000000", "us-east-1", function, {}}, record, function + ":" + std::to_string(version) + ":r"};
}

WarmPtr made(const std::string& key) {
  auto out = std::make_unique<Warm>();
  out->key = key;
  out->instance = std::make_unique<Fake>();
  out->started = std::chrono::steady_clock::now();
  return out;
}

// Counts what is made.
struct Made {
  int count = 0;
  bool fails = false;
  std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now();
  Snapshots snapshots{[this](Snapshots::Of of) -> Task<WarmPtr> {
                        ++count;
                        if (fails) throw std::runtime_error("it fails");
                        co_return made(of.key);
                      },
                      [this] { return now; }};
  // Until so many were made, and what made the last one has ended.
  Task<void> until(int wanted) {
    while (count < wanted) co_await sleep_for(Millis(5));
    co_await sleep_for(Millis(100));
  }
};

TEST(Snapshots, GivesWhatWaitsAndMakesTheNext) {
  Made made_;
  const auto done = run([](Made& m) -> Task<void> {
    m.snapshots.put(of("a"), made("a:1:r"));
    EXPECT_TRUE(m.snapshots.take(of("a"), nullptr));
    EXPECT_FALSE(m.snapshots.take(of("a"), nullptr));  // a burst: two are wanted from now on
    co_await m.until(2);
    EXPECT_EQ(m.count, 2);
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(m.snapshots.take(of("a"), nullptr));
    m.snapshots.stop();
    co_await m.until(m.count);
  }(made_));
  EXPECT_TRUE(done);
}

TEST(Snapshots, HasAsManyAsTheLastBurstsNeeded) {
  Made made_;
  const auto done = run([](Made& m) -> Task<void> {
    using namespace std::chrono_literals;
    const auto need = [&](int calls) {
      int got = 0;
      for (int i = 0; i < calls; ++i) got += m.snapshots.take(of("a"), nullptr) != nullptr;
      return got;
    };
    EXPECT_EQ(need(6), 0);
    co_await m.until(6);
    m.now += 10min;
    EXPECT_EQ(need(6), 6);  // the same burst again
    co_await m.until(12);
    m.now += 10min;
    EXPECT_EQ(need(1), 1);
    co_await m.until(13);
    m.now += 40min;  // an hour is over; the bursts belong to it
    m.snapshots.sweep({});
    m.now += 30min;
    EXPECT_EQ(need(2), 2);
    co_await m.until(15);
    m.now += 30min;  // in this one two were needed
    m.snapshots.sweep({});
    EXPECT_EQ(need(3), 2);
    co_await m.until(18);
    m.now += 7h;
    m.snapshots.sweep({});
    EXPECT_FALSE(m.snapshots.give_way());
    EXPECT_TRUE(m.snapshots.empty());
    EXPECT_TRUE(m.snapshots.take_unused(m.now - 8h).empty());
    const auto unused = m.snapshots.take_unused(m.now - 6h);
    EXPECT_EQ(unused.size(), 1u);
    EXPECT_TRUE(m.snapshots.take_unused(m.now).empty());
    m.snapshots.stop();
  }(made_));
  EXPECT_TRUE(done);
}

TEST(Snapshots, BurstsMakeRoomForOthers) {
  Made made_;
  const auto done = run([](Made& m) -> Task<void> {
    for (int i = 0; i < 40; ++i) m.snapshots.take(of("a"), nullptr);
    co_await m.until(32);  // at the most
    for (int i = 1; i <= 50; ++i) m.snapshots.put(of("f", i), made(of("f", i).key));
    int kept = 0;
    for (int i = 1; i <= 50; ++i) kept += m.snapshots.take(of("f", i), nullptr) != nullptr;
    EXPECT_EQ(kept, 50);
    m.snapshots.stop();
    co_await m.until(m.count);
  }(made_));
  EXPECT_TRUE(done);
}

TEST(Snapshots, ForgetsAVersionOrAFunction) {
  Made made_;
  const auto done = run([](Made& m) -> Task<void> {
    for (const int version : {1, 2, 12}) m.snapshots.put(of("a", version), made(of("a", version).key));
    m.snapshots.put(of("ab"), made("ab:1:r"));
    m.snapshots.forget("a:1:");
    EXPECT_TRUE(m.snapshots.take(of("a", 12), nullptr));
    m.snapshots.forget("a:");
    EXPECT_FALSE(m.snapshots.take(of("a", 2), nullptr));
    EXPECT_TRUE(m.snapshots.take(of("ab"), nullptr));
    m.snapshots.stop();
    co_await m.until(m.count);
  }(made_));
  EXPECT_TRUE(done);
}

TEST(Snapshots, KeepsABoundedNumberAndReplacesTheOld) {
  Made made_;
  const auto done = run([](Made& m) -> Task<void> {
    for (int i = 1; i <= 70; ++i) m.snapshots.put(of("f", i), made(of("f", i).key));
    int kept = 0;
    while (m.snapshots.give_way()) ++kept;
    EXPECT_EQ(kept, 64);
    m.snapshots.forget("f:");
    m.snapshots.put(of("old"), made("old:1:r"));
    m.snapshots.sweep(std::chrono::steady_clock::now());
    co_await m.until(1);
    EXPECT_EQ(m.count, 1);
    EXPECT_TRUE(m.snapshots.give_way());
    EXPECT_FALSE(m.snapshots.give_way());
    m.snapshots.stop();
  }(made_));
  EXPECT_TRUE(done);
}

TEST(Snapshots, GoesOnAfterAFailure) {
  Made made_;
  const auto done = run([](Made& m) -> Task<void> {
    m.fails = true;
    m.snapshots.expect(of("a"));
    co_await m.until(1);
    m.fails = false;
    m.snapshots.expect(of("a"));
    co_await m.until(2);
    EXPECT_TRUE(m.snapshots.give_way());
    m.snapshots.stop();
  }(made_));
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace virga::lambda
