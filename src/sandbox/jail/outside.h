// The way out of a sandbox, whose own network has nothing but a loopback.
//
// The kernel hands every connect() of a sandbox's programs to a process of its own in the host's network ("outside").
// It makes the connection itself, joins the program's socket to a relay on the sandbox's loopback, and copies between
// the two. So no socket of the host's network is ever inside a sandbox, and what a program sends to its own loopback
// stays there. Name look-ups go to 127.0.0.1:53 of the sandbox and from there to the host's name server.
//
// TCP and names only. Never reached: link-local and multicast addresses, and Virga's own port on this machine's
// addresses. A program that connects without blocking to something slow is told "connected" at once and a failure
// later.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "sandbox/jail/fd.h"

namespace virga::sandbox::jail {

class Outside {
 public:
  // Forks the process. Called in the host's network namespace, before the caller has threads.
  explicit Outside(uint16_t control_port);
  ~Outside();
  Outside(const Outside&) = delete;

  // A sandbox: where its connects are told (init.cc asks the kernel for that), the listener of its relay, the socket of
  // its name server. `soon`: what it runs connects at once, to the Runtime API at least. Nothing leads out of it until
  // allow(slot), which later connects of its programs are sure to find. A slot is one sandbox's at a time.
  void add(uint32_t id, size_t slot, bool soon, Fd calls, Fd relay, Fd names);
  void allow(size_t slot);
  // Readable once the process has ended.
  int leash() const { return socket_.get(); }

 private:
  Fd socket_;
  std::atomic<bool>* allowed_;  // by slot; memory that the process reads
};

}  // namespace virga::sandbox::jail
