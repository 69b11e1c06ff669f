#include "base/executor.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <vector>

#include "base/log.h"

namespace virga {

thread_local Executor* Executor::current_ = nullptr;

Task<void> sleep_for(Micros delay) {
  co_await suspend_until([delay](Resume resume) { Executor::current()->post_after(delay, [resume] { resume(); }); });
}

void start_background(std::string_view what, Task<void> task) {
  start(std::move(task), [what = std::string(what)](Result<void> result) {
    if (!result) log_error(what, describe(result.error()));
  });
}

namespace detail {

class LoopExecutor : public Executor {
 public:
  using Work = std::move_only_function<void()>;
  using SteadyTime = std::chrono::steady_clock::time_point;

  void post(Work work) override {
    std::lock_guard lock(mutex_);
    ready_.push_back(std::move(work));
    wake_.notify_one();
  }
  void post_after(Micros delay, Work work) override {
    std::lock_guard lock(mutex_);
    timed_.emplace(std::chrono::steady_clock::now() + delay, std::move(work));
    wake_.notify_one();
  }
  void finish() {
    std::lock_guard lock(mutex_);
    finished_ = true;
    wake_.notify_one();
  }
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      const SteadyTime now = std::chrono::steady_clock::now();
      while (!timed_.empty() && timed_.begin()->first <= now) {
        ready_.push_back(std::move(timed_.begin()->second));
        timed_.erase(timed_.begin());
      }
      if (!ready_.empty()) {
        std::vector<Work> batch = std::move(ready_);
        ready_.clear();
        lock.unlock();
        for (Work& work : batch) work();
        batch.clear();
        lock.lock();
      } else if (finished_) {
        return;
      } else if (timed_.empty()) {
        wake_.wait(lock);
      } else {
        wake_.wait_until(lock, timed_.begin()->first);
      }
    }
  }
  static Executor* enter(Executor* executor) {
    Executor* previous = current();
    set_current(executor);
    return previous;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Work> ready_;
  std::multimap<SteadyTime, Work> timed_;
  bool finished_ = false;
};

LoopScope::LoopScope() : loop_(std::make_unique<LoopExecutor>()), previous_(LoopExecutor::enter(loop_.get())) {}
LoopScope::~LoopScope() { LoopExecutor::enter(previous_); }
void LoopScope::run_until_finished() { loop_->run(); }
void LoopScope::finish() { loop_->finish(); }

}  // namespace detail
}  // namespace virga
