#include "rt/timer_wheel.h"

#include <algorithm>

namespace virga::rt {

TimerWheel::TimerWheel() {
  for (Head& head : slots_) head.next_ = head.prev_ = &head;
}

TimerWheel::~TimerWheel() {
  for (Head& head : slots_) {
    while (head.next_ != &head) head.next_->unlink();
  }
}

void TimerWheel::link(CoarseTimer& timer, uint64_t tick) {
  timer.looked_ = tick;
  Head& head = slots_[tick % kSlots];
  timer.next_ = &head;
  timer.prev_ = head.prev_;
  head.prev_->next_ = &timer;
  head.prev_ = &timer;
}

void TimerWheel::arm(CoarseTimer& timer, std::chrono::milliseconds delay) {
  const int64_t ticks = std::max<int64_t>(0, (delay + kTick - std::chrono::milliseconds(1)) / kTick);
  // One tick more, because the present tick has partly passed.
  timer.due_ = now_ + static_cast<uint64_t>(ticks) + 1;
  if (timer.next_ && timer.looked_ <= timer.due_) return;  // looked at in time and then linked anew
  timer.unlink();
  link(timer, std::min(timer.due_, now_ + kSlots - 1));
}

void TimerWheel::advance(uint64_t ticks) {
  // After a long pause one turn of the wheel visits every slot once; more would visit them again for nothing.
  const uint64_t last = now_ + ticks;
  uint64_t tick = ticks > kSlots ? last - kSlots : now_;
  now_ = last;
  while (tick < last) {
    ++tick;
    Head& head = slots_[tick % kSlots];
    Head batch;
    if (head.next_ == &head) continue;
    batch.next_ = head.next_;
    batch.prev_ = head.prev_;
    batch.next_->prev_ = &batch;
    batch.prev_->next_ = &batch;
    head.next_ = head.prev_ = &head;
    while (batch.next_ != &batch) {
      CoarseTimer& timer = *batch.next_;
      timer.unlink();
      if (timer.due_ == CoarseTimer::kNever) continue;
      if (timer.due_ <= now_) {
        timer.due_ = CoarseTimer::kNever;
        timer.expired();
      } else {
        link(timer, std::min(timer.due_, now_ + kSlots - 1));
      }
    }
    batch.next_ = batch.prev_ = nullptr;
  }
}

bool TimerWheel::empty() const {
  return std::all_of(slots_.begin(), slots_.end(), [](const Head& head) { return head.next_ == &head; });
}

}  // namespace virga::rt
