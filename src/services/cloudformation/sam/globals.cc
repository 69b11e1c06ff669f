// The Globals section: defaults for all resources of a kind.
#include <algorithm>
#include <array>

#include "base/str.h"
#include "services/cloudformation/references.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/sam/transform.h"
#include "services/cloudformation/template.h"

namespace virga::cloudformation::sam {

namespace {

constexpr std::string_view kFunction =
    " Handler Runtime CodeUri DeadLetterQueue Description MemorySize Timeout VpcConfig Environment Tags PropagateTags "
    "Tracing KmsKeyArn "
    "AutoPublishAlias AutoPublishAliasAllProperties Layers DeploymentPreference RolePath PermissionsBoundary "
    "ReservedConcurrentExecutions ProvisionedConcurrencyConfig AssumeRolePolicyDocument EventInvokeConfig "
    "FileSystemConfigs "
    "CodeSigningConfigArn Architectures SnapStart EphemeralStorage FunctionUrlConfig RuntimeManagementConfig "
    "LoggingConfig "
    "RecursiveLoop SourceKMSKeyArn TenancyConfig DurableConfig VersionDeletionPolicy CapacityProviderConfig "
    "FunctionScalingConfig PublishToLatestPublished ";
constexpr std::string_view kHttpApi =
    " Auth AccessLogSettings StageVariables Tags CorsConfiguration DefaultRouteSettings Domain RouteSettings "
    "FailOnWarnings "
    "PropagateTags ";

constexpr std::string_view kCapacityProvider =
    " VpcConfig OperatorRole Tags InstanceRequirements ScalingConfig KmsKeyArn PropagateTags LoggingConfig "
    "ManagedResourceTags ";

struct Kind {
  std::string_view name, properties;
};
constexpr std::array<Kind, 6> kKinds = {{{"Function", kFunction},
                                         {"HttpApi", kHttpApi},
                                         {"SimpleTable", " SSESpecification "},
                                         {"StateMachine", " PropagateTags "},
                                         {"CapacityProvider", kCapacityProvider},
                                         {"LayerVersion", " PublishLambdaVersion "}}};

// A resource's own value over the global one: maps merge, lists follow each other, anything else is replaced.
Json merged(const Json& global, const Json& own) {
  if (global.is_array() && own.is_array()) {
    Json out = global;
    for (const Json& element : own.as_array()) out.push_back(element);
    return out;
  }
  if (global.is_object() && own.is_object() && !is_intrinsic(global) && !is_intrinsic(own)) {
    Json out = global;
    for (const auto& [key, value] : own.as_object()) {
      const Json* base = global.find(key);
      out[key] = base ? merged(*base, value) : value;
    }
    return out;
  }
  return own;
}

}  // namespace

void Transform::merge_globals() {
  const Json* globals = root_.find("Globals");
  if (!globals) return;
  const auto complain = [](std::string_view why) {
    throw validation_error(
        cat("Transform AWS::Serverless-2016-10-31 failed with: Invalid Serverless Application Specification "
            "document. Number of errors found: 1. 'Globals' section is invalid. ",
            why));
  };
  if (!globals->is_object()) complain("It must be a non-empty dictionary");
  for (const auto& [name, defaults] : globals->as_object()) {
    if (name == "Api" || name == "WebSocketApi") continue;  // the resources themselves are refused
    const auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& k) { return k.name == name; });
    if (kind == kKinds.end()) complain(cat("'", name, "' is not supported"));
    if (!defaults.is_object()) complain(cat("Value of ", name, " must be a dictionary"));
    for (const auto& [property, value] : defaults.as_object()) {
      if (kind->properties.find(cat(" ", property, " ")) == std::string_view::npos)
        complain(cat("'", property, "' is not a supported property of '", name,
                     "'. Must be one of the following values - [", replace_all(trim(kind->properties), " ", ", "),
                     "]"));
    }
    const std::string type = cat("AWS::Serverless::", name);
    for (auto& [id, resource] : root_["Resources"].as_object()) {
      if (resource.string_or("Type") != type) continue;
      const Json* own = resource.find("Properties");
      const Json* ignored = resource.find("IgnoreGlobals");
      if (ignored && *ignored == Json("*")) continue;
      Json left = defaults;
      if (ignored && ignored->is_array()) {
        for (const Json& property : ignored->as_array()) left.erase(scalar_text(property));
      }
      resource["Properties"] = merged(left, own && own->is_object() ? *own : Json::object());
    }
  }
}

}  // namespace virga::cloudformation::sam
