// Document paths: a.b[3].c.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "services/dynamodb/attribute_value.h"

namespace virga::dynamodb {

struct Step {
  std::string name;    // of a map entry; empty for a list element
  int64_t index = -1;  // of a list element; -1 for a map entry
  bool is_index() const { return index >= 0; }
  bool operator==(const Step&) const = default;
};

using Path = std::vector<Step>;

std::string describe(const Path& path);     // [a, b, [3], c]
View resolve(View item, const Path& path);  // not present when the path leads nowhere
// Throws ValidationException ("Invalid " + expression + ": …") when two paths overlap or conflict.
void check_disjoint(const std::vector<const Path*>& paths, std::string_view expression);

// What a projection keeps of an item.
class PathSet {
 public:
  void add(const Path& path);
  bool empty() const { return children_.empty(); }
  // Every part of `item` that is on a path; list elements close ranks.
  Item project(View item) const;

 private:
  struct Child;
  std::vector<Child> children_;
  bool whole_ = false;
  bool append_projected(View value, std::string& out) const;
};
struct PathSet::Child {
  Step step;
  PathSet below;
};

}  // namespace virga::dynamodb
