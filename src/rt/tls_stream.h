// The TLS connection itself; only for rt/tls*.cc.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <optional>
#include <string>

#include "rt/stream.h"
#include "rt/watch.h"

namespace virga::rt {

// The last error OpenSSL noted on this thread, in words; empties its list.
std::string openssl_error();

// Drives OpenSSL on a socket that never blocks: it is asked again whenever the socket became ready.
class TlsStream final : public Stream {
 public:
  // Takes over both.
  TlsStream(Reactor& reactor, int fd, SSL* ssl);
  ~TlsStream() override;

  // Fails with err::broken or err::timed_out.
  Task<void> handshake(Millis timeout);

  void shutdown_write() override;
  void cancel() override;
  void close() override;
  void reset() override;
  bool is_open() const override { return open_; }
  std::string peer() const override { return peer_; }
  uint16_t local_port() const override { return local_port_; }
  std::string_view protocol() const override { return protocol_; }
  SSL* ssl() { return ssl_; }

 protected:
  bool start_read(char* into, size_t room, Pending& pending) override;
  bool start_write(Buffers buffers, Pending& pending) override;

 private:
  bool read_now(char* into, size_t room, Pending& pending);
  bool write_now(Pending& pending);
  // Fills the record to be encrypted next from the buffers.
  void fill();
  void wait_read(char* into, size_t room, Pending& pending, bool for_write);
  void wait_write(Pending& pending, bool for_write);

  Reactor& reactor_;
  const int fd_;
  SSL* ssl_;
  std::optional<Watch> watch_;
  std::string peer_, protocol_;
  uint16_t local_port_ = 0;
  std::string record_;
  std::vector<iovec> left_;  // of the write under way, what is not in the record yet
  size_t next_ = 0, record_at_ = 0, written_ = 0;
  unsigned in_a_row_ = 0;
  int wanted_ = 0;
  bool open_ = true;
};

}  // namespace virga::rt
