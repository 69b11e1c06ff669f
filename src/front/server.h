// The door's outside: listening sockets on every reactor, and for each request that arrives one call of a handler.
// What a request means is not known here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/task.h"
#include "base/time.h"
#include "front/http1_parser.h"
#include "rt/reactor.h"
#include "wire/http.h"

namespace virga::rt {
class TlsServer;
}

namespace virga::front {

class WebSocket;

// Answers one request. Runs on the connection's reactor; the request is the connection's and stays until the handler
// has ended. A handler always runs to its end: when the client has gone, its answer is dropped. The body is read (or
// not) by the handler, within limits of its own; the body fails once the handler has ended, the stream of the
// response is read afterwards.
using Handler = std::function<Task<wire::HttpResponse>(wire::HttpRequest&)>;

// The answer to a WebSocket handshake.
struct Upgraded {
  // Status 101 accepts: its headers (a sec-websocket-protocol, for instance) join the handshake's. Any other refuses.
  wire::HttpResponse response;
  // Has the connection from then on; the socket is closed when it ends. The shared pointer may be kept and used from
  // any reactor: operations on a closed socket fail, and nothing else.
  std::function<Task<void>(std::shared_ptr<WebSocket>)> session;
};
using UpgradeHandler = std::function<Task<Upgraded>(wire::HttpRequest&)>;

struct Handlers {
  Handler request;
  UpgradeHandler web_socket;  // none: an upgrade is not offered, the request goes to `request` as any other
};

struct Limits {
  HeadLimits head;
  Millis header_time{15'000};          // from a request's first byte to its last header field; also the TLS handshake
  Millis idle_time{75'000};            // between requests
  Millis body_idle_time{60'000};       // between two pieces of a request's body
  Millis write_idle_time{60'000};      // without the client taking a byte of the answer
  uint64_t drain = 256 * 1024;         // of a body nobody read, to keep the connection
  size_t connections = 20'000;         // in all; more are told 503
  size_t adopted_connections = 256;    // of one adopted listener: what one function may take of them
  uint32_t http2_streams = 128;        // at a time on one connection
  uint32_t http2_window = 256 * 1024;  // bytes a client may send ahead on one stream
  uint32_t http2_resets = 200;         // streams a client may cancel within ten seconds
  uint64_t web_socket_message = 1024 * 1024;
};

struct ServerOptions {
  Limits limits;
  std::string name = "Virga";    // the Server header
  const Clock* clock = nullptr;  // for the Date header; the system's when null
};

// The host and port cannot be listened on; what() is a sentence for whoever started us.
class ListenError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct ServerStats {
  uint64_t connections = 0;  // open now
  uint64_t accepted = 0;     // since the start
  uint64_t refused = 0;      // at the connection limit
  uint64_t requests = 0;
};

class Server {
 public:
  using ListenerId = uint64_t;

  // `reactors` must outlive it, and stop only after it.
  Server(rt::Reactors& reactors, ServerOptions options);
  ~Server();  // stops without grace when still running

  // Listens on every reactor (SO_REUSEPORT). Port 0 picks one. An empty host is every address, IPv4 and IPv6.
  // Gives the port; throws ListenError. May be called before the reactors start, from any thread but theirs.
  uint16_t listen(const std::string& host, uint16_t port, Handlers handlers,
                  std::shared_ptr<rt::TlsServer> tls = nullptr);

  // Serves a socket that already listens, on one reactor; takes it over. From any thread.
  ListenerId add_listener(int fd, rt::Reactor& reactor, Handlers handlers);
  // Closes it and the connections it accepted, soon. Their handlers still run to their end. From any thread.
  void remove_listener(ListenerId id);

  // Stops accepting, lets requests under way finish for `grace`, then closes the rest and waits a little for their
  // handlers. Blocks; not from a reactor's thread. True when nothing is left running.
  bool stop(Millis grace);

  ServerStats stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace virga::front
