// Copies bytes between two connected sockets until both directions have ended.
#pragma once

#include <string>

#include "sandbox/jail/fd.h"

namespace virga::sandbox::jail {

class Relay {
 public:
  Relay(Fd inner, Fd outer) : ends_{std::move(inner), std::move(outer)} {}

  // Copies as far as it goes without waiting; false once there is nothing left to do. Both sockets do not block.
  bool pump();
  int fd(int end) const { return ends_[end].get(); }
  // The outer connection failed: the inner one is reset.
  void reset_inner();

 private:
  struct Way {  // from ends_[i] to the other
    std::string held;
    size_t sent = 0;
    bool ended = false;   // nothing more comes
    bool closed = false;  // the other end has been told
  };
  bool move(int from);

  Fd ends_[2];
  Way ways_[2];
  bool broken_ = false;
};

}  // namespace virga::sandbox::jail
