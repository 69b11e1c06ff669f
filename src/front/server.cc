#include "front/server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/str.h"
#include "front/lane.h"

namespace virga::front {
namespace {

constexpr int kBacklog = 4096;

// Both families on one socket when the host is empty.
std::vector<sockaddr_storage> addresses_of(const std::string& host, uint16_t port) {
  std::vector<sockaddr_storage> found;
  if (host.empty()) {
    sockaddr_storage any{};
    auto& v6 = reinterpret_cast<sockaddr_in6&>(any);
    v6.sin6_family = AF_INET6;
    v6.sin6_addr = in6addr_any;
    v6.sin6_port = htons(port);
    found.push_back(any);
    any = {};
    auto& v4 = reinterpret_cast<sockaddr_in&>(any);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    found.push_back(any);  // where IPv6 is switched off
    return found;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const std::string bare = host.front() == '[' && host.back() == ']' ? host.substr(1, host.size() - 2) : host;
  const int error = getaddrinfo(bare.c_str(), cat(port).c_str(), &hints, &list);
  if (error != 0) throw ListenError(cat("Cannot listen on ", host, ":", port, ": ", gai_strerror(error), "."));
  for (const addrinfo* a = list; a; a = a->ai_next) {
    sockaddr_storage address{};
    memcpy(&address, a->ai_addr, a->ai_addrlen);
    found.push_back(address);
  }
  freeaddrinfo(list);
  return found;
}

// A listening socket, or -1 with errno set.
int listen_on(const sockaddr_storage& address) {
  const int fd = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1, off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  const bool any6 = address.ss_family == AF_INET6 &&
                    IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
  if (any6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  const socklen_t size = address.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0 || ::listen(fd, kBacklog) != 0) {
    const int error = errno;
    ::close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

// SO_REUSEPORT lets a second process of the same user share the port and get half the connections; that is never
// meant, so the port must be free for a socket without it first.
int probe(const sockaddr_storage& address) {
  const int fd = ::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  const int on = 1, off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.ss_family == AF_INET6 &&
      IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr)) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  const socklen_t size = address.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  const int error = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0 ? 0 : errno;
  ::close(fd);
  return error;
}

uint16_t port_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

void set_port(sockaddr_storage& address, uint16_t port) {
  if (address.ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6&>(address).sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in&>(address).sin_port = htons(port);
  }
}

std::string why(const std::string& host, uint16_t port, int error) {
  const std::string where = cat(host.empty() ? "*" : host, ":", port);
  switch (error) {
    case EADDRINUSE:
      return cat("Cannot listen on ", where,
                 ": the port is in use by another program; stop that one, or take another port with --port.");
    case EACCES:
      return cat("Cannot listen on ", where,
                 ": ports below 1024 need the capability CAP_NET_BIND_SERVICE; take a higher one with --port.");
    case EADDRNOTAVAIL:
      return cat("Cannot listen on ", where, ": this machine does not have that address.");
    default:
      return cat("Cannot listen on ", where, ": ", strerror(error), ".");
  }
}

}  // namespace

struct Server::State {
  State(rt::Reactors& reactors, ServerOptions o) : reactors(reactors), options(std::move(o)) {
    reactors.each([&](rt::Reactor& r) { lanes.push_back(std::make_unique<Lane>(r, options, counters)); });
  }
  rt::Reactors& reactors;
  const ServerOptions options;
  Counters counters;
  std::vector<std::unique_ptr<Lane>> lanes;
  std::atomic<ListenerId> next_id = 1;
  std::mutex mutex;
  std::map<ListenerId, Lane*> adopted;
  bool stopped = false;
};

Server::Server(rt::Reactors& reactors, ServerOptions options)
    : state_(std::make_unique<State>(reactors, std::move(options))) {}

Server::~Server() {
  if (!state_->stopped && !stop(Millis(0))) {
    // Handlers that still run refer to the lanes: those have to stay.
    (void)state_.release();
  }
}

uint16_t Server::listen(const std::string& host, uint16_t port, Handlers handlers, std::shared_ptr<rt::TlsServer> tls) {
  std::vector<int> fds;
  int error = 0;
  for (sockaddr_storage& address : addresses_of(host, port)) {
    error = port == 0 ? 0 : probe(address);
    if (error != 0) {
      if (error == EAFNOSUPPORT) continue;
      break;
    }
    uint16_t actual = port;
    for (size_t i = 0; i < state_->lanes.size(); ++i) {
      set_port(address, actual);
      const int fd = listen_on(address);
      if (fd < 0) {
        error = errno;
        break;
      }
      actual = port_of(fd);
      fds.push_back(fd);
    }
    if (error == EAFNOSUPPORT && fds.empty()) continue;
    break;
  }
  if (error != 0 || fds.empty()) {
    for (const int fd : fds) ::close(fd);
    throw ListenError(why(host, port, error));
  }
  const uint16_t actual = port_of(fds[0]);
  const auto origin = std::make_shared<const Origin>(Origin{state_->next_id++, std::move(handlers), std::move(tls)});
  for (size_t i = 0; i < fds.size(); ++i) {
    Lane& lane = *state_->lanes[i];
    lane.reactor().post([&lane, fd = fds[i], origin] { lane.open(fd, origin); });
  }
  return actual;
}

Server::ListenerId Server::add_listener(int fd, rt::Reactor& reactor, Handlers handlers) {
  const auto origin = std::make_shared<const Origin>(
      Origin{state_->next_id++, std::move(handlers), nullptr, state_->options.limits.adopted_connections});
  for (auto& lane : state_->lanes) {
    if (&lane->reactor() != &reactor) continue;
    {
      std::lock_guard lock(state_->mutex);
      state_->adopted[origin->id] = lane.get();
    }
    reactor.post([lane = lane.get(), fd, origin] { lane->open(fd, origin); });
  }
  return origin->id;
}

void Server::remove_listener(ListenerId id) {
  Lane* lane = nullptr;
  {
    std::lock_guard lock(state_->mutex);
    if (auto found = state_->adopted.find(id); found != state_->adopted.end()) {
      lane = found->second;
      state_->adopted.erase(found);
    }
  }
  if (lane) lane->reactor().post([lane, id] { lane->close(id); });
}

bool Server::stop(Millis grace) {
  using Steady = std::chrono::steady_clock;
  state_->stopped = true;
  if (!state_->reactors.running()) return true;  // then nothing ever ran
  const auto on_lanes = [&](const std::function<void(Lane&)>& f) {
    for (auto& lane : state_->lanes) {
      rt::detail::wait_for(lane->reactor(), [&](std::function<void()> done) {
        f(*lane);
        done();
      });
    }
  };
  const auto idle_within = [&](Millis limit) {
    const auto until = Steady::now() + limit;
    while (true) {
      bool idle = true;
      on_lanes([&](Lane& lane) { idle = idle && lane.idle(); });
      if (idle) return true;
      if (Steady::now() >= until) return false;
      std::this_thread::sleep_for(Millis(10));
    }
  };
  on_lanes([](Lane& lane) { lane.drain(); });
  if (idle_within(grace)) return true;
  on_lanes([](Lane& lane) { lane.abort(); });
  return idle_within(Millis(2'000));
}

ServerStats Server::stats() const {
  const Counters& c = state_->counters;
  return {c.connections, c.accepted, c.refused, c.requests};
}

}  // namespace virga::front
