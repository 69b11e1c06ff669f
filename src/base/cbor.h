// CBOR (RFC 8949): a pull reader for table-driven decoding and a writer that appends to a string.
// Nesting is limited to kMaxCborDepth; indefinite lengths are read and, for maps and arrays, written.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/time.h"

namespace virga {

inline constexpr int kMaxCborDepth = 128;

// Malformed bytes: what was found, and where (a byte offset).
struct CborError : std::runtime_error {
  size_t offset;
  CborError(const std::string& what, size_t at) : std::runtime_error(what), offset(at) {}
};

// Pulls one data item, token by token. Every function throws CborError on malformed or mismatched input.
// Tags other than those of read_time are passed over.
class CborReader {
 public:
  explicit CborReader(std::string_view bytes) : bytes_(bytes) {}
  enum class Token { kNull, kBool, kInteger, kFloat, kBytes, kString, kArray, kMap, kTag };
  Token peek();  // what the next item is, without consuming it; undefined counts as null
  void read_null();
  bool read_bool();
  int64_t read_integer();  // beyond int64: an error
  double read_double();    // any float width; integers too
  void read_string(std::string& out);
  void read_bytes(std::string& out);
  uint64_t read_tag();
  Time read_time();  // tag 1 and a number of seconds
  void begin_map();
  bool next_key(std::string& key);  // false after the last pair
  void begin_array();
  bool next_element();  // false after the last element
  void skip_value();
  void end();  // nothing may be left
  size_t offset() const { return at_; }

 private:
  struct Head {
    uint8_t major;
    uint8_t info;
    uint64_t value;
  };
  std::string_view bytes_;
  size_t at_ = 0;
  int depth_ = 0;
  std::array<uint64_t, kMaxCborDepth> left_;  // items still to come in each open container; kIndefinite: until a break
  [[noreturn]] void error(const char* what) const;
  uint8_t need();
  Head read_head();
  void enter(uint8_t major);
  bool next();
  void read_text(std::string& out, uint8_t major);
};

// Appends CBOR. Balance, and the counts it is given, are the caller's.
class CborWriter {
 public:
  explicit CborWriter(std::string& out) : out_(out) {}
  void begin_map();  // of unknown size; end() closes it
  void begin_array();
  void end();
  void map(uint64_t pairs);
  void array(uint64_t elements);
  void key(std::string_view name) { string(name); }
  void null();
  void boolean(bool b);
  void integer(int64_t i);
  void real(double d);  // in the shortest of single and double that holds it exactly
  void string(std::string_view s);
  void bytes(std::string_view s);
  void time(Time t);  // tag 1

 private:
  std::string& out_;
  void head(uint8_t major, uint64_t value);
};

}  // namespace virga
