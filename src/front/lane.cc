#include "front/lane.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "base/str.h"
#include "front/http1.h"
#include "front/http2.h"
#include "rt/socket.h"
#include "rt/tls.h"

namespace virga::front {

Connection::Connection(Lane& lane, std::shared_ptr<const Origin> origin) : lane_(lane), origin_(std::move(origin)) {
  next_ = lane.connections_;
  here_ = &lane.connections_;
  if (next_) next_->here_ = &next_;
  lane.connections_ = this;
}

Connection::~Connection() {
  *here_ = next_;
  if (next_) next_->here_ = here_;
}

struct Lane::Listening {
  Listening(rt::Reactor& reactor, int fd, std::shared_ptr<const Origin> origin)
      : fd(fd), watch(std::make_unique<rt::Watch>(reactor, fd)), origin(std::move(origin)) {}
  ~Listening() {
    watch.reset();
    ::close(fd);
  }
  const int fd;
  std::unique_ptr<rt::Watch> watch;
  const std::shared_ptr<const Origin> origin;
  bool closed = false;
};

Lane::Lane(rt::Reactor& reactor, const ServerOptions& options, Counters& counters)
    : reactor_(reactor), options_(options), counters_(counters) {}

Lane::~Lane() = default;

template <class F>
void Lane::each_connection(F f) {
  for (Connection* c = connections_; c;) {
    Connection* next = c->next_;
    f(*c);
    c = next;
  }
}

void Lane::open(int fd, std::shared_ptr<const Origin> origin) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  if (draining_) {
    ::close(fd);
    return;
  }
  auto listening = std::make_shared<Listening>(reactor_, fd, std::move(origin));
  listening_[listening->origin->id] = listening;
  start_background("front", accept_loop(std::move(listening)));
}

void Lane::close(Server::ListenerId id) {
  if (auto found = listening_.find(id); found != listening_.end()) {
    found->second->closed = true;
    found->second->watch->cancel();
    listening_.erase(found);
  }
  each_connection([&](Connection& c) {
    if (c.origin().id == id) c.abort();
  });
}

void Lane::stop_accepting() {
  for (auto& [id, listening] : listening_) {
    listening->closed = true;
    listening->watch->cancel();
  }
  listening_.clear();
}

void Lane::drain() {
  draining_ = true;
  stop_accepting();
  each_connection([](Connection& c) { c.drain(); });
}

void Lane::abort() {
  each_connection([](Connection& c) { c.abort(); });
}

Task<void> Lane::accept_loop(std::shared_ptr<Listening> listening) {
  constexpr int kBatch = 64;  // then others get their turn
  ++running_;
  while (!listening->closed) {
    const int error = co_await listening->watch->readable();
    if (listening->closed) break;
    if (error != 0) {
      log_error("front", "a listening socket failed", {{"error", strerror(error)}});
      break;
    }
    for (int i = 0; i < kBatch && !listening->closed; ++i) {
      const int fd = accept4(listening->fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        serve(fd, listening->origin);
        continue;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      if (rt::is_shortage(errno)) {
        log_error("front", "cannot accept a connection for now", {{"error", strerror(errno)}});
        co_await sleep_for(rt::kShortagePause);
        break;
      }
      // Whatever else happened belongs to that one connection.
    }
  }
  --running_;
}

void Lane::serve(int fd, std::shared_ptr<const Origin> origin) {
  counters_.accepted.fetch_add(1, std::memory_order_relaxed);
  const bool full = origin->most && origin->open >= origin->most;
  if (full || counters_.connections.load(std::memory_order_relaxed) >= options_.limits.connections) {
    counters_.refused.fetch_add(1, std::memory_order_relaxed);
    constexpr std::string_view kFull =
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    if (!origin->tls) {
      (void)!::send(fd, kFull.data(), kFull.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      ::shutdown(fd, SHUT_WR);
    }
    ::close(fd);
    return;
  }
  start_background("front", run_connection(fd, std::move(origin)));
}

// Makes a handshake under way end when the server does.
class HandshakeUnderWay final : public Connection {
 public:
  HandshakeUnderWay(Lane& lane, std::shared_ptr<const Origin> origin, int fd)
      : Connection(lane, std::move(origin)), fd_(fd) {}
  void drain() override { abort(); }
  void abort() override { ::shutdown(fd_, SHUT_RDWR); }

 private:
  const int fd_;
};

Task<void> Lane::run_connection(int fd, std::shared_ptr<const Origin> origin) {
  counters_.connections.fetch_add(1, std::memory_order_relaxed);
  if (origin->most) ++origin->open;
  ++running_;
  std::unique_ptr<rt::Stream> stream;
  if (origin->tls) {
    // What fails a handshake is the client's matter, and far too frequent on the open net to log.
    HandshakeUnderWay handshake(*this, origin, fd);
    auto accepted = co_await as_result(origin->tls->accept(reactor_, fd, options_.limits.header_time));
    if (accepted) stream = std::move(*accepted);
  } else {
    try {
      stream = rt::adopt_socket(reactor_, fd);
    } catch (const std::system_error& e) {
      log_error("front", "a connection could not be taken in", {{"reason", e.what()}});
    }
  }
  if (stream) {
    auto ended = co_await as_result(run_protocol(*stream, origin));
    if (!ended) log_error("front", "a connection failed", {{"reason", describe(ended.error())}});
    stream->close();
  }
  --running_;
  if (origin->most) --origin->open;
  counters_.connections.fetch_sub(1, std::memory_order_relaxed);
}

Task<void> Lane::run_protocol(rt::Stream& stream, std::shared_ptr<const Origin> origin) {
  const Arrival arrival{stream.peer(), cat(stream.local_port()), origin->tls != nullptr};
  std::optional<std::string> preface;
  if (stream.protocol() == "h2") {
    preface.emplace();
  } else {
    Http1Connection connection(*this, origin, stream, arrival);
    preface = co_await connection.run();
  }
  if (preface && !draining_) {
    Http2Connection connection(*this, std::move(origin), stream, arrival);
    co_await connection.run(std::move(*preface));
  }
}

void Lane::refresh_date() {
  static const SystemClock system;
  const Time now = (options_.clock ? options_.clock : &system)->now();
  const int64_t second = now.micros / 1'000'000;
  if (second == second_) return;
  second_ = second;
  date_ = http_date(now);
  common_ = cat("date: ", date_, "\r\nserver: ", options_.name, "\r\n");
}

std::string_view Lane::common_fields() {
  refresh_date();
  return common_;
}

std::string_view Lane::date() {
  refresh_date();
  return date_;
}

bool is_door_field(std::string_view name) {
  switch (name.size()) {
    case 7:
      return equals_ignoring_case(name, "upgrade");
    case 10:
      return equals_ignoring_case(name, "connection") || equals_ignoring_case(name, "keep-alive");
    case 14:
      return equals_ignoring_case(name, "content-length");
    case 17:
      return equals_ignoring_case(name, "transfer-encoding");
    case 20:
      return equals_ignoring_case(name, "sec-websocket-accept");
    default:
      return false;
  }
}

wire::HttpResponse plain_answer(uint16_t status, std::string_view text) {
  wire::HttpResponse response;
  response.status = status;
  if (!text.empty()) {
    response.headers.add("content-type", "text/plain");
    response.body = cat(text, "\n");
  }
  return response;
}

Task<wire::HttpResponse> answer(const Handler& handler, wire::HttpRequest& request) {
  auto response = co_await as_result(handler(request));
  if (response) co_return std::move(*response);
  log_error("front", "a handler failed",
            {{"reason", describe(response.error())}, {"method", request.method}, {"path", request.path}});
  co_return plain_answer(500, "");
}

}  // namespace virga::front
