#include "services/scheduler/service.h"

#include <aws/scheduler/errors.h>
#include <aws/scheduler/model.h>

#include "base/str.h"
#include "services/scheduler/api.h"
#include "services/scheduler/schedule.h"

namespace virga::scheduler {

Error no_schedule(std::string_view name) {
  return err::ResourceNotFoundException(cat("Schedule ", name, " does not exist."));
}
Error no_group(std::string_view name) {
  return err::ResourceNotFoundException(cat("Schedule group ", name, " does not exist."));
}
Error bad_token() { return err::ValidationException("Invalid NextToken."); }

namespace {

template <class In>
std::string by_schedule(const Ctx& ctx, const In& in) {
  return schedule_arn(home_of(ctx), in.group_name.value_or("default"), in.name);
}
template <class In>
std::string by_group(const Ctx& ctx, const In& in) {
  return group_arn(home_of(ctx), in.name);
}
template <class In>
std::string by_arn(const Ctx&, const In& in) {
  return in.resource_arn;
}

}  // namespace

SchedulerService::SchedulerService(kernel::Deps& deps) : deps_(deps) {
  // Universal targets: arn:aws:scheduler:::aws-sdk:<service>:<action>.
  deps_.cloud.accept("scheduler", [this](Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input) {
    return call(ctx, target, std::move(input));
  });
  deps_.timers.on(
      "scheduler.schedule", [this](kernel::Timer timer) { return fire(std::move(timer)); }, kernel::Due::kAt);
  deps_.deliveries.on("scheduler.group", [this](kernel::Attempt attempt) { return empty_group(std::move(attempt)); });
}

const wire::ServiceModel& SchedulerService::model() const { return kModel; }

void SchedulerService::operations(kernel::OpTable& t) {
  using S = SchedulerService;
  t.add<op::CreateSchedule>(this, &S::create_schedule).resource(by_schedule<CreateScheduleInput>);
  t.add<op::UpdateSchedule>(this, &S::update_schedule).resource(by_schedule<UpdateScheduleInput>);
  t.add<op::DeleteSchedule>(this, &S::delete_schedule).resource(by_schedule<DeleteScheduleInput>);
  t.add<op::GetSchedule>(this, &S::get_schedule).resource(by_schedule<GetScheduleInput>);
  t.add<op::ListSchedules>(this, &S::list_schedules);
  t.add<op::CreateScheduleGroup>(this, &S::create_schedule_group).resource(by_group<CreateScheduleGroupInput>);
  t.add<op::DeleteScheduleGroup>(this, &S::delete_schedule_group).resource(by_group<DeleteScheduleGroupInput>);
  t.add<op::GetScheduleGroup>(this, &S::get_schedule_group).resource(by_group<GetScheduleGroupInput>);
  t.add<op::ListScheduleGroups>(this, &S::list_schedule_groups);
  t.add<op::TagResource>(this, &S::tag_resource).resource(by_arn<TagResourceInput>);
  t.add<op::UntagResource>(this, &S::untag_resource).resource(by_arn<UntagResourceInput>);
  t.add<op::ListTagsForResource>(this, &S::list_tags_for_resource).resource(by_arn<ListTagsForResourceInput>);
}

std::unique_ptr<kernel::Service> make_scheduler(kernel::Deps& deps) { return std::make_unique<SchedulerService>(deps); }

}  // namespace virga::scheduler
