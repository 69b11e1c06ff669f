// Signals as something to wait for.
#pragma once

#include <initializer_list>
#include <memory>

#include "base/task.h"

namespace virga::rt {

class Reactor;

// Takes the named signals over for as long as it lives; they no longer end the process.
class Signals {
 public:
  Signals(Reactor& reactor, std::initializer_list<int> numbers);
  ~Signals();
  // The next one that comes; 0 after cancel(). On the reactor's thread.
  Task<int> next();
  void cancel();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace virga::rt
