#include "rt/tls_stream.h"

#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/str.h"
#include "rt/reactor.h"
#include "rt/socket.h"

namespace virga::rt {
namespace {

constexpr size_t kRecord = 16 * 1024;
constexpr unsigned kMostInARow = 16;  // reads without letting others run

class HandshakeTimer final : public CoarseTimer {
 public:
  explicit HandshakeTimer(Stream& stream) : stream_(stream) {}
  bool fired = false;

 private:
  void expired() override {
    fired = true;
    stream_.cancel();
  }
  Stream& stream_;
};

}  // namespace

std::string openssl_error() {
  std::string text;
  while (const unsigned long code = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(code);
    if (text.empty()) text = reason ? reason : "unknown error";
  }
  return text.empty() ? "the connection ended" : text;
}

TlsStream::TlsStream(Reactor& reactor, int fd, SSL* ssl)
    : reactor_(reactor),
      fd_(fd),
      ssl_(ssl),
      watch_(std::in_place, reactor, fd),
      peer_(peer_of(fd)),
      local_port_(local_port_of(fd)) {
  prepare_socket(fd);
  SSL_set_fd(ssl_, fd);
  SSL_set_mode(ssl_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_set_read_ahead(ssl_, 1);
}

TlsStream::~TlsStream() {
  SSL_free(ssl_);
  watch_.reset();  // before the number may belong to another connection
  ::close(fd_);
}

Task<void> TlsStream::handshake(Millis timeout) {
  HandshakeTimer timer(*this);
  reactor_.arm(timer, timeout);
  while (true) {
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_);
    if (done == 1) break;
    const int reason = SSL_get_error(ssl_, done);
    int error = 0;
    if (reason == SSL_ERROR_WANT_READ) {
      error = co_await watch_->readable();
    } else if (reason == SSL_ERROR_WANT_WRITE) {
      error = co_await watch_->writable();
    } else {
      std::string what = openssl_error();
      const long verified = SSL_get_verify_result(ssl_);
      if (verified != X509_V_OK) what = X509_verify_cert_error_string(verified);
      co_await fail(err::broken(cat("TLS: ", what)));
    }
    if (timer.fired) co_await fail(err::timed_out("TLS: the handshake took too long"));
    if (error != 0 || !open_) co_await fail(err::broken("TLS: the connection ended"));
  }
  const unsigned char* name;
  unsigned size;
  SSL_get0_alpn_selected(ssl_, &name, &size);
  protocol_.assign(reinterpret_cast<const char*>(name), size);
}

void TlsStream::shutdown_write() {
  if (!open_) return;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  ::shutdown(fd_, SHUT_WR);
}

void TlsStream::cancel() { watch_->cancel(); }

// The descriptor itself lives as long as the stream: OpenSSL holds it.
void TlsStream::close() {
  if (!open_) return;
  ERR_clear_error();
  if (SSL_is_init_finished(ssl_)) SSL_shutdown(ssl_);
  open_ = false;
  ::shutdown(fd_, SHUT_RDWR);
  watch_->cancel();
}

void TlsStream::reset() {
  if (!open_) return;
  open_ = false;
  const linger now{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  SSL_set_quiet_shutdown(ssl_, 1);
  watch_->cancel();
}

// True when the read is over; false when the socket must become ready first (`wanted_`).
bool TlsStream::read_now(char* into, size_t room, Pending& pending) {
  ERR_clear_error();
  errno = 0;
  const int n = SSL_read(ssl_, into, static_cast<int>(std::min<size_t>(room, 1 << 20)));
  if (n > 0) {
    pending.io = {static_cast<size_t>(n), 0};
    return true;
  }
  const int system = errno;
  const int reason = SSL_get_error(ssl_, n);
  if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
    wanted_ = reason;
    return false;
  }
  // A peer that just goes ends the stream too, but says so: the messages inside have ends of their own.
  pending.io = {0, reason == SSL_ERROR_ZERO_RETURN ? 0 : system != 0 ? system : ECONNRESET};
  return true;
}

bool TlsStream::start_read(char* into, size_t room, Pending& pending) {
  if (!open_) {
    pending.io = {0, ECANCELED};
    return true;
  }
  if (!read_now(into, room, pending)) {
    in_a_row_ = 0;
    wait_read(into, room, pending, wanted_ == SSL_ERROR_WANT_WRITE);
    return false;
  }
  if (++in_a_row_ < kMostInARow) return true;
  in_a_row_ = 0;
  reactor_.post([&pending] { pending.waiter.resume(); });
  return false;
}

void TlsStream::wait_read(char* into, size_t room, Pending& pending, bool for_write) {
  watch_->wait(for_write, [this, into, room, &pending](int error) {
    if (error != 0 || !open_) {
      pending.io = {0, error != 0 ? error : ECANCELED};
    } else if (!read_now(into, room, pending)) {
      return wait_read(into, room, pending, wanted_ == SSL_ERROR_WANT_WRITE);
    }
    pending.waiter.resume();
  });
}

void TlsStream::fill() {
  record_.clear();
  record_at_ = 0;
  while (next_ < left_.size() && record_.size() < kRecord) {
    iovec& piece = left_[next_];
    const size_t n = std::min(piece.iov_len, kRecord - record_.size());
    record_.append(static_cast<const char*>(piece.iov_base), n);
    piece.iov_base = static_cast<char*>(piece.iov_base) + n;
    piece.iov_len -= n;
    if (piece.iov_len == 0) ++next_;
  }
}

bool TlsStream::write_now(Pending& pending) {
  while (true) {
    if (record_at_ == record_.size()) {
      fill();
      if (record_.empty()) {
        pending.io = {written_, 0};
        return true;
      }
    }
    ERR_clear_error();
    errno = 0;
    const int n = SSL_write(ssl_, record_.data() + record_at_, static_cast<int>(record_.size() - record_at_));
    if (n > 0) {
      record_at_ += static_cast<size_t>(n);
      written_ += static_cast<size_t>(n);
      continue;
    }
    const int system = errno;
    const int reason = SSL_get_error(ssl_, n);
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
      wanted_ = reason;
      return false;
    }
    pending.io = {written_, system != 0 ? system : EPROTO};
    return true;
  }
}

bool TlsStream::start_write(Buffers buffers, Pending& pending) {
  if (!open_) {
    pending.io = {0, ECANCELED};
    return true;
  }
  left_.assign(buffers.begin(), buffers.end());
  next_ = record_at_ = written_ = 0;
  record_.clear();
  if (write_now(pending)) return true;
  wait_write(pending, wanted_ == SSL_ERROR_WANT_WRITE);
  return false;
}

void TlsStream::wait_write(Pending& pending, bool for_write) {
  watch_->wait(for_write, [this, &pending](int error) {
    if (error != 0 || !open_) {
      pending.io = {written_, error != 0 ? error : ECANCELED};
    } else if (!write_now(pending)) {
      return wait_write(pending, wanted_ == SSL_ERROR_WANT_WRITE);
    }
    pending.waiter.resume();
  });
}

}  // namespace virga::rt
