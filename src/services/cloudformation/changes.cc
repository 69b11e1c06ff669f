#include "services/cloudformation/changes.h"

#include <algorithm>
#include <set>

#include "base/str.h"
#include "services/cloudformation/references.h"

namespace virga::cloudformation {

namespace {

constexpr std::string_view kNames[] = {"Never", "Conditionally", "Always"};

// What is known of the changes so far; later resources may refer to earlier ones.
struct State {
  std::map<std::string, Recreation> changed;  // logical ids that change, and whether they are made anew
};

Json detail(std::string_view attribute, std::string_view property, Recreation recreation, std::string_view evaluation,
            std::string_view source, std::string_view cause) {
  Json target = Json::object({{"Attribute", Json(attribute)}});
  if (!property.empty()) target["Name"] = Json(property);
  target["RequiresRecreation"] = Json(kNames[static_cast<int>(recreation)]);
  Json out =
      Json::object({{"Target", std::move(target)}, {"Evaluation", Json(evaluation)}, {"ChangeSource", Json(source)}});
  if (!cause.empty()) out["CausingEntity"] = Json(cause);
  return out;
}

// Changes that a property's references bring though its text is the same.
void add_dynamic(const State& state, const std::string& property, const Json& value, Recreation rule, Json& details,
                 Recreation& worst) {
  for (const Reference& reference : references_in(value)) {
    const auto found = state.changed.find(reference.name);
    if (found == state.changed.end()) continue;
    const bool attribute = reference.kind == Reference::Kind::kGetAtt;
    if (!attribute && found->second == Recreation::kNever) continue;  // Ref changes only with a new resource
    details.push_back(detail("Properties", property, rule, "Dynamic",
                             attribute ? "ResourceAttribute" : "ResourceReference",
                             attribute ? cat(reference.name, ".", reference.attribute) : reference.name));
    if (rule != Recreation::kNever) worst = std::max(worst, Recreation::kConditionally);
  }
}

Json entry(Json change) { return Json::object({{"Type", "Resource"}, {"ResourceChange", std::move(change)}}); }

}  // namespace

Json plan_changes(const std::vector<LiveResource>& before, const std::vector<LiveResource>& after,
                  const std::map<std::string, std::string>& physical_ids, const RecreationRule& rule) {
  Json out = Json::array();
  State state;
  const auto find = [](const std::vector<LiveResource>& all, const std::string& name) {
    return std::find_if(all.begin(), all.end(), [&](const LiveResource& r) { return r.name == name; });
  };
  const auto physical = [&](const std::string& name) {
    const auto found = physical_ids.find(name);
    return found == physical_ids.end() ? std::string() : found->second;
  };
  for (const LiveResource& r : after) {
    const auto old = find(before, r.name);
    if (old == before.end()) {
      out.push_back(entry(Json::object({{"Action", "Add"},
                                        {"LogicalResourceId", r.name},
                                        {"ResourceType", r.type},
                                        {"Scope", Json::array()},
                                        {"Details", Json::array()}})));
      continue;
    }
    Json details = Json::array();
    std::set<std::string> scope;
    Recreation worst = Recreation::kNever;
    if (old->type != r.type) worst = Recreation::kAlways;
    std::set<std::string> keys;
    for (const auto& [key, value] : old->properties.as_object()) keys.insert(key);
    for (const auto& [key, value] : r.properties.as_object()) keys.insert(key);
    for (const std::string& key : keys) {
      const Json* was = old->properties.find(key);
      const Json* is = r.properties.find(key);
      const Recreation needs = rule(r.type, key);
      const size_t had = details.as_array().size();
      if (!was || !is || *was != *is) {
        details.push_back(detail("Properties", key, needs, "Static", "DirectModification", ""));
        worst = std::max(worst, needs);
      } else {
        add_dynamic(state, key, *is, needs, details, worst);
      }
      if (details.as_array().size() > had) scope.insert(key == "Tags" ? "Tags" : "Properties");
    }
    if (old->metadata != r.metadata) {
      details.push_back(detail("Metadata", "", Recreation::kNever, "Static", "DirectModification", ""));
      scope.insert("Metadata");
    }
    for (const auto& [name, was, is] : {std::tuple{"DeletionPolicy", old->deletion_policy, r.deletion_policy},
                                        {"UpdateReplacePolicy", old->update_replace_policy, r.update_replace_policy}}) {
      if (was == is) continue;
      details.push_back(detail(name, "", Recreation::kNever, "Static", "DirectModification", ""));
      scope.insert(name);
    }
    if (scope.empty() && old->type == r.type) continue;
    state.changed[r.name] = worst;
    constexpr std::string_view kReplacement[] = {"False", "Conditional", "True"};
    Json change = Json::object({{"Action", "Modify"},
                                {"LogicalResourceId", r.name},
                                {"PhysicalResourceId", physical(r.name)},
                                {"ResourceType", r.type},
                                {"Replacement", Json(kReplacement[static_cast<int>(worst)])}});
    change["Scope"] = Json(Json::Array(scope.begin(), scope.end()));
    change["Details"] = std::move(details);
    out.push_back(entry(std::move(change)));
  }
  for (auto old = before.rbegin(); old != before.rend(); ++old) {
    if (find(after, old->name) != after.end()) continue;
    Json change = Json::object({{"Action", "Remove"},
                                {"LogicalResourceId", old->name},
                                {"PhysicalResourceId", physical(old->name)},
                                {"ResourceType", old->type},
                                {"Scope", Json::array()},
                                {"Details", Json::array()}});
    change["PolicyAction"] =
        old->deletion_policy == "Retain" || old->deletion_policy == "RetainExceptOnCreate" ? "Retain" : "Delete";
    out.push_back(entry(std::move(change)));
  }
  return out;
}

}  // namespace virga::cloudformation
