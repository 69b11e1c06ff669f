// The clock by which things last: how long a message stays invisible, when a delivery is tried again. It shows what the
// clock on the wall shows until that is put forward or back; it goes on as though nothing had happened. Over a restart
// it goes on too, by what Timers keep of it.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>

#include "base/time.h"

namespace virga::kernel {

class ElapsedClock final : public Clock {
 public:
  using Micros = std::chrono::microseconds;
  // Of real time that passes whatever the wall says, a suspended machine's included.
  static Micros since_boot();

  // Without `steady` the wall is never put forward or back, only passes: a clock that a test moves.
  explicit ElapsedClock(const Clock& wall, Micros (*steady)() = nullptr);

  Time now() const override;
  // How far it is ahead of the wall: what passed in between is the same, what the two show is not.
  Micros ahead() const;
  Time on_wall(Time elapsed) const { return elapsed - ahead(); }
  const Clock& wall() const { return wall_; }
  // Goes on from where a former process was.
  void go_on(Micros ahead) const { ahead_ = ahead.count(); }

 private:
  struct Reading {
    Time wall;
    int64_t apart;  // of the wall and the steady clock
  };
  Reading read() const;

  const Clock& wall_;
  Micros (*const steady_)();
  mutable std::mutex mutex_;
  mutable std::atomic<int64_t> apart_ = 0, ahead_ = 0;
};

}  // namespace virga::kernel
