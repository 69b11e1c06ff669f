#include "sandbox/api_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/json.h"
#include "rt/socket.h"

namespace virga::sandbox {

void ApiServer::open(int listener) {
  fd_ = listener;
  listener_ = handler_.watch(fd_, [this] { accept_all(); });
  accept_all();
}

void ApiServer::close() {
  listener_.reset();
  for (const auto& connection : connections_) connection->close();
  connections_.clear();
}

void ApiServer::break_streams(const std::string& why) {
  for (const auto& connection : connections_) {
    connection->held = false;
    if (connection->stream) std::exchange(connection->stream, nullptr)->end(why);
  }
}

void ApiServer::accept_all() {
  const std::shared_ptr<void> self = handler_.keep();
  std::erase_if(connections_, [](const auto& c) { return c->closed(); });
  for (size_t i = 0; listener_; ++i) {
    if (i == kMostConnections) {
      handler_.home().post([this, self] { accept_all(); });  // then others get their turn
      return;
    }
    const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && errno == EINTR) continue;
    if (fd < 0 && rt::is_shortage(errno)) {
      listener_->hold();
      handler_.home().post_after(rt::kShortagePause, [this, self] {
        if (!listener_) return;
        listener_->again();
        accept_all();
      });
      return;
    }
    if (fd < 0) return;
    Fd owned(fd);
    if (connections_.size() >= most_) continue;
    auto connection = std::make_shared<ApiConnection>(handler_, std::move(owned));
    connections_.push_back(connection);
    connection->open();
  }
}

void ApiConnection::open() {
  parser_.on_body = [this](std::string_view bytes) { take_body(bytes); };
  // The server keeps the connection until its watch is gone.
  readiness_ = handler_.watch(fd_.get(), [this] { on_ready(); });
  on_ready();
}

void ApiConnection::take_body(std::string_view bytes) {
  if (stream) {
    stream->push(std::string(bytes));
    if (stream->full()) held = true;
  } else if (body.size() + bytes.size() > most_body) {
    too_large = true;
    body.clear();
    most_body = 0;
  } else {
    body += bytes;
  }
}

void ApiConnection::on_ready() {
  const auto self = shared_from_this();
  const auto keep = handler_.keep();
  if (!output_.empty()) {
    flush();
    if (fd_ && output_.empty()) readiness_->again();
  }
  if (in_feed_ || turn_ended_) return;
  in_feed_ = true;
  char buffer[65536];
  size_t total = 0;
  while (fd_) {
    // What was read goes first; an answer that is owed or not taken yet, or a full stream, stops it.
    while (fd_ && !waiting_ && !held && output_.empty() && !input_.empty()) {
      const bool was_head = parser_.state() == ApiParser::State::kHead;
      const size_t used = parser_.feed(input_);
      input_.erase(0, used);
      if (parser_.state() == ApiParser::State::kBad) {
        close();
        break;
      }
      if (was_head && parser_.state() != ApiParser::State::kHead) {
        handler_.prepare(*this);
        if (parser_.state() == ApiParser::State::kBody && parser_.expects_continue()) {
          output_ += "HTTP/1.1 100 Continue\r\n\r\n";
          flush();
        }
      }
      if (parser_.state() == ApiParser::State::kDone) {
        waiting_ = true;
        handler_.serve(*this);
      }
    }
    if (!fd_) break;
    if (waiting_ || held || !output_.empty()) {
      if (input_.size() > sizeof buffer) {
        readiness_->hold();
        break;
      }
    }
    const ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      // A program that sends a body after its head, without asking for no delay, waits for the head's acknowledgement.
      const int now = 1;
      if (total > 0 && !waiting_) ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_QUICKACK, &now, sizeof now);
      break;
    }
    if (n <= 0) {
      close();
      break;
    }
    input_.append(buffer, static_cast<size_t>(n));
    total += static_cast<size_t>(n);
    if (total > kMostPerTurn) {
      turn_ended_ = true;
      readiness_->hold();
      handler_.home().post([self] {
        self->turn_ended_ = false;
        if (!self->fd_) return;
        self->readiness_->again();
        self->on_ready();
      });
      break;
    }
  }
  in_feed_ = false;
}

void ApiConnection::answer(int status, std::string_view content_type, const Headers& headers, std::string_view text) {
  if (!fd_) return;
  output_ += api_response(status, content_type, headers, text);
  const bool keep = parser_.keep_alive();
  flush();
  if (!keep && output_.empty()) return close();
  parser_.next();
  body.clear();
  too_large = false;
  waiting_ = false;
  if (!in_feed_ && fd_) {
    readiness_->again();
    on_ready();
  }
}

void ApiConnection::refuse(int status, std::string_view type, std::string_view message) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.key("errorMessage");
  w.string(message);
  w.key("errorType");
  w.string(type);
  w.end_object();
  answer(status, "application/json", {}, out);
}

void ApiConnection::not_found() { answer(404, "text/plain; charset=utf-8", {}, "404 page not found\n"); }

void ApiConnection::go_on() {
  if (!held || !fd_) return;
  held = false;
  readiness_->again();
  on_ready();
}

void ApiConnection::flush() {
  while (fd_ && sent_ < output_.size()) {
    const ssize_t n = ::send(fd_.get(), output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      if (errno == EAGAIN) {
        readiness_->want_write();
      } else {
        close();
      }
      return;
    }
    sent_ += static_cast<size_t>(n);
  }
  output_.clear();
  sent_ = 0;
}

void ApiConnection::close() {
  readiness_.reset();
  fd_.reset();
  if (stream) std::exchange(stream, nullptr)->end("the runtime closed the connection while it was answering");
}

}  // namespace virga::sandbox
