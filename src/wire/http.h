// An HTTP message as plain data: what the door reads and writes, and all that a protocol sees of HTTP.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/source.h"

namespace virga::wire {

// Header fields in the order they came; names compare without regard to case.
class Headers {
 public:
  using Field = std::pair<std::string, std::string>;
  const std::string* find(std::string_view name) const;  // the first value
  std::string_view get(std::string_view name) const;     // the first value, or empty
  std::string joined(std::string_view name) const;       // all values, ", " between
  void add(std::string_view name, std::string_view value);
  void set(std::string_view name, std::string_view value);  // replaces all
  void remove(std::string_view name);
  bool has(std::string_view name) const { return find(name) != nullptr; }
  const std::vector<Field>& fields() const { return fields_; }
  std::vector<Field>& fields() { return fields_; }

 private:
  std::vector<Field> fields_;
};

struct HttpRequest {
  std::string method;  // upper case as sent
  std::string target;  // as sent: path and query, undecoded
  std::string path;    // the target up to '?', undecoded
  std::string query;   // after '?', undecoded; empty when none
  Headers headers;
  Body body;         // never null; already freed of chunking, not of aws-chunked or compression
  Headers trailers;  // filled by the time the body ends; what they claim is the client's word, unsigned
  std::optional<uint64_t> content_length;
  std::string peer;        // address of the client, without port
  bool secure = false;     // over TLS
  int version = 11;        // 10, 11 or 20
  std::string local_port;  // the port it arrived at
  std::string_view host() const { return headers.get("host"); }
};

struct HttpResponse {
  uint16_t status = 200;
  Headers headers;   // no content-length, connection, date: the door writes those
  std::string body;  // used when stream is null
  Body stream;       // sent with its size, or chunked when it has none
  Headers trailers;  // filled by the time the stream ends
};

// Decoded name-value pairs of a query string, in order. Nothing on a malformed escape.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query);

}  // namespace virga::wire
