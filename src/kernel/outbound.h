// HTTP to the world outside: webhooks and API destinations. One client with pooled connections for each reactor that
// sends, made when it first does.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/task.h"

namespace virga::kernel {

struct OutboundOptions {
  Millis connect_time{10'000};
  Millis answer_time{15'000};    // from the request's last byte to the answer's head, and between pieces of a body
  size_t most_answer = 1 << 20;  // bytes of an answer's body; a longer one is a failure
};

using OutboundFields = std::vector<std::pair<std::string, std::string>>;

struct OutboundRequest {
  std::string method = "POST";
  std::string url;         // http or https
  OutboundFields headers;  // Host and Content-Length are written for you
  std::string body;
};

struct OutboundAnswer {
  uint16_t status = 0;
  OutboundFields headers;
  std::string body;
  std::string_view header(std::string_view name) const;  // the first of that name in any case, or empty
};

class Outbound {
 public:
  explicit Outbound(OutboundOptions options = {});
  ~Outbound();  // after stop()
  Outbound(const Outbound&) = delete;

  // From any reactor's thread. Any answer is a success, redirects too, which are not followed. Fails when there is
  // none: the error's message says why, in a sentence for people.
  Task<OutboundAnswer> send(OutboundRequest request);
  // Closes what is open. Nothing is sent any more.
  Task<void> stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Whether `text` is an address that send() takes.
bool is_http_url(std::string_view text);

}  // namespace virga::kernel
