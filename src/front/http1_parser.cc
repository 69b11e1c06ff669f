#include "front/http1_parser.h"

#include <cstring>

#include "base/str.h"

namespace virga::front {
namespace {

constexpr auto kTokenTable = [] {
  std::array<bool, 256> t{};
  for (int c = '0'; c <= '9'; ++c) t[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) t[c] = true;
  for (int c = 'A'; c <= 'Z'; ++c) t[c] = true;
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'})
    t[static_cast<uint8_t>(c)] = true;
  return t;
}();
constexpr auto kValueTable = [] {
  std::array<bool, 256> t{};
  for (int c = 0x20; c < 256; ++c) t[c] = c != 0x7f;
  t['\t'] = true;
  return t;
}();
constexpr auto kTargetTable = [] {
  std::array<bool, 256> t{};
  for (int c = 0x21; c < 0x7f; ++c) t[c] = true;
  return t;
}();
constexpr auto kHostTable = [] {
  std::array<bool, 256> t{};
  for (int c = 0x21; c < 0x7f; ++c) t[c] = true;
  for (const char c : {'/', '?', '#', '@', '\\', '"', '<', '>', ','}) t[static_cast<uint8_t>(c)] = false;
  return t;
}();

bool all_of(const std::array<bool, 256>& table, std::string_view text) {
  bool good = true;
  for (const char c : text) good &= table[static_cast<uint8_t>(c)];
  return good;
}

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Cheap way to compare a field name: lengths first.
bool named(std::string_view name, std::string_view lower_name) {
  if (name.size() != lower_name.size()) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != lower_name[i]) return false;
  }
  return true;
}

}  // namespace

bool is_token(std::string_view text) { return !text.empty() && all_of(kTokenTable, text); }
bool is_field_value(std::string_view text) { return all_of(kValueTable, text); }

HeadParser::Status HeadParser::parse(std::string_view received) {
  while (true) {
    const void* found =
        scanned_ < received.size() ? memchr(received.data() + scanned_, '\n', received.size() - scanned_) : nullptr;
    if (!found) {
      scanned_ = received.size();
      if (received.size() - start_ > limits_.bytes) {
        return line_ == start_ ? refuse(414, "The request line is too long.")
                               : refuse(431, "The header fields are too large.");
      }
      return Status::kMore;
    }
    const size_t end = static_cast<const char*>(found) - received.data();
    scanned_ = end + 1;
    if (end == line_ || received[end - 1] != '\r') return refuse(400, "A line ends without a carriage return.");
    if (end - start_ > limits_.bytes) return refuse(431, "The header fields are too large.");
    const bool empty = end == line_ + 1;
    if (!empty) {
      line_ = end + 1;
      continue;
    }
    if (line_ == start_) {
      // Old clients send an empty line after a body; a little of that is tolerated in front of a request.
      if (start_ >= 4) return refuse(400, "There are empty lines in front of the request.");
      line_ = start_ = end + 1;
      continue;
    }
    size_ = end + 1;
    return parse_head(received.substr(start_, end - 1 - start_));
  }
}

// `text`: the lines with their ends, without the empty line.
HeadParser::Status HeadParser::parse_head(std::string_view text) {
  head_.fields.clear();
  head_.content_length.reset();
  head_.authority = {};
  head_.chunked = head_.expects_continue = head_.upgrades = false;
  has_length_ = has_coding_ = has_host_ = has_expect_ = false;
  bool first = true;
  while (!text.empty()) {
    const size_t end = static_cast<const char*>(memchr(text.data(), '\n', text.size())) - text.data();
    const std::string_view line = text.substr(0, end - 1);
    text.remove_prefix(end + 1);
    if (first ? !parse_request_line(line) : !parse_field(line)) return Status::kRefused;
    first = false;
  }
  return check_framing() ? Status::kDone : Status::kRefused;
}

bool HeadParser::parse_request_line(std::string_view line) {
  const size_t space = line.find(' ');
  const size_t last = line.rfind(' ');
  if (space == std::string_view::npos || space == last) {
    refuse(400, "The request line is malformed.");
    return false;
  }
  head_.method = line.substr(0, space);
  std::string_view target = line.substr(space + 1, last - space - 1);
  const std::string_view version = line.substr(last + 1);
  if (head_.method.size() > 32 || !is_token(head_.method)) {
    refuse(400, "The request method is malformed.");
    return false;
  }
  if (target.empty() || !all_of(kTargetTable, target)) {
    refuse(400, "The request target is malformed.");
    return false;
  }
  if (target.size() > limits_.target) {
    refuse(414, "The request target is too long.");
    return false;
  }
  if (version == "HTTP/1.1") {
    head_.version = 11;
  } else if (version == "HTTP/1.0") {
    head_.version = 10;
  } else {
    const bool http = version.size() == 8 && version.starts_with("HTTP/") && version[6] == '.';
    refuse(http ? 505 : 400, http ? "This version of HTTP is not served." : "The request line is malformed.");
    return false;
  }
  head_.keep_alive = head_.version == 11;
  if (target.front() != '/') {
    const bool http = target.starts_with("http://");
    if (http || target.starts_with("https://")) {
      target.remove_prefix(http ? 7 : 8);
      const size_t path = target.find_first_of("/?");
      head_.authority = target.substr(0, path);
      target = path == std::string_view::npos ? std::string_view("/") : target.substr(path);
      if (head_.authority.empty() || !all_of(kHostTable, head_.authority) || target.front() != '/') {
        refuse(400, "The request target is malformed.");
        return false;
      }
    } else if (!(target == "*" && head_.method == "OPTIONS")) {
      refuse(400, "The request target is malformed.");
      return false;
    }
  }
  head_.target = target;
  return true;
}

bool HeadParser::parse_field(std::string_view line) {
  const auto bad = [&](std::string_view reason) {
    refuse(400, reason);
    return false;
  };
  if (head_.fields.size() == limits_.fields) {
    refuse(431, "There are too many header fields.");
    return false;
  }
  if (line.front() == ' ' || line.front() == '\t') return bad("A header field is folded.");
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return bad("A header field has no colon.");
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trim_blanks(line.substr(colon + 1));
  if (!is_token(name)) return bad("The name of a header field is malformed.");
  if (!is_field_value(value)) return bad("The value of a header field is malformed.");
  head_.fields.emplace_back(name, value);

  switch (name.size()) {
    case 4:
      if (named(name, "host")) {
        if (has_host_) return bad("There is more than one Host field.");
        has_host_ = true;
        if (!all_of(kHostTable, value)) return bad("The Host field is malformed.");
      }
      break;
    case 6:
      if (named(name, "expect")) {
        if (has_expect_ || !equals_ignoring_case(value, "100-continue")) {
          refuse(417, "Only the expectation 100-continue is served.");
          return false;
        }
        has_expect_ = true;
        head_.expects_continue = head_.version == 11;
      }
      break;
    case 10:
      if (named(name, "connection")) {
        each_element(value, [&](std::string_view option) {
          if (equals_ignoring_case(option, "close")) head_.keep_alive = false;
          if (equals_ignoring_case(option, "keep-alive") && head_.version == 10) head_.keep_alive = true;
          if (equals_ignoring_case(option, "upgrade")) head_.upgrades = true;
        });
      }
      break;
    case 14:
      if (named(name, "content-length")) {
        if (has_length_) return bad("There is more than one Content-Length field.");
        has_length_ = true;
        if (value.empty() || value.size() > 18) return bad("The Content-Length field is malformed.");
        uint64_t length = 0;
        for (const char c : value) {
          if (c < '0' || c > '9') return bad("The Content-Length field is malformed.");
          length = length * 10 + static_cast<uint64_t>(c - '0');
        }
        head_.content_length = length;
      }
      break;
    case 17:
      if (named(name, "transfer-encoding")) {
        if (has_coding_) return bad("There is more than one Transfer-Encoding field.");
        has_coding_ = true;
        if (head_.version == 10) return bad("HTTP/1.0 has no Transfer-Encoding.");
        if (!equals_ignoring_case(value, "chunked")) {
          refuse(501, "The only transfer coding served is chunked.");
          return false;
        }
        head_.chunked = true;
      }
      break;
    default:
      break;
  }
  return true;
}

bool HeadParser::check_framing() {
  if (has_length_ && has_coding_) {
    refuse(400, "Content-Length and Transfer-Encoding exclude each other.");
    return false;
  }
  if (head_.version == 11 && !has_host_) {
    refuse(400, "The Host field is missing.");
    return false;
  }
  return true;
}

int ChunkedDecoder::take_line(std::string_view& in, size_t most) {
  const size_t end = in.find('\n');
  const std::string_view part = in.substr(0, end);
  if (line_.size() + part.size() > most) {
    refuse("A line of the chunked coding is too long.");
    return -1;
  }
  line_ += part;
  if (end == std::string_view::npos) {
    in = {};
    return 0;
  }
  in.remove_prefix(end + 1);
  if (line_.empty() || line_.back() != '\r') {
    refuse("A line of the chunked coding ends without a carriage return.");
    return -1;
  }
  line_.pop_back();
  return 1;
}

bool ChunkedDecoder::parse_size() {
  size_t digits = 0;
  left_ = 0;
  for (; digits < line_.size(); ++digits) {
    const char c = line_[digits];
    const int value = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (value < 0) break;
    left_ = left_ << 4 | static_cast<uint64_t>(value);
  }
  if (digits == 0 || digits > 15) return false;
  // Chunk extensions mean nothing to us, but they may not hold what would end a line for another reader.
  const std::string_view extension = std::string_view(line_).substr(digits);
  const std::string_view visible = trim_blanks(extension);
  return extension.empty() || (!visible.empty() && visible.front() == ';' && is_field_value(extension));
}

ChunkedDecoder::Status ChunkedDecoder::step(std::string_view& in, std::string_view& data) {
  constexpr size_t kMostLine = 4096, kMostTrailers = 16 * 1024, kMostTrailerFields = 64;
  while (true) {
    switch (state_) {
      case State::kSize: {
        if (in.empty()) return Status::kMore;
        const int got = take_line(in, kMostLine);
        if (got < 0) return Status::kRefused;
        if (got == 0) return Status::kMore;
        if (!parse_size()) return refuse("A chunk size is malformed.");
        line_.clear();
        state_ = left_ == 0 ? State::kTrailer : State::kData;
        break;
      }
      case State::kData: {
        if (in.empty()) return Status::kMore;
        data = in.substr(0, left_);
        in.remove_prefix(data.size());
        left_ -= data.size();
        if (left_ == 0) state_ = State::kDataEnd;
        return Status::kData;
      }
      case State::kDataEnd: {
        if (in.empty()) return Status::kMore;
        const int got = take_line(in, 2);
        if (got < 0) return refuse("A chunk does not end where it should.");
        if (got == 0) return Status::kMore;
        if (!line_.empty()) return refuse("A chunk does not end where it should.");
        state_ = State::kSize;
        break;
      }
      case State::kTrailer: {
        if (in.empty()) return Status::kMore;
        const int got = take_line(in, kMostTrailers);
        if (got < 0) return Status::kRefused;
        if (got == 0) return Status::kMore;
        if (line_.empty()) {
          state_ = State::kDone;
          break;
        }
        trailer_bytes_ += line_.size();
        const size_t colon = line_.find(':');
        if (trailer_bytes_ > kMostTrailers || trailers_.size() == kMostTrailerFields) {
          return refuse("There are too many trailer fields.");
        }
        if (colon == std::string::npos) return refuse("A trailer field is malformed.");
        const std::string_view name = std::string_view(line_).substr(0, colon);
        const std::string_view value = trim_blanks(std::string_view(line_).substr(colon + 1));
        if (!is_token(name) || !is_field_value(value)) return refuse("A trailer field is malformed.");
        trailers_.emplace_back(name, value);
        line_.clear();
        break;
      }
      case State::kDone:
        return Status::kDone;
    }
  }
}

}  // namespace virga::front
