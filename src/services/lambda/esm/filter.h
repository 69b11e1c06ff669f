// Which records a mapping's function gets to see.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernel/event_pattern.h"

namespace virga::lambda::esm {

// Throws InvalidParameterValueException for a pattern that is none.
void check_filters(const std::vector<std::string>& patterns);

// Filters of one mapping: a record passes when any of them matches, or when there is none.
class Filters {
 public:
  explicit Filters(const std::vector<std::string>& patterns);
  bool passes(std::string_view record) const;  // the text of a JSON object

 private:
  std::vector<kernel::EventPattern> patterns_;
};

}  // namespace virga::lambda::esm
