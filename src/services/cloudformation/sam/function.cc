// AWS::Serverless::Function: the function, its role, version and alias, URL, and what events ask for.
#include <algorithm>

#include "base/str.h"
#include "services/cloudformation/references.h"
#include "services/cloudformation/sam/transform.h"

namespace virga::cloudformation::sam {

namespace {

// Properties that the Lambda function takes as they are.
constexpr const char* kSame[] = {"FunctionName",
                                 "Handler",
                                 "Runtime",
                                 "Description",
                                 "MemorySize",
                                 "Timeout",
                                 "VpcConfig",
                                 "Environment",
                                 "KmsKeyArn",
                                 "Layers",
                                 "ReservedConcurrentExecutions",
                                 "FileSystemConfigs",
                                 "CodeSigningConfigArn",
                                 "ImageConfig",
                                 "PackageType",
                                 "Architectures",
                                 "SnapStart",
                                 "EphemeralStorage",
                                 "RuntimeManagementConfig",
                                 "LoggingConfig",
                                 "RecursiveLoop",
                                 "TenancyConfig",
                                 "DurableConfig",
                                 "FunctionScalingConfig",
                                 "PublishToLatestPublished"};
constexpr std::string_view kOthers =
    " AssumeRolePolicyDocument AutoPublishAlias AutoPublishAliasAllProperties AutoPublishCodeSha256 "
    "CapacityProviderConfig CodeUri DeadLetterQueue DeploymentPreference EventInvokeConfig Events FunctionUrlConfig "
    "ImageUri InlineCode PermissionsBoundary Policies PropagateTags ProvisionedConcurrencyConfig Role RolePath "
    "SourceKMSKeyArn Tags Tracing VersionDeletionPolicy VersionDescription ";

Json code_of(const Source& source) {
  const Json* package = source.find("PackageType");
  const bool image = package && package->is_string() && package->as_string() == "Image";
  if (const Json* uri = source.find("ImageUri"); image || uri) {
    if (!uri) uri = source.find("CodeUri");
    if (!uri) refuse(source.id, "'ImageUri' must be set.");
    return Json::object({{"ImageUri", uri->is_object() && uri->find("ImageUri") ? *uri->find("ImageUri") : *uri}});
  }
  Json code;
  const Json* text = source.find("InlineCode");
  if (text && !is_no_value(*text)) {
    code = Json::object({{"ZipFile", *text}});
  } else if (const Json* uri = source.find("CodeUri")) {
    code = code_location(source, *uri, "CodeUri");
  } else {
    refuse(source.id, "Either 'InlineCode' or 'CodeUri' must be set.");
  }
  if (const Json* key = source.find("SourceKMSKeyArn")) code["SourceKMSKeyArn"] = *key;
  return code;
}

// The part of a value that has to be made: all of one that isn't given, or one of its two alternatives.
Json* missing_part(Json& value) {
  if (value.is_null()) return &value;
  Json* choice = value.find("Fn::If");
  if (!choice || !choice->is_array() || choice->as_array().size() != 3) return nullptr;
  for (size_t i : {1, 2}) {
    if (is_no_value(choice->as_array()[i])) return &choice->as_array()[i];
  }
  return nullptr;
}

Json one_statement(std::string_view name, Json action, Json resource) {
  return Json::object(
      {{"PolicyName", Json(name)},
       {"PolicyDocument",
        Json::object({{"Statement", Json(Json::Array{Json::object({{"Action", std::move(action)},
                                                                   {"Effect", "Allow"},
                                                                   {"Resource", std::move(resource)}})})}})}});
}

}  // namespace

Json Transform::function_properties(const Source& source) {
  Json p = Json::object();
  p["Code"] = code_of(source);
  for (const char* name : kSame) {
    if (const Json* value = source.find(name)) p[name] = *value;
  }
  if (const Json* tracing = source.find("Tracing")) p["TracingConfig"] = Json::object({{"Mode", *tracing}});
  if (const Json* queue = source.find("DeadLetterQueue")) {
    const std::string type = queue->string_or("Type");
    if ((type != "SQS" && type != "SNS") || !queue->find("TargetArn"))
      refuse(source.id, "'DeadLetterQueue' requires Type (SNS or SQS) and TargetArn properties to be specified.");
    p["DeadLetterConfig"] = Json::object({{"TargetArn", *queue->find("TargetArn")}});
  }
  if (const Json* capacity = source.find("CapacityProviderConfig"); capacity && !is_no_value(*capacity)) {
    const Json* arn = capacity->find("Arn");
    if (!arn) refuse(source.id, "Missing required property 'CapacityProviderConfig.Arn'.");
    Json inner = Json::object({{"CapacityProviderArn", *arn}});
    for (const char* same : {"PerExecutionEnvironmentMaxConcurrency", "ExecutionEnvironmentMemoryGiBPerVCpu"}) {
      if (const Json* value = capacity->find(same)) inner[same] = *value;
    }
    p["CapacityProviderConfig"] = Json::object({{"LambdaManagedInstancesCapacityProviderConfig", std::move(inner)}});
  }
  p["Tags"] = tag_list(source.find("Tags"));
  return p;
}

void Transform::describe_code(const Source& source, Json& properties) const {
  const Json* sha = source.find("AutoPublishCodeSha256");
  if (!sha || !source.find("AutoPublishAlias")) return;
  const Json hash = with_parameters(*sha);
  if (!hash.is_string()) refuse(source.id, "AutoPublishCodeSha256 must be a string");
  const Json* given = source.find("Description");
  const Json description = given ? with_parameters(*given) : Json("");
  if (!description.is_string()) {
    properties["Description"] =
        Json::object({{"Fn::Join", Json(Json::Array{" ", Json(Json::Array{description, hash})})}});
  } else {
    properties["Description"] =
        description.as_string().empty() ? hash : Json(cat(description.as_string(), " ", hash.as_string()));
  }
}

void Transform::function(const Source& source) {
  for (const auto& [name, value] : source.properties.as_object()) {
    if (kOthers.find(cat(" ", name, " ")) == std::string_view::npos &&
        std::ranges::find(kSame, name) == std::end(kSame))
      refuse(source.id, cat("property ", name, " not defined for resource of type AWS::Serverless::Function"));
  }
  if (const Json* gradual = source.find("DeploymentPreference"); gradual && !is_no_value(*gradual)) {
    const Json* enabled = gradual->find("Enabled");
    if (!enabled || with_parameters(*enabled) != Json(false)) refuse_unserved(source.id, "DeploymentPreference");
  }
  Json p = function_properties(source);
  const Json* given_role = source.find("Role");
  const bool some_role = given_role && !is_no_value(*given_role);
  Json role = some_role ? *given_role : Json();
  Json* const missing = missing_part(role);
  Json for_role = Json::object();
  if (missing && some_role) for_role["Condition"] = condition_of(source, source.id + "Role", role, missing);
  if (missing) *missing = get_att(source.id + "Role", "Arn");
  p["Role"] = std::move(role);
  describe_code(source, p);
  Json attributes = Json::object();
  if (const Json* depends = source.resource.find("DependsOn")) attributes["DependsOn"] = *depends;
  for (const char* policy : {"UpdatePolicy", "CreationPolicy"}) {
    if (source.resource.find(policy)) refuse_unserved(source.id, policy);
  }
  add(source, source.id, "AWS::Lambda::Function", p, std::move(attributes));
  const FunctionTarget target = publish(source, p);
  if (source.find("FunctionUrlConfig")) function_url(source, target);
  const Json invoke_policies = source.find("EventInvokeConfig") ? event_invoke(source, target) : Json::array();

  std::vector<std::pair<std::string, Json>> events;
  if (const Json* all = source.find("Events"); all && all->is_object())
    events.assign(all->as_object().begin(), all->as_object().end());
  std::sort(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  if (missing) {
    Json managed = Json::array(), documents = Json::array();
    for (const auto& [name, event] : events) {
      const std::string type = event.string_or("Type");
      const Json* properties = event.find("Properties");
      const Json* subscribed = properties ? properties->find("SqsSubscription") : nullptr;
      const bool queued = type == "SQS" || (type == "SNS" && subscribed && *subscribed != Json(false));
      const std::string_view policy = queued               ? "AWSLambdaSQSQueueExecutionRole"
                                      : type == "DynamoDB" ? "AWSLambdaDynamoDBExecutionRole"
                                      : type == "Kinesis"  ? "AWSLambdaKinesisExecutionRole"
                                                           : "";
      const Json* given = event.find("Properties");
      if (!policy.empty()) managed.push_back(managed_policy(policy));
      const Json* destination = given ? given->find("DestinationConfig") : nullptr;
      const Json* failure = destination ? destination->find("OnFailure") : nullptr;
      const bool topic = failure && failure->string_or("Type") == "SNS";
      const bool queue = failure && failure->string_or("Type") == "SQS";
      if (policy.empty() || (!topic && !queue) || !failure->find("Destination")) continue;
      documents.push_back(one_statement(cat(source.id, name, topic ? "SNSPolicy" : "SQSPolicy"),
                                        topic ? "sns:publish" : "sqs:SendMessage", *failure->find("Destination")));
    }
    function_role(source, std::move(managed), std::move(documents), invoke_policies, std::move(for_role));
  }
  for (const auto& [name, one] : events) event(source, target, name, one);
}

void Transform::function_role(const Source& source, Json event_managed, Json event_documents,
                              const Json& event_invoke_policies, Json attributes) {
  const std::string id = source.id + "Role";
  Json managed = Json::array(), documents = Json::array();
  managed.push_back(managed_policy(source.find("DurableConfig") ? "AWSLambdaBasicDurableExecutionRolePolicy"
                                                                : "AWSLambdaBasicExecutionRole"));
  const Json* tracing = source.find("Tracing");
  if (tracing && with_parameters(*tracing) != Json("Disabled"))
    managed.push_back(managed_policy("AWSXrayWriteOnlyAccess"));
  if (source.find("VpcConfig")) managed.push_back(managed_policy("AWSLambdaVPCAccessExecutionRole"));
  if (const Json* queue = source.find("DeadLetterQueue")) {
    Json policy =
        one_statement("DeadLetterQueuePolicy", queue->string_or("Type") == "SNS" ? "sns:Publish" : "sqs:SendMessage",
                      *queue->find("TargetArn"));
    policy["PolicyDocument"]["Version"] = "2012-10-17";
    documents.push_back(std::move(policy));
  }
  for (const Json& policy : event_invoke_policies.as_array()) documents.push_back(policy);
  if (const Json* policies = source.find("Policies"); policies && !is_no_value(*policies))
    add_policies(source, id, *policies, managed, documents);
  for (const Json& arn : event_managed.as_array()) {
    const auto& all = managed.as_array();
    if (std::find(all.begin(), all.end(), arn) == all.end()) managed.push_back(arn);
  }
  for (const Json& document : event_documents.as_array()) documents.push_back(document);
  Json p = Json::object();
  const Json* assume = source.find("AssumeRolePolicyDocument");
  p["AssumeRolePolicyDocument"] = assume ? *assume : assume_role("lambda.amazonaws.com");
  p["ManagedPolicyArns"] = std::move(managed);
  if (!documents.as_array().empty()) p["Policies"] = std::move(documents);
  if (const Json* path = source.find("RolePath")) p["Path"] = *path;
  if (const Json* boundary = source.find("PermissionsBoundary")) p["PermissionsBoundary"] = *boundary;
  p["Tags"] = tag_list(source.find("Tags"));
  add(source, id, "AWS::IAM::Role", std::move(p), std::move(attributes));
}

// AutoPublishAlias: a version whose logical id follows the code, and the alias that points to it.
FunctionTarget Transform::publish(const Source& source, const Json& function) {
  FunctionTarget target{source.id, ""};
  const Json* alias = source.find("AutoPublishAlias");
  const Json* provisioned = source.find("ProvisionedConcurrencyConfig");
  if (!alias || is_no_value(*alias)) {
    if (provisioned && !is_no_value(*provisioned))
      refuse(source.id, "To set ProvisionedConcurrencyConfig AutoPublishALias must be defined on the function");
    return target;
  }
  const Json name = with_parameters(*alias);
  if (!name.is_string()) refuse(source.id, "'AutoPublishAlias' must be a string or a Ref to a template parameter");
  const auto fits = [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; };
  if (name.as_string().empty() || !std::all_of(name.as_string().begin(), name.as_string().end(), fits) ||
      std::all_of(name.as_string().begin(), name.as_string().end(), [](unsigned char c) { return std::isdigit(c); }))
    refuse(source.id, cat("AutoPublishAlias name ('", name.as_string(),
                          "') must contain only alphanumeric characters, hyphens, or underscores."));
  std::string version;
  const Json* all = source.find("AutoPublishAliasAllProperties");
  const Json* sha = source.find("AutoPublishCodeSha256");
  if (const Json hash = sha ? with_parameters(*sha) : Json(); hash.is_string()) {
    version = cat(source.id, "Version", hash.as_string().substr(0, 10));
  } else {
    Json hashed = with_parameters(*function.find("Code"));
    if (all && *all == Json(true)) {
      hashed = function;
    } else {
      if (const Json* environment = function.find("Environment"); environment && environment->is_object()) {
        for (const auto& [key, value] : environment->as_object()) hashed[key] = value;
      }
      if (const Json* memory = function.find("MemorySize")) hashed["MemorySize"] = *memory;
      if (const Json* snap = function.find("SnapStart"); snap && snap->string_or("ApplyOn", "None") != "None")
        hashed["SnapStart"] = *snap;
    }
    version = hashed_id(source.id + "Version", hashed);
  }
  Json p = Json::object({{"FunctionName", refer_to(source.id)}});
  if (const Json* description = source.find("VersionDescription")) p["Description"] = *description;
  const Json* deletion = source.find("VersionDeletionPolicy");
  const Json* own = source.resource.find("DeletionPolicy");
  add(source, version, "AWS::Lambda::Version", std::move(p),
      Json::object({{"DeletionPolicy", own        ? *own
                                       : deletion ? *deletion
                                                  : Json("Retain")}}));

  target.alias = cat(source.id, "Alias", replace_all(replace_all(name.as_string(), "-", "D"), "_", "U"));
  Json a = Json::object(
      {{"Name", name}, {"FunctionName", refer_to(source.id)}, {"FunctionVersion", get_att(version, "Version")}});
  if (provisioned && !is_no_value(*provisioned)) a["ProvisionedConcurrencyConfig"] = *provisioned;
  add(source, target.alias, "AWS::Lambda::Alias", std::move(a));
  renamed_[source.id + ".Version"] = version;
  renamed_[source.id + ".Alias"] = target.alias;
  return target;
}

void Transform::function_url(const Source& source, const FunctionTarget& target) {
  const Json& config = *source.find("FunctionUrlConfig");
  if (is_no_value(config)) return;
  const Json* auth = config.find("AuthType");
  if (!auth || (auth->is_string() && auth->as_string() != "NONE" && auth->as_string() != "AWS_IAM"))
    refuse(source.id,
           "AuthType is required to configure function property `FunctionUrlConfig`. Please provide either AWS_IAM or "
           "NONE.");
  Json p = Json::object({{"TargetFunctionArn", target.name()}, {"AuthType", *auth}});
  if (const Json* cors = config.find("Cors")) p["Cors"] = *cors;
  if (const Json* mode = config.find("InvokeMode")) p["InvokeMode"] = *mode;
  add(source, source.id + "Url", "AWS::Lambda::Url", std::move(p));
  if (*auth != Json("NONE")) return;
  add(source, source.id + "UrlPublicPermissions", "AWS::Lambda::Permission",
      Json::object({{"Action", "lambda:InvokeFunctionUrl"},
                    {"FunctionName", target.name()},
                    {"Principal", "*"},
                    {"FunctionUrlAuthType", "NONE"}}));
  add(source, source.id + "URLInvokeAllowPublicAccess", "AWS::Lambda::Permission",
      Json::object({{"Action", "lambda:InvokeFunction"},
                    {"FunctionName", target.name()},
                    {"Principal", "*"},
                    {"InvokedViaFunctionUrl", true}}));
}

// A new condition: that `source` is made and the alternative `missing` of `value` is chosen.
std::string Transform::condition_of(const Source& source, const std::string& made, const Json& value,
                                    const Json* missing) {
  const Json::Array& choice = value.find("Fn::If")->as_array();
  Json chosen = Json::object({{"Condition", choice[0]}});
  if (missing == &choice[2]) chosen = Json::object({{"Fn::Not", Json(Json::Array{std::move(chosen)})}});
  if (const Json* own = source.resource.find("Condition")) {
    chosen = Json::object({{"Fn::And", Json(Json::Array{Json::object({{"Condition", *own}}), std::move(chosen)})}});
  }
  std::string name = made + "Condition";
  root_["Conditions"][name] = std::move(chosen);
  return name;
}

Json Transform::event_invoke(const Source& source, const FunctionTarget& target) {
  const std::string id = source.id + "EventInvokeConfig";
  const Json config = with_parameters(*source.find("EventInvokeConfig"));
  Json policies = Json::array(), destinations = Json::object();
  if (const Json* wanted = config.find("DestinationConfig")) {
    for (const char* outcome : {"OnSuccess", "OnFailure"}) {
      const Json* one = wanted->find(outcome);
      if (!one) continue;
      const std::string type = one->string_or("Type");
      const std::string base = id + outcome;
      const Json* given = one->find("Destination");
      Json arn = given ? *given : Json();
      Json* missing = missing_part(arn);
      if (missing && (type == "SQS" || type == "SNS")) {
        const std::string made = base + (type == "SQS" ? "Queue" : "Topic");
        Json attributes = Json::object();
        if (given) attributes["Condition"] = condition_of(source, made, arn, missing);
        add(source, made, type == "SQS" ? "AWS::SQS::Queue" : "AWS::SNS::Topic", Json::object(), std::move(attributes));
        *missing = type == "SQS" ? get_att(made, "Arn") : refer_to(made);
        renamed_[source.id + (type == "SQS" ? ".DestinationQueue" : ".DestinationTopic")] = made;
      } else if (!given) {
        refuse(source.id, "Destination is required if Type is not ['SQS', 'SNS']");
      }
      if (type == "SQS")
        policies.push_back(one_statement(base + "SQSPolicy", "sqs:SendMessage", arn));
      else if (type == "SNS")
        policies.push_back(one_statement(base + "SNSPolicy", "sns:publish", arn));
      else if (type == "Lambda")
        policies.push_back(one_statement(base + "LambdaPolicy", "lambda:InvokeFunction", arn));
      else if (type == "EventBridge")
        policies.push_back(one_statement(base + "EventBridgePolicy", "events:PutEvents", arn));
      else
        refuse(source.id, cat("'Type: ", type, "' must be one of ['SQS', 'SNS', 'EventBridge', 'Lambda']"));
      destinations[outcome] = Json::object({{"Destination", arn}});
    }
  }
  Json p = Json::object(
      {{"FunctionName", refer_to(source.id)}, {"Qualifier", "$LATEST"}, {"DestinationConfig", destinations}});
  Json attributes = Json::object();
  if (!target.alias.empty()) {
    p["Qualifier"] = *resources_.find(target.alias)->find("Properties")->find("Name");
    attributes["DependsOn"] = Json(Json::Array{target.alias});
  }
  for (const char* same : {"MaximumEventAgeInSeconds", "MaximumRetryAttempts"}) {
    if (const Json* value = config.find(same)) p[same] = *value;
  }
  add(source, id, "AWS::Lambda::EventInvokeConfig", std::move(p), std::move(attributes));
  return policies;
}

}  // namespace virga::cloudformation::sam
