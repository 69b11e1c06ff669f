// HTTP/1.1 off the wire: the head of a request and the chunked coding, parsed in place. Strict, because two readers
// that disagree about where a message ends are how requests are smuggled: everything ambiguous is refused.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace virga::front {

// Why a message is refused: an HTTP status and a reason for people.
struct HttpRefusal {
  uint16_t status = 0;
  std::string_view reason;
};

struct HeadLimits {
  size_t bytes = 64 * 1024;  // request line, header fields and the empty line
  size_t fields = 128;
  size_t target = 32 * 1024;
};

// A request's head. The views point into the buffer that was parsed.
struct RequestHead {
  std::string_view method;
  std::string_view target;     // as sent, but for the absolute form, which is reduced to path and query
  std::string_view authority;  // of the absolute form; else empty
  std::vector<std::pair<std::string_view, std::string_view>> fields;
  int version = 11;  // 10 or 11
  std::optional<uint64_t> content_length;
  bool chunked = false;
  bool keep_alive = true;
  bool expects_continue = false;
  bool upgrades = false;  // Connection names Upgrade
};

class HeadParser {
 public:
  enum class Status : uint8_t { kMore, kDone, kRefused };

  explicit HeadParser(const HeadLimits& limits) : limits_(limits) {}
  // Looks at all bytes received for this request so far. A later call must give the same bytes and more of them; it
  // does not look at the former ones again. On kDone: `size()` bytes belong to the head.
  Status parse(std::string_view received);
  void restart() { scanned_ = line_ = start_ = 0; }

  const RequestHead& head() const { return head_; }
  size_t size() const { return size_; }
  const HttpRefusal& refusal() const { return refusal_; }

 private:
  Status refuse(uint16_t status, std::string_view reason) {
    refusal_ = {status, reason};
    return Status::kRefused;
  }
  Status parse_head(std::string_view head);
  bool parse_request_line(std::string_view line);
  bool parse_field(std::string_view line);
  bool check_framing();

  const HeadLimits& limits_;
  RequestHead head_;
  HttpRefusal refusal_;
  size_t scanned_ = 0;  // everything before was searched for line ends
  size_t line_ = 0;     // where the line under way begins
  size_t start_ = 0;    // after empty lines in front of the request line
  size_t size_ = 0;
  // What the fields seen so far say about framing.
  bool has_length_ = false, has_coding_ = false, has_host_ = false, has_expect_ = false;
};

// Decodes the chunked coding, fed with any split of the bytes.
class ChunkedDecoder {
 public:
  enum class Status : uint8_t { kMore, kData, kDone, kRefused };

  // Takes bytes off the front of `in`. kData: `data` is a piece of the body, inside what `in` was; call again.
  // kMore: `in` is used up. kDone: the body and its trailer fields are over, the rest of `in` is not ours.
  Status step(std::string_view& in, std::string_view& data);
  const std::vector<std::pair<std::string, std::string>>& trailers() const { return trailers_; }
  const HttpRefusal& refusal() const { return refusal_; }

 private:
  enum class State : uint8_t { kSize, kData, kDataEnd, kTrailer, kDone };
  // Collects a line across calls: 1 when complete in line_, 0 when more is needed, -1 when refused.
  int take_line(std::string_view& in, size_t most);
  bool parse_size();
  Status refuse(std::string_view reason) {
    refusal_ = {400, reason};
    return Status::kRefused;
  }

  State state_ = State::kSize;
  uint64_t left_ = 0;
  size_t trailer_bytes_ = 0;
  std::string line_;
  std::vector<std::pair<std::string, std::string>> trailers_;
  HttpRefusal refusal_;
};

// Character classes of RFC 9110, shared with HTTP/2 and WebSocket.
bool is_token(std::string_view text);
bool is_field_value(std::string_view text);
// Calls `f(std::string_view)` for each element of a comma-separated list, trimmed, empty ones left out.
template <class F>
void each_element(std::string_view list, F f) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view element = list.substr(0, comma);
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    while (!element.empty() && (element.front() == ' ' || element.front() == '\t')) element.remove_prefix(1);
    while (!element.empty() && (element.back() == ' ' || element.back() == '\t')) element.remove_suffix(1);
    if (!element.empty()) f(element);
  }
}

}  // namespace virga::front
