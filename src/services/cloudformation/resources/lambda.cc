// AWS::Lambda::Function, Version, Alias, LayerVersion and CapacityProvider.

#include "base/encoding.h"
#include "base/executor.h"
#include "base/str.h"
#include "base/zip.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/resources/lambda_names.h"
#include "services/cloudformation/resources/provider.h"

namespace virga::cloudformation {

namespace {

constexpr int kPolls = 1200;
constexpr Micros kPollEvery = std::chrono::milliseconds(50);
constexpr std::string_view kNotConfiguration =
    "Code Tags FunctionName ReservedConcurrentExecutions PackageType Architectures RuntimeManagementConfig "
    "RecursiveLoop CodeSigningConfigArn "
    "PublishToLatestPublished FunctionScalingConfig";

// Code as CreateFunction has it: text of the template becomes an archive with one file named index.
Json code_of(const Call& call) {
  const Json* given = call.find("Code");
  Json code = given ? *given : Json::object();
  const Json* text = code.find("ZipFile");
  if (!text || !text->is_string()) return code;
  ZipWriter zip;
  zip.add(call.text("Runtime").starts_with("python") ? "index.py" : "index.js", text->as_string());
  code["ZipFile"] = base64_encode(zip.finish());
  return code;
}

// Of a function by its name, or of a version by its ARN.
Task<Json> settled(Call& call, std::string name) {
  for (int i = 0; i < kPolls; ++i) {
    Json now = co_await call.api("lambda", "GetFunctionConfiguration", Json::object({{"FunctionName", name}}));
    const std::string state = now.string_or("State", "Active"),
                      update = now.string_or("LastUpdateStatus", "Successful");
    if (state == "Failed" || update == "Failed")
      co_return validation_error(
          cat("Function ", name, " failed: ", now.string_or("StateReason", now.string_or("LastUpdateStatusReason"))));
    if (state != "Pending" && update != "InProgress") co_return std::move(now);
    co_await sleep_for(kPollEvery);
  }
  co_return validation_error(cat("Function ", name, " did not become active in time"));
}

Made made_of(const Call& call, const Json& configuration) {
  return {call.physical_id, Json::object({{"Arn", configuration.string_or("FunctionArn")}})};
}

Task<void> set_others(Call& call) {
  const Json* reserved = call.find("ReservedConcurrentExecutions");
  if (reserved && call.changed("ReservedConcurrentExecutions")) {
    co_await call.api("lambda", "PutFunctionConcurrency",
                      Json::object({{"FunctionName", call.physical_id}, {"ReservedConcurrentExecutions", *reserved}}));
  } else if (!reserved && call.former.find("ReservedConcurrentExecutions")) {
    co_await call.api("lambda", "DeleteFunctionConcurrency", Json::object({{"FunctionName", call.physical_id}}));
  }
  if (const Json* management = call.find("RuntimeManagementConfig");
      management && call.changed("RuntimeManagementConfig")) {
    Json input = *management;
    input["FunctionName"] = call.physical_id;
    co_await call.api("lambda", "PutRuntimeManagementConfig", std::move(input));
  }
  if (const Json* loop = call.find("RecursiveLoop"); loop && call.changed("RecursiveLoop"))
    co_await call.api("lambda", "PutFunctionRecursionConfig",
                      Json::object({{"FunctionName", call.physical_id}, {"RecursiveLoop", *loop}}));
}

// Of a function on a capacity provider: the version that runs there, and how many instances it has.
Task<void> publish_latest(Call& call) {
  if (call.text("PublishToLatestPublished") == "true")
    co_await call.api("lambda", "PublishVersion",
                      Json::object({{"FunctionName", call.physical_id}, {"PublishTo", "LATEST_PUBLISHED"}}));
  if (const Json* scaling = call.find("FunctionScalingConfig"); scaling && call.changed("FunctionScalingConfig"))
    co_await call.api("lambda", "PutFunctionScalingConfig",
                      Json::object({{"FunctionName", call.physical_id},
                                    {"Qualifier", "$LATEST.PUBLISHED"},
                                    {"FunctionScalingConfig", *scaling}}));
}

Task<Made> create_function(Call& call) {
  Json input = without(call.properties,
                       "Code Tags ReservedConcurrentExecutions RuntimeManagementConfig RecursiveLoop "
                       "PublishToLatestPublished FunctionScalingConfig");
  input["FunctionName"] = call.physical_id;
  input["Code"] = code_of(call);
  if (Json tags = call.tag_map(); !tags.as_object().empty()) input["Tags"] = std::move(tags);
  co_await call.create("ResourceConflictException", "lambda", "CreateFunction", std::move(input));
  call.created = call.physical_id;
  co_await settled(call, call.physical_id);
  co_await set_others(call);
  co_await publish_latest(call);
  co_return made_of(call, co_await settled(call, call.physical_id));
}

// What a property goes back to when a template no longer has it.
const Json* default_of(std::string_view property) {
  static const std::pair<std::string_view, Json> kDefaults[] = {
      {"MemorySize", 128},
      {"Timeout", 3},
      {"Description", ""},
      {"Environment", Json::object({{"Variables", Json::object()}})},
      {"Layers", Json::array()},
      {"TracingConfig", Json::object({{"Mode", "PassThrough"}})},
      {"DeadLetterConfig", Json::object({{"TargetArn", ""}})},
      {"EphemeralStorage", Json::object({{"Size", 512}})},
      {"SnapStart", Json::object({{"ApplyOn", "None"}})},
      {"KmsKeyArn", ""},
      {"ImageConfig", Json::object()},
  };
  for (const auto& [name, value] : kDefaults) {
    if (name == property) return &value;
  }
  return nullptr;
}

Task<Made> update_function(Call& call) {
  if (call.changed("Code") || call.changed("Architectures")) {
    Json input = code_of(call);
    input["FunctionName"] = call.physical_id;
    if (const Json* architectures = call.find("Architectures")) input["Architectures"] = *architectures;
    co_await call.api("lambda", "UpdateFunctionCode", std::move(input));
    co_await settled(call, call.physical_id);
  }
  const Json now = without(call.properties, kNotConfiguration), before = without(call.former, kNotConfiguration);
  Json input = Json::object();
  for (const auto& [name, value] : now.as_object()) {
    if (call.changed(name)) input[name] = value;
  }
  for (const auto& [name, value] : before.as_object()) {
    if (now.find(name)) continue;
    if (const Json* otherwise = default_of(name)) input[name] = *otherwise;
  }
  if (!input.as_object().empty()) {
    input["FunctionName"] = call.physical_id;
    co_await call.api("lambda", "UpdateFunctionConfiguration", std::move(input));
    co_await settled(call, call.physical_id);
  }
  co_await set_others(call);
  co_await publish_latest(call);
  const Json configuration = co_await settled(call, call.physical_id);
  if (call.changed("Tags")) {
    const Json tags = call.tag_map();
    Json gone = Json::array();
    if (const Json* former = call.former.find("Tags"); former && former->is_array()) {
      for (const Json& tag : former->as_array()) {
        if (!tags.find(tag.string_or("Key"))) gone.push_back(tag.string_or("Key"));
      }
    }
    const std::string arn = configuration.string_or("FunctionArn");
    if (!gone.as_array().empty())
      co_await call.api("lambda", "UntagResource", Json::object({{"Resource", arn}, {"TagKeys", gone}}));
    if (!tags.as_object().empty())
      co_await call.api("lambda", "TagResource", Json::object({{"Resource", arn}, {"Tags", tags}}));
  }
  co_return made_of(call, configuration);
}

Task<void> remove_function(Call& call) {
  co_await call.api_unless("ResourceNotFoundException", "lambda", "DeleteFunction",
                           Json::object({{"FunctionName", call.physical_id}}));
}

// Provisions what the property of a version or an alias asks for, and waits until the instances are ready.
Task<void> set_provisioned(Call& call, std::string qualifier) {
  const Json target = Json::object(
      {{"FunctionName", function_name(call.text("FunctionName")).name}, {"Qualifier", std::move(qualifier)}});
  const Json* config = call.find("ProvisionedConcurrencyConfig");
  if (!config) {
    if (call.former.find("ProvisionedConcurrencyConfig"))
      co_await call.api_unless("ProvisionedConcurrencyConfigNotFoundException", "lambda",
                               "DeleteProvisionedConcurrencyConfig", target);
    co_return;
  }
  Json input = target;
  input["ProvisionedConcurrentExecutions"] = need(*config, "ProvisionedConcurrentExecutions");
  co_await call.api("lambda", "PutProvisionedConcurrencyConfig", std::move(input));
  for (int i = 0; i < kPolls; ++i) {
    const Json now = co_await call.api("lambda", "GetProvisionedConcurrencyConfig", target);
    const std::string status = now.string_or("Status");
    if (status == "READY") co_return;
    if (status == "FAILED")
      co_await fail(validation_error(cat("Provisioned concurrency failed: ", now.string_or("StatusReason"))));
    co_await sleep_for(kPollEvery);
  }
  co_await fail(validation_error("Provisioned concurrency was not ready in time"));
}

Task<Made> create_version(Call& call) {
  Json input = only(call.properties, "CodeSha256 Description");
  input["FunctionName"] = function_name(call.text("FunctionName")).name;
  // Publishing an unchanged function answers the version there is, so a repeated step makes no second one.
  const Json version = co_await call.api("lambda", "PublishVersion", std::move(input));
  const std::string arn = version.string_or("FunctionArn");
  call.created = arn;
  co_await settled(call, arn);
  co_await set_provisioned(call, version.string_or("Version"));
  co_return Made{arn, Json::object({{"Version", version.string_or("Version")}, {"FunctionArn", arn}})};
}

Task<void> remove_version(Call& call) {
  co_await call.api_unless("ResourceNotFoundException", "lambda", "DeleteFunction",
                           function_name(call.physical_id).input());
}

Json alias_input(const Call& call) {
  Json input = only(call.properties, "FunctionVersion Description Name");
  input["FunctionName"] = function_name(call.text("FunctionName")).name;
  if (const Json* routing = call.find("RoutingConfig")) {
    Json weights = Json::object();
    if (const Json* all = routing->find("AdditionalVersionWeights"); all && all->is_array()) {
      for (const Json& one : all->as_array()) weights[one.string_or("FunctionVersion")] = need(one, "FunctionWeight");
    }
    input["RoutingConfig"] = Json::object({{"AdditionalVersionWeights", weights}});
  }
  return input;
}

Made alias_made(const Json& alias) {
  return {alias.string_or("AliasArn"), Json::object({{"AliasArn", alias.string_or("AliasArn")}})};
}

Task<Made> create_alias(Call& call) {
  const auto out = co_await call.create("ResourceConflictException", "lambda", "CreateAlias", alias_input(call));
  const Made made = alias_made(out ? *out : co_await call.api("lambda", "UpdateAlias", alias_input(call)));
  call.created = made.physical_id;
  co_await set_provisioned(call, call.text("Name"));
  co_return made;
}

Task<Made> update_alias(Call& call) {
  Json input = alias_input(call);
  if (!call.find("RoutingConfig") && call.former.find("RoutingConfig"))
    input["RoutingConfig"] = Json::object({{"AdditionalVersionWeights", Json::object()}});
  const Made made = alias_made(co_await call.api("lambda", "UpdateAlias", std::move(input)));
  co_await set_provisioned(call, call.text("Name"));
  co_return made;
}

Task<void> remove_alias(Call& call) {
  co_await call.api_unless(
      "ResourceNotFoundException", "lambda", "DeleteAlias",
      Json::object({{"FunctionName", function_name(call.text("FunctionName")).name}, {"Name", call.text("Name")}}));
}

Task<Made> create_layer(Call& call) {
  Json input =
      only(call.properties, "LayerName Description CompatibleArchitectures CompatibleRuntimes LicenseInfo Content");
  if (!call.find("LayerName")) input["LayerName"] = call.physical_id;
  const Json out = co_await call.api("lambda", "PublishLayerVersion", std::move(input));
  const std::string arn = out.string_or("LayerVersionArn");
  co_return Made{arn, Json::object({{"LayerVersionArn", arn}})};
}

Task<void> remove_layer(Call& call) {
  const size_t colon = call.physical_id.rfind(':');
  if (colon == std::string::npos) co_return;
  co_await call.api_unless("ResourceNotFoundException", "lambda", "DeleteLayerVersion",
                           Json::object({{"LayerName", call.physical_id.substr(0, colon)},
                                         {"VersionNumber", call.physical_id.substr(colon + 1)}}));
}

Made provider_made(const Json& out) {
  const Json& provider = *out.find("CapacityProvider");
  const std::string arn = provider.string_or("CapacityProviderArn");
  return {arn.substr(arn.rfind(':') + 1), Json::object({{"Arn", arn}, {"State", provider.string_or("State")}})};
}

Task<Made> create_provider(Call& call) {
  Json input = without(call.properties, "Tags");
  input["CapacityProviderName"] = call.physical_id;
  if (Json tags = call.tag_map(); !tags.as_object().empty()) input["Tags"] = std::move(tags);
  const auto out =
      co_await call.create("ResourceConflictException", "lambda", "CreateCapacityProvider", std::move(input));
  call.created = call.physical_id;
  co_return provider_made(out ? *out
                              : co_await call.api("lambda", "GetCapacityProvider",
                                                  Json::object({{"CapacityProviderName", call.physical_id}})));
}

Task<Made> update_provider(Call& call) {
  Json input = only(call.properties, "CapacityProviderScalingConfig");
  input["CapacityProviderName"] = call.physical_id;
  co_return provider_made(co_await call.api("lambda", "UpdateCapacityProvider", std::move(input)));
}

Task<void> remove_provider(Call& call) {
  co_await call.api_unless("ResourceNotFoundException", "lambda", "DeleteCapacityProvider",
                           Json::object({{"CapacityProviderName", call.physical_id}}));
}

constexpr Provider kProviders[] = {
    {.type = "AWS::Lambda::Function",
     .name_property = "FunctionName",
     .replace_on = "PackageType TenancyConfig",
     .create = create_function,
     .update = update_function,
     .remove = remove_function},
    {.type = "AWS::Lambda::Version",
     .name_property = "",
     .replace_on = "*",
     .create = create_version,
     .update = nullptr,
     .remove = remove_version},
    {.type = "AWS::Lambda::Alias",
     .name_property = "",
     .replace_on = "FunctionName Name",
     .create = create_alias,
     .update = update_alias,
     .remove = remove_alias},
    {.type = "AWS::Lambda::CapacityProvider",
     .name_property = "CapacityProviderName",
     .replace_on = "CapacityProviderName VpcConfig PermissionsConfig InstanceRequirements KmsKeyArn Tags",
     .create = create_provider,
     .update = update_provider,
     .remove = remove_provider},
    {.type = "AWS::Lambda::LayerVersion",
     .name_property = "",
     .name_most = 64,
     .replace_on = "*",
     .create = create_layer,
     .update = nullptr,
     .remove = remove_layer},
};

}  // namespace

std::span<const Provider> lambda_providers() { return kProviders; }

}  // namespace virga::cloudformation
