#include "services/cloudformation/prepare.h"

#include <algorithm>

#include "base/str.h"
#include "services/cloudformation/references.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/sam/sam.h"
#include "services/cloudformation/template.h"

namespace virga::cloudformation {

namespace {

std::string policy_of(const Prepared& p, const Json& resource, std::string_view key) {
  const Json* policy = resource.find(key);
  if (!policy) return "";
  const Json value = p.resolver.resolve(*policy);
  return value.is_string() ? value.as_string() : "";
}

std::vector<LiveResource> live_resources(const Prepared& p) {
  std::map<std::string, LiveResource> live;
  std::vector<std::string> names;
  std::vector<std::pair<std::string, std::vector<std::string>>> explicit_needs;
  for (const auto& [name, resource] : section(p.root, "Resources")) {
    const Json* condition = resource.find("Condition");
    if (condition && condition->is_string() && !p.resolver.holds(Json::object({{"Condition", *condition}}))) continue;
    LiveResource r;
    r.name = name;
    r.type = resource.string_or("Type");
    if (const Json* properties = resource.find("Properties")) r.properties = p.resolver.resolve(*properties);
    if (!r.properties.is_object()) r.properties = Json::object();
    r.deletion_policy = policy_of(p, resource, "DeletionPolicy");
    r.update_replace_policy = policy_of(p, resource, "UpdateReplacePolicy");
    if (const Json* metadata = resource.find("Metadata")) r.metadata = p.resolver.resolve(*metadata).dump();
    names.push_back(name);
    explicit_needs.emplace_back(name, depends_on(resource));
    live.emplace(name, std::move(r));
  }
  Graph graph;
  std::set<std::string> missing;
  for (const auto& [name, needs] : explicit_needs) {
    auto& all = graph[name];
    // DependsOn a resource whose condition fails is no dependency.
    for (const std::string& other : needs) {
      if (live.contains(other)) all.insert(other);
    }
    for (const Reference& reference : references_in(live.at(name).properties)) {
      if (live.contains(reference.name))
        all.insert(reference.name);
      else
        missing.insert(reference.name);
    }
  }
  if (!missing.empty()) {
    throw format_error(cat("Unresolved resource dependencies [",
                           join(std::vector<std::string>(missing.begin(), missing.end()), ", "),
                           "] in the Resources block of the template"));
  }
  std::vector<LiveResource> out;
  for (const std::string& name : dependency_order(names, graph)) {
    LiveResource& r = live.at(name);
    r.depends.assign(graph[name].begin(), graph[name].end());
    out.push_back(std::move(r));
  }
  return out;
}

void finish(Prepared& out, PseudoParameters pseudo, const std::map<std::string, std::string>* exports) {
  Resolver& r = out.resolver;
  r.pseudo = std::move(pseudo);
  r.parameters = parameter_values(out.declared, out.bound);
  r.mappings = out.root.find("Mappings");
  r.exports = exports;
  r.unknown = Resolver::Unknown::kKeep;
  r.evaluate_conditions(out.root);
  out.resources = live_resources(out);
}

}  // namespace

namespace {

void prepare_checked(Prepared& out, std::string_view text, const std::map<std::string, std::string>& given,
                     PseudoParameters pseudo, const std::map<std::string, std::string>* exports) {
  out.root = parse_template(text);
  out.transforms = transforms_of(out.root);
  out.declared = declared_parameters(out.root);
  out.bound = bind_parameters(out.declared, given);
  for (const std::string& name : out.transforms) {
    if (name == "AWS::Serverless-2016-10-31") {
      out.root = transform_serverless(std::move(out.root), parameter_values(out.declared, out.bound), pseudo);
    } else if (name != "AWS::LanguageExtensions") {
      throw not_served(cat("Transform ", name));
    }
  }
  out.root.erase("Transform");
  check_template(out.root);
  Resolver rules;
  rules.pseudo = pseudo;
  rules.parameters = parameter_values(out.declared, out.bound);
  rules.check_rules(out.root);
  finish(out, std::move(pseudo), exports);
}

}  // namespace

void prepare(Prepared& out, std::string_view text, const std::map<std::string, std::string>& given,
             PseudoParameters pseudo, const std::map<std::string, std::string>* exports) {
  try {
    prepare_checked(out, text, given, std::move(pseudo), exports);
  } catch (const std::bad_variant_access&) {
    throw format_error("a value is of another type than its place in the template asks for.");
  }
}

void prepare_again(Prepared& out, std::string_view processed, const std::map<std::string, std::string>& bound,
                   PseudoParameters pseudo, const std::map<std::string, std::string>* exports) {
  out.root = Json::parse(processed);
  out.declared = declared_parameters(out.root);
  out.bound = bound;
  finish(out, std::move(pseudo), exports);
}

std::vector<std::string> needed_capabilities(const Json& processed) {
  static constexpr std::pair<std::string_view, std::string_view> kNamed[] = {
      {"AWS::IAM::Role", "RoleName"},
      {"AWS::IAM::User", "UserName"},
      {"AWS::IAM::Group", "GroupName"},
      {"AWS::IAM::ManagedPolicy", "ManagedPolicyName"},
      {"AWS::IAM::InstanceProfile", "InstanceProfileName"}};
  static constexpr std::string_view kTypes[] = {
      "AWS::IAM::AccessKey", "AWS::IAM::Group", "AWS::IAM::InstanceProfile",     "AWS::IAM::Policy",
      "AWS::IAM::Role",      "AWS::IAM::User",  "AWS::IAM::UserToGroupAddition", "AWS::IAM::ManagedPolicy"};
  bool some = false, named = false;
  for (const auto& [name, resource] : section(processed, "Resources")) {
    const std::string type = resource.string_or("Type");
    some = some || std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes);
    for (const auto& [named_type, property] : kNamed) {
      const Json* properties = resource.find("Properties");
      named = named || (type == named_type && properties && properties->find(property));
    }
  }
  if (named) return {"CAPABILITY_NAMED_IAM"};
  if (some) return {"CAPABILITY_IAM"};
  return {};
}

Json live_outputs(const Prepared& prepared, const Resolver& resolver) {
  Json out = Json::object();
  for (const auto& [name, output] : section(prepared.root, "Outputs")) {
    const Json* condition = output.find("Condition");
    if (condition && condition->is_string() && !resolver.holds(Json::object({{"Condition", *condition}}))) continue;
    Json body = Json::object();
    for (const auto& [key, value] : output.as_object()) {
      if (key != "Condition") body[key] = resolver.resolve(value);
    }
    out[name] = std::move(body);
  }
  return out;
}

}  // namespace virga::cloudformation
