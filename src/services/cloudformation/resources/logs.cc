// AWS::Logs::{LogGroup, SubscriptionFilter}.
#include "base/str.h"
#include "services/cloudformation/resources/provider.h"

namespace virga::cloudformation {

namespace {

Made made_of(const Call& call) {
  return {call.physical_id,
          Json::object({{"Arn", cat(kernel::arn(call.ctx, "logs", cat("log-group:", call.physical_id)), ":*")}})};
}

Task<void> set_retention(Call& call) {
  const Json* days = call.find("RetentionInDays");
  if (days) {
    co_await call.api("logs", "PutRetentionPolicy",
                      Json::object({{"LogGroupName", call.physical_id}, {"RetentionInDays", *days}}));
  } else if (call.former.find("RetentionInDays")) {
    co_await call.api("logs", "DeleteRetentionPolicy", Json::object({{"LogGroupName", call.physical_id}}));
  }
}

Task<Made> create_group(Call& call) {
  Json input = only(call.properties, "KmsKeyId LogGroupClass");
  input["LogGroupName"] = call.physical_id;
  if (Json tags = call.tag_map(); !tags.as_object().empty()) input["Tags"] = std::move(tags);
  co_await call.create("ResourceAlreadyExistsException", "logs", "CreateLogGroup", std::move(input));
  call.created = call.physical_id;
  co_await set_retention(call);
  co_return made_of(call);
}

Task<Made> update_group(Call& call) {
  co_await set_retention(call);
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

constexpr Provider kProviders[] = {{.type = "AWS::Logs::LogGroup",
                                    .name_property = "LogGroupName",
                                    .name_most = 512,
                                    .replace_on = "KmsKeyId LogGroupClass",
                                    .create = create_group,
                                    .update = update_group,
                                    .remove = remove_group},
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
