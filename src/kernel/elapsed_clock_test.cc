#include "kernel/elapsed_clock.h"

#include <gtest/gtest.h>

namespace virga::kernel {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

microseconds passed{0};
microseconds steady() { return passed; }

// The wall shows that time passes too.
void pass(ManualClock& wall, microseconds by) {
  passed += by;
  wall.advance(by);
}

TEST(ElapsedClock, GoesOnWhenTheWallIsMoved) {
  ManualClock wall;
  ElapsedClock clock(wall, steady);
  const Time began = clock.now();
  EXPECT_EQ(began, wall.now());
  pass(wall, seconds(10));
  EXPECT_EQ(clock.now() - began, seconds(10));
  for (const auto jump : {hours(24), hours(-24), hours(-24), hours(1000)}) {
    const Time before = clock.now();
    wall.advance(jump);
    EXPECT_EQ(clock.now(), before);
    EXPECT_EQ(clock.on_wall(clock.now()), wall.now());
    pass(wall, seconds(3));
    EXPECT_EQ(clock.now() - before, seconds(3));
  }
  EXPECT_EQ(clock.ahead(), hours(24 - 1000));
}

TEST(ElapsedClock, FollowsAWallThatIsKeptRightByLittleAndLittle) {
  ManualClock wall;
  ElapsedClock clock(wall, steady);
  for (int i = 0; i < 1000; ++i) {
    pass(wall, seconds(10));
    wall.advance(milliseconds(5));
    EXPECT_EQ(clock.now(), wall.now());
  }
  EXPECT_EQ(clock.ahead(), seconds(0));
}

TEST(ElapsedClock, GoesOnFromAnEarlierProcess) {
  ManualClock wall;
  const ElapsedClock clock(wall, steady);
  clock.go_on(hours(24));
  EXPECT_EQ(clock.now(), wall.now() + hours(24));
  EXPECT_EQ(clock.on_wall(clock.now()), wall.now());
}

TEST(ElapsedClock, WithoutASteadyClockIsTheWall) {
  ManualClock wall;
  const ElapsedClock clock(wall);
  wall.advance(hours(24));
  EXPECT_EQ(clock.now(), wall.now());
  EXPECT_EQ(clock.ahead(), hours(0));
}

}  // namespace
}  // namespace virga::kernel
