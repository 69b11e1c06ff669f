#include "sandbox/runtime_api.h"

#include <algorithm>

#include "base/http_reason.h"
#include "base/str.h"

namespace virga::sandbox {
namespace {

constexpr size_t kMostHead = 64 * 1024;

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return c > 32 && c < 127 &&
           std::string_view("()<>@,;:\\\"/[]?={}").find(static_cast<char>(c)) == std::string_view::npos;
  });
}

}  // namespace

std::string_view ApiRequest::header(std::string_view lower_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_name) return value;
  }
  return {};
}

bool ApiParser::line(std::string_view& bytes, size_t most) {
  const size_t end = bytes.find('\n');
  const std::string_view part = bytes.substr(0, end);
  if (line_.size() + part.size() > most) {
    bad();
    return false;
  }
  line_ += part;
  bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
  if (end == std::string_view::npos) return false;
  if (!line_.empty() && line_.back() == '\r') line_.pop_back();
  return true;
}

void ApiParser::take_head_line() {
  if (request_.method.empty()) {
    const auto parts = split(line_, ' ');
    if (parts.size() != 3 || !is_token(parts[0]) || !parts[1].starts_with('/') ||
        (parts[2] != "HTTP/1.1" && parts[2] != "HTTP/1.0")) {
      return bad();
    }
    request_.method = parts[0];
    request_.path = parts[1];
    keep_alive_ = parts[2] == "HTTP/1.1";
    return;
  }
  const auto colon = line_.find(':');
  if (colon == std::string::npos || !is_token(std::string_view(line_).substr(0, colon))) return bad();
  request_.headers.emplace_back(lower(std::string_view(line_).substr(0, colon)),
                                trim(std::string_view(line_).substr(colon + 1)));
}

void ApiParser::end_head() {
  const std::string_view length = request_.header("content-length");
  const std::string_view coding = request_.header("transfer-encoding");
  chunked_ = equals_ignoring_case(coding, "chunked");
  if (!coding.empty() && (!chunked_ || !length.empty())) return bad();
  if (!length.empty()) {
    const auto value = parse_int(length);
    if (!value || *value < 0) return bad();
    left_ = static_cast<uint64_t>(*value);
  }
  expects_continue_ = equals_ignoring_case(request_.header("expect"), "100-continue");
  const std::string connection = lower(request_.header("connection"));
  if (connection.find("close") != std::string::npos) keep_alive_ = false;
  if (connection.find("keep-alive") != std::string::npos) keep_alive_ = true;
  part_ = chunked_ ? Part::kChunkSize : Part::kLength;
  state_ = chunked_ || left_ ? State::kBody : State::kDone;
}

size_t ApiParser::feed(std::string_view bytes) {
  const size_t given = bytes.size();
  while (!bytes.empty() && state_ == State::kHead) {
    if (!line(bytes, kMostHead)) break;
    head_size_ += line_.size();
    if (head_size_ > kMostHead) bad();
    if (state_ == State::kBad) break;
    if (line_.empty()) {
      if (request_.method.empty()) continue;  // an empty line before a request is allowed
      end_head();
      line_.clear();
      return given - bytes.size();
    }
    take_head_line();
    line_.clear();
  }
  while (!bytes.empty() && state_ == State::kBody) {
    switch (part_) {
      case Part::kLength:
      case Part::kChunk: {
        const size_t here = std::min<uint64_t>(left_, bytes.size());
        if (on_body) on_body(bytes.substr(0, here));
        bytes.remove_prefix(here);
        left_ -= here;
        if (left_ == 0) {
          if (part_ == Part::kLength) {
            state_ = State::kDone;
          } else {
            part_ = Part::kChunkEnd;
          }
        }
        break;
      }
      case Part::kChunkEnd:
        if (!line(bytes, 2)) break;
        if (!line_.empty()) bad();
        line_.clear();
        part_ = Part::kChunkSize;
        break;
      case Part::kChunkSize: {
        if (!line(bytes, 1024)) break;
        const std::string digits(trim(split_once(line_, ';').first));
        uint64_t size = 0;
        if (digits.empty() || digits.size() > 15) bad();
        for (const char c : digits) {
          const auto at = std::string_view("0123456789abcdef").find(lower(std::string_view(&c, 1)));
          if (at == std::string_view::npos) bad();
          size = size * 16 + at;
        }
        line_.clear();
        left_ = size;
        part_ = size ? Part::kChunk : Part::kTrailers;
        break;
      }
      case Part::kTrailers:
        if (!line(bytes, kMostHead)) break;
        if (line_.empty()) {
          state_ = State::kDone;
        } else {
          head_size_ += line_.size();
          if (head_size_ > kMostHead)
            bad();
          else
            take_head_line();
          line_.clear();
        }
        break;
    }
  }
  return given - bytes.size();
}

void ApiParser::next() {
  auto keep = std::move(on_body);
  *this = ApiParser();
  on_body = std::move(keep);
}

std::string api_response(int status, std::string_view content_type,
                         const std::vector<std::pair<std::string, std::string>>& headers, std::string_view body) {
  std::string out = cat("HTTP/1.1 ", status, " ", http_reason(status), "\r\nContent-Type: ", content_type,
                        "\r\nContent-Length: ", body.size(), "\r\n");
  for (const auto& [name, value] : headers) {
    if (value.empty()) continue;
    // JSON may hold line ends between its parts; a header may not.
    append(out, name, ": ", replace_all(replace_all(value, "\r", " "), "\n", " "), "\r\n");
  }
  out += "\r\n";
  out += body;
  return out;
}

}  // namespace virga::sandbox
