// Task<T>: a lazy coroutine with one awaiter.
//
//   Task<int> size(Txn& tx) { auto v = co_await tx.get("k"); co_return v ? v->size() : 0; }
//
// Failure travels without unwinding. When a task fails (co_return of an Error, co_await fail(error), or an
// exception escaping its body) every task awaiting it is skipped, not resumed, up to the first one that asked for
// a Result with `co_await as_result(task)` or to the root. The skipped frames are destroyed, and so their
// destructors run, when the asking one drops the outermost task at the end of its full expression. Therefore:
//   * try/catch around a co_await does not see the awaited task's failure: use as_result;
//   * a task starts when awaited and must be awaited at most once; dropping an unstarted task is fine;
//   * a task that has started must not be destroyed before it completes, unless it failed.
#pragma once

#include <coroutine>
#include <optional>
#include <utility>

#include "base/error.h"

namespace virga {

template <class T>
class Task;

// Await this to fail the current task: the way for a Task<void>, where co_return takes no value.
struct fail {
  Error error;
  explicit fail(Error e) : error(std::move(e)) {}
};

// Await this to fail with a Failure that as_result produced: passes it on unchanged.
struct fail_with {
  Failure failure;
  explicit fail_with(Failure f) : failure(std::move(f)) {}
};

namespace detail {

struct PromiseBase {
  std::coroutine_handle<> continuation = nullptr;  // who to resume when done
  PromiseBase* parent = nullptr;                   // set when the awaiter is a task to be skipped on failure
  std::optional<Failure> failure;

  std::suspend_always initial_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { failure = current_failure(); }

  // Where control goes when this task ends: its awaiter, or past skipped awaiters on failure.
  std::coroutine_handle<> next() noexcept {
    PromiseBase* task = this;
    if (failure) {
      while (task->parent) {
        task->parent->failure = std::move(task->failure);
        task = task->parent;
      }
    }
    return task->continuation ? task->continuation : std::noop_coroutine();
  }

  struct Final {
    bool await_ready() noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) noexcept {
      return h.promise().next();
    }
    void await_resume() noexcept {}
  };
  Final final_suspend() noexcept { return {}; }

  struct FailAwaiter {
    Failure failure;
    bool await_ready() noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) noexcept {
      PromiseBase& promise = h.promise();
      promise.failure = std::move(failure);
      return promise.next();
    }
    [[noreturn]] void await_resume() noexcept { std::terminate(); }
  };
  FailAwaiter await_transform(fail f) { return {std::move(f.error)}; }
  FailAwaiter await_transform(fail_with f) { return {std::move(f.failure)}; }
  template <class A>
  A&& await_transform(A&& awaitable) {
    return std::forward<A>(awaitable);
  }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object() noexcept;
  template <class U>
    requires std::is_constructible_v<T, U&&>
  void return_value(U&& v) {
    value.emplace(std::forward<U>(v));
  }
  void return_value(T v)
    requires std::is_move_constructible_v<T>
  {
    value.emplace(std::move(v));
  }
  void return_value(Error error)
    requires(!std::is_same_v<T, Error>)
  {
    failure = std::move(error);
  }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object() noexcept;
  void return_void() noexcept {}
};

template <class P>
concept TaskPromise = std::is_base_of_v<PromiseBase, P>;

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  struct Awaiter {
    Handle handle;
    bool await_ready() const noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> awaiter) noexcept {
      static_assert(detail::TaskPromise<P>, "only a Task can await a Task; elsewhere use spawn or as_result");
      handle.promise().continuation = awaiter;
      handle.promise().parent = &awaiter.promise();
      return handle;
    }
    T await_resume() {
      if constexpr (!std::is_void_v<T>) return std::move(*handle.promise().value);
    }
  };
  Awaiter operator co_await() && noexcept { return {handle_}; }
  Awaiter operator co_await() & noexcept { return {handle_}; }

  Handle handle() const noexcept { return handle_; }

 private:
  friend promise_type;
  explicit Task(Handle h) noexcept : handle_(h) {}
  Handle handle_;
};

namespace detail {
template <class T>
Task<T> Promise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}
}  // namespace detail

// `Result<T> r = co_await as_result(task);` — the one way to look at a failure and go on.
template <class T>
class [[nodiscard]] as_result {
 public:
  explicit as_result(Task<T> task) : task_(std::move(task)) {}
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) noexcept {
    task_.handle().promise().continuation = awaiter;
    return task_.handle();
  }
  Result<T> await_resume() {
    auto& promise = task_.handle().promise();
    if (promise.failure) return std::unexpected(std::move(*promise.failure));
    if constexpr (std::is_void_v<T>) {
      return {};
    } else {
      return std::move(*promise.value);
    }
  }

 private:
  Task<T> task_;
};

namespace detail {
struct Detached {
  struct promise_type {
    Detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};
template <class T, class F>
Detached run_detached(Task<T> task, F done) {
  Result<T> result = co_await as_result<T>(std::move(task));
  done(std::move(result));
}
}  // namespace detail

// Starts `task` on this thread at once and calls `done(Result<T>)` wherever it completes. `done` must not throw.
template <class T, class F>
void start(Task<T> task, F done) {
  detail::run_detached<T, F>(std::move(task), std::move(done));
}
// Starts a task nobody waits for. A failure is logged by its text under `what` (base/log.h).
void start_background(std::string_view what, Task<void> task);

}  // namespace virga
