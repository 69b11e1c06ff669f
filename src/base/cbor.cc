#include "base/cbor.h"

#include <bit>
#include <cmath>

#include "base/encoding.h"
#include "base/str.h"

namespace virga {

namespace {
constexpr uint64_t kIndefinite = UINT64_MAX;
constexpr uint8_t kBreak = 0xFF;
enum Major : uint8_t { kUnsigned, kNegative, kByteString, kTextString, kArrayOf, kMapOf, kTagged, kSimple };
}  // namespace

void CborReader::error(const char* what) const { throw CborError(what, at_); }

uint8_t CborReader::need() {
  if (at_ >= bytes_.size()) error("unexpected end of CBOR");
  return static_cast<uint8_t>(bytes_[at_]);
}

CborReader::Head CborReader::read_head() {
  const uint8_t first = need();
  ++at_;
  Head head{static_cast<uint8_t>(first >> 5), static_cast<uint8_t>(first & 31), 0};
  if (head.info < 24) {
    head.value = head.info;
  } else if (head.info <= 27) {
    const size_t size = size_t{1} << (head.info - 24);
    if (bytes_.size() - at_ < size) error("unexpected end of CBOR");
    for (size_t i = 0; i < size; ++i) head.value = head.value << 8 | static_cast<uint8_t>(bytes_[at_ + i]);
    at_ += size;
  } else if (head.info == 31 && head.major >= kByteString && head.major != kTagged) {
    head.value = kIndefinite;
  } else {
    error("malformed CBOR item");
  }
  return head;
}

CborReader::Token CborReader::peek() {
  const uint8_t first = need();
  switch (first >> 5) {
    case kUnsigned:
    case kNegative:
      return Token::kInteger;
    case kByteString:
      return Token::kBytes;
    case kTextString:
      return Token::kString;
    case kArrayOf:
      return Token::kArray;
    case kMapOf:
      return Token::kMap;
    case kTagged:
      return Token::kTag;
    default:
      break;
  }
  switch (first & 31) {
    case 20:
    case 21:
      return Token::kBool;
    case 22:
    case 23:
      return Token::kNull;
    case 25:
    case 26:
    case 27:
      return Token::kFloat;
    default:
      error("unexpected CBOR simple value");
  }
}

void CborReader::read_null() {
  if (peek() != Token::kNull) error("expected null");
  ++at_;
}

bool CborReader::read_bool() {
  if (peek() != Token::kBool) error("expected a boolean");
  return (bytes_[at_++] & 31) == 21;
}

int64_t CborReader::read_integer() {
  while (peek() == Token::kTag) read_head();
  if (peek() != Token::kInteger) error("expected an integer");
  const Head head = read_head();
  if (head.value > static_cast<uint64_t>(INT64_MAX)) error("integer out of range");
  const auto value = static_cast<int64_t>(head.value);
  return head.major == kUnsigned ? value : -1 - value;
}

double CborReader::read_double() {
  while (peek() == Token::kTag) read_head();
  if (peek() == Token::kInteger) {
    const Head head = read_head();
    return head.major == kUnsigned ? static_cast<double>(head.value) : -1.0 - static_cast<double>(head.value);
  }
  if (peek() != Token::kFloat) error("expected a number");
  const Head head = read_head();
  if (head.info == 27) return std::bit_cast<double>(head.value);
  if (head.info == 26) return std::bit_cast<float>(static_cast<uint32_t>(head.value));
  const int exponent = head.value >> 10 & 31;
  const int mantissa = head.value & 0x3FF;
  double value;
  if (exponent == 0) {
    value = std::ldexp(mantissa, -24);
  } else if (exponent == 31) {
    value = mantissa == 0 ? INFINITY : NAN;
  } else {
    value = std::ldexp(mantissa + 1024, exponent - 25);
  }
  return head.value & 0x8000 ? -value : value;
}

void CborReader::read_text(std::string& out, uint8_t major) {
  while (peek() == Token::kTag) read_head();
  const Head head = read_head();
  if (head.major != major) error(major == kTextString ? "expected a text string" : "expected a byte string");
  out.clear();
  if (head.info != 31) {
    if (bytes_.size() - at_ < head.value) error("unexpected end of CBOR");
    out.assign(bytes_, at_, head.value);
    at_ += head.value;
    return;
  }
  while (need() != kBreak) {
    const Head chunk = read_head();
    if (chunk.major != major || chunk.info == 31) error("malformed chunk of a string");
    if (bytes_.size() - at_ < chunk.value) error("unexpected end of CBOR");
    out.append(bytes_, at_, chunk.value);
    at_ += chunk.value;
  }
  ++at_;
}

void CborReader::read_string(std::string& out) {
  read_text(out, kTextString);
  if (!is_utf8(out)) error("text string is not valid UTF-8");
}

void CborReader::read_bytes(std::string& out) { read_text(out, kByteString); }

uint64_t CborReader::read_tag() {
  if (peek() != Token::kTag) error("expected a tag");
  return read_head().value;
}

Time CborReader::read_time() {
  if (peek() == Token::kTag && read_tag() != 1) error("expected a timestamp of tag 1");
  if (peek() == Token::kInteger) {
    const int64_t seconds = read_integer();
    if (seconds > INT64_MAX / 1'000'000 || seconds < INT64_MIN / 1'000'000) error("timestamp out of range");
    return Time::from_seconds(seconds);
  }
  const double seconds = read_double();
  if (!(std::abs(seconds) < 9e12)) error("timestamp out of range");
  return {std::llround(seconds * 1e6)};
}

void CborReader::enter(uint8_t major) {
  while (peek() == Token::kTag) read_head();
  const Head head = read_head();
  if (head.major != major) error(major == kMapOf ? "expected a map" : "expected an array");
  if (depth_ == kMaxCborDepth) error("CBOR nested too deeply");
  left_[static_cast<size_t>(depth_++)] = head.info == 31 ? kIndefinite : head.value;
}

bool CborReader::next() {
  uint64_t& left = left_[static_cast<size_t>(depth_ - 1)];
  if (left == kIndefinite) {
    if (need() != kBreak) return true;
    ++at_;
  } else if (left > 0) {
    --left;
    return true;
  }
  --depth_;
  return false;
}

void CborReader::begin_map() { enter(kMapOf); }
void CborReader::begin_array() { enter(kArrayOf); }
bool CborReader::next_element() { return next(); }
bool CborReader::next_key(std::string& key) {
  if (!next()) return false;
  read_string(key);
  return true;
}

void CborReader::skip_value() {
  std::string ignored;
  while (peek() == Token::kTag) read_head();
  switch (peek()) {
    case Token::kNull:
    case Token::kBool:
    case Token::kInteger:
    case Token::kFloat:
      read_head();
      return;
    case Token::kBytes:
      read_bytes(ignored);
      return;
    case Token::kString:
      read_string(ignored);
      return;
    case Token::kArray:
      begin_array();
      while (next_element()) skip_value();
      return;
    case Token::kMap:
      begin_map();
      while (next()) {
        skip_value();
        skip_value();
      }
      return;
    case Token::kTag:
      return;
  }
}

void CborReader::end() {
  if (at_ != bytes_.size()) error("bytes after the end of the CBOR item");
}

void CborWriter::head(uint8_t major, uint64_t value) {
  const auto first = static_cast<uint8_t>(major << 5);
  if (value < 24) {
    out_ += static_cast<char>(first | value);
  } else if (value <= 0xFF) {
    out_ += static_cast<char>(first | 24);
    out_ += static_cast<char>(value);
  } else if (value <= 0xFFFF) {
    out_ += static_cast<char>(first | 25);
    append_be16(out_, static_cast<uint16_t>(value));
  } else if (value <= 0xFFFFFFFF) {
    out_ += static_cast<char>(first | 26);
    append_be32(out_, static_cast<uint32_t>(value));
  } else {
    out_ += static_cast<char>(first | 27);
    append_be64(out_, value);
  }
}

void CborWriter::begin_map() { out_ += '\xBF'; }
void CborWriter::begin_array() { out_ += '\x9F'; }
void CborWriter::end() { out_ += static_cast<char>(kBreak); }
void CborWriter::map(uint64_t pairs) { head(kMapOf, pairs); }
void CborWriter::array(uint64_t elements) { head(kArrayOf, elements); }
void CborWriter::null() { out_ += '\xF6'; }
void CborWriter::boolean(bool b) { out_ += b ? '\xF5' : '\xF4'; }
void CborWriter::integer(int64_t i) {
  if (i >= 0) {
    head(kUnsigned, static_cast<uint64_t>(i));
  } else {
    head(kNegative, static_cast<uint64_t>(-1 - i));
  }
}
void CborWriter::real(double d) {
  const bool narrow =
      std::isnan(d) || std::isinf(d) || (std::abs(d) <= 3.4e38 && static_cast<double>(static_cast<float>(d)) == d);
  if (narrow) {
    out_ += '\xFA';
    append_be32(out_, std::bit_cast<uint32_t>(static_cast<float>(d)));
  } else {
    out_ += '\xFB';
    append_be64(out_, std::bit_cast<uint64_t>(d));
  }
}
void CborWriter::string(std::string_view s) {
  head(kTextString, s.size());
  out_.append(s);
}
void CborWriter::bytes(std::string_view s) {
  head(kByteString, s.size());
  out_.append(s);
}
void CborWriter::time(Time t) {
  head(kTagged, 1);
  if (t.micros % 1'000'000 == 0) {
    integer(t.seconds());
  } else {
    // Milliseconds are all that AWS keeps.
    real(static_cast<double>(t.millis()) / 1000);
  }
}

}  // namespace virga
