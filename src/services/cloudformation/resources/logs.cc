// AWS::Logs::{LogGroup, ResourcePolicy, SubscriptionFilter}.
#include "base/str.h"
#include "services/cloudformation/resources/provider.h"

namespace virga::cloudformation {

namespace {

std::string group_arn(const Call& call) { return kernel::arn(call.ctx, "logs", cat("log-group:", call.physical_id)); }

Made made_of(const Call& call) { return {call.physical_id, Json::object({{"Arn", cat(group_arn(call), ":*")}})}; }

Task<void> set_retention(Call& call) {
  const Json* days = call.find("RetentionInDays");
  if (days) {
    co_await call.api("logs", "PutRetentionPolicy",
                      Json::object({{"LogGroupName", call.physical_id}, {"RetentionInDays", *days}}));
  } else if (call.former.find("RetentionInDays")) {
    co_await call.api("logs", "DeleteRetentionPolicy", Json::object({{"LogGroupName", call.physical_id}}));
  }
}

// Who changes a group's policy says which revision that is.
Task<void> set_policy(Call& call) {
  if (!call.changed("ResourcePolicyDocument")) co_return;
  const Json known =
      co_await call.api("logs", "DescribeResourcePolicies", Json::object({{"ResourceArn", group_arn(call)}}));
  Json input = Json::object({{"ResourceArn", group_arn(call)}});
  const auto& policies = need(known, "ResourcePolicies").as_array();
  if (!policies.empty()) input["ExpectedRevisionId"] = need(policies.front(), "RevisionId");
  if (const Json* document = call.find("ResourcePolicyDocument")) {
    input["PolicyDocument"] = document_text(*document);
    co_await call.api("logs", "PutResourcePolicy", std::move(input));
  } else if (!policies.empty()) {
    co_await call.api("logs", "DeleteResourcePolicy", std::move(input));
  }
}

Task<Made> create_group(Call& call) {
  Json input = only(call.properties, "DeletionProtectionEnabled KmsKeyId LogGroupClass");
  input["LogGroupName"] = call.physical_id;
  if (Json tags = call.tag_map(); !tags.as_object().empty()) input["Tags"] = std::move(tags);
  co_await call.create("ResourceAlreadyExistsException", "logs", "CreateLogGroup", std::move(input));
  call.created = call.physical_id;
  co_await set_retention(call);
  co_await set_policy(call);
  co_return made_of(call);
}

Task<Made> update_group(Call& call) {
  co_await set_retention(call);
  co_await set_policy(call);
  co_await call.retag("logs", "ResourceArn", group_arn(call), call.tag_map());
  co_return made_of(call);
}

Task<void> remove_group(Call& call) {
  co_await call.api_unless("ResourceNotFoundException", "logs", "DeleteLogGroup",
                           Json::object({{"LogGroupName", call.physical_id}}));
}

Task<Made> put_filter(Call& call) {
  Json input = only(call.properties,
                    "LogGroupName FilterPattern DestinationArn RoleArn Distribution ApplyOnTransformedLogs "
                    "FieldSelectionCriteria EmitSystemFields");
  input["FilterName"] = call.physical_id;
  co_await call.api("logs", "PutSubscriptionFilter", std::move(input));
  call.created = call.physical_id;
  co_return Made{call.physical_id};
}

Task<void> remove_filter(Call& call) {
  co_await call.api_unless(
      "ResourceNotFoundException", "logs", "DeleteSubscriptionFilter",
      Json::object({{"LogGroupName", need(call.properties, "LogGroupName")}, {"FilterName", call.physical_id}}));
}

Task<Made> put_policy(Call& call) {
  co_await call.api("logs", "PutResourcePolicy",
                    Json::object({{"PolicyName", call.physical_id},
                                  {"PolicyDocument", document_text(need(call.properties, "PolicyDocument"))}}));
  call.created = call.physical_id;
  co_return Made{call.physical_id};
}

Task<void> remove_policy(Call& call) {
  co_await call.api_unless("ResourceNotFoundException", "logs", "DeleteResourcePolicy",
                           Json::object({{"PolicyName", call.physical_id}}));
}

constexpr Provider kProviders[] = {{.type = "AWS::Logs::LogGroup",
                                    .name_property = "LogGroupName",
                                    .name_most = 512,
                                    .properties = "DeletionProtectionEnabled KmsKeyId LogGroupClass LogGroupName "
                                                  "ResourcePolicyDocument RetentionInDays Tags",
                                    .replace_on = "DeletionProtectionEnabled KmsKeyId LogGroupClass",
                                    .create = create_group,
                                    .update = update_group,
                                    .remove = remove_group},
                                   {.type = "AWS::Logs::ResourcePolicy",
                                    .name_property = "PolicyName",
                                    .name_most = 255,
                                    .replace_on = "PolicyName",
                                    .create = put_policy,
                                    .update = put_policy,
                                    .remove = remove_policy},
                                   {.type = "AWS::Logs::SubscriptionFilter",
                                    .name_property = "FilterName",
                                    .name_most = 512,
                                    .replace_on = "FilterName LogGroupName",
                                    .create = put_filter,
                                    .update = put_filter,
                                    .remove = remove_filter}};

}  // namespace

std::span<const Provider> logs_providers() { return kProviders; }

}  // namespace virga::cloudformation
