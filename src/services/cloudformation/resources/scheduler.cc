// AWS::Scheduler::{Schedule, ScheduleGroup}.
#include "base/str.h"
#include "services/cloudformation/resources/provider.h"

namespace virga::cloudformation {

namespace {

constexpr std::string_view kSchedule =
    "ActionAfterCompletion Description EndDate FlexibleTimeWindow GroupName KmsKeyArn ScheduleExpression "
    "ScheduleExpressionTimezone StartDate State Target";

Json schedule_input(const Call& call) {
  Json input = only(call.properties, kSchedule);
  input["Name"] = call.physical_id;
  return input;
}

std::string group_of(const Call& call) {
  const std::string group = call.text("GroupName");
  return group.empty() ? "default" : group;
}

Made made_of_schedule(const Call& call) {
  return {call.physical_id,
          Json::object(
              {{"Arn", kernel::arn(call.ctx, "scheduler", cat("schedule/", group_of(call), "/", call.physical_id))}})};
}

Task<Made> create_schedule(Call& call) {
  co_await call.create("ConflictException", "scheduler", "CreateSchedule", schedule_input(call));
  call.created = call.physical_id;
  co_return made_of_schedule(call);
}

Task<Made> update_schedule(Call& call) {
  co_await call.api("scheduler", "UpdateSchedule", schedule_input(call));
  co_return made_of_schedule(call);
}

Task<void> remove_schedule(Call& call) {
  co_await call.api_unless("ResourceNotFoundException", "scheduler", "DeleteSchedule",
                           Json::object({{"Name", call.physical_id}, {"GroupName", group_of(call)}}));
}

Made made_of_group(const Call& call) {
  return {call.physical_id,
          Json::object({{"Arn", kernel::arn(call.ctx, "scheduler", cat("schedule-group/", call.physical_id))},
                        {"State", "ACTIVE"}})};
}

Task<Made> create_group(Call& call) {
  Json input = Json::object({{"Name", call.physical_id}});
  if (Json tags = call.tag_list(); !tags.as_array().empty()) input["Tags"] = std::move(tags);
  co_await call.create("ConflictException", "scheduler", "CreateScheduleGroup", std::move(input));
  call.created = call.physical_id;
  co_return made_of_group(call);
}

Task<Made> update_group(Call& call) {
  const Made made = made_of_group(call);
  co_await call.retag("scheduler", "ResourceArn", made.attributes.string_or("Arn"), call.tag_list());
  co_return made;
}

Task<void> remove_group(Call& call) {
  co_await call.api_unless("ResourceNotFoundException", "scheduler", "DeleteScheduleGroup",
                           Json::object({{"Name", call.physical_id}}));
}

constexpr Provider kProviders[] = {
    {.type = "AWS::Scheduler::Schedule",
     .name_property = "Name",
     .properties = "ActionAfterCompletion Description EndDate FlexibleTimeWindow GroupName "
                   "KmsKeyArn Name ScheduleExpression ScheduleExpressionTimezone StartDate State "
                   "Target",
     .replace_on = "Name GroupName",
     .create = create_schedule,
     .update = update_schedule,
     .remove = remove_schedule},
    {.type = "AWS::Scheduler::ScheduleGroup",
     .name_property = "Name",
     .properties = "Name Tags",
     .replace_on = "Name",
     .create = create_group,
     .update = update_group,
     .remove = remove_group}};

}  // namespace

std::span<const Provider> scheduler_providers() { return kProviders; }

}  // namespace virga::cloudformation
