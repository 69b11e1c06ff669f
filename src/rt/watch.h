// Waiting for a file descriptor to become ready: listening sockets, pidfds, TLS, a connect under way.
#pragma once

#include <coroutine>
#include <functional>
#include <memory>

namespace virga::rt {

class Reactor;

// Watches a descriptor that it does not own and that must outlive it. One reactor's thread only.
class Watch {
 public:
  Watch(Reactor& reactor, int fd);
  ~Watch();  // waits under way must have ended
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Gives 0, or an errno (ECANCELED after cancel()). One of each may be awaited at a time.
  class Awaiter;
  Awaiter readable();
  Awaiter writable();
  void cancel();

  // The same without a coroutine; `done` gets the errno.
  void wait(bool for_write, std::move_only_function<void(int error)> done);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Watch::Awaiter {
 public:
  Awaiter(Watch& watch, bool for_write) : watch_(watch), for_write_(for_write) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    watch_.wait(for_write_, [this, waiter](int error) {
      error_ = error;
      waiter.resume();
    });
  }
  int await_resume() const noexcept { return error_; }

 private:
  Watch& watch_;
  bool for_write_;
  int error_ = 0;
};

inline Watch::Awaiter Watch::readable() { return {*this, false}; }
inline Watch::Awaiter Watch::writable() { return {*this, true}; }

}  // namespace virga::rt
