#include "services/cloudformation/template.h"

#include <algorithm>
#include <set>

#include "base/str.h"
#include "services/cloudformation/limits.h"
#include "services/cloudformation/references.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/yaml.h"

namespace virga::cloudformation {

namespace {

const Json::Object kNothing;

std::string line_and_column(std::string_view text, size_t offset) {
  offset = std::min(offset, text.size());
  const size_t line = std::count(text.begin(), text.begin() + offset, '\n') + 1;
  const size_t start = text.rfind('\n', offset ? offset - 1 : 0);
  return cat("(line ", line, ", column ", start == std::string_view::npos ? offset + 1 : offset - start, ")");
}

void refuse_nulls(const Json& value, const std::string& path, int depth) {
  if (depth > kDepthMost) throw format_error(cat("nesting is deeper than ", kDepthMost, " levels."));
  if (value.is_null()) throw format_error(cat("[", path, "] 'null' values are not allowed in templates"));
  if (value.is_array()) {
    size_t index = 0;
    for (const Json& element : value.as_array()) refuse_nulls(element, cat(path, "/", index++), depth + 1);
  } else if (value.is_object()) {
    for (const auto& [key, member] : value.as_object()) refuse_nulls(member, cat(path, "/", key), depth + 1);
  }
}

bool is_alphanumeric(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c); });
}

void check_sections(const Json& root) {
  static const std::set<std::string_view> kSections = {"AWSTemplateFormatVersion",
                                                       "Description",
                                                       "Metadata",
                                                       "Parameters",
                                                       "Rules",
                                                       "Mappings",
                                                       "Conditions",
                                                       "Transform",
                                                       "Resources",
                                                       "Outputs",
                                                       "Globals",
                                                       "Hooks"};
  std::vector<std::string> unknown;
  for (const auto& [name, value] : root.as_object()) {
    if (!kSections.contains(name)) unknown.push_back(name);
  }
  if (!unknown.empty())
    throw validation_error(cat("Invalid template property or properties [", join(unknown, ", "), "]"));
  if (root.find("Hooks")) throw not_served("The Hooks section of a template");
  const Json* version = root.find("AWSTemplateFormatVersion");
  if (version && *version != Json("2010-09-09")) throw format_error("unsupported value for AWSTemplateFormatVersion.");
  if (const Json* description = root.find("Description"); description && !description->is_string())
    throw format_error("every Description member must be a string.");
  for (const char* name : {"Parameters", "Rules", "Mappings", "Conditions", "Resources", "Outputs"}) {
    const Json* value = root.find(name);
    if (value && !value->is_object()) throw format_error(cat("[/", name, "] must be a map."));
  }
}

void check_mappings(const Json& root) {
  if (section(root, "Mappings").size() > kMappingsMost)
    throw format_error(cat("Number of mappings is greater than maximum allowed, ", kMappingsMost));
  for (const auto& [name, mapping] : section(root, "Mappings")) {
    if (!mapping.is_object()) throw format_error("Every Mappings member must be a map");
    for (const auto& [key, row] : mapping.as_object()) {
      if (!row.is_object() && !name.starts_with("Fn::"))
        throw format_error(cat("Every Mappings attribute must be a String or a List."));
    }
  }
}

void check_resource(const std::string& name, const Json& resource) {
  static const std::set<std::string_view> kProperties = {
      "Type",           "Properties",          "DependsOn",    "Metadata",       "Condition",
      "DeletionPolicy", "UpdateReplacePolicy", "UpdatePolicy", "CreationPolicy", "Connectors"};
  if (!is_alphanumeric(name)) throw format_error(cat("Resource name ", name, " is non alphanumeric."));
  if (!resource.is_object()) throw format_error(cat("[/Resources/", name, "] resource definition is malformed"));
  const Json* type = resource.find("Type");
  if (!type) throw format_error(cat("[/Resources/", name, "] Every Resources object must contain a Type member."));
  if (!type->is_string()) throw format_error(cat("[/Resources/", name, "/Type] must be a string."));
  for (const auto& [key, value] : resource.as_object()) {
    if (!kProperties.contains(key)) throw validation_error(cat("Invalid template resource property '", key, "'"));
  }
  if (const Json* properties = resource.find("Properties"); properties && !properties->is_object())
    throw format_error("[/Resources/" + name + "/Properties] must be a map.");
  for (const char* key : {"DeletionPolicy", "UpdateReplacePolicy"}) {
    const Json* policy = resource.find(key);
    if (!policy || is_intrinsic(*policy)) continue;
    const bool known =
        policy->is_string() &&
        (policy->as_string() == "Delete" || policy->as_string() == "Retain" || policy->as_string() == "Snapshot" ||
         (policy->as_string() == "RetainExceptOnCreate" && std::string_view(key) == "DeletionPolicy"));
    if (!known)
      throw format_error(cat("Unrecognized ", key, " ", policy->is_string() ? policy->as_string() : policy->dump(),
                             " for resource ", name));
  }
}

void check_conditions(const Json& root) {
  const Json::Object& conditions = section(root, "Conditions");
  const auto defined = [&](const std::string& name) {
    return std::any_of(conditions.begin(), conditions.end(), [&](const auto& c) { return c.first == name; });
  };
  std::set<std::string> parameters;
  for (const auto& [name, parameter] : section(root, "Parameters")) parameters.insert(name);
  Graph graph;
  std::vector<std::string> names;
  std::set<std::string> unresolved;
  for (const auto& [name, condition] : conditions) {
    names.push_back(name);
    auto& needs = graph[name];
    for (const std::string& other : conditions_in(condition)) {
      if (!defined(other))
        throw format_error(cat("Unresolved condition dependency ", other, " in the Conditions block of the template"));
      needs.insert(other);
    }
    for (const Reference& reference : references_in(condition)) {
      if (reference.kind == Reference::Kind::kGetAtt ||
          (!parameters.contains(reference.name) && !is_pseudo_parameter(reference.name)))
        unresolved.insert(reference.name);
    }
  }
  if (!unresolved.empty()) {
    throw format_error(cat("Unresolved dependencies [",
                           join(std::vector<std::string>(unresolved.begin(), unresolved.end()), ", "),
                           "]. Cannot reference resources in the Conditions block of the template"));
  }
  dependency_order(names, graph);
  for (const char* block : {"Resources", "Outputs"}) {
    for (const auto& [name, value] : section(root, block)) {
      std::set<std::string> used = conditions_in(value);
      if (const Json* own = value.find("Condition"); own && own->is_string()) used.insert(own->as_string());
      for (const std::string& condition : used) {
        if (defined(condition)) continue;
        throw format_error(
            cat("Unresolved condition dependency ", condition, " in the ", block, " block of the template"));
      }
    }
  }
}

void check_references(const Json& root) {
  std::set<std::string> known, resources;
  for (const auto& [name, value] : section(root, "Parameters")) known.insert(name);
  for (const auto& [name, value] : section(root, "Resources")) {
    known.insert(name);
    resources.insert(name);
  }
  for (const char* block : {"Resources", "Outputs"}) {
    std::set<std::string> unresolved;
    for (const auto& [name, value] : section(root, block)) {
      for (const Reference& reference : references_in(value)) {
        if (reference.kind == Reference::Kind::kGetAtt) {
          if (!resources.contains(reference.name))
            throw template_error(cat("instance of Fn::GetAtt references undefined resource ", reference.name));
        } else if (!known.contains(reference.name) && !is_pseudo_parameter(reference.name)) {
          unresolved.insert(reference.name);
        }
      }
      for (const std::string& other : depends_on(value)) {
        if (!resources.contains(other)) unresolved.insert(other);
      }
    }
    if (!unresolved.empty()) {
      throw format_error(cat("Unresolved resource dependencies [",
                             join(std::vector<std::string>(unresolved.begin(), unresolved.end()), ", "), "] in the ",
                             block, " block of the template"));
    }
  }
}

}  // namespace

const Json::Object& section(const Json& root, std::string_view name) {
  const Json* found = root.find(name);
  return found && found->is_object() ? found->as_object() : kNothing;
}

Json parse_template(std::string_view text) {
  const size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos) throw format_error("unsupported structure.");
  Json root;
  if (text[start] == '{') {
    try {
      root = Json::parse(text);
    } catch (const JsonError& e) {
      throw format_error(cat("JSON not well-formed. ", line_and_column(text, e.offset)));
    }
  } else {
    root = parse_yaml(text);
  }
  if (!root.is_object()) throw format_error("unsupported structure.");
  return root;
}

std::vector<std::string> transforms_of(const Json& root) {
  std::vector<std::string> out;
  const auto add = [&](const Json& one) {
    if (one.is_string()) {
      out.push_back(one.as_string());
    } else if (one.is_object()) {
      out.push_back(one.string_or("Name"));
    } else {
      throw format_error("[/Transform] must be a transform's name, or a list of them.");
    }
  };
  const Json* transform = root.find("Transform");
  if (!transform) return out;
  if (transform->is_array()) {
    for (const Json& one : transform->as_array()) add(one);
  } else {
    add(*transform);
  }
  return out;
}

void check_template(const Json& root) {
  check_sections(root);
  refuse_nulls(root, "", 0);
  const Json::Object& resources = section(root, "Resources");
  if (resources.empty()) throw format_error("At least one Resources member must be defined.");
  if (resources.size() > kResourcesMost)
    throw format_error(
        cat("Number of resources, ", resources.size(), ", is greater than maximum allowed, ", kResourcesMost));
  for (const auto& [name, resource] : resources) check_resource(name, resource);
  check_mappings(root);
  if (section(root, "Outputs").size() > kOutputsMost)
    throw format_error(cat("Number of outputs, ", section(root, "Outputs").size(),
                           ", is greater than maximum allowed, ", kOutputsMost));
  for (const auto& [name, output] : section(root, "Outputs")) {
    if (!is_alphanumeric(name)) throw format_error(cat("Output name ", name, " is non alphanumeric."));
    if (!output.is_object() || !output.find("Value"))
      throw format_error(cat("[/Outputs/", name, "] Every Outputs member must contain a Value object"));
  }
  check_conditions(root);
  check_references(root);
  std::vector<std::string> names;
  for (const auto& [name, resource] : resources) names.push_back(name);
  dependency_order(names, resource_graph(resources));
}

}  // namespace virga::cloudformation
