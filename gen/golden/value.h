// The hand-written type that the json-shapes case puts in place of a shape.
#pragma once

#include <string>

namespace virga::golden {
struct Value {
  std::string text;
};
}  // namespace virga::golden
