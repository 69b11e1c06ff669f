// Time-outs by the hundred thousand: a wheel of intrusive timers, coarse and nearly free. Arming a timer again later
// than it stands only stores a number, so a connection can move its deadline at every step.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace virga::rt {

class TimerWheel;

// A deadline of one object. Lives on one reactor's thread; disarms itself when destroyed.
class CoarseTimer {
 public:
  CoarseTimer() = default;
  CoarseTimer(const CoarseTimer&) = delete;
  CoarseTimer& operator=(const CoarseTimer&) = delete;
  bool armed() const { return next_ != nullptr && due_ != kNever; }

 protected:
  virtual ~CoarseTimer() { unlink(); }
  // Called on the reactor's thread once the deadline has passed; the timer is disarmed and may be armed again.
  virtual void expired() = 0;

 private:
  friend class TimerWheel;
  static constexpr uint64_t kNever = UINT64_MAX;
  void unlink() {
    if (!next_) return;
    next_->prev_ = prev_;
    prev_->next_ = next_;
    next_ = prev_ = nullptr;
  }
  CoarseTimer* next_ = nullptr;
  CoarseTimer* prev_ = nullptr;
  uint64_t due_ = kNever;  // tick at which it expires
  uint64_t looked_ = 0;    // tick at which the wheel looks at it next
};

// Expires timers up to two ticks late, never early. Not thread-safe.
class TimerWheel {
 public:
  static constexpr std::chrono::milliseconds kTick{100};

  TimerWheel();
  ~TimerWheel();
  void arm(CoarseTimer& timer, std::chrono::milliseconds delay);
  // Takes the deadline away; cheap, and cheap to arm again.
  void disarm(CoarseTimer& timer) { timer.due_ = CoarseTimer::kNever; }
  // Moves time forward and expires what is due.
  void advance(uint64_t ticks);
  bool empty() const;

 private:
  static constexpr size_t kSlots = 256;
  struct Head : CoarseTimer {
    void expired() override {}
  };
  void link(CoarseTimer& timer, uint64_t tick);

  std::array<Head, kSlots> slots_;
  uint64_t now_ = 0;
};

}  // namespace virga::rt
