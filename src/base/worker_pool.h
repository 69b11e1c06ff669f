// Threads for work that blocks: files, name look-ups, long computations. They start when there is work and end when
// there has been none for a while.
//
//   std::string text = co_await pool.run([&] { return read_whole_file(path); });
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>

#include "base/executor.h"
#include "base/task.h"

namespace virga {

class WorkerPool {
 public:
  explicit WorkerPool(size_t most_threads = 4);
  // Waits for what is running; work that has not begun is done first.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;

  // Runs `work` on a pool thread and goes on upon the caller's executor with its result. An exception of `work` fails
  // the task. The queue holds one entry for each suspended caller and is bounded by them.
  template <class F>
  Task<std::invoke_result_t<F&>> run(F work);

  void post(std::move_only_function<void()> work);

 private:
  struct State;
  static void serve(const std::shared_ptr<State>& state);
  std::shared_ptr<State> state_;
};

template <class F>
Task<std::invoke_result_t<F&>> WorkerPool::run(F work) {
  using T = std::invoke_result_t<F&>;
  std::exception_ptr error;
  if constexpr (std::is_void_v<T>) {
    co_await suspend_until([&, this](Resume resume) {
      post([&error, &work, resume] {
        try {
          work();
        } catch (...) {
          error = std::current_exception();
        }
        resume();
      });
    });
    if (error) std::rethrow_exception(error);
  } else {
    std::optional<T> out;
    co_await suspend_until([&, this](Resume resume) {
      post([&error, &work, &out, resume] {
        try {
          out.emplace(work());
        } catch (...) {
          error = std::current_exception();
        }
        resume();
      });
    });
    if (error) std::rethrow_exception(error);
    co_return std::move(*out);
  }
}

}  // namespace virga
