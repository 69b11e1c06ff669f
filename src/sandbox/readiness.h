// Hearing that a descriptor may be read or written, on the executor where its owner lives.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "base/executor.h"

namespace virga::sandbox {

class Loop;

// Bytes read of a program before others on its executor get their turn.
inline constexpr size_t kMostPerTurn = 1024 * 1024;

// Calls `ready` on its executor whenever the descriptor may have become readable: read until EAGAIN. Destroy it on that
// executor's thread; `ready` is not called afterwards. The descriptor outlives it.
class Readiness {
 public:
  virtual ~Readiness() = default;
  // `ready` is called as well once the descriptor takes bytes again.
  virtual void want_write() {}
  // Until again(), `ready` may leave bytes unread.
  virtual void hold() {}
  virtual void again() {}
};

// On a reactor it waits there, without another thread between; elsewhere `loop` waits and posts.
std::unique_ptr<Readiness> watch_readiness(Loop& loop, Executor& home, int fd, std::function<void()> ready);

}  // namespace virga::sandbox
