// What a piece of a template refers to, and the order that follows from it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/json.h"

namespace virga::cloudformation {

// Fn::Sub's text in pieces: literal text, or the name inside ${…} (trimmed). ${!x} is the literal ${x}.
struct SubPiece {
  bool variable = false;
  std::string text;
};
// Throws template_error when a name has characters that no name has.
std::vector<SubPiece> parse_sub(std::string_view text);

struct Reference {
  enum class Kind { kRef, kGetAtt };
  Kind kind = Kind::kRef;
  std::string name;       // of a parameter, pseudo parameter or resource
  std::string attribute;  // of kGetAtt; empty when it is computed by a function
  bool operator<(const Reference& o) const {
    return std::tie(name, kind, attribute) < std::tie(o.name, o.kind, o.attribute);
  }
};
// Every Ref, Fn::GetAtt and Fn::Sub below `value`. Names that Fn::Sub's own map defines are left out.
std::set<Reference> references_in(const Json& value);
// The names in a resource's DependsOn.
std::vector<std::string> depends_on(const Json& resource);
// Conditions that `value` names by Condition or Fn::If.
std::set<std::string> conditions_in(const Json& value);

bool is_pseudo_parameter(std::string_view name);
// True for an object with one member that is Ref, Condition (with text) or Fn::….
bool is_intrinsic(const Json& value);

// For each name those it needs, all of them keys of the map too. The order is dependencies first, otherwise that of
// `names`. Throws "Circular dependency between resources: [A, B]".
using Graph = std::map<std::string, std::set<std::string>>;
std::vector<std::string> dependency_order(const std::vector<std::string>& names, const Graph& graph);
// The graph of the resources in `resources` (a Resources section): explicit and implicit edges.
Graph resource_graph(const Json::Object& resources);

}  // namespace virga::cloudformation
