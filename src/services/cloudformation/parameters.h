// A template's parameters: what they declare, and the values a stack gets.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace virga::cloudformation {

struct DeclaredParameter {
  std::string name, type, description, constraint_description, allowed_pattern;
  std::optional<std::string> default_value;
  std::vector<std::string> allowed_values;
  std::optional<int64_t> min_length, max_length;
  std::optional<double> min_value, max_value;
  bool no_echo = false;

  bool is_list() const { return type == "CommaDelimitedList" || type.starts_with("List<"); }
};

// Throws format_error on a declaration that is none, and not_served on types that read Parameter Store.
std::vector<DeclaredParameter> declared_parameters(const Json& root);

// The texts for every declared parameter: given, or the default. Throws when one has neither, when a name is
// unknown, or when a value breaks a constraint.
std::map<std::string, std::string> bind_parameters(const std::vector<DeclaredParameter>& declared,
                                                   const std::map<std::string, std::string>& given);

// What Ref answers: text, or the list of a list type.
std::map<std::string, Json> parameter_values(const std::vector<DeclaredParameter>& declared,
                                             const std::map<std::string, std::string>& bound);

// Whether all of `text` matches `pattern` (Java's regular expressions as far as PCRE agrees). A pattern that is
// malformed or takes too long to decide does not match.
bool matches_pattern(std::string_view pattern, std::string_view text);

}  // namespace virga::cloudformation
