// A function as templates name it: by name, ARN, or the ARN of a version or alias.
#pragma once

#include <string>

#include "base/json.h"
#include "base/str.h"

namespace virga::cloudformation {

struct FunctionName {
  std::string name;       // or the ARN without qualifier
  std::string qualifier;  // empty: none

  // {FunctionName, Qualifier}.
  Json input() const {
    Json out = Json::object({{"FunctionName", name}});
    if (!qualifier.empty()) out["Qualifier"] = qualifier;
    return out;
  }
};

inline FunctionName function_name(const std::string& text) {
  const auto parts = split(text, ':');
  if (parts.size() == 8 && parts[0] == "arn")
    return {text.substr(0, text.size() - parts[7].size() - 1), std::string(parts[7])};
  if (parts.size() == 2) return {std::string(parts[0]), std::string(parts[1])};
  return {text, ""};
}

}  // namespace virga::cloudformation
