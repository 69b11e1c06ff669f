#include "services/application-autoscaling/tracking.h"

#include <gtest/gtest.h>

namespace virga::applicationautoscaling {
namespace {

// Looks every ten seconds for so many minutes; the last answer, if any.
struct Watch {
  Tracking rule{.target = 0.7};
  Tracked state;
  Time now = Time::from_seconds(60 * 1000);
  int32_t capacity = 10;

  std::optional<int32_t> minutes(int count, double use) {
    std::optional<int32_t> answer;
    for (int i = 0; i < count * 6; ++i, now = now + std::chrono::seconds(10)) {
      if (const auto wanted = track(rule, state, now, use, capacity)) answer = capacity = *wanted;
    }
    return answer;
  }
};

TEST(Tracking, GrowsAfterThreeBusyMinutes) {
  Watch w;
  EXPECT_EQ(w.minutes(3, 1.0), std::nullopt);
  EXPECT_EQ(w.minutes(1, 1.0), 15);  // 10 in use, at 0.7
}

TEST(Tracking, AtTheTargetNothingChanges) {
  Watch w;
  EXPECT_EQ(w.minutes(60, 0.65), std::nullopt);
  EXPECT_EQ(w.minutes(60, 0.7), std::nullopt);
}

TEST(Tracking, ShrinksAfterFifteenQuietMinutes) {
  Watch w;
  EXPECT_EQ(w.minutes(1, 0.5), std::nullopt);
  EXPECT_EQ(w.minutes(14, 0.1), std::nullopt);
  EXPECT_EQ(w.minutes(1, 0.1), 8);  // the busiest minute used 5 of 10
  Watch unused;
  EXPECT_EQ(unused.minutes(16, 0), 0);
}

TEST(Tracking, OnlyGrowsWhenToldSo) {
  Watch w;
  w.rule.only_out = true;
  EXPECT_EQ(w.minutes(60, 0), std::nullopt);
}

TEST(Tracking, WaitsForTheCooldown) {
  Watch w;
  w.rule.out_cooldown = 300;
  EXPECT_EQ(w.minutes(4, 1.0), 15);
  EXPECT_EQ(w.minutes(4, 1.0), std::nullopt);
  EXPECT_EQ(w.minutes(1, 1.0), 22);
}

TEST(Tracking, AGapBeginsAnew) {
  Watch w;
  EXPECT_EQ(w.minutes(3, 1.0), std::nullopt);
  w.now = w.now + std::chrono::minutes(5);
  EXPECT_EQ(w.minutes(3, 1.0), std::nullopt);
  EXPECT_EQ(w.minutes(1, 1.0), 15);
}

}  // namespace
}  // namespace virga::applicationautoscaling
