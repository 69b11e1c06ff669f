// What a reader notices about its input, and where: places in a request in AWS's notation, and the violations that
// only the reader can see (a required member that never came, an enumerator that does not exist).
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "wire/shape.h"

namespace virga::wire {

// A place in the input; its frames live on the reader's stack and become text only when there is something to say:
// "tags.2.member.key", "requestItems.table.member".
struct Path {
  enum class Kind : uint8_t { kRoot, kMember, kElement, kKey };
  const Path* up = nullptr;
  Kind kind = Kind::kRoot;
  std::string_view name;
  size_t index = 0;  // of an element, from 0

  Path member(std::string_view n) const { return {this, Kind::kMember, n, 0}; }
  Path element(size_t i) const { return {this, Kind::kElement, {}, i}; }
  Path key(std::string_view k) const { return {this, Kind::kKey, k, 0}; }
  std::string text() const;
};

// Violations by place, each without its "Value … at" part decided yet: the whole sentence.
struct Findings {
  std::map<std::string, std::string> by_place;

  bool empty() const { return by_place.empty(); }
  void add(const Path& at, std::string sentence) { by_place.emplace(at.text(), std::move(sentence)); }
  void missing(const Path& at);
  // `text` is no value of the enumeration `shape`.
  void no_such_value(const Path& at, const Shape& shape, std::string_view text);
  // A list of enumerators, rendered, has one that does not exist.
  void no_such_element(const Path& at, const ListInfo& list, std::string_view rendered);
};

// Input that a protocol cannot read at all; read_input turns it into the service's error.
struct BadInput {
  std::string message;
};

// Remembers which members of a structure have come, and reports the required ones that have not.
class Seen {
 public:
  void mark(size_t index) {
    if (index < kMost) bits_[index / 64] |= uint64_t{1} << (index % 64);
  }
  bool has(size_t index) const { return index >= kMost || (bits_[index / 64] >> (index % 64) & 1); }
  void report_missing(const StructInfo& info, const Path& at, Findings& findings) const;

 private:
  static constexpr size_t kMost = 256;
  uint64_t bits_[kMost / 64] = {};
};

// Whether a required member never came.
inline bool is_missing(std::string_view sentence) { return sentence.ends_with("Member must not be null"); }

inline TimestampFormat format_of(const Member& member, TimestampFormat otherwise) {
  if (member.timestamp != TimestampFormat::kDefault) return member.timestamp;
  return member.shape->timestamp != TimestampFormat::kDefault ? member.shape->timestamp : otherwise;
}
inline TimestampFormat format_of(const Shape& shape, TimestampFormat otherwise) {
  return shape.timestamp != TimestampFormat::kDefault ? shape.timestamp : otherwise;
}

inline const void* field_of(const void* structure, const Member& member) {
  return static_cast<const char*>(structure) + member.offset;
}
inline void* field_of(void* structure, const Member& member) { return static_cast<char*>(structure) + member.offset; }

// "[A, B]" of an enumeration.
std::string enum_value_set(const Shape& shape);

// Throws one Error with every violation: those found while reading and those of the model's constraints.
void check(const OperationModel& op, const void* input, const Findings& findings);

}  // namespace virga::wire
