// From a template's text and a stack's parameters to what there is to make. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "services/cloudformation/intrinsics.h"
#include "services/cloudformation/parameters.h"

namespace virga::cloudformation {

// A resource whose condition holds. `properties` has everything resolved but references to resources.
struct LiveResource {
  std::string name, type;
  Json properties = Json::object();
  std::string deletion_policy, update_replace_policy;  // empty: Delete
  std::string metadata;                                // JSON; empty: none
  std::vector<std::string> depends;                    // live resources that come first
};

struct Prepared {
  Json root;  // after transforms, checked
  std::vector<std::string> transforms;
  std::vector<DeclaredParameter> declared;
  std::map<std::string, std::string> bound;
  Resolver resolver;                    // pseudo parameters, parameters, conditions; mappings point into root
  std::vector<LiveResource> resources;  // dependencies first

  Prepared() = default;
  Prepared(Prepared&&) = delete;  // resolver points into root
  Prepared& operator=(Prepared&&) = delete;
};

// Throws validation errors. `exports` may be null: then Fn::ImportValue stays unresolved.
void prepare(Prepared& out, std::string_view text, const std::map<std::string, std::string>& given,
             PseudoParameters pseudo, const std::map<std::string, std::string>* exports);
// The same from a processed template and bound parameters that were accepted before.
void prepare_again(Prepared& out, std::string_view processed, const std::map<std::string, std::string>& bound,
                   PseudoParameters pseudo, const std::map<std::string, std::string>* exports);

// CAPABILITY_… that the template needs, and AWS's reason for the summary operations.
std::vector<std::string> needed_capabilities(const Json& processed);
// What Outputs resolve to: name → {Value, Description, Export}. Members whose condition fails are left out.
Json live_outputs(const Prepared& prepared, const Resolver& resolver);

}  // namespace virga::cloudformation
