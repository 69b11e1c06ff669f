// TLS over OpenSSL, which no other header shows. Contexts are shared by all reactors; a stream belongs to one.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/task.h"
#include "rt/stream.h"

namespace virga::rt {

class Reactor;

struct Certificate {
  std::string chain_pem;  // the server's own first
  std::string key_pem;
};

// A certificate, key or root that cannot be used; what() says which and why.
class TlsError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A new key with a certificate of its own for `names` (host names, *.wildcards, IP addresses), valid for `days`.
Certificate self_signed(const std::vector<std::string>& names, int days);

// What a listening socket offers: TLS 1.2 and 1.3, ALPN h2 and http/1.1.
class TlsServer {
 public:
  // Throws TlsError.
  explicit TlsServer(const Certificate& certificate);
  ~TlsServer();

  // The server's half of the handshake on a connected socket, which it takes over.
  Task<std::unique_ptr<Stream>> accept(Reactor& reactor, int fd, Millis timeout);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct TlsClientOptions {
  std::string roots_pem;  // trusted beside the system's roots
  bool system_roots = true;
  bool verify = true;                  // false only where a person asked for it
  std::vector<std::string> protocols;  // ALPN, in order of preference
};

class TlsClient {
 public:
  explicit TlsClient(const TlsClientOptions& options);  // throws TlsError
  ~TlsClient();
  // Connects on the calling reactor, and checks that the peer is `host`. Fails with err::unreachable, whose message
  // says what is wrong with the certificate.
  Task<std::unique_ptr<Stream>> connect(std::string host, uint16_t port, Millis timeout);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace virga::rt
