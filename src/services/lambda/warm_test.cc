#include "services/lambda/warm.h"

#include <gtest/gtest.h>

#include "services/lambda/admission.h"

namespace virga::lambda {
namespace {

class Fake final : public sandbox::Instance {
 public:
  explicit Fake(bool alive) : alive_(alive) {}
  Task<void> begin(sandbox::Environment) override { co_return; }
  Task<sandbox::Outcome> invoke(sandbox::Invocation) override { co_return sandbox::Outcome{}; }
  Task<sandbox::Outcome> initialised() override { co_return sandbox::Outcome{}; }
  Task<sandbox::Outcome> restore() override { co_return sandbox::Outcome{}; }
  bool alive() const override { return alive_; }

 private:
  bool alive_;
};

WarmPtr warm(const std::string& function, int used_at, bool alive = true) {
  auto out = std::make_unique<Warm>();
  out->function = function;
  out->key = function + ":1";
  out->instance = std::make_unique<Fake>(alive);
  out->used = std::chrono::steady_clock::time_point(std::chrono::seconds(used_at));
  return out;
}

std::chrono::steady_clock::time_point at(int seconds) {
  return std::chrono::steady_clock::time_point(std::chrono::seconds(seconds));
}

TEST(WarmSet, GivesTheMostRecentAndDropsTheDead) {
  WarmSet set;
  set.put(warm("a", 1));
  set.put(warm("a", 2));
  set.put(warm("a", 3, false));
  EXPECT_EQ(set.take("b:1", nullptr), nullptr);
  const auto taken = set.take("a:1", nullptr);
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->used, at(2));
  EXPECT_EQ(set.size(), 1u);
  EXPECT_EQ(set.count("a:1"), 1u);
}

TEST(WarmSet, MakesRoomWithTheLongestUnused) {
  WarmSet set;
  for (int i = 0; i < 5; ++i) set.put(warm(std::string(1, static_cast<char>('a' + i)), i));
  EXPECT_EQ(set.take_oldest()->function, "a");
  EXPECT_EQ(set.take_stale(at(3)).size(), 2u);  // b and c
  EXPECT_EQ(set.take_function("e").size(), 1u);
  EXPECT_EQ(set.take_all().size(), 1u);
  EXPECT_EQ(set.take_oldest(), nullptr);
}

Demand demand(std::optional<int32_t> reserved, int32_t unreserved, int32_t provisioned = 0) {
  return {"f", "p", "f:1", reserved, unreserved, provisioned};
}

TEST(Admission, CountsReservedAndUnreservedApart) {
  Admission admission;
  Refusal why{};
  auto first = admission.enter(demand(1, 0), why);
  EXPECT_TRUE(first);
  EXPECT_FALSE(admission.enter(demand(1, 10), why));
  EXPECT_EQ(why, Refusal::kReserved);
  first.reset();
  EXPECT_TRUE(admission.enter(demand(1, 0), why));
  EXPECT_FALSE(admission.enter(demand(0, 10), why));  // switched off
  EXPECT_FALSE(admission.enter(demand(std::nullopt, 0), why));
  EXPECT_EQ(why, Refusal::kUnreserved);
  EXPECT_EQ(admission.running("f"), 0);
}

TEST(ScalingRate, RefillsWithTimeAndSavesNothingUp) {
  using namespace std::chrono_literals;
  ScalingRate rate(100);
  ScalingRate::Steady now{1h};
  const auto taken = [&](const std::string& function) {
    int count = 0;
    while (count < 1000 && rate.take(function, now)) ++count;
    return count;
  };
  EXPECT_EQ(taken("a"), 100);
  EXPECT_EQ(taken("b"), 100);  // each function by itself
  now += 1s;
  EXPECT_EQ(taken("a"), 10);
  now += 100ms;
  EXPECT_EQ(taken("a"), 1);
  now += 1h;
  EXPECT_EQ(taken("a"), 100);
  for (int i = 0; i < 500; ++i) EXPECT_TRUE(rate.take(std::to_string(i), now));  // what is forgotten is full
  EXPECT_EQ(taken("a"), 0);
  EXPECT_EQ(taken("7"), 99);
}

// docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html: what is provisioned is a part of what is reserved.
TEST(Admission, ProvisionedIsTakenFromReserved) {
  Admission admission;
  Refusal why{};
  Demand latest = demand(2, 10), version = demand(2, 10, 1);
  latest.set_aside = version.set_aside = 1;
  auto one = admission.enter(latest, why);
  ASSERT_TRUE(one);
  EXPECT_FALSE(admission.enter(latest, why));  // the other place is the version's
  EXPECT_EQ(why, Refusal::kReserved);
  const auto two = admission.enter(version, why);
  ASSERT_TRUE(two);
  EXPECT_TRUE(two->provisioned());
  EXPECT_FALSE(admission.enter(version, why));
  one.reset();
  EXPECT_TRUE(admission.enter(version, why));  // beyond what is provisioned, in the place that is free
}

TEST(Admission, SpillsOverFromProvisioned) {
  Admission admission;
  Refusal why{};
  const auto one = admission.enter(demand(std::nullopt, 1, 1), why);
  const auto two = admission.enter(demand(std::nullopt, 1, 1), why);
  ASSERT_TRUE(one && two);
  EXPECT_TRUE(one->provisioned());
  EXPECT_FALSE(two->provisioned());
  EXPECT_FALSE(admission.enter(demand(std::nullopt, 1, 1), why));
  EXPECT_EQ(why, Refusal::kUnreserved);
}

}  // namespace
}  // namespace virga::lambda
