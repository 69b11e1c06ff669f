#include <aws/events/errors.h>

#include "base/id.h"
#include "base/str.h"
#include "services/events/limits.h"
#include "services/events/list.h"
#include "services/events/service.h"

namespace virga::events {
namespace {

std::string timer_id(const Home& home, const RuleRecord& rule) { return rule_arn(home, rule.bus, rule.name); }

RuleState state_of(const RuleRecord& rule) {
  if (!rule.enabled) return RuleState::DISABLED;
  return rule.management_events ? RuleState::ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS : RuleState::ENABLED;
}

template <class Out>
Out describe(const Home& home, const RuleRecord& rule) {
  Out out;
  out.name = rule.name;
  out.arn = rule_arn(home, rule.bus, rule.name);
  out.event_pattern = unless_empty(rule.pattern);
  out.schedule_expression = unless_empty(rule.schedule);
  out.state = state_of(rule);
  out.description = unless_empty(rule.description);
  out.role_arn = unless_empty(rule.role);
  out.managed_by = unless_empty(rule.managed_by);
  out.event_bus_name = rule.bus;
  return out;
}

// The schedule of a rule counts in UTC.
std::optional<Time> next_time(const RuleRecord& rule, Time after) {
  const auto schedule = kernel::ScheduleExpression::parse(rule.schedule);
  return schedule ? schedule->next(after, kernel::TimeZone::utc(), rule.created) : std::nullopt;
}

}  // namespace

Task<void> EventsService::arm(kv::Txn& tx, const Home& home, const RuleRecord& rule, Time after) {
  const auto next = rule.enabled && !rule.schedule.empty() ? next_time(rule, after) : std::nullopt;
  if (next) {
    co_await deps_.timers.set(tx, {"events.rule", timer_id(home, rule), *next, ""});
  } else {
    co_await deps_.timers.clear(tx, "events.rule", timer_id(home, rule));
  }
}

Task<void> EventsService::fire_rule(kernel::Timer timer) {
  const auto arn = kernel::parse_arn(timer.id);
  if (!arn) co_return;
  const Home home{arn->account, arn->region};
  const std::string name = arn->resource.substr(5);  // rule/…, on the default bus
  const Time now = deps_.clock.now();
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    const auto rule = co_await WriteStore(tx, home).find<RuleRecord>(name, "default");
    if (!rule || !rule->enabled || rule->schedule.empty()) {
      co_await deps_.timers.clear(tx, timer.kind, timer.id);
      co_return;
    }
    if (timer.due > now) co_return co_await arm(tx, home, *rule, now);  // the clock was put back
    Envelope e;
    e.id = uuid();
    e.detail_type = "Scheduled Event";
    e.source = "aws.events";
    e.account = home.account;
    e.region = home.region;
    e.resources = Json(Json::Array{Json(timer.id)}).dump();
    e.detail = "{}";
    e.time = timer.due;
    Event event;
    event.id = e.id;
    event.text = envelope(e);
    event.time = timer.due;
    event.ingested = now;
    router_.give(tx, home, *rule, event);
    // Times that passed while nothing ran are not made up for, but the one that was due.
    co_await arm(tx, home, *rule, now);
  });
}

Task<PutRuleResponse> EventsService::put_rule(Ctx& ctx, const PutRuleRequest& in) {
  const BusName bus = bus_named(ctx, in.event_bus_name);
  const bool pattern = in.event_pattern && !in.event_pattern->empty();
  const bool schedule = in.schedule_expression && !in.schedule_expression->empty();
  if (!pattern && !schedule) {
    co_return err::ValidationException("Parameter(s) EventPattern or ScheduleExpression must be specified.");
  }
  if (schedule) {
    if (bus.name != "default") {
      co_return err::ValidationException("ScheduleExpression is supported only on the default event bus.");
    }
    const auto parsed = kernel::ScheduleExpression::parse(*in.schedule_expression);
    if (!parsed || parsed->kind() == kernel::ScheduleExpression::Kind::kAt) {
      co_return err::ValidationException("Parameter ScheduleExpression is not valid.");
    }
  }
  if (pattern) check_pattern(*in.event_pattern);
  if (in.role_arn) co_await deps_.cloud.authorizer().authorize_pass(ctx, model(), *in.role_arn);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<PutRuleResponse> {
    WriteStore store(tx, bus.home);
    if (bus.name != "default" && !co_await store.find<BusRecord>(bus.name)) co_return no_bus(bus.name);
    auto rule = co_await store.find<RuleRecord>(in.name, bus.name);
    if (rule && in.tags && !in.tags->empty()) {
      co_return err::ValidationException("Tags can't be given when a rule is updated. Use TagResource instead.");
    }
    if (!rule) {
      if (co_await store.is_full<RuleRecord>(kMaxRules, bus.name)) co_return too_many();
      rule.emplace();
      rule->bus = bus.name;
      rule->name = in.name;
      rule->created_by = ctx.account;
      rule->tags = tags_of(in.tags);
      rule->created = ctx.now();
    } else if (rule->schedule != in.schedule_expression.value_or("")) {
      rule->created = ctx.now();
    }
    rule->pattern = in.event_pattern.value_or("");
    rule->schedule = in.schedule_expression.value_or("");
    rule->description = in.description.value_or("");
    rule->role = in.role_arn.value_or("");
    rule->enabled = in.state != RuleState::DISABLED;
    rule->management_events = in.state == RuleState::ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS;
    store.put(*rule, bus.name);
    change(tx, bus.home, bus.name);
    co_await arm(tx, bus.home, *rule, ctx.now());
    PutRuleResponse out;
    out.rule_arn = rule_arn(bus.home, bus.name, in.name);
    co_return out;
  });
}

Task<op::DeleteRule::Output> EventsService::delete_rule(Ctx& ctx, const DeleteRuleRequest& in) {
  const BusName bus = bus_named(ctx, in.event_bus_name);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::DeleteRule::Output> {
    WriteStore store(tx, bus.home);
    if (bus.name != "default" && !co_await store.find<BusRecord>(bus.name)) co_return no_bus(bus.name);
    const auto rule = co_await store.find<RuleRecord>(in.name, bus.name);
    if (!rule) co_return op::DeleteRule::Output{};
    if (!rule->targets.empty()) co_return err::ValidationException("Rule can't be deleted since it has targets.");
    store.erase<RuleRecord>(in.name, bus.name);
    change(tx, bus.home, bus.name);
    co_await deps_.timers.clear(tx, "events.rule", timer_id(bus.home, *rule));
    co_return op::DeleteRule::Output{};
  });
}

Task<DescribeRuleResponse> EventsService::describe_rule(Ctx& ctx, const DescribeRuleRequest& in) {
  const BusName bus = bus_named(ctx, in.event_bus_name);
  const auto snapshot = deps_.db.snapshot();
  const auto rule = co_await Store(*snapshot, bus.home).find<RuleRecord>(in.name, bus.name);
  if (!rule) co_return no_rule(in.name, bus.name);
  auto out = describe<DescribeRuleResponse>(bus.home, *rule);
  out.created_by = unless_empty(rule->created_by);
  co_return out;
}

Task<ListRulesResponse> EventsService::list_rules(Ctx& ctx, const ListRulesRequest& in) {
  const BusName bus = bus_named(ctx, in.event_bus_name);
  const auto snapshot = deps_.db.snapshot();
  if (bus.name != "default" && !co_await Store(*snapshot, bus.home).find<BusRecord>(bus.name)) {
    co_return no_bus(bus.name);
  }
  ListRulesResponse out;
  out.rules.emplace();
  const auto page = co_await list_page<RuleRecord>(
      deps_, ctx, {"events:ListRules", in.name_prefix.value_or(""), in.next_token, in.limit, bus.home, bus.name},
      out.next_token, [](const RuleRecord&) { return true; });
  for (const RuleRecord& rule : page) out.rules->push_back(describe<Rule>(bus.home, rule));
  co_return out;
}

Task<ListRuleNamesByTargetResponse> EventsService::list_rule_names_by_target(Ctx& ctx,
                                                                             const ListRuleNamesByTargetRequest& in) {
  const BusName bus = bus_named(ctx, in.event_bus_name);
  ListRuleNamesByTargetResponse out;
  out.rule_names.emplace();
  const auto page = co_await list_page<RuleRecord>(
      deps_, ctx, {"events:ListRuleNamesByTarget", "", in.next_token, in.limit, bus.home, bus.name}, out.next_token,
      [&](const RuleRecord& rule) {
        for (const TargetRecord& target : rule.targets) {
          if (target.arn == in.target_arn) return true;
        }
        return false;
      });
  for (const RuleRecord& rule : page) out.rule_names->push_back(rule.name);
  co_return out;
}

Task<void> EventsService::switch_rule(Ctx& ctx, std::string name, std::optional<std::string> bus_name, bool enabled) {
  const BusName bus = bus_named(ctx, bus_name);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, bus.home);
    auto rule = co_await store.find<RuleRecord>(name, bus.name);
    if (!rule) co_await fail(no_rule(name, bus.name));
    if (rule->enabled == enabled) co_return;
    rule->enabled = enabled;
    store.put(*rule, bus.name);
    change(tx, bus.home, bus.name);
    co_await arm(tx, bus.home, *rule, ctx.now());
  });
}

Task<op::EnableRule::Output> EventsService::enable_rule(Ctx& ctx, const EnableRuleRequest& in) {
  co_await switch_rule(ctx, in.name, in.event_bus_name, true);
  co_return op::EnableRule::Output{};
}

Task<op::DisableRule::Output> EventsService::disable_rule(Ctx& ctx, const DisableRuleRequest& in) {
  co_await switch_rule(ctx, in.name, in.event_bus_name, false);
  co_return op::DisableRule::Output{};
}

}  // namespace virga::events
