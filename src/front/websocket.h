// A WebSocket connection as its session sees it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/task.h"
#include "front/websocket_frames.h"
#include "rt/reactor.h"
#include "rt/stream.h"
#include "wire/http.h"

namespace virga::front {

struct WebSocketMessage {
  std::string data;
  bool text = true;
};

// May be kept longer than the connection lasts. Any reactor may call; the work is done on the connection's own.
class WebSocket {
 public:
  virtual ~WebSocket() = default;
  // The next message; nothing once the connection is closed, however that came about. One reader at a time. Pings are
  // answered in here, so a session should always be receiving.
  virtual Task<std::optional<WebSocketMessage>> receive() = 0;
  // Returns when the bytes are with the kernel; fails with err::broken when the connection is closed.
  virtual Task<void> send(WebSocketMessage message) = 0;
  // Starts the closing handshake; receive() then ends soon. On a closed connection it does nothing.
  virtual Task<void> close(uint16_t code, std::string reason) = 0;
  virtual bool is_open() const = 0;
  // How the client closed; kAbnormal when it just went.
  virtual uint16_t close_code() const = 0;
};

// The Sec-WebSocket-Accept for a handshake's headers; nothing when they are not a valid handshake of version 13.
std::optional<std::string> handshake_accept(const wire::Headers& headers);

// For the connection. `received`: what came after the handshake. The socket works until `end_web_socket`.
std::shared_ptr<WebSocket> make_web_socket(rt::Reactor& reactor, rt::Stream& stream, std::string received,
                                           uint64_t most_message, Millis write_time);
// Finishes the closing handshake as well as can be, and parts the socket from its stream.
Task<void> end_web_socket(std::shared_ptr<WebSocket> socket, uint16_t code);

}  // namespace virga::front
