// Events of a function: what calls it, and the permission to.
#include <algorithm>

#include "base/str.h"
#include "services/cloudformation/references.h"
#include "services/cloudformation/sam/transform.h"

namespace virga::cloudformation::sam {

namespace {

void copy(const Json& from, Json& to, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const Json* value = from.find(name); value && !is_no_value(*value)) to[name] = *value;
  }
}

const Json& required(const Source& source, const std::string& event, const Json& p, const char* name) {
  const Json* value = p.find(name);
  if (!value) refuse(source.id, cat("Event with id [", event, "] is invalid. Missing required property '", name, "'."));
  return *value;
}

}  // namespace

void Transform::event(const Source& source, const FunctionTarget& target, const std::string& name, const Json& event) {
  const std::string type = event.string_or("Type");
  if (type.empty()) refuse(source.id, cat("Event with id [", name, "] is invalid. Missing required property 'Type'."));
  const std::string id = source.id + name;
  const Json* given = event.find("Properties");
  const Json p = given && given->is_object() ? *given : Json::object();
  if (type == "HttpApi") {
    http_api_event(source, target, id, p);
  } else if (type == "Schedule") {
    required(source, name, p, "Schedule");
    rule_event(source, target, id, p, true);
  } else if (type == "EventBridgeRule" || type == "CloudWatchEvent") {
    required(source, name, p, "Pattern");
    rule_event(source, target, id, p, false);
  } else if (type == "ScheduleV2") {
    required(source, name, p, "ScheduleExpression");
    scheduler_event(source, target, id, p);
  } else if (type == "SQS" || type == "DynamoDB" || type == "Kinesis") {
    required(source, name, p, type == "SQS" ? "Queue" : "Stream");
    if (type != "SQS") required(source, name, p, "StartingPosition");
    mapping_event(source, target, id, type, p);
  } else if (type == "S3") {
    required(source, name, p, "Bucket");
    required(source, name, p, "Events");
    bucket_event(source, target, id, p);
  } else if (type == "SNS") {
    required(source, name, p, "Topic");
    topic_event(source, target, id, p);
  } else if (type == "CloudWatchLogs") {
    required(source, name, p, "LogGroupName");
    required(source, name, p, "FilterPattern");
    logs_event(source, target, id, p);
  } else {
    refuse_unserved(source.id, cat("Event with id [", name, "]: the event type ", type));
  }
}

void Transform::permission(const Source& source, const FunctionTarget& target, const std::string& id,
                           std::string_view principal, Json more) {
  Json p = Json::object(
      {{"Action", "lambda:InvokeFunction"}, {"FunctionName", target.name()}, {"Principal", Json(principal)}});
  for (auto& [key, value] : more.as_object()) p[key] = value;
  add(source, id, "AWS::Lambda::Permission", std::move(p));
}

// Lets a service send what comes from one source to a queue.
void Transform::queue_policy(const Source& source, const std::string& id, const Json& queue_arn, const Json& queue_url,
                             const char* service, const Json& from) {
  Json statement =
      Json::object({{"Action", "sqs:SendMessage"},
                    {"Effect", "Allow"},
                    {"Principal", Json::object({{"Service", service}})},
                    {"Resource", queue_arn},
                    {"Condition", Json::object({{"ArnEquals", Json::object({{"aws:SourceArn", from}})}})}});
  add(source, id, "AWS::SQS::QueuePolicy",
      Json::object({{"PolicyDocument",
                     Json::object({{"Version", "2012-10-17"}, {"Statement", Json(Json::Array{std::move(statement)})}})},
                    {"Queues", Json(Json::Array{queue_url})}}));
}

std::string Transform::letters_queue_id(const std::string& id, const Json& letters) {
  return letters.string_or("QueueLogicalId", id + "Queue");
}

// The ARN of the dead-letter queue that a rule's or schedule's event names, or has made for it.
Json Transform::letters_queue(const Source& source, const std::string& id, const Json& letters) {
  const Json *arn = letters.find("Arn"), *type = letters.find("Type");
  if (arn && type) refuse(source.id, "You can either define 'Arn' or 'Type' property of DeadLetterConfig");
  if (arn) return *arn;
  if (!type) refuse(source.id, "'Arn' or 'Type' property required for DeadLetterConfig");
  if (*type != Json("SQS")) refuse(source.id, "The only valid value for 'Type' property of DeadLetterConfig is 'SQS'");
  const std::string queue = letters_queue_id(id, letters);
  add(source, queue, "AWS::SQS::Queue", Json::object());
  return get_att(queue, "Arn");
}

void Transform::rule_event(const Source& source, const FunctionTarget& target, const std::string& id, const Json& p,
                           bool schedule) {
  Json rule = Json::object();
  if (schedule) {
    rule["ScheduleExpression"] = *p.find("Schedule");
    copy(p, rule, {"Name", "Description"});
  } else {
    rule["EventPattern"] = *p.find("Pattern");
    copy(p, rule, {"EventBusName"});
    if (const Json* name = p.find("RuleName")) rule["Name"] = *name;
  }
  copy(p, rule, {"State"});
  if (const Json* enabled = p.find("Enabled")) {
    if (p.find("State")) refuse(source.id, "State and Enabled Properties cannot both be specified.");
    rule["State"] = *enabled == Json(true) ? "ENABLED" : "DISABLED";
  }
  Json one = Json::object({{"Arn", target.arn()}, {"Id", cat(id.substr(0, 52), "LambdaTarget")}});
  if (const Json* own = p.find("Target")) copy(*own, one, {"Id"});
  copy(p, one, {"Input", "InputPath", "InputTransformer", "RetryPolicy"});
  if (const Json* letters = p.find("DeadLetterConfig")) {
    const Json arn = letters_queue(source, id, *letters);
    if (!letters->find("Arn")) {
      const std::string queue = letters_queue_id(id, *letters);
      queue_policy(source, id + "QueuePolicy", arn, refer_to(queue), "events.amazonaws.com", get_att(id, "Arn"));
    }
    one["DeadLetterConfig"] = Json::object({{"Arn", arn}});
  }
  rule["Targets"] = Json(Json::Array{one});
  add(source, id, "AWS::Events::Rule", std::move(rule));
  permission(source, target, id + "Permission", "events.amazonaws.com",
             Json::object({{"SourceArn", get_att(id, "Arn")}}));
}

void Transform::scheduler_event(const Source& source, const FunctionTarget& target, const std::string& id,
                                const Json& p) {
  Json schedule = Json::object({{"ScheduleExpression", *p.find("ScheduleExpression")}});
  copy(p, schedule,
       {"State", "Description", "StartDate", "EndDate", "ScheduleExpressionTimezone", "GroupName", "KmsKeyArn"});
  const Json* window = p.find("FlexibleTimeWindow");
  schedule["FlexibleTimeWindow"] = window ? *window : Json::object({{"Mode", "OFF"}});
  const Json* omit = p.find("OmitName");
  if (!omit || *omit != Json(true)) {
    const Json* name = p.find("Name");
    schedule["Name"] = name ? *name : Json(id);
  }
  Json to = Json::object({{"Arn", target.arn()}});
  copy(p, to, {"Input", "RetryPolicy"});
  Json letters_arn;
  if (const Json* letters = p.find("DeadLetterConfig")) {
    letters_arn = letters_queue(source, id, *letters);
    to["DeadLetterConfig"] = Json::object({{"Arn", letters_arn}});
  }
  if (const Json* role = p.find("RoleArn")) {
    to["RoleArn"] = *role;
  } else {
    Json r = Json::object();
    r["AssumeRolePolicyDocument"] = Json::parse(
        R"({"Version":"2012-10-17","Statement":[{"Action":["sts:AssumeRole"],"Effect":"Allow","Principal":{"Service":["scheduler.amazonaws.com"]}}]})");
    r["Policies"] = Json::array();
    const auto allow = [&](const char* name, const char* action, const Json& resource) {
      Json statement = Json::object({{"Action", action}, {"Effect", "Allow"}, {"Resource", resource}});
      Json document = Json::object({{"Statement", Json(Json::Array{std::move(statement)})}});
      r["Policies"].push_back(Json::object({{"PolicyName", id + name}, {"PolicyDocument", std::move(document)}}));
    };
    allow("LambdaPolicy", "lambda:InvokeFunction", target.arn());
    if (!letters_arn.is_null()) allow("SQSPolicy", "sqs:SendMessage", letters_arn);
    copy(p, r, {"PermissionsBoundary"});
    add(source, id + "Role", "AWS::IAM::Role", std::move(r));
    to["RoleArn"] = get_att(id + "Role", "Arn");
  }
  schedule["Target"] = std::move(to);
  add(source, id, "AWS::Scheduler::Schedule", std::move(schedule));
}

void Transform::mapping_event(const Source& source, const FunctionTarget& target, const std::string& id,
                              const std::string& type, const Json& p) {
  Json mapping = Json::object({{"FunctionName", target.name()}});
  mapping["EventSourceArn"] = *p.find(type == "SQS" ? "Queue" : "Stream");
  copy(p, mapping,
       {"StartingPosition", "StartingPositionTimestamp", "BatchSize", "Enabled", "MaximumBatchingWindowInSeconds",
        "MaximumRetryAttempts", "BisectBatchOnFunctionError", "MaximumRecordAgeInSeconds", "ParallelizationFactor",
        "TumblingWindowInSeconds", "FunctionResponseTypes", "FilterCriteria", "KmsKeyArn", "ScalingConfig",
        "ProvisionedPollerConfig", "MetricsConfig", "LoggingConfig"});
  if (const Json* destination = p.find("DestinationConfig"); destination && !destination->is_null()) {
    const Json* failure = destination->find("OnFailure");
    const Json* arn = failure ? failure->find("Destination") : nullptr;
    if (!arn) refuse(source.id, "'DestinationConfig' requires OnFailure with a Destination.");
    mapping["DestinationConfig"] = Json::object({{"OnFailure", Json::object({{"Destination", *arn}})}});
  }
  add(source, id, "AWS::Lambda::EventSourceMapping", std::move(mapping));
}

// The bucket must be of this template: its notifications are part of it, and wait for the permission.
void Transform::bucket_event(const Source& source, const FunctionTarget& target, const std::string& id, const Json& p) {
  const std::string permission_id = id + "Permission";
  permission(source, target, permission_id, "s3.amazonaws.com",
             Json::object({{"SourceAccount", refer_to("AWS::AccountId")}}));
  const Json* bucket_ref = p.find("Bucket")->find("Ref");
  Json* bucket = bucket_ref && bucket_ref->is_string() ? resources_.find(bucket_ref->as_string()) : nullptr;
  if (!bucket || bucket->string_or("Type") != "AWS::S3::Bucket")
    refuse(source.id,
           cat("Event with id [", id, "] is invalid. S3 events must reference an S3 bucket in the same template."));
  const Json* condition = source.resource.find("Condition");
  if (condition) {
    // DependsOn knows no conditions; a tag that refers to the permission orders the two all the same.
    Json& tags = (*bucket)["Properties"]["Tags"];
    if (tags.is_null()) tags = Json::array();
    tags.push_back(Json::object(
        {{"Key", cat("sam:ConditionalDependsOn:", permission_id)},
         {"Value",
          Json::object({{"Fn::If", Json(Json::Array{*condition, refer_to(permission_id), "no dependency"})}})}}));
  } else {
    Json depends = Json::array();
    for (const std::string& other : depends_on(*bucket)) depends.push_back(other);
    depends.push_back(permission_id);
    (*bucket)["DependsOn"] = std::move(depends);
  }
  Json& all = (*bucket)["Properties"]["NotificationConfiguration"]["LambdaConfigurations"];
  if (all.is_null()) all = Json::array();
  const Json& events = *p.find("Events");
  for (const Json& type : events.is_array() ? events.as_array() : Json::Array{events}) {
    Json one = Json::object({{"Function", target.arn()}});
    copy(p, one, {"Filter"});
    one["Event"] = type;
    if (condition) one = Json::object({{"Fn::If", Json(Json::Array{*condition, one, refer_to("AWS::NoValue")})}});
    if (std::find(all.as_array().begin(), all.as_array().end(), one) == all.as_array().end())
      all.push_back(std::move(one));
  }
}

void Transform::topic_event(const Source& source, const FunctionTarget& target, const std::string& id, const Json& p) {
  const Json* queue = p.find("SqsSubscription");
  if (queue && *queue != Json(false)) {
    queued_topic_event(source, target, id, p, *queue);
    return;
  }
  Json subscription =
      Json::object({{"Protocol", "lambda"}, {"Endpoint", target.arn()}, {"TopicArn", *p.find("Topic")}});
  copy(p, subscription, {"Region", "FilterPolicy", "FilterPolicyScope", "RedrivePolicy"});
  add(source, id, "AWS::SNS::Subscription", std::move(subscription));
  permission(source, target, id + "Permission", "sns.amazonaws.com", Json::object({{"SourceArn", *p.find("Topic")}}));
}

// The topic's messages wait in a queue, a new one or one that is given, which the function polls.
void Transform::queued_topic_event(const Source& source, const FunctionTarget& target, const std::string& id,
                                   const Json& p, const Json& given) {
  Json queue_arn, queue_url, policy_id;
  if (given.is_object()) {
    const Json *arn = given.find("QueueArn"), *url = given.find("QueueUrl");
    if (!arn || !url) refuse(source.id, cat("Event with id [", id, "] is invalid. No QueueARN or QueueURL provided."));
    queue_arn = *arn;
    queue_url = *url;
    policy_id = given.string_or("QueuePolicyLogicalId", id + "QueuePolicy");
  } else {
    add(source, id + "Queue", "AWS::SQS::Queue", Json::object());
    queue_arn = get_att(id + "Queue", "Arn");
    queue_url = refer_to(id + "Queue");
    policy_id = id + "QueuePolicy";
  }
  queue_policy(source, policy_id.as_string(), queue_arn, queue_url, "sns.amazonaws.com", *p.find("Topic"));
  Json subscription = Json::object({{"Protocol", "sqs"}, {"Endpoint", queue_arn}, {"TopicArn", *p.find("Topic")}});
  copy(p, subscription, {"Region", "FilterPolicy", "FilterPolicyScope", "RedrivePolicy"});
  add(source, id, "AWS::SNS::Subscription", std::move(subscription));
  Json mapping = Json::object({{"Queue", queue_arn}, {"BatchSize", 10}, {"Enabled", true}});
  if (given.is_object()) copy(given, mapping, {"BatchSize", "Enabled"});
  mapping_event(source, target, id + "EventSourceMapping", "SQS", mapping);
}

void Transform::logs_event(const Source& source, const FunctionTarget& target, const std::string& id, const Json& p) {
  permission(
      source, target, id + "Permission", "logs.amazonaws.com",
      Json::object({{"SourceArn", sub(cat("arn:", pseudo_.partition,
                                          ":logs:${AWS::Region}:${AWS::AccountId}:log-group:${__LogGroupName__}:*"),
                                      Json::object({{"__LogGroupName__", *p.find("LogGroupName")}}))}}));
  add(source, id, "AWS::Logs::SubscriptionFilter",
      Json::object({{"LogGroupName", *p.find("LogGroupName")},
                    {"FilterPattern", *p.find("FilterPattern")},
                    {"DestinationArn", target.arn()}}),
      Json::object({{"DependsOn", Json(Json::Array{Json(id + "Permission")})}}));
}

}  // namespace virga::cloudformation::sam
