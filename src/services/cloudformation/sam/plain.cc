// SimpleTable, LayerVersion, StateMachine and CapacityProvider: resources with little to add.

#include "base/str.h"
#include "services/cloudformation/references.h"
#include "services/cloudformation/sam/transform.h"

namespace virga::cloudformation::sam {

void Transform::simple_table(const Source& source) {
  std::string name = "id", type = "S";
  if (const Json* key = source.find("PrimaryKey")) {
    const Json* key_name = key->find("Name");
    const std::string long_type = key->string_or("Type");
    if (!key_name || long_type.empty())
      refuse(source.id, "'PrimaryKey' is missing required Property 'Name' or 'Type'.");
    if (long_type != "String" && long_type != "Number" && long_type != "Binary")
      refuse(source.id, cat("Invalid 'Type' \"", long_type, "\"."));
    name = key_name->is_string() ? key_name->as_string() : key_name->dump();
    type = long_type.substr(0, 1);
  }
  Json p = Json::object();
  p["AttributeDefinitions"] = Json(Json::Array{Json::object({{"AttributeName", name}, {"AttributeType", type}})});
  p["KeySchema"] = Json(Json::Array{Json::object({{"AttributeName", name}, {"KeyType", "HASH"}})});
  if (const Json* throughput = source.find("ProvisionedThroughput")) {
    p["ProvisionedThroughput"] = *throughput;
  } else {
    p["BillingMode"] = "PAY_PER_REQUEST";
  }
  for (const char* same : {"TableName", "SSESpecification", "PointInTimeRecoverySpecification"}) {
    if (const Json* value = source.find(same)) p[same] = *value;
  }
  if (const Json* tags = source.find("Tags"); tags && tags->is_object() && !tags->as_object().empty()) {
    Json list = Json::array();
    for (const auto& [key, value] : tags->as_object()) list.push_back(Json::object({{"Key", key}, {"Value", value}}));
    p["Tags"] = std::move(list);
  }
  Json attributes = Json::object();
  if (const Json* depends = source.resource.find("DependsOn")) attributes["DependsOn"] = *depends;
  add(source, source.id, "AWS::DynamoDB::Table", std::move(p), std::move(attributes));
}

Json code_location(const Source& source, const Json& uri, std::string_view property) {
  Json out = Json::object();
  if (uri.is_object() && !is_intrinsic(uri)) {
    const Json* bucket = uri.find("Bucket");
    const Json* key = uri.find("Key");
    if (!bucket || !key) refuse(source.id, cat("'", property, "' requires Bucket and Key properties to be specified."));
    out["S3Bucket"] = *bucket;
    out["S3Key"] = *key;
    if (const Json* version = uri.find("Version")) out["S3ObjectVersion"] = *version;
    return out;
  }
  const std::string text = uri.is_string() ? uri.as_string() : "";
  const auto [path, query] = split_once(text, '?');
  const auto [bucket, key] = split_once(path.starts_with("s3://") ? path.substr(5) : "", '/');
  if (bucket.empty() || key.empty())
    refuse(source.id,
           cat("'", property,
               "' is not a valid S3 Uri of the form 's3://bucket/key' with optional versionId query parameter."));
  out["S3Bucket"] = bucket;
  out["S3Key"] = key;
  if (query.starts_with("versionId=")) out["S3ObjectVersion"] = query.substr(10);
  return out;
}

void Transform::layer(const Source& source) {
  Json resolved = source.properties;
  for (const char* name : {"LayerName", "LicenseInfo", "Description", "RetentionPolicy"}) {
    if (Json* value = resolved.find(name)) *value = with_parameters(*value);
  }
  Json hashed = Json::object({{"Type", "AWS::Serverless::LayerVersion"}, {"Properties", resolved}});
  if (const Json* depends = source.resource.find("DependsOn"))
    hashed["DependsOn"] = depends->is_string() ? Json(Json::Array{*depends}) : *depends;
  if (const Json* condition = source.resource.find("Condition")) hashed["Condition"] = *condition;
  const std::string id = hashed_id(source.id, Json::object({{source.id, hashed}}));
  std::string retention = "Retain";
  if (const Json* policy = resolved.find("RetentionPolicy")) {
    const std::string word = policy->is_string() ? lower(policy->as_string()) : "";
    if (word != "retain" && word != "delete")
      refuse(source.id, "'RetentionPolicy' must be one of the following options: ['Retain', 'Delete'].");
    if (word == "delete") retention = "Delete";
  } else if (const Json* own = source.resource.find("DeletionPolicy"); own && own->is_string()) {
    retention = own->as_string();
  }
  const Json* uri = resolved.find("ContentUri");
  if (!uri) refuse(source.id, "Missing required property 'ContentUri'.");
  Json p = Json::object();
  p["Content"] = code_location(source, *uri, "ContentUri");
  p["LayerName"] = source.id;
  for (const char* same :
       {"LayerName", "Description", "CompatibleArchitectures", "CompatibleRuntimes", "LicenseInfo"}) {
    if (const Json* value = resolved.find(same)) p[same] = *value;
  }
  Json attributes = Json::object({{"DeletionPolicy", retention}});
  if (const Json* depends = source.resource.find("DependsOn")) attributes["DependsOn"] = *depends;
  add(source, id, "AWS::Lambda::LayerVersion", std::move(p), std::move(attributes));
  renamed_[source.id] = id;
}

void Transform::state_machine(const Source& source) {
  if (source.find("Events")) refuse_unserved(source.id, "Events of AWS::Serverless::StateMachine");
  if (source.find("AutoPublishAlias")) refuse_unserved(source.id, "AutoPublishAlias of AWS::Serverless::StateMachine");
  Json p = Json::object();
  const Json* definition = source.find("Definition");
  const Json* uri = source.find("DefinitionUri");
  if (definition) {
    p["Definition"] = *definition;
  } else if (uri) {
    const Json at = code_location(source, *uri, "DefinitionUri");
    p["DefinitionS3Location"] = Json::object({{"Bucket", *at.find("S3Bucket")}, {"Key", *at.find("S3Key")}});
  } else {
    refuse(source.id, "Either 'Definition' or 'DefinitionUri' property must be specified.");
  }
  for (const auto& [from, to] : {std::pair{"DefinitionSubstitutions", "DefinitionSubstitutions"},
                                 {"Name", "StateMachineName"},
                                 {"Type", "StateMachineType"},
                                 {"Logging", "LoggingConfiguration"},
                                 {"Tracing", "TracingConfiguration"}}) {
    if (const Json* value = source.find(from)) p[to] = *value;
  }
  const Json* tags = source.find("Tags");
  Json list = tag_list(tags);
  list.as_array()[0]["Key"] = "stateMachine:createdBy";
  p["Tags"] = list;
  if (const Json* role = source.find("Role")) {
    p["RoleArn"] = *role;
  } else {
    Json managed = Json::array(), documents = Json::array();
    const std::string role_id = source.id + "Role";
    if (source.find("Tracing")) managed.push_back(managed_policy("AWSXrayWriteOnlyAccess"));
    if (const Json* policies = source.find("Policies")) add_policies(source, role_id, *policies, managed, documents);
    Json r = Json::object();
    r["AssumeRolePolicyDocument"] = assume_role("states.amazonaws.com");
    r["ManagedPolicyArns"] = managed;
    if (!documents.as_array().empty()) r["Policies"] = documents;
    if (const Json* boundary = source.find("PermissionsBoundary")) r["PermissionsBoundary"] = *boundary;
    r["Tags"] = list;
    add(source, role_id, "AWS::IAM::Role", std::move(r));
    p["RoleArn"] = get_att(role_id, "Arn");
  }
  Json attributes = Json::object();
  if (const Json* depends = source.resource.find("DependsOn")) attributes["DependsOn"] = *depends;
  add(source, source.id, "AWS::StepFunctions::StateMachine", std::move(p), std::move(attributes));
}

void Transform::capacity_provider(const Source& source) {
  for (const char* unserved : {"LoggingConfig", "ManagedResourceTags"}) {
    if (source.find(unserved)) refuse_unserved(source.id, cat(unserved, " of AWS::Serverless::CapacityProvider"));
  }
  const Json* network = source.find("VpcConfig");
  if (!network || !network->find("SubnetIds")) refuse(source.id, "Missing required property 'VpcConfig.SubnetIds'.");
  Json p = Json::object({{"VpcConfig", *network}});
  for (const char* same : {"CapacityProviderName", "KmsKeyArn"}) {
    if (const Json* value = source.find(same)) p[same] = *value;
  }
  const Json* role = source.find("OperatorRole");
  const std::string role_id = source.id + "OperatorRole";
  if (!role || is_no_value(*role)) {
    Json r = Json::object();
    r["AssumeRolePolicyDocument"] = assume_role("lambda.amazonaws.com");
    r["ManagedPolicyArns"] = Json(Json::Array{managed_policy("AWSLambdaManagedEC2ResourceOperator")});
    r["Tags"] = tag_list(nullptr);
    add(source, role_id, "AWS::IAM::Role", std::move(r));
    role = nullptr;
  }
  p["PermissionsConfig"] = Json::object({{"CapacityProviderOperatorRoleArn", role ? *role : get_att(role_id, "Arn")}});
  if (const Json* needs = source.find("InstanceRequirements")) {
    Json& out = p["InstanceRequirements"] = Json::object();
    for (const auto& [from, to] : {std::pair{"Architectures", "Architectures"},
                                   {"AllowedTypes", "AllowedInstanceTypes"},
                                   {"ExcludedTypes", "ExcludedInstanceTypes"}}) {
      if (const Json* value = needs->find(from)) out[to] = *value;
    }
  }
  if (const Json* scaling = source.find("ScalingConfig")) {
    Json& out = p["CapacityProviderScalingConfig"] = Json::object();
    if (const Json* most = scaling->find("MaxVCpuCount")) out["MaxVCpuCount"] = *most;
    const Json* target = scaling->find("AverageCPUUtilization");
    out["ScalingMode"] = target ? "Manual" : "Auto";
    if (target) {
      out["ScalingPolicies"] = Json(Json::Array{Json::object(
          {{"PredefinedMetricType", "LambdaCapacityProviderAverageCPUUtilization"}, {"TargetValue", *target}})});
    }
  }
  p["Tags"] = tag_list(source.find("Tags"));
  Json attributes = Json::object();
  if (const Json* depends = source.resource.find("DependsOn")) attributes["DependsOn"] = *depends;
  add(source, source.id, "AWS::Lambda::CapacityProvider", std::move(p), std::move(attributes));
}

}  // namespace virga::cloudformation::sam
