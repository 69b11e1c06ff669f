#include "sandbox/jail/relay.h"

#include <sys/socket.h>

#include <cerrno>

namespace virga::sandbox::jail {
namespace {

constexpr size_t kMostHeld = 64 * 1024;  // of one direction

}  // namespace

// True when something moved.
bool Relay::move(int from) {
  Way& way = ways_[from];
  const int in = ends_[from].get();
  const int out = ends_[1 - from].get();
  bool moved = false;
  while (!broken_) {
    if (way.sent < way.held.size()) {
      const ssize_t n =
          ::send(out, way.held.data() + way.sent, way.held.size() - way.sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        broken_ = errno != EAGAIN && errno != ENOTCONN;
        break;
      }
      way.sent += static_cast<size_t>(n);
      moved = true;
      continue;
    }
    if (way.ended) {
      if (!way.closed) ::shutdown(out, SHUT_WR);
      way.closed = true;
      break;
    }
    char buffer[kMostHeld];
    const ssize_t n = ::recv(in, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      broken_ = errno != EAGAIN && errno != ENOTCONN;
      break;
    }
    way.ended = n == 0;
    way.held.assign(buffer, static_cast<size_t>(n));
    way.sent = 0;
    moved = true;
  }
  if (way.sent == way.held.size() && !way.held.empty()) {
    way.held.clear();
    way.held.shrink_to_fit();
    way.sent = 0;
  }
  return moved;
}

bool Relay::pump() {
  for (bool moved = true; moved && !broken_;) {
    const bool out = move(0);
    moved = move(1) || out;
  }
  if (broken_) reset_inner();
  return !broken_ && !(ways_[0].closed && ways_[1].closed);
}

void Relay::reset_inner() {
  const linger now{1, 0};
  ::setsockopt(ends_[0].get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  broken_ = true;
}

}  // namespace virga::sandbox::jail
