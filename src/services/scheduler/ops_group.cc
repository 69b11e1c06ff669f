#include <aws/scheduler/errors.h>

#include "base/str.h"
#include "kernel/page.h"
#include "services/scheduler/limits.h"
#include "services/scheduler/schedule.h"
#include "services/scheduler/service.h"

namespace virga::scheduler {
namespace {

constexpr size_t kErasePage = 200;  // schedules of a group that go in one transaction

std::string group_of(const Ctx& ctx, const std::string& arn) {
  const auto parsed = kernel::parse_arn(arn);
  if (!parsed || parsed->account != ctx.account || parsed->region != ctx.region ||
      !parsed->resource.starts_with("schedule-group/")) {
    throw err::ValidationException("Invalid ResourceArn: only schedule groups of this account and region have tags.");
  }
  return parsed->resource.substr(15);
}

template <class Out>
void describe(Out& out, const Home& home, const GroupRecord& group) {
  out.arn = group_arn(home, group.name);
  out.name = group.name;
  out.state = group.deleting ? ScheduleGroupState::DELETING : ScheduleGroupState::ACTIVE;
  if (group.created.micros) {
    out.creation_date = group.created;
    out.last_modification_date = group.modified;
  }
}

}  // namespace

Task<CreateScheduleGroupOutput> SchedulerService::create_schedule_group(Ctx& ctx, const CreateScheduleGroupInput& in) {
  const Home home = home_of(ctx);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<CreateScheduleGroupOutput> {
    WriteStore store(tx, home);
    if (co_await store.find_group(in.name)) {
      co_return err::ConflictException(cat("Schedule group ", in.name, " already exists."));
    }
    if ((co_await store.list_groups("", "", kMaxGroups + 1)).size() >= kMaxGroups) {
      co_return err::ServiceQuotaExceededException(cat("An account has at most ", kMaxGroups, " schedule groups."));
    }
    GroupRecord group;
    group.name = in.name;
    if (in.tags) {
      for (const Tag& tag : *in.tags) group.tags[tag.key] = tag.value;
    }
    group.created = group.modified = ctx.now();
    store.put(group);
    CreateScheduleGroupOutput out;
    out.schedule_group_arn = group_arn(home, in.name);
    co_return out;
  });
}

// A group's schedules go with it: it is refused new ones at once, and is gone when they are.
Task<DeleteScheduleGroupOutput> SchedulerService::delete_schedule_group(Ctx& ctx, const DeleteScheduleGroupInput& in) {
  const Home home = home_of(ctx);
  if (in.name == "default") co_return err::ValidationException("Deleting the default schedule group is forbidden.");
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<DeleteScheduleGroupOutput> {
    WriteStore store(tx, home);
    auto group = co_await store.find_group(in.name);
    if (!group) co_return no_group(in.name);
    if (!group->deleting) {
      group->deleting = true;
      store.put(*group);
      kernel::Delivery work;
      work.kind = "scheduler.group";
      work.lane = work.payload = group_arn(home, in.name);
      deps_.deliveries.enqueue(tx, std::move(work));
    }
    co_return DeleteScheduleGroupOutput{};
  });
}

Task<kernel::Verdict> SchedulerService::empty_group(kernel::Attempt attempt) {
  const auto arn = kernel::parse_arn(attempt.payload);
  if (!arn) co_return kernel::Verdict::give_up();
  const Home home{arn->account, arn->region};
  const std::string name = arn->resource.substr(15);  // schedule-group/…
  bool more = true;
  while (more) {
    const auto done = co_await as_result(deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
      WriteStore store(tx, home);
      const auto page = co_await store.list(name, "", "", kErasePage);
      for (const ScheduleRecord& s : page) {
        store.erase(s);
        co_await deps_.timers.clear(tx, "scheduler.schedule", schedule_arn(home, s.group, s.name));
      }
      more = !page.empty();
      if (!more) store.erase_group(name);
    }));
    if (!done) co_return kernel::Verdict::again();
  }
  co_return kernel::Verdict::done();
}

Task<GetScheduleGroupOutput> SchedulerService::get_schedule_group(Ctx& ctx, const GetScheduleGroupInput& in) {
  const auto snapshot = deps_.db.snapshot();
  const auto group = co_await Store(*snapshot, home_of(ctx)).find_group(in.name);
  if (!group) co_return no_group(in.name);
  GetScheduleGroupOutput out;
  describe(out, home_of(ctx), *group);
  co_return out;
}

Task<ListScheduleGroupsOutput> SchedulerService::list_schedule_groups(Ctx& ctx, const ListScheduleGroupsInput& in) {
  std::string after =
      kernel::open_page<std::string>(deps_.tokens, ctx, "scheduler:ListScheduleGroups", in.next_token, bad_token())
          .value_or("");
  const size_t limit = in.max_results ? static_cast<size_t>(*in.max_results) : kDefaultList;
  const std::string prefix = in.name_prefix.value_or("");
  const Home home = home_of(ctx);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, home);
  ListScheduleGroupsOutput out;
  auto page = co_await store.list_groups(prefix, after, limit + 1);
  if (!in.next_token && std::string_view("default").starts_with(prefix)) {
    GroupRecord group;
    group.name = "default";
    describe(out.schedule_groups.emplace_back(), home, group);
  }
  for (const GroupRecord& group : page) {
    if (out.schedule_groups.size() == limit) {
      out.next_token = kernel::seal_page(deps_.tokens, ctx, "scheduler:ListScheduleGroups", after);
      break;
    }
    after = group.name;
    if (group.name != "default") describe(out.schedule_groups.emplace_back(), home, group);
  }
  co_return out;
}

Task<TagResourceOutput> SchedulerService::tag_resource(Ctx& ctx, const TagResourceInput& in) {
  const std::string name = group_of(ctx, in.resource_arn);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<TagResourceOutput> {
    WriteStore store(tx, home_of(ctx));
    auto group = co_await store.find_group(name);
    if (!group) co_return no_group(name);
    for (const Tag& tag : in.tags) group->tags[tag.key] = tag.value;
    if (group->tags.size() > kMaxTags) co_return err::ValidationException("A schedule group has at most 50 tags.");
    group->modified = ctx.now();
    store.put(*group);
    co_return TagResourceOutput{};
  });
}

Task<UntagResourceOutput> SchedulerService::untag_resource(Ctx& ctx, const UntagResourceInput& in) {
  const std::string name = group_of(ctx, in.resource_arn);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<UntagResourceOutput> {
    WriteStore store(tx, home_of(ctx));
    auto group = co_await store.find_group(name);
    if (!group) co_return no_group(name);
    for (const std::string& key : in.tag_keys) group->tags.erase(key);
    group->modified = ctx.now();
    store.put(*group);
    co_return UntagResourceOutput{};
  });
}

Task<ListTagsForResourceOutput> SchedulerService::list_tags_for_resource(Ctx& ctx, const ListTagsForResourceInput& in) {
  const std::string name = group_of(ctx, in.resource_arn);
  const auto snapshot = deps_.db.snapshot();
  const auto group = co_await Store(*snapshot, home_of(ctx)).find_group(name);
  if (!group) co_return no_group(name);
  ListTagsForResourceOutput out;
  out.tags.emplace();
  for (const auto& [key, value] : group->tags) out.tags->push_back({key, value});
  co_return out;
}

}  // namespace virga::scheduler
