// AWS::ApplicationAutoScaling::{ScalableTarget, ScalingPolicy}.
#include <set>

#include "base/str.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/resources/provider.h"

namespace virga::cloudformation {

namespace {

constexpr std::string_view kService = "application-autoscaling";
constexpr std::string_view kName = "ResourceId ScalableDimension ServiceNamespace";

Json target_of(const Json& properties) {
  for (const char* name : {"ResourceId", "ScalableDimension", "ServiceNamespace"}) need(properties, name);
  return only(properties, kName);
}

Task<void> set_actions(Call& call) {
  std::set<std::string> names;
  const Json target = target_of(call.properties);
  if (const Json* actions = call.find("ScheduledActions"); actions && actions->is_array()) {
    for (const Json& action : actions->as_array()) {
      Json input = action;
      for (const auto& [key, value] : target.as_object()) input[key] = value;
      names.insert(need(action, "ScheduledActionName").as_string());
      co_await call.api(std::string(kService), "PutScheduledAction", std::move(input));
    }
  }
  if (const Json* former = call.former.find("ScheduledActions"); former && former->is_array()) {
    for (const Json& action : former->as_array()) {
      if (names.contains(action.string_or("ScheduledActionName"))) continue;
      Json input = target;
      input["ScheduledActionName"] = need(action, "ScheduledActionName");
      co_await call.api_unless("ObjectNotFoundException", std::string(kService), "DeleteScheduledAction",
                               std::move(input));
    }
  }
}

Task<Made> put_target(Call& call) {
  const Json target = target_of(call.properties);
  Json input = without(call.properties, "ScheduledActions");
  co_await call.api(std::string(kService), "RegisterScalableTarget", std::move(input));
  call.created = cat(target.string_or("ResourceId"), "|", target.string_or("ScalableDimension"), "|",
                     target.string_or("ServiceNamespace"));
  co_await set_actions(call);
  co_return Made{call.created, Json::object({{"Id", call.created}})};
}

// <resource>|<dimension>|<namespace>, as a scalable target's Ref answers.
Json named(const std::string& id) {
  const auto parts = split(id, '|');
  if (parts.size() != 3) throw validation_error(cat("Invalid scalable target: ", id));
  return Json::object({{"ResourceId", std::string(parts[0])},
                       {"ScalableDimension", std::string(parts[1])},
                       {"ServiceNamespace", std::string(parts[2])}});
}

Task<void> remove_target(Call& call) {
  co_await call.api_unless("ObjectNotFoundException", std::string(kService), "DeregisterScalableTarget",
                           named(call.physical_id));
}

Json policy_name(const Call& call) {
  const std::string id = call.text("ScalingTargetId");
  Json name = id.empty() ? target_of(call.properties) : named(id);
  name["PolicyName"] = need(call.properties, "PolicyName");
  return name;
}

Task<Made> put_policy(Call& call) {
  Json input = without(call.properties, "ScalingTargetId");
  const Json name = policy_name(call);
  for (const auto& [key, value] : name.as_object()) input[key] = value;
  const Json out = co_await call.api(std::string(kService), "PutScalingPolicy", std::move(input));
  call.created = out.string_or("PolicyARN");
  co_return Made{call.created, Json::object({{"Arn", call.created}, {"PolicyName", call.text("PolicyName")}})};
}

Task<void> remove_policy(Call& call) {
  co_await call.api_unless("ObjectNotFoundException", std::string(kService), "DeleteScalingPolicy", policy_name(call));
}

constexpr Provider kProviders[] = {{.type = "AWS::ApplicationAutoScaling::ScalableTarget",
                                    .name_property = "",
                                    .replace_on = kName,
                                    .create = put_target,
                                    .update = put_target,
                                    .remove = remove_target},
                                   {.type = "AWS::ApplicationAutoScaling::ScalingPolicy",
                                    .name_property = "",
                                    .replace_on = "PolicyName ScalingTargetId ResourceId ScalableDimension "
                                                  "ServiceNamespace",
                                    .create = put_policy,
                                    .update = put_policy,
                                    .remove = remove_policy}};

}  // namespace

std::span<const Provider> application_autoscaling_providers() { return kProviders; }

}  // namespace virga::cloudformation
