// Where coroutines run. One Executor per reactor thread (rt/reactor.h implements it); whatever completes an
// operation on another thread posts the coroutine back to the executor it suspended on.
#pragma once

#include <chrono>
#include <coroutine>
#include <functional>
#include <memory>
#include <type_traits>

#include "base/task.h"

namespace virga {

using Millis = std::chrono::milliseconds;
using Micros = std::chrono::microseconds;

class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `work` soon on this executor's thread. Safe from any thread.
  virtual void post(std::move_only_function<void()> work) = 0;
  // Runs `work` after `delay` (real time) on this executor's thread. Safe from any thread. Not durable.
  virtual void post_after(Micros delay, std::move_only_function<void()> work) = 0;

  // The executor of the calling thread, or null on threads that have none (then completions run in place).
  static Executor* current() noexcept { return current_; }

 protected:
  static void set_current(Executor* executor) noexcept { current_ = executor; }

 private:
  static thread_local Executor* current_;
};

// `co_await suspend_until([&](Resume resume) { … })`: suspends, hands out a handle that whoever completes the
// operation calls exactly once from any thread; the coroutine goes on upon its own executor. When the operation is
// over at once, don't call it in place, which would deepen the stack: let the function return bool, and return false
// for "not suspended after all" (then the handle must never be called).
class Resume {
 public:
  Resume(std::coroutine_handle<> handle, Executor* executor) : handle_(handle), executor_(executor) {}
  void operator()() const {
    if (!executor_ || executor_ == Executor::current()) {
      handle_.resume();
    } else {
      executor_->post([handle = handle_] { handle.resume(); });
    }
  }
  // Resumes later even when called on the executor's own thread: for callers that hold a lock or a loop.
  void later() const {
    if (executor_) {
      executor_->post([handle = handle_] { handle.resume(); });
    } else {
      handle_.resume();
    }
  }

 private:
  std::coroutine_handle<> handle_;
  Executor* executor_;
};

template <class F>
struct suspend_until {
  F start;
  explicit suspend_until(F f) : start(std::move(f)) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle) {
    // `start` may complete at once on another thread and destroy this awaiter with the frame: move it out first.
    auto f = std::move(start);
    if constexpr (std::is_same_v<std::invoke_result_t<F&, Resume>, bool>) {
      return f(Resume(handle, Executor::current()));
    } else {
      f(Resume(handle, Executor::current()));
      return true;
    }
  }
  void await_resume() const noexcept {}
};

// `co_await move_to(executor)`: goes on upon `executor`'s thread.
struct move_to {
  Executor& executor;
  explicit move_to(Executor& e) : executor(e) {}
  bool await_ready() const noexcept { return &executor == Executor::current(); }
  void await_suspend(std::coroutine_handle<> handle) {
    executor.post([handle] { handle.resume(); });
  }
  void await_resume() const noexcept {}
};

// Suspends for at least `delay` of real time; needs a current executor.
Task<void> sleep_for(Micros delay);

// Runs `task` to its end on a private executor of this thread: for tests, the command line and start-up.
template <class T>
Result<T> run(Task<T> task);

namespace detail {
class LoopExecutor;  // a small executor that a plain thread drives until told to stop
class LoopScope {
 public:
  LoopScope();
  ~LoopScope();
  void run_until_finished();
  void finish();

 private:
  std::unique_ptr<LoopExecutor> loop_;
  Executor* previous_;
};
}  // namespace detail

template <class T>
Result<T> run(Task<T> task) {
  detail::LoopScope scope;
  std::optional<Result<T>> out;
  start(std::move(task), [&](Result<T> result) {
    out = std::move(result);
    scope.finish();
  });
  scope.run_until_finished();
  return std::move(*out);
}

}  // namespace virga
