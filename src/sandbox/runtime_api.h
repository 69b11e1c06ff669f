// HTTP/1.1 as far as the Runtime API needs it: one request after another, strict, every part bounded. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace virga::sandbox {

struct ApiRequest {
  std::string method;
  std::string path;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case; trailers are added at the end
  std::string_view header(std::string_view lower_name) const;
};

class ApiParser {
 public:
  enum class State { kHead, kBody, kDone, kBad };
  // Takes bytes; gives how many it used. Stops after a head (look at request(), then feed on), and when the request is
  // done; it must not be fed then until next().
  size_t feed(std::string_view bytes);
  State state() const { return state_; }
  const ApiRequest& request() const { return request_; }
  // Where body bytes go; called during feed.
  std::function<void(std::string_view)> on_body;
  bool expects_continue() const { return expects_continue_; }
  bool keep_alive() const { return keep_alive_; }
  void next();

 private:
  enum class Part { kLength, kChunkSize, kChunk, kChunkEnd, kTrailers };
  bool line(std::string_view& bytes, size_t most);  // collects into line_; true at its end
  void take_head_line();
  void end_head();
  void bad() { state_ = State::kBad; }

  State state_ = State::kHead;
  Part part_ = Part::kLength;
  ApiRequest request_;
  std::string line_;
  size_t head_size_ = 0;
  uint64_t left_ = 0;
  bool chunked_ = false;
  bool expects_continue_ = false;
  bool keep_alive_ = true;
};

std::string api_response(int status, std::string_view content_type,
                         const std::vector<std::pair<std::string, std::string>>& headers, std::string_view body);

}  // namespace virga::sandbox
