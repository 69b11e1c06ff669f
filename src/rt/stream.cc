#include "rt/stream.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "base/str.h"
#include "rt/reactor.h"
#include "rt/socket.h"
#include "rt/watch.h"

namespace virga::rt {
namespace {

constexpr unsigned kMostInARow = 16;  // reads without letting others run

// What is left of a gather write after `done` bytes.
class Cursor {
 public:
  void set(Stream::Buffers buffers) {
    count_ = 0;
    for (const iovec& b : buffers) {
      if (b.iov_len != 0 && count_ < pieces_.size()) pieces_[count_++] = b;
    }
    first_ = 0;
  }
  bool empty() const { return first_ == count_; }
  iovec* data() { return pieces_.data() + first_; }
  size_t count() const { return count_ - first_; }
  void consume(size_t n) {
    while (n > 0) {
      iovec& piece = pieces_[first_];
      if (n < piece.iov_len) {
        piece.iov_base = static_cast<char*>(piece.iov_base) + n;
        piece.iov_len -= n;
        return;
      }
      n -= piece.iov_len;
      ++first_;
    }
  }

 private:
  std::array<iovec, 16> pieces_;
  size_t first_ = 0, count_ = 0;
};

// Reads when the socket is told to be readable, or was read so full that there is probably more; writes at once,
// because a send buffer nearly always has room.
class SocketStream final : public Stream {
 public:
  SocketStream(Reactor& reactor, int fd) : reactor_(reactor), fd_(fd), watch_(std::in_place, reactor, fd) {
    prepare_socket(fd);
  }
  ~SocketStream() override { close(); }

  void shutdown_write() override {
    if (is_open()) ::shutdown(fd_, SHUT_WR);
  }
  void cancel() override {
    if (is_open()) watch_->cancel();
  }
  void close() override {
    if (!is_open()) return;
    watch_.reset();
    ::close(std::exchange(fd_, -1));
  }
  void reset() override {
    if (is_open()) {
      const linger now{1, 0};
      setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close();
  }
  bool is_open() const override { return fd_ >= 0; }
  std::string peer() const override { return peer_of(fd_); }
  uint16_t local_port() const override { return local_port_of(fd_); }

 protected:
  bool start_read(char* into, size_t room, Pending& pending) override {
    if (!is_open()) {
      pending.io.error = ECANCELED;
      return true;
    }
    into_ = into;
    room_ = room;
    if (!more_ || !pull(pending.io)) {
      in_a_row_ = 0;
      wait_to_read(pending);
      return false;
    }
    if (++in_a_row_ < kMostInARow) return true;
    in_a_row_ = 0;
    reactor_.post([&pending] { pending.waiter.resume(); });
    return false;
  }

  bool start_write(Buffers buffers, Pending& pending) override {
    if (!is_open()) {
      pending.io.error = ECANCELED;
      return true;
    }
    writing_.set(buffers);
    written_ = 0;
    if (push(pending.io)) return true;
    wait_to_write(pending);
    return false;
  }

 private:
  // True when finished, well or not; false when there is nothing to read yet.
  bool pull(Io& io) {
    while (true) {
      const ssize_t n = ::recv(fd_, into_, room_, MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      more_ = n > 0 && static_cast<size_t>(n) == room_;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
      io = n < 0 ? Io{0, errno} : Io{static_cast<size_t>(n), 0};
      return true;
    }
  }
  void wait_to_read(Pending& pending) {
    watch_->wait(false, [this, &pending](int error) {
      if (error || !is_open()) {
        pending.io = {0, error ? error : ECANCELED};
      } else if (!pull(pending.io)) {
        return wait_to_read(pending);
      }
      pending.waiter.resume();
    });
  }

  // True when finished, well or not; false when the socket takes no more for now.
  bool push(Io& io) {
    while (!writing_.empty()) {
      msghdr message{};
      message.msg_iov = writing_.data();
      message.msg_iovlen = writing_.count();
      const ssize_t n = ::sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
        io = {written_, errno};
        return true;
      }
      written_ += static_cast<size_t>(n);
      writing_.consume(static_cast<size_t>(n));
    }
    io = {written_, 0};
    return true;
  }
  void wait_to_write(Pending& pending) {
    watch_->wait(true, [this, &pending](int error) {
      if (error || !is_open()) {
        pending.io = {written_, error ? error : ECANCELED};
      } else if (!push(pending.io)) {
        return wait_to_write(pending);
      }
      pending.waiter.resume();
    });
  }

  Reactor& reactor_;
  int fd_;
  std::optional<Watch> watch_;
  char* into_ = nullptr;
  size_t room_ = 0;
  bool more_ = false;
  unsigned in_a_row_ = 0;
  Cursor writing_;
  size_t written_ = 0;
};

// Ends a wait when time is up.
class WatchTimer final : public CoarseTimer {
 public:
  explicit WatchTimer(Watch& watch) : watch_(watch) {}
  bool fired = false;

 private:
  void expired() override {
    fired = true;
    watch_.cancel();
  }
  Watch& watch_;
};

Task<int> connect_to(sockaddr_storage address, socklen_t size, std::string name, Millis timeout) {
  Reactor& reactor = *Reactor::here();
  const int fd = ::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) co_return err::unreachable(cat("Cannot open a socket for ", name, ": ", strerror(errno)));
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), size) != 0) {
    int error = errno;
    if (error == EINPROGRESS) {
      std::optional<Watch> watch;
      try {
        watch.emplace(reactor, fd);
      } catch (const std::system_error& e) {
        error = e.code().value();
      }
      if (watch) {
        WatchTimer timer(*watch);
        reactor.arm(timer, timeout);
        error = co_await watch->writable();
        if (timer.fired) {
          error = ETIMEDOUT;
        } else if (error == 0) {
          socklen_t length = sizeof error;
          getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
        }
      }
    }
    if (error != 0) {
      ::close(fd);
      co_return err::unreachable(cat("Cannot connect to ", name, ": ", strerror(error)));
    }
  }
  co_return fd;
}

Task<std::vector<sockaddr_storage>> resolve(std::string host, uint16_t port) {
  addrinfo hints{}, *list = nullptr;
  hints.ai_flags = AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  const std::string service = cat(port);
  Reactor& reactor = *Reactor::here();
  const int error = co_await reactor.lookups().run(
      [&] { return reactor.closed() ? EAI_AGAIN : ::getaddrinfo(host.c_str(), service.c_str(), &hints, &list); });
  if (error) co_return err::unreachable(cat("Cannot resolve ", host, ": ", ::gai_strerror(error)));
  std::vector<sockaddr_storage> found;
  for (const addrinfo* entry = list; entry; entry = entry->ai_next) {
    memcpy(&found.emplace_back(), entry->ai_addr, entry->ai_addrlen);
  }
  ::freeaddrinfo(list);
  co_return found;
}

// Link-local addresses: there clouds give a machine's own credentials to whoever asks from it, and what Virga connects
// to is what its users name.
bool is_link_local(const sockaddr_storage& address) {
  static constexpr unsigned char kMetadata[16] = {0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54};
  uint32_t four = 0;
  if (address.ss_family == AF_INET) {
    four = reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr;
  } else {
    const in6_addr& six = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    if (IN6_IS_ADDR_LINKLOCAL(&six) || memcmp(&six, kMetadata, sizeof kMetadata) == 0) return true;
    if (!IN6_IS_ADDR_V4MAPPED(&six) && !IN6_IS_ADDR_V4COMPAT(&six)) return false;
    memcpy(&four, six.s6_addr + 12, sizeof four);
  }
  return ntohl(four) >> 16 == 0xa9fe;
}

}  // namespace

std::unique_ptr<Stream> adopt_socket(Reactor& reactor, int fd) {
  try {
    return std::make_unique<SocketStream>(reactor, fd);
  } catch (...) {
    ::close(fd);
    throw;
  }
}

Task<int> connect_socket(std::string host, uint16_t port, Millis timeout) {
  const std::string name = cat(host, ":", port);
  std::vector<sockaddr_storage> addresses;
  sockaddr_storage literal{};
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (inet_pton(AF_INET, host.c_str(), &reinterpret_cast<sockaddr_in&>(literal).sin_addr) == 1) {
    literal.ss_family = AF_INET;
    reinterpret_cast<sockaddr_in&>(literal).sin_port = htons(port);
    addresses.push_back(literal);
  } else if (inet_pton(AF_INET6, host.c_str(), &reinterpret_cast<sockaddr_in6&>(literal).sin6_addr) == 1) {
    literal.ss_family = AF_INET6;
    reinterpret_cast<sockaddr_in6&>(literal).sin6_port = htons(port);
    addresses.push_back(literal);
  } else {
    addresses = co_await resolve(host, port);
  }
  std::optional<Failure> last;
  for (const sockaddr_storage& address : addresses) {
    if (is_link_local(address)) {
      co_return err::unreachable(cat("Cannot connect to ", name, ": link-local addresses are not connected to"));
    }
    const socklen_t size = address.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    auto fd = co_await as_result(connect_to(address, size, name, timeout));
    if (fd) co_return *fd;
    last = std::move(fd.error());
  }
  if (!last) co_return err::unreachable(cat("No address for ", name));
  co_await fail_with(std::move(*last));
  __builtin_unreachable();
}

Task<std::unique_ptr<Stream>> connect_tcp(std::string host, uint16_t port, Millis timeout) {
  const int fd = co_await connect_socket(std::move(host), port, timeout);
  co_return adopt_socket(*Reactor::here(), fd);
}

Task<std::unique_ptr<Stream>> connect_unix(std::string path, Millis timeout) {
  sockaddr_storage address{};
  auto& un = reinterpret_cast<sockaddr_un&>(address);
  if (path.size() >= sizeof un.sun_path) co_return err::unreachable(cat("The socket path is too long: ", path));
  un.sun_family = AF_UNIX;
  memcpy(un.sun_path, path.data(), path.size());
  const socklen_t size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  const int fd = co_await connect_to(address, size, path, timeout);
  co_return adopt_socket(*Reactor::here(), fd);
}

namespace err {
namespace {
constexpr ErrorShape kUnreachable{"ConnectionFailed", 502, Fault::kReceiver, {}};
constexpr ErrorShape kBroken{"ConnectionBroken", 502, Fault::kReceiver, {}};
constexpr ErrorShape kTimedOut{"ConnectionTimedOut", 504, Fault::kReceiver, {}};
}  // namespace
Error unreachable(std::string message) { return {&kUnreachable, std::move(message), nullptr, {}}; }
Error broken(std::string message) { return {&kBroken, std::move(message), nullptr, {}}; }
Error timed_out(std::string message) { return {&kTimedOut, std::move(message), nullptr, {}}; }
}  // namespace err

}  // namespace virga::rt
