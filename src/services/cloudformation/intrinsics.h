// Evaluating a template's functions. Pure: everything a function can see is in the Resolver.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace virga::cloudformation {

struct PseudoParameters {
  std::string account, region, partition = "aws", stack_id, stack_name;
  std::vector<std::string> notification_arns;
};

// The text of a scalar where a function wants text: true, 3, 1.5. Throws template_error for lists and maps.
std::string scalar_text(const Json& value);

class Resolver {
 public:
  // What happens to a reference to a resource that has no value yet.
  enum class Unknown { kRefuse, kKeep };  // kKeep: the function stays in the result, its other arguments resolved

  PseudoParameters pseudo;
  std::map<std::string, Json> parameters;  // text, or a list of text
  std::map<std::string, bool> conditions;
  const Json* mappings = nullptr;  // the Mappings section; may be null
  const std::map<std::string, std::string>* exports = nullptr;
  Unknown unknown = Unknown::kRefuse;
  // Values of resources; nothing when there is none (yet).
  std::function<std::optional<Json>(const std::string& name)> ref;
  std::function<std::optional<Json>(const std::string& name, const std::string& attribute)> get_att;

  // `value` with its functions evaluated and members that are AWS::NoValue left out; null when it is NoValue itself.
  // Throws template_error and kin.
  Json resolve(const Json& value) const;
  // A condition expression (Conditions section, or Condition). Throws when it is none.
  bool holds(const Json& condition) const;
  // Evaluates the Conditions section into `conditions`.
  void evaluate_conditions(const Json& root);
  // Checks the Rules section; throws with the first assertion that fails.
  void check_rules(const Json& root) const;

  // Export names that Fn::ImportValue was resolved with, for recording who uses what.
  mutable std::vector<std::string> imported;

 private:
  std::optional<Json> value_of(const Json& value) const;
  std::optional<Json> function(const std::string& name, const Json& argument) const;
  std::optional<Json> reference(const Json& argument) const;
  std::optional<Json> attribute(const Json& argument) const;
  Json find_in_map(const Json& argument) const;
  Json substitute(const Json& argument) const;
  bool rule_holds(const Json& expression) const;
  bool pending(const Json& value) const;
};

}  // namespace virga::cloudformation
