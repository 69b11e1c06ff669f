#include "services/events/service.h"

#include <aws/events/errors.h>
#include <aws/events/model.h>

#include "base/str.h"
#include "kernel/event_pattern.h"
#include "services/events/api.h"

namespace virga::events {

BusName any_bus_named(const Ctx& ctx, const std::optional<std::string>& name_or_arn) {
  if (!name_or_arn || name_or_arn->empty()) return {home_of(ctx), "default"};
  if (!name_or_arn->starts_with("arn:")) return {home_of(ctx), *name_or_arn};
  const auto arn = kernel::parse_arn(*name_or_arn);
  if (!arn || arn->service != "events" || !arn->resource.starts_with("event-bus/")) {
    throw err::ValidationException(
        cat("Parameter EventBusName is not valid. Reason: Provided Arn is not in correct format."));
  }
  return {{arn->account, arn->region}, arn->resource.substr(10)};
}

bool is_own(const Ctx& ctx, const BusName& bus) {
  return bus.home.account == ctx.account && bus.home.region == ctx.region;
}

BusName bus_named(const Ctx& ctx, const std::optional<std::string>& name_or_arn) {
  BusName bus = any_bus_named(ctx, name_or_arn);
  if (!is_own(ctx, bus)) {
    throw err::AccessDeniedException(cat("Event bus ", *name_or_arn, " belongs to another account or region."));
  }
  return bus;
}

Error no_bus(std::string_view name) {
  return err::ResourceNotFoundException(cat("Event bus ", name, " does not exist."));
}
Error too_many() { return err::LimitExceededException("The requested resource exceeds the maximum number allowed."); }
Error no_rule(std::string_view rule, std::string_view bus) {
  return err::ResourceNotFoundException(cat("Rule ", rule, " does not exist on EventBus ", bus, "."));
}
Error bad_token() { return err::ValidationException("The next token is invalid."); }

void check_pattern(const std::string& pattern) {
  try {
    (void)kernel::EventPattern::parse(pattern);
  } catch (const kernel::PatternError& e) {
    throw err::InvalidEventPatternException(cat("Event pattern is not valid. Reason: ", e.what()));
  }
}

Tags tags_of(const std::optional<std::vector<Tag>>& tags) {
  Tags out;
  if (tags) {
    for (const Tag& tag : *tags) out[tag.key] = tag.value;
  }
  return out;
}

namespace {

std::string bus_resource(const Ctx& ctx, const std::optional<std::string>& name) {
  const BusName bus = any_bus_named(ctx, name);
  return bus_arn(bus.home, bus.name);
}
template <class In>
std::string by_rule_name(const Ctx& ctx, const In& in) {
  const BusName bus = any_bus_named(ctx, in.event_bus_name);
  return rule_arn(bus.home, bus.name, in.name);
}
template <class In>
std::string by_rule(const Ctx& ctx, const In& in) {
  const BusName bus = any_bus_named(ctx, in.event_bus_name);
  return rule_arn(bus.home, bus.name, in.rule);
}
template <class In>
std::string by_bus(const Ctx& ctx, const In& in) {
  return bus_resource(ctx, in.name);
}
template <class In>
std::string by_bus_name(const Ctx& ctx, const In& in) {
  return bus_resource(ctx, in.event_bus_name);
}
template <class In>
std::string by_arn(const Ctx&, const In& in) {
  return in.resource_arn;
}
template <class In>
std::string by_archive(const Ctx& ctx, const In& in) {
  return kernel::arn(ctx, "events", cat("archive/", in.archive_name));
}
template <class In>
std::string by_replay(const Ctx& ctx, const In& in) {
  return kernel::arn(ctx, "events", cat("replay/", in.replay_name));
}
template <class In>
std::string by_connection(const Ctx& ctx, const In& in) {
  return kernel::arn(ctx, "events", cat("connection/", in.name));
}
template <class In>
std::string by_destination(const Ctx& ctx, const In& in) {
  return kernel::arn(ctx, "events", cat("api-destination/", in.name));
}

// Each bus of the entries, with what they say of themselves.
std::vector<kernel::Access> by_entries(const Ctx& ctx, const PutEventsRequest& in) {
  std::map<std::string, kernel::Access> all;
  for (const PutEventsRequestEntry& entry : in.entries) {
    const std::string arn = bus_resource(ctx, entry.event_bus_name);
    kernel::Access& access = all[arn];
    access.action = "events:PutEvents";
    access.resource = arn;
    if (access.conditions.empty()) access.conditions = {{"events:source", {}}, {"events:detail-type", {}}};
    if (entry.source) access.conditions[0].second.push_back(*entry.source);
    if (entry.detail_type) access.conditions[1].second.push_back(*entry.detail_type);
  }
  std::vector<kernel::Access> out;
  for (auto& [arn, access] : all) out.push_back(std::move(access));
  return out;
}

}  // namespace

EventsService::EventsService(kernel::Deps& deps) : deps_(deps), router_(deps), trail_(deps, router_) {
  deps_.cloud.accept("events", [this](Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input) {
    return take(ctx, target, std::move(input));
  });
  deps_.timers.on("events.rule", [this](kernel::Timer timer) { return fire_rule(std::move(timer)); }, kernel::Due::kAt);
  deps_.timers.on("events.expire", [this](kernel::Timer timer) { return expire(std::move(timer)); });
  deps_.deliveries.on(Router::kRest, [this](kernel::Attempt attempt) { return router_.give_rest(std::move(attempt)); });
  deps_.deliveries.on(std::string(kAuthorize),
                      [this](kernel::Attempt attempt) { return authorize(std::move(attempt)); });
  deps_.deliveries.on("events.replay", [this](kernel::Attempt attempt) { return replay(std::move(attempt)); });
}

void EventsService::change(kv::Txn& tx, const Home& home, const std::string& bus) {
  WriteStore(tx, home).change(bus);
  if (bus == "default") tx.on_commit([this, home] { trail_.look_again(home); });
}

const wire::ServiceModel& EventsService::model() const { return kModel; }

void EventsService::operations(kernel::OpTable& t) {
  using S = EventsService;
  t.add<op::CreateEventBus>(this, &S::create_event_bus).resource(by_bus<CreateEventBusRequest>);
  t.add<op::DeleteEventBus>(this, &S::delete_event_bus).resource(by_bus<DeleteEventBusRequest>);
  t.add<op::DescribeEventBus>(this, &S::describe_event_bus).resource(by_bus<DescribeEventBusRequest>).guarded();
  t.add<op::ListEventBuses>(this, &S::list_event_buses);
  t.add<op::UpdateEventBus>(this, &S::update_event_bus).resource(by_bus<UpdateEventBusRequest>);
  t.add<op::PutPermission>(this, &S::put_permission).resource(by_bus_name<PutPermissionRequest>);
  t.add<op::RemovePermission>(this, &S::remove_permission).resource(by_bus_name<RemovePermissionRequest>);
  t.add<op::TagResource>(this, &S::tag_resource).resource(by_arn<TagResourceRequest>);
  t.add<op::UntagResource>(this, &S::untag_resource).resource(by_arn<UntagResourceRequest>);
  t.add<op::ListTagsForResource>(this, &S::list_tags_for_resource).resource(by_arn<ListTagsForResourceRequest>);

  t.add<op::PutRule>(this, &S::put_rule).resource(by_rule_name<PutRuleRequest>);
  t.add<op::DeleteRule>(this, &S::delete_rule).resource(by_rule_name<DeleteRuleRequest>);
  t.add<op::DescribeRule>(this, &S::describe_rule).resource(by_rule_name<DescribeRuleRequest>);
  t.add<op::ListRules>(this, &S::list_rules);
  t.add<op::ListRuleNamesByTarget>(this, &S::list_rule_names_by_target);
  t.add<op::EnableRule>(this, &S::enable_rule).resource(by_rule_name<EnableRuleRequest>);
  t.add<op::DisableRule>(this, &S::disable_rule).resource(by_rule_name<DisableRuleRequest>);
  t.add<op::PutTargets>(this, &S::put_targets).resource(by_rule<PutTargetsRequest>);
  t.add<op::RemoveTargets>(this, &S::remove_targets).resource(by_rule<RemoveTargetsRequest>);
  t.add<op::ListTargetsByRule>(this, &S::list_targets_by_rule).resource(by_rule<ListTargetsByRuleRequest>);

  t.add<op::PutEvents>(this, &S::put_events).access(by_entries).guarded().data_plane().body_limit(4 << 20);
  t.add<op::TestEventPattern>(this, &S::test_event_pattern);

  t.add<op::CreateArchive>(this, &S::create_archive).resource(by_archive<CreateArchiveRequest>);
  t.add<op::DeleteArchive>(this, &S::delete_archive).resource(by_archive<DeleteArchiveRequest>);
  t.add<op::DescribeArchive>(this, &S::describe_archive).resource(by_archive<DescribeArchiveRequest>);
  t.add<op::ListArchives>(this, &S::list_archives);
  t.add<op::UpdateArchive>(this, &S::update_archive).resource(by_archive<UpdateArchiveRequest>);
  t.add<op::StartReplay>(this, &S::start_replay).resource(by_replay<StartReplayRequest>);
  t.add<op::CancelReplay>(this, &S::cancel_replay).resource(by_replay<CancelReplayRequest>);
  t.add<op::DescribeReplay>(this, &S::describe_replay).resource(by_replay<DescribeReplayRequest>);
  t.add<op::ListReplays>(this, &S::list_replays);

  t.add<op::CreateConnection>(this, &S::create_connection).resource(by_connection<CreateConnectionRequest>);
  t.add<op::DeleteConnection>(this, &S::delete_connection).resource(by_connection<DeleteConnectionRequest>);
  t.add<op::DescribeConnection>(this, &S::describe_connection).resource(by_connection<DescribeConnectionRequest>);
  t.add<op::ListConnections>(this, &S::list_connections);
  t.add<op::UpdateConnection>(this, &S::update_connection).resource(by_connection<UpdateConnectionRequest>);
  t.add<op::DeauthorizeConnection>(this, &S::deauthorize_connection)
      .resource(by_connection<DeauthorizeConnectionRequest>);
  t.add<op::CreateApiDestination>(this, &S::create_api_destination)
      .resource(by_destination<CreateApiDestinationRequest>);
  t.add<op::DeleteApiDestination>(this, &S::delete_api_destination)
      .resource(by_destination<DeleteApiDestinationRequest>);
  t.add<op::DescribeApiDestination>(this, &S::describe_api_destination)
      .resource(by_destination<DescribeApiDestinationRequest>);
  t.add<op::ListApiDestinations>(this, &S::list_api_destinations);
  t.add<op::UpdateApiDestination>(this, &S::update_api_destination)
      .resource(by_destination<UpdateApiDestinationRequest>);
}

Task<std::optional<std::string>> EventsService::resource_policy(Ctx&, std::string resource) {
  const auto arn = kernel::parse_arn(resource);
  if (!arn || !arn->resource.starts_with("event-bus/")) co_return std::nullopt;
  const auto snapshot = deps_.db.snapshot();
  const auto bus = co_await Store(*snapshot, {arn->account, arn->region}).find<BusRecord>(arn->resource.substr(10));
  if (!bus || bus->policy.empty()) co_return std::nullopt;
  co_return bus->policy;
}

kernel::AuditListener& trail_of(kernel::Service& events) { return static_cast<EventsService&>(events).trail(); }

std::unique_ptr<kernel::Service> make_events(kernel::Deps& deps) { return std::make_unique<EventsService>(deps); }

}  // namespace virga::events
