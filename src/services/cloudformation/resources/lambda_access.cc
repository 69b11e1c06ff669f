// Who and what calls functions: AWS::Lambda::Permission, LayerVersionPermission, Url, EventInvokeConfig and
// EventSourceMapping.
#include "base/executor.h"
#include "base/str.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/resources/lambda_names.h"
#include "services/cloudformation/resources/provider.h"

namespace virga::cloudformation {

namespace {

Task<Made> create_permission(Call& call) {
  Json input = without(call.properties, "FunctionName");
  const FunctionName function = function_name(call.text("FunctionName"));
  const Json target = function.input();
  for (const auto& [key, value] : target.as_object()) input[key] = value;
  input["StatementId"] = call.physical_id;
  co_await call.create("ResourceConflictException", "lambda", "AddPermission", std::move(input));
  co_return Made{call.physical_id, Json::object({{"Id", call.physical_id}})};
}

Task<void> remove_permission(Call& call) {
  Json input = function_name(call.text("FunctionName")).input();
  input["StatementId"] = call.physical_id;
  co_await call.api_unless("ResourceNotFoundException", "lambda", "RemovePermission", std::move(input));
}

Json layer_version(const Call& call) {
  const std::string arn = call.text("LayerVersionArn");
  const size_t colon = arn.rfind(':');
  return Json::object({{"LayerName", arn.substr(0, colon)},
                       {"VersionNumber", colon == std::string::npos ? "" : arn.substr(colon + 1)}});
}

Task<Made> create_layer_permission(Call& call) {
  Json input = layer_version(call);
  for (const char* same : {"Action", "Principal", "OrganizationId"}) {
    if (const Json* value = call.find(same)) input[same] = *value;
  }
  input["StatementId"] = call.physical_id;
  co_await call.create("ResourceConflictException", "lambda", "AddLayerVersionPermission", std::move(input));
  co_return Made{call.physical_id};
}

Task<void> remove_layer_permission(Call& call) {
  Json input = layer_version(call);
  input["StatementId"] = call.physical_id;
  co_await call.api_unless("ResourceNotFoundException", "lambda", "RemoveLayerVersionPermission", std::move(input));
}

Json url_input(const Call& call) {
  Json input = only(call.properties, "AuthType Cors InvokeMode");
  FunctionName function = function_name(call.text("TargetFunctionArn"));
  if (const std::string qualifier = call.text("Qualifier"); !qualifier.empty()) function.qualifier = qualifier;
  const Json target = function.input();
  for (const auto& [key, value] : target.as_object()) input[key] = value;
  return input;
}

Made url_made(const Json& url) {
  return {url.string_or("FunctionArn"),
          Json::object({{"FunctionUrl", url.string_or("FunctionUrl")}, {"FunctionArn", url.string_or("FunctionArn")}})};
}

Task<Made> create_url(Call& call) {
  const auto out =
      co_await call.create("ResourceConflictException", "lambda", "CreateFunctionUrlConfig", url_input(call));
  if (out) co_return url_made(*out);
  co_return url_made(
      co_await call.api("lambda", "GetFunctionUrlConfig", only(url_input(call), "FunctionName Qualifier")));
}

Task<Made> update_url(Call& call) {
  co_return url_made(co_await call.api("lambda", "UpdateFunctionUrlConfig", url_input(call)));
}

Task<void> remove_url(Call& call) {
  co_await call.api_unless("ResourceNotFoundException", "lambda", "DeleteFunctionUrlConfig",
                           only(url_input(call), "FunctionName Qualifier"));
}

Task<Made> put_invoke_config(Call& call) {
  Json input = only(call.properties, "DestinationConfig MaximumEventAgeInSeconds MaximumRetryAttempts Qualifier");
  input["FunctionName"] = function_name(call.text("FunctionName")).name;
  co_await call.api("lambda", "PutFunctionEventInvokeConfig", std::move(input));
  co_return Made{cat(call.stack_name, "-", call.logical_id)};
}

Task<void> remove_invoke_config(Call& call) {
  Json input = only(call.properties, "Qualifier");
  input["FunctionName"] = function_name(call.text("FunctionName")).name;
  co_await call.api_unless("ResourceNotFoundException", "lambda", "DeleteFunctionEventInvokeConfig", std::move(input));
}

Task<Made> create_mapping(Call& call) {
  Json input = without(call.properties, "Tags");
  if (Json tags = call.tag_map(); !tags.as_object().empty()) input["Tags"] = std::move(tags);
  const auto out =
      co_await call.create("ResourceConflictException", "lambda", "CreateEventSourceMapping", std::move(input));
  if (out) {
    const std::string id = out->string_or("UUID");
    co_return Made{id, Json::object({{"Id", id}, {"EventSourceMappingArn", out->string_or("EventSourceMappingArn")}})};
  }
  const Json all =
      co_await call.api("lambda", "ListEventSourceMappings", only(call.properties, "FunctionName EventSourceArn"));
  const Json* found = all.find("EventSourceMappings");
  if (!found || found->as_array().empty())
    co_return validation_error("The event source mapping exists but is not listed");
  const std::string id = found->as_array()[0].string_or("UUID");
  co_return Made{
      id,
      Json::object({{"Id", id}, {"EventSourceMappingArn", found->as_array()[0].string_or("EventSourceMappingArn")}})};
}

Task<Made> update_mapping(Call& call) {
  Json input =
      without(call.properties,
              "Tags EventSourceArn StartingPosition StartingPositionTimestamp SelfManagedEventSource Topics Queues");
  input["UUID"] = call.physical_id;
  co_await call.api("lambda", "UpdateEventSourceMapping", std::move(input));
  if (call.changed("Tags")) {
    const std::string arn = call.attributes.string_or("EventSourceMappingArn");
    const Json tags = call.tag_map();
    Json gone = Json::array();
    if (const Json* before = call.former.find("Tags"); before && before->is_array()) {
      for (const Json& tag : before->as_array()) {
        if (!tags.find(tag.string_or("Key"))) gone.push_back(tag.string_or("Key"));
      }
    }
    if (!gone.as_array().empty())
      co_await call.api("lambda", "UntagResource", Json::object({{"Resource", arn}, {"TagKeys", std::move(gone)}}));
    if (!tags.as_object().empty())
      co_await call.api("lambda", "TagResource", Json::object({{"Resource", arn}, {"Tags", tags}}));
  }
  co_return Made{call.physical_id, call.attributes};
}

Task<void> remove_mapping(Call& call) {
  co_await call.api_unless("ResourceNotFoundException", "lambda", "DeleteEventSourceMapping",
                           Json::object({{"UUID", call.physical_id}}));
  for (int i = 0; i < 600; ++i) {
    if (!co_await call.api_unless("ResourceNotFoundException", "lambda", "GetEventSourceMapping",
                                  Json::object({{"UUID", call.physical_id}})))
      co_return;
    co_await sleep_for(std::chrono::milliseconds(100));
  }
}

constexpr Provider kProviders[] = {
    {.type = "AWS::Lambda::Permission",
     .name_property = "",
     .name_most = 100,
     .replace_on = "*",
     .create = create_permission,
     .update = nullptr,
     .remove = remove_permission},
    {.type = "AWS::Lambda::LayerVersionPermission",
     .name_property = "",
     .name_most = 100,
     .replace_on = "*",
     .create = create_layer_permission,
     .update = nullptr,
     .remove = remove_layer_permission},
    {.type = "AWS::Lambda::Url",
     .name_property = "",
     .replace_on = "TargetFunctionArn Qualifier",
     .create = create_url,
     .update = update_url,
     .remove = remove_url},
    {.type = "AWS::Lambda::EventInvokeConfig",
     .name_property = "",
     .replace_on = "FunctionName Qualifier",
     .create = put_invoke_config,
     .update = put_invoke_config,
     .remove = remove_invoke_config},
    {.type = "AWS::Lambda::EventSourceMapping",
     .name_property = "",
     .replace_on = "EventSourceArn StartingPosition StartingPositionTimestamp SelfManagedEventSource",
     .create = create_mapping,
     .update = update_mapping,
     .remove = remove_mapping},
};

}  // namespace

std::span<const Provider> lambda_access_providers() { return kProviders; }

}  // namespace virga::cloudformation
