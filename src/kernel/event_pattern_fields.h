// An event flattened: the values of the fields that patterns name, and which elements of arrays of objects they are in.
// Internal to event_pattern.*.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/event_pattern_rule.h"

namespace virga::kernel::pattern {

inline constexpr uint32_t kNone = ~uint32_t{0};

uint64_t hash_of(std::string_view text, uint64_t seed = 0);

// The paths that are looked at, as a tree of steps.
class PathTree {
 public:
  PathTree();
  uint32_t add(const std::vector<std::string>& steps);  // the path's id, the same for the same path
  uint32_t paths() const { return paths_; }

  static constexpr uint32_t kRoot = 0;
  uint32_t child(uint32_t node, std::string_view step) const;  // kNone: nothing below is looked at
  uint32_t path_at(uint32_t node) const { return nodes_[node].path; }
  bool has_children(uint32_t node) const { return nodes_[node].children; }

 private:
  struct Node {
    uint32_t path = kNone;
    bool children = false;
  };
  struct Slot {
    uint64_t hash = 0;
    uint32_t parent = 0, node = kNone;
    std::string step;
  };
  std::vector<Node> nodes_;
  std::vector<Slot> slots_;  // open addressing; a power of two, at most half full
  size_t used_ = 0;
  uint32_t paths_ = 0;
  void insert(Slot slot);
};

struct Value {
  enum class Kind : uint8_t { kString, kNumber, kLiteral };
  Kind kind;
  uint32_t path;
  uint32_t element;       // innermost element of an array of objects it lies in; 0: in none
  uint32_t next;          // further value of the same path, kNone at the end
  std::string_view text;  // a string without quotes and escapes, anything else as written
};

// An element of an array: where it lies itself, and in which array. The first stands for the event.
struct Element {
  uint32_t parent = 0, array = 0, index = 0, depth = 0;
};

struct Fields {
  std::vector<Value> values;
  std::vector<uint32_t> first;    // of each path, kNone where the event has none
  std::vector<uint32_t> present;  // the paths that have values
  std::vector<Element> elements;
  uint32_t arrays = 0;
  std::string unescaped;  // text of strings that had escapes

  // False when `event` is no JSON object; what is skipped isn't checked. Views point into `event` and this.
  bool read(const PathTree& tree, std::string_view event);
};

}  // namespace virga::kernel::pattern
