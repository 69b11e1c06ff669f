// An HTTP/1.1 client: for the command line, HTTP destinations and integrations. Connections are kept and used again.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/source.h"
#include "base/task.h"
#include "rt/tls.h"

namespace virga::rt {

using HeaderFields = std::vector<std::pair<std::string, std::string>>;
// The first value of a field by name, without regard to case; empty when there is none.
std::string_view find_field(const HeaderFields& fields, std::string_view name);

struct Url {
  bool secure = false;
  std::string host;  // without brackets
  uint16_t port = 80;
  std::string target;  // path and query, at least "/"
};
// http and https only; nothing when it is no such address.
std::optional<Url> parse_url(std::string_view text);

struct ClientRequest {
  std::string method = "GET";
  std::string url;
  std::string unix_path;  // connect to this socket instead of the address's host
  HeaderFields headers;   // Host, Content-Length and Connection are written for you unless given
  std::string body;
  Body stream;  // instead of body; sent with its size, or chunked when it has none
};

struct ClientResponse {
  uint16_t status = 0;
  std::string reason;
  HeaderFields headers;
  // Never null. Read to its end, or dropped: then its connection is closed. May outlive the client.
  Body body;
};

struct HttpClientOptions {
  Millis connect_time{10'000};
  Millis answer_time{60'000};  // from the request's last byte to the answer's head
  Millis idle_time{60'000};    // between two pieces of either body
  Millis keep_time{20'000};    // how long an unused connection is kept
  size_t kept_each = 16;       // unused connections to one address
  size_t most_head = 64 * 1024;
  TlsClientOptions tls;
};

// Belongs to one reactor, on whose thread it is used and destroyed.
class HttpClient {
 public:
  explicit HttpClient(Reactor& reactor, HttpClientOptions options = {});
  ~HttpClient();

  // Sends the request and gives the answer as soon as its head is there. Redirects are answers too. A request on a kept
  // connection that turns out to be closed is sent anew, provided that it has no stream and nothing of an answer came.
  // Fails with err::unreachable, err::broken or err::timed_out.
  Task<ClientResponse> send(ClientRequest request);

  // The same with the body read, at most `most` bytes of it.
  struct Whole {
    uint16_t status;
    HeaderFields headers;
    std::string body;
  };
  Task<Whole> fetch(ClientRequest request, size_t most);

 private:
  struct Connection;
  struct Pool;
  class ResponseBody;
  std::shared_ptr<Pool> pool_;
};

}  // namespace virga::rt
