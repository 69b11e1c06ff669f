#include <aws/scheduler/errors.h>

#include <algorithm>

#include "base/json.h"
#include "base/str.h"
#include "kernel/authorize.h"
#include "kernel/page.h"
#include "kernel/sdk_call.h"
#include "services/scheduler/limits.h"
#include "services/scheduler/schedule.h"
#include "services/scheduler/service.h"

namespace virga::scheduler {
namespace {

TargetRecord record_of(const Target& in) {
  if (in.ecs_parameters) throw err::ValidationException("EcsParameters is not served: no target here takes it.");
  if (in.sage_maker_pipeline_parameters) {
    throw err::ValidationException("SageMakerPipelineParameters is not served: no target here takes it.");
  }
  TargetRecord out;
  out.arn = in.arn;
  out.role = in.role_arn;
  out.input = in.input;
  if (in.dead_letter_config) out.dead_letter = in.dead_letter_config->arn.value_or("");
  if (in.event_bridge_parameters) {
    out.detail_type = in.event_bridge_parameters->detail_type;
    out.source = in.event_bridge_parameters->source;
  }
  if (in.sqs_parameters) out.message_group = in.sqs_parameters->message_group_id.value_or("");
  if (in.kinesis_parameters) out.partition_key = in.kinesis_parameters->partition_key;
  if (in.retry_policy) {
    out.retries = in.retry_policy->maximum_retry_attempts;
    out.max_age = in.retry_policy->maximum_event_age_in_seconds;
  }
  return out;
}

Target describe(const TargetRecord& record) {
  Target out;
  out.arn = record.arn;
  out.role_arn = record.role;
  out.input = record.input;
  if (!record.dead_letter.empty()) out.dead_letter_config.emplace().arn = record.dead_letter;
  if (!record.source.empty()) {
    out.event_bridge_parameters.emplace().detail_type = record.detail_type;
    out.event_bridge_parameters->source = record.source;
  }
  if (!record.message_group.empty()) out.sqs_parameters.emplace().message_group_id = record.message_group;
  if (!record.partition_key.empty()) out.kinesis_parameters.emplace().partition_key = record.partition_key;
  RetryPolicy& retry = out.retry_policy.emplace();
  retry.maximum_retry_attempts = static_cast<int32_t>(record.retries.value_or(kMaxRetries));
  retry.maximum_event_age_in_seconds = static_cast<int32_t>(record.max_age.value_or(kMaxAge));
  return out;
}

// As AWS has it: schedules don't call what only reads.
bool only_reads(std::string_view action) {
  constexpr std::string_view kPrefixes[] = {"get",
                                            "describe",
                                            "list",
                                            "poll",
                                            "receive",
                                            "search",
                                            "scan",
                                            "query",
                                            "select",
                                            "read",
                                            "lookup",
                                            "discover",
                                            "validate",
                                            "batchGet",
                                            "batchDescribe",
                                            "batchRead",
                                            "transactGet",
                                            "adminGet",
                                            "adminList",
                                            "testMigration",
                                            "retrieve",
                                            "testConnection",
                                            "translateDocument",
                                            "isAuthorized",
                                            "invokeModel"};
  return std::ranges::any_of(kPrefixes, [&](std::string_view prefix) { return action.starts_with(prefix); });
}

// What creating and updating have in common; throws ValidationException.
template <class In>
void take(ScheduleRecord& s, const In& in, kernel::TimeZones& zones) {
  if (in.kms_key_arn)
    throw err::ValidationException("KmsKeyArn is not served: schedules are not encrypted with KMS keys.");
  if (!kernel::ScheduleExpression::parse(in.schedule_expression, kernel::ScheduleExpression::Units::kAny)) {
    throw err::ValidationException(cat("Invalid Schedule Expression ", in.schedule_expression, "."));
  }
  s.description = in.description.value_or("");
  s.expression = in.schedule_expression;
  s.zone = in.schedule_expression_timezone.value_or("UTC");
  if (!zones.find(s.zone)) {
    throw err::ValidationException(cat("Invalid ScheduleExpressionTimezone ", s.zone, "."));
  }
  s.start = in.start_date;
  s.end = in.end_date;
  if (s.start && s.end && *s.end <= *s.start)
    throw err::ValidationException("The EndDate must be after the StartDate.");
  s.enabled = in.state != ScheduleState::DISABLED;
  s.delete_after = in.action_after_completion == ActionAfterCompletion::DELETE;
  const auto& window = in.flexible_time_window;
  if (window.mode == FlexibleTimeWindowMode::FLEXIBLE && !window.maximum_window_in_minutes) {
    throw err::ValidationException("MaximumWindowInMinutes must be provided when Mode is FLEXIBLE.");
  }
  if (window.mode == FlexibleTimeWindowMode::OFF && window.maximum_window_in_minutes) {
    throw err::ValidationException("MaximumWindowInMinutes must not be provided when Mode is OFF.");
  }
  s.window = window.maximum_window_in_minutes.value_or(0);
  s.target = record_of(in.target);
}

}  // namespace

void SchedulerService::check_target(const TargetRecord& target) const {
  const auto arn = kernel::parse_arn(target.arn);
  if (!arn) throw err::ValidationException(cat("Provided Arn is not in correct format: ", target.arn));
  if (target.input && target.input->size() > kMaxInput) throw err::ValidationException("Input is longer than 256 KB.");
  if (arn->service == "scheduler") {
    const auto parts = split(arn->resource, ':');
    if (parts.size() != 3 || parts[0] != "aws-sdk") {
      throw err::ValidationException(cat("Invalid universal target: ", target.arn));
    }
    if (only_reads(parts[2])) {
      throw err::ValidationException(cat(parts[2], " is not a supported api for service ", parts[1], "."));
    }
    if (!kernel::find_sdk_operation(deps_.cloud, parts[1], parts[2])) {
      throw err::ValidationException(cat("The operation ", parts[1], ":", parts[2], " is not served."));
    }
    const auto is_object = [&] {
      try {
        return !target.input || Json::parse(*target.input).is_object();
      } catch (const JsonError&) {
        return false;
      }
    };
    if (!is_object()) throw err::ValidationException("The Input of a universal target must be a JSON object.");
    return;
  }
  if (!deps_.cloud.accepts(target.arn)) {
    throw err::ValidationException(cat("Targets of the service ", arn->service, " are not served: ", target.arn));
  }
  const bool bus = arn->service == "events" && arn->resource.starts_with("event-bus/");
  if (bus && target.source.empty()) {
    throw err::ValidationException("EventBridgeParameters must be provided for an event bus target.");
  }
  if (!bus && !target.source.empty()) {
    throw err::ValidationException("EventBridgeParameters are only for event bus targets.");
  }
  if (arn->service == "sqs" && arn->resource.ends_with(".fifo") == target.message_group.empty()) {
    throw err::ValidationException("SqsParameters.MessageGroupId is for FIFO queues, which must have it.");
  }
}

Task<void> SchedulerService::check_role(Ctx& ctx, std::string role) {
  co_await deps_.cloud.authorizer().authorize_pass(ctx, model(), role);
  const auto session = co_await as_result(deps_.cloud.assume_role("scheduler.amazonaws.com", role, "scheduler"));
  if (!session) {
    co_await fail(err::ValidationException(
        "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."));
  }
}

Task<CreateScheduleOutput> SchedulerService::create_schedule(Ctx& ctx, const CreateScheduleInput& in) {
  ScheduleRecord s;
  s.group = in.group_name.value_or("default");
  s.name = in.name;
  s.token = in.client_token.value_or("");
  take(s, in, zones_);
  check_target(s.target);
  co_await check_role(ctx, s.target.role);
  s.created = s.modified = s.from = ctx.now();
  const Home home = home_of(ctx);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<CreateScheduleOutput> {
    WriteStore store(tx, home);
    const auto group = co_await store.find_group(s.group);
    if (!group) co_return no_group(s.group);
    if (group->deleting) co_return err::ConflictException(cat("Schedule group ", s.group, " is being deleted."));
    CreateScheduleOutput out;
    out.schedule_arn = schedule_arn(home, s.group, s.name);
    if (const auto other = co_await store.find(s.group, s.name)) {
      if (!s.token.empty() && other->token == s.token) co_return out;
      co_return err::ConflictException(cat("Schedule ", s.name, " already exists."));
    }
    store.put(s);
    co_await arm(tx, home, s, s.from - Micros(1));
    co_return out;
  });
}

Task<UpdateScheduleOutput> SchedulerService::update_schedule(Ctx& ctx, const UpdateScheduleInput& in) {
  ScheduleRecord s;
  s.group = in.group_name.value_or("default");
  s.name = in.name;
  take(s, in, zones_);
  check_target(s.target);
  co_await check_role(ctx, s.target.role);
  const Home home = home_of(ctx);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<UpdateScheduleOutput> {
    WriteStore store(tx, home);
    const auto old = co_await store.find(s.group, s.name);
    if (!old) co_return no_schedule(s.name);
    ScheduleRecord next = s;
    next.token = old->token;
    next.created = old->created;
    next.modified = ctx.now();
    next.from = old->expression == next.expression && old->enabled ? old->from : ctx.now();
    store.put(next);
    co_await arm(tx, home, next, ctx.now() - Micros(1));
    UpdateScheduleOutput out;
    out.schedule_arn = schedule_arn(home, s.group, s.name);
    co_return out;
  });
}

Task<DeleteScheduleOutput> SchedulerService::delete_schedule(Ctx& ctx, const DeleteScheduleInput& in) {
  const Home home = home_of(ctx);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<DeleteScheduleOutput> {
    WriteStore store(tx, home);
    const auto s = co_await store.find(in.group_name.value_or("default"), in.name);
    if (!s) co_return no_schedule(in.name);
    store.erase(*s);
    co_await deps_.timers.clear(tx, "scheduler.schedule", schedule_arn(home, s->group, s->name));
    co_return DeleteScheduleOutput{};
  });
}

Task<GetScheduleOutput> SchedulerService::get_schedule(Ctx& ctx, const GetScheduleInput& in) {
  const Home home = home_of(ctx);
  const auto snapshot = deps_.db.snapshot();
  const auto s = co_await Store(*snapshot, home).find(in.group_name.value_or("default"), in.name);
  if (!s) co_return no_schedule(in.name);
  GetScheduleOutput out;
  out.arn = schedule_arn(home, s->group, s->name);
  out.group_name = s->group;
  out.name = s->name;
  if (!s->description.empty()) out.description = s->description;
  out.schedule_expression = s->expression;
  out.schedule_expression_timezone = s->zone;
  out.start_date = s->start;
  out.end_date = s->end;
  out.state = s->enabled ? ScheduleState::ENABLED : ScheduleState::DISABLED;
  out.action_after_completion = s->delete_after ? ActionAfterCompletion::DELETE : ActionAfterCompletion::NONE;
  FlexibleTimeWindow& window = out.flexible_time_window.emplace();
  window.mode = s->window ? FlexibleTimeWindowMode::FLEXIBLE : FlexibleTimeWindowMode::OFF;
  if (s->window) window.maximum_window_in_minutes = static_cast<int32_t>(s->window);
  out.target = describe(s->target);
  out.creation_date = s->created;
  out.last_modification_date = s->modified;
  co_return out;
}

Task<ListSchedulesOutput> SchedulerService::list_schedules(Ctx& ctx, const ListSchedulesInput& in) {
  std::string after =
      kernel::open_page<std::string>(deps_.tokens, ctx, "scheduler:ListSchedules", in.next_token, bad_token())
          .value_or("");
  const size_t limit = in.max_results ? static_cast<size_t>(*in.max_results) : kDefaultList;
  const Home home = home_of(ctx);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, home);
  if (in.group_name && !co_await store.find_group(*in.group_name)) co_return no_group(*in.group_name);
  const std::string prefix = in.name_prefix.value_or("");
  ListSchedulesOutput out;
  while (true) {
    const auto page = co_await store.list(in.group_name.value_or(""), in.group_name ? prefix : "", after, limit + 1);
    for (const ScheduleRecord& s : page) {
      if (out.schedules.size() == limit) {
        out.next_token = kernel::seal_page(deps_.tokens, ctx, "scheduler:ListSchedules", after);
        co_return out;
      }
      after = Store::position(s);
      if (!s.name.starts_with(prefix)) continue;
      if (in.state && (*in.state == ScheduleState::ENABLED) != s.enabled) continue;
      ScheduleSummary& one = out.schedules.emplace_back();
      one.arn = schedule_arn(home, s.group, s.name);
      one.group_name = s.group;
      one.name = s.name;
      one.state = s.enabled ? ScheduleState::ENABLED : ScheduleState::DISABLED;
      one.target.emplace().arn = s.target.arn;
      one.creation_date = s.created;
      one.last_modification_date = s.modified;
    }
    if (page.size() <= limit) co_return out;
  }
}

}  // namespace virga::scheduler
