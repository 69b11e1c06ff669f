#include "kernel/elapsed_clock.h"

#include <time.h>

#include <cstdlib>

namespace virga::kernel {
namespace {

// Less is how clocks are kept right by little and little.
constexpr int64_t kJump = 1'000'000;
// Followed from here on: threads that share the clock write nothing in between.
constexpr int64_t kDrift = 1'000;
// A reading of both clocks that took longer says nothing of how they stand.
constexpr int64_t kPrompt = 100'000;

}  // namespace

ElapsedClock::Micros ElapsedClock::since_boot() {
  timespec t{};
  clock_gettime(CLOCK_BOOTTIME, &t);
  return Micros(int64_t{t.tv_sec} * 1'000'000 + t.tv_nsec / 1000);
}

ElapsedClock::ElapsedClock(const Clock& wall, Micros (*steady)()) : wall_(wall), steady_(steady) {
  if (steady_) apart_ = read().apart;
}

ElapsedClock::Reading ElapsedClock::read() const {
  for (;;) {
    const int64_t before = steady_().count();
    const Time wall = wall_.now();
    if (steady_().count() - before < kPrompt) return {wall, wall.micros - before};
  }
}

// The clocks are read after what is known of them: who sees the `ahead_` of a jump reads a wall that has jumped.
Time ElapsedClock::now() const {
  if (!steady_) return wall_.now();
  int64_t apart = apart_.load(std::memory_order_acquire);
  const int64_t ahead = ahead_.load(std::memory_order_acquire);
  const Reading reading = read();
  const int64_t moved = std::abs(reading.apart - apart);
  if (moved < kJump) {
    if (moved >= kDrift) apart_.compare_exchange_strong(apart, reading.apart, std::memory_order_acq_rel);
    return {reading.wall.micros + ahead};
  }
  std::lock_guard lock(mutex_);
  const Reading again = read();  // another thread may have seen the jump meanwhile
  const int64_t jump = again.apart - apart_;
  if (std::abs(jump) >= kJump) {
    ahead_ -= jump;
    apart_.store(again.apart, std::memory_order_release);
  }
  return {again.wall.micros + ahead_};
}

ElapsedClock::Micros ElapsedClock::ahead() const {
  now();
  return Micros(ahead_.load());
}

}  // namespace virga::kernel
