// The part of a zygote that is ours: a library that the interpreter loads, so that what it forks is jailed by the same
// code as every other sandbox. It has nothing of Virga in it but this, init.cc and protocol.cc.
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "sandbox/jail/error.h"
#include "sandbox/jail/init.h"
#include "sandbox/jail/protocol.h"

namespace virga::sandbox::jail {
namespace {

// Gives the process that was made, and 0 in the program of a sandbox.
pid_t fork_one(Message order, int own_network) {
  std::vector<sock_filter> filter(order.string(0).size() / sizeof(sock_filter));
  std::memcpy(filter.data(), order.strings.at(0).data(), filter.size() * sizeof(sock_filter));
  size_t next = 0;
  const auto take = [&] { return order.fds.at(next++).get(); };
  InitOptions init{.control = take(), .channel = take(), .output = take()};
  const int network = take();
  const int group = order.number(2) ? take() : -1;
  while (next < order.fds.size()) init.join.push_back(take());
  init.filter = &filter;
  init.many_users = order.number(0) != 0;
  init.processes = order.number(1);
  must(::setns(network, CLONE_NEWNET), "enter a sandbox's network");
  pid_t pid = -1;
  std::string failure;
  try {
    pid = clone_first(init, group, Parent::kCallers);
  } catch (const std::exception& e) {
    failure = e.what();
  }
  if (pid == 0) {
    for (Fd& fd : order.fds) fd.release();  // closed by the first process
    return 0;
  }
  if (::setns(own_network, CLONE_NEWNET) != 0) ::abort();  // going on in a sandbox's network would be worse
  if (pid < 0) throw std::runtime_error(failure);
  return pid;
}

void serve_forks(int control, int own_network) {
  send(control, {.kind = Kind::kReady}, true);
  while (true) {
    bool closed = false;
    auto order = receive(control, true, closed);
    if (!order) ::_exit(0);
    Message answer{.kind = Kind::kForked};
    try {
      const pid_t pid = fork_one(std::move(*order), own_network);
      if (pid == 0) return;
      answer.numbers = {static_cast<uint64_t>(pid)};
    } catch (const std::exception& e) {
      answer = {.kind = Kind::kFailed, .strings = {e.what()}};
    }
    send(control, answer, true);
  }
}

}  // namespace
}  // namespace virga::sandbox::jail

// Makes sandboxes as the launcher orders; returns in the program of each, and in the zygote never.
extern "C" __attribute__((visibility("default"))) void virga_serve_forks(int control, int own_network) {
  virga::sandbox::jail::serve_forks(control, own_network);
}
