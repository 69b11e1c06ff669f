#include "sandbox/subscriber.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/str.h"

namespace virga::sandbox {
namespace {

constexpr Micros kFirstPause = std::chrono::milliseconds(50);
constexpr Micros kLongestPause = std::chrono::seconds(2);
constexpr Micros kPatience = std::chrono::seconds(10);  // with a listener that takes a batch and doesn't answer
constexpr size_t kMostAnswer = 64 * 1024;

}  // namespace

void Subscriber::add(std::string_view event) {
  if (closed_) return;
  const bool full = items_ >= wanted_.most_items || (items_ && batch_.size() + event.size() > wanted_.most_bytes);
  if (full && !sending_.empty()) {
    ++dropped_items_;
    dropped_bytes_ += event.size();
    return;
  }
  if (full) send();
  const bool tcp = wanted_.target.empty();
  if (items_ && !tcp) batch_ += ',';
  batch_ += event;
  if (tcp) batch_ += '\n';
  ++items_;
  if (planned_) return;
  planned_ = true;
  after(wanted_.most_wait, &Subscriber::flush);
}

void Subscriber::flush() {
  planned_ = false;
  if (sending_.empty()) send();  // else when that has been taken
}

void Subscriber::send() {
  if (dropped_items_) {
    const std::string told = Json::object({{"time", iso8601_millis(clock_.now())},
                                           {"type", "platform.logsDropped"},
                                           {"record", Json::object({{"droppedBytes", dropped_bytes_},
                                                                    {"droppedRecords", dropped_items_},
                                                                    {"reason",
                                                                     "The subscriber does not take its events as fast "
                                                                     "as they come."}})}})
                                 .dump();
    dropped_items_ = dropped_bytes_ = 0;
    batch_ = cat(told, wanted_.target.empty() ? "\n" : items_ ? "," : "", batch_);
    ++items_;
  }
  if (!items_ || closed_) return;
  sending_ = std::move(batch_);
  batch_.clear();
  items_ = 0;
  begin();
}

void Subscriber::begin() {
  if (closed_ || sending_.empty()) return;
  if (!fd_) {
    if (!asked_) ask_socket_(weak_from_this());
    asked_ = true;
    return;
  }
  written_ = 0;
  answer_.clear();
  const bool tcp = wanted_.target.empty();
  output_ = tcp ? sending_
                : cat(wanted_.put ? "PUT " : "POST ", wanted_.target, " HTTP/1.1\r\nHost: ", wanted_.host,
                      "\r\nContent-Type: application/json\r\nContent-Length: ", sending_.size() + 2,
                      "\r\nConnection: close\r\n\r\n[", sending_, "]");
  after(kPatience, nullptr);
  write();
}

void Subscriber::connect(Fd socket) {
  asked_ = false;
  if (closed_) return;
  if (!socket) return failed();
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(wanted_.port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS) {
    return failed();
  }
  fd_ = std::move(socket);
  readiness_ = watch_(fd_.get(), [this] { on_ready(); });
  begin();
}

void Subscriber::on_ready() {
  const auto self = shared_from_this();
  if (!output_.empty()) write();
  if (fd_) read_answer();
}

void Subscriber::write() {
  while (fd_ && written_ < output_.size()) {
    const ssize_t n =
        ::send(fd_.get(), output_.data() + written_, output_.size() - written_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return readiness_->want_write();
    if (n < 0) return failed();
    written_ += static_cast<size_t>(n);
  }
  output_.clear();
  if (wanted_.target.empty() && !sending_.empty()) sent();
}

// To its end: a listener that is cut off in its answer may take that for an error.
void Subscriber::read_answer() {
  char buffer[4096];
  while (fd_) {
    const ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (wanted_.target.empty()) {
      if (n > 0) continue;  // what a TCP listener says is its own affair
      if (!sending_.empty()) return failed();
      return end_connection();
    }
    if (n > 0) {
      answer_.append(buffer, static_cast<size_t>(n));
      if (answer_.size() <= kMostAnswer) continue;
    }
    // "HTTP/1.1 200 OK"
    const bool taken = answer_.starts_with("HTTP/1.") && answer_.size() > 9 && answer_[9] == '2' && output_.empty();
    if (!taken) return failed();
    end_connection();
    return sent();
  }
}

void Subscriber::sent() {
  ++attempt_;
  pause_ = Micros(0);
  sending_.clear();
  // What gathered meanwhile has had its time, or is full.
  if (!planned_ || dropped_items_) send();
  if (settled()) told_settled_();
}

void Subscriber::failed() {
  ++attempt_;
  end_connection();
  pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
  after(pause_, &Subscriber::begin);
}

// A null `what`: gives up on this attempt.
void Subscriber::after(Micros delay, void (Subscriber::*what)()) {
  home_.post_after(delay, [weak = weak_from_this(), what, attempt = attempt_] {
    const auto self = weak.lock();
    if (!self || self->closed_) return;
    if (what) return ((*self).*what)();
    if (self->attempt_ == attempt && !self->sending_.empty()) self->failed();
  });
}

void Subscriber::end_connection() {
  readiness_.reset();
  fd_.reset();
  output_.clear();
}

void Subscriber::close() {
  closed_ = true;
  end_connection();
}

}  // namespace virga::sandbox
