// Waiting for a file descriptor to become ready: sockets, pidfds, TLS, a connect under way.
#pragma once

#include <array>
#include <coroutine>
#include <cstdint>
#include <functional>

namespace virga::rt {

class Reactor;

// Watches a descriptor that it does not own and that must outlive it. One reactor's thread only. What is ready ends a
// wait whether or not it was ready before; nothing need be read until EAGAIN before the next.
class Watch {
 public:
  // Throws std::system_error when the kernel takes in no more descriptors, or none like this.
  Watch(Reactor& reactor, int fd);
  ~Watch();  // ends the waits under way, as cancel() does
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Gives 0, also when the descriptor is broken, or an errno. At most two of each at a time.
  class Awaiter;
  Awaiter readable();
  Awaiter writable();
  // The waits under way end soon, not at once, with ECANCELED.
  void cancel();

  // The same without a coroutine; `done` gets the errno.
  using Done = std::move_only_function<void(int error)>;
  void wait(bool for_write, Done done);

 private:
  friend class Reactor;
  using Waits = std::array<Done, 2>;  // those there are come first

  void told(uint32_t events);
  uint32_t wanted() const;
  void arm(uint32_t events);

  Reactor& reactor_;
  const int fd_;
  uint32_t armed_;  // what the kernel tells of
  Waits reads_, writes_;
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
