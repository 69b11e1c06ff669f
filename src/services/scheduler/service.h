#pragma once

#include <aws/scheduler/ops.h>
#include <aws/scheduler/types.h>

#include "kernel/cloud.h"
#include "kernel/context.h"
#include "kernel/delivery.h"
#include "kernel/deps.h"
#include "kernel/service.h"
#include "kernel/target_delivery.h"
#include "kernel/time_zone.h"
#include "kernel/timers.h"
#include "services/scheduler/store.h"

namespace virga::scheduler {

using kernel::Ctx;

class SchedulerService final : public kernel::Service {
 public:
  explicit SchedulerService(kernel::Deps& deps);
  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;

 private:
  // ops_schedule.cc
  Task<CreateScheduleOutput> create_schedule(Ctx& ctx, const CreateScheduleInput& in);
  Task<UpdateScheduleOutput> update_schedule(Ctx& ctx, const UpdateScheduleInput& in);
  Task<DeleteScheduleOutput> delete_schedule(Ctx& ctx, const DeleteScheduleInput& in);
  Task<GetScheduleOutput> get_schedule(Ctx& ctx, const GetScheduleInput& in);
  Task<ListSchedulesOutput> list_schedules(Ctx& ctx, const ListSchedulesInput& in);
  Task<void> check_role(Ctx& ctx, std::string role);
  void check_target(const TargetRecord& target) const;

  // ops_group.cc
  Task<CreateScheduleGroupOutput> create_schedule_group(Ctx& ctx, const CreateScheduleGroupInput& in);
  Task<DeleteScheduleGroupOutput> delete_schedule_group(Ctx& ctx, const DeleteScheduleGroupInput& in);
  Task<GetScheduleGroupOutput> get_schedule_group(Ctx& ctx, const GetScheduleGroupInput& in);
  Task<ListScheduleGroupsOutput> list_schedule_groups(Ctx& ctx, const ListScheduleGroupsInput& in);
  Task<TagResourceOutput> tag_resource(Ctx& ctx, const TagResourceInput& in);
  Task<UntagResourceOutput> untag_resource(Ctx& ctx, const UntagResourceInput& in);
  Task<ListTagsForResourceOutput> list_tags_for_resource(Ctx& ctx, const ListTagsForResourceInput& in);
  Task<kernel::Verdict> empty_group(kernel::Attempt attempt);

  // fire.cc
  Task<void> arm(kv::Txn& tx, const Home& home, const ScheduleRecord& schedule, Time after);
  Task<void> fire(kernel::Timer timer);
  Task<std::string> call(Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input);

  kernel::Deps& deps_;
  kernel::TimeZones zones_;
};

Error no_schedule(std::string_view name);
Error no_group(std::string_view name);
Error bad_token();

}  // namespace virga::scheduler
