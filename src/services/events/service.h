#pragma once

#include <aws/events/ops.h>
#include <aws/events/types.h>

#include <map>
#include <mutex>
#include <string>

#include "kernel/cloud.h"
#include "kernel/context.h"
#include "kernel/delivery.h"
#include "kernel/deps.h"
#include "kernel/outbound.h"
#include "kernel/schedule_expression.h"
#include "kernel/service.h"
#include "kernel/timers.h"
#include "services/events/router.h"
#include "services/events/store.h"
#include "services/events/trail.h"

namespace virga::events {

using kernel::Ctx;

class EventsService final : public kernel::Service {
 public:
  explicit EventsService(kernel::Deps& deps);
  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;
  Task<void> start() override { co_await trail_.start(); }
  Task<void> stop() override { co_await outbound_.stop(); }
  Task<std::optional<std::string>> resource_policy(Ctx& ctx, std::string resource) override;
  kernel::AuditListener& trail() { return trail_; }

 private:
  // ops_bus.cc
  Task<CreateEventBusResponse> create_event_bus(Ctx& ctx, const CreateEventBusRequest& in);
  Task<op::DeleteEventBus::Output> delete_event_bus(Ctx& ctx, const DeleteEventBusRequest& in);
  Task<DescribeEventBusResponse> describe_event_bus(Ctx& ctx, const DescribeEventBusRequest& in);
  Task<ListEventBusesResponse> list_event_buses(Ctx& ctx, const ListEventBusesRequest& in);
  Task<UpdateEventBusResponse> update_event_bus(Ctx& ctx, const UpdateEventBusRequest& in);
  Task<op::PutPermission::Output> put_permission(Ctx& ctx, const PutPermissionRequest& in);
  Task<op::RemovePermission::Output> remove_permission(Ctx& ctx, const RemovePermissionRequest& in);
  Task<TagResourceResponse> tag_resource(Ctx& ctx, const TagResourceRequest& in);
  Task<UntagResourceResponse> untag_resource(Ctx& ctx, const UntagResourceRequest& in);
  Task<ListTagsForResourceResponse> list_tags_for_resource(Ctx& ctx, const ListTagsForResourceRequest& in);
  Task<Tags> change_tags(Ctx& ctx, std::string arn, Tags set, std::vector<std::string> removed);

  // ops_rule.cc
  Task<PutRuleResponse> put_rule(Ctx& ctx, const PutRuleRequest& in);
  Task<op::DeleteRule::Output> delete_rule(Ctx& ctx, const DeleteRuleRequest& in);
  Task<DescribeRuleResponse> describe_rule(Ctx& ctx, const DescribeRuleRequest& in);
  Task<ListRulesResponse> list_rules(Ctx& ctx, const ListRulesRequest& in);
  Task<ListRuleNamesByTargetResponse> list_rule_names_by_target(Ctx& ctx, const ListRuleNamesByTargetRequest& in);
  Task<op::EnableRule::Output> enable_rule(Ctx& ctx, const EnableRuleRequest& in);
  Task<op::DisableRule::Output> disable_rule(Ctx& ctx, const DisableRuleRequest& in);
  Task<void> switch_rule(Ctx& ctx, std::string name, std::optional<std::string> bus, bool enabled);
  // Sets or clears the timer of a rule's schedule.
  Task<void> arm(kv::Txn& tx, const Home& home, const RuleRecord& rule, Time after);
  Task<void> fire_rule(kernel::Timer timer);

  // ops_target.cc
  Task<PutTargetsResponse> put_targets(Ctx& ctx, const PutTargetsRequest& in);
  Task<RemoveTargetsResponse> remove_targets(Ctx& ctx, const RemoveTargetsRequest& in);
  Task<ListTargetsByRuleResponse> list_targets_by_rule(Ctx& ctx, const ListTargetsByRuleRequest& in);

  // ops_event.cc
  Task<PutEventsResponse> put_events(Ctx& ctx, const PutEventsRequest& in);
  Task<TestEventPatternResponse> test_event_pattern(Ctx& ctx, const TestEventPatternRequest& in);
  Task<std::string> take(Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input);
  Task<void> take_event(Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input);

  // ops_archive.cc
  Task<CreateArchiveResponse> create_archive(Ctx& ctx, const CreateArchiveRequest& in);
  Task<DeleteArchiveResponse> delete_archive(Ctx& ctx, const DeleteArchiveRequest& in);
  Task<DescribeArchiveResponse> describe_archive(Ctx& ctx, const DescribeArchiveRequest& in);
  Task<ListArchivesResponse> list_archives(Ctx& ctx, const ListArchivesRequest& in);
  Task<UpdateArchiveResponse> update_archive(Ctx& ctx, const UpdateArchiveRequest& in);
  Task<void> expire(kernel::Timer timer);

  // ops_replay.cc
  Task<StartReplayResponse> start_replay(Ctx& ctx, const StartReplayRequest& in);
  Task<CancelReplayResponse> cancel_replay(Ctx& ctx, const CancelReplayRequest& in);
  Task<DescribeReplayResponse> describe_replay(Ctx& ctx, const DescribeReplayRequest& in);
  Task<ListReplaysResponse> list_replays(Ctx& ctx, const ListReplaysRequest& in);
  Task<kernel::Verdict> replay(kernel::Attempt attempt);
  Task<bool> replay_page(Home home, std::string name);  // whether there is more

  // ops_connection.cc
  Task<CreateConnectionResponse> create_connection(Ctx& ctx, const CreateConnectionRequest& in);
  Task<DeleteConnectionResponse> delete_connection(Ctx& ctx, const DeleteConnectionRequest& in);
  Task<DescribeConnectionResponse> describe_connection(Ctx& ctx, const DescribeConnectionRequest& in);
  Task<ListConnectionsResponse> list_connections(Ctx& ctx, const ListConnectionsRequest& in);
  Task<UpdateConnectionResponse> update_connection(Ctx& ctx, const UpdateConnectionRequest& in);
  Task<DeauthorizeConnectionResponse> deauthorize_connection(Ctx& ctx, const DeauthorizeConnectionRequest& in);
  void begin_authorizing(kv::Txn& tx, const Home& home, ConnectionRecord& c);
  Task<kernel::Verdict> authorize(kernel::Attempt attempt);
  // Says that `asked` is authorized or, with a reason, that it is not, unless it has been changed since.
  kernel::Verdict::Writes authorized(Home home, ConnectionRecord asked, std::string reason);
  Task<void> deauthorize(Home home, ConnectionRecord c, Failure why);

  // ops_destination.cc
  Task<CreateApiDestinationResponse> create_api_destination(Ctx& ctx, const CreateApiDestinationRequest& in);
  Task<DeleteApiDestinationResponse> delete_api_destination(Ctx& ctx, const DeleteApiDestinationRequest& in);
  Task<DescribeApiDestinationResponse> describe_api_destination(Ctx& ctx, const DescribeApiDestinationRequest& in);
  Task<ListApiDestinationsResponse> list_api_destinations(Ctx& ctx, const ListApiDestinationsRequest& in);
  Task<UpdateApiDestinationResponse> update_api_destination(Ctx& ctx, const UpdateApiDestinationRequest& in);

  // invoke.cc
  Task<std::string> invoke_destination(Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input);
  // A token that is kept or, `fresh`, a new one.
  Task<std::string> access_token(const Home& home, const ConnectionRecord& connection, bool fresh);
  Task<void> wait_for_turn(std::string destination, int32_t rate);

  // What was compiled of the bus's rules and archives is out of date.
  void change(kv::Txn& tx, const Home& home, const std::string& bus);

  static constexpr std::string_view kAuthorize = "events.authorize";

  kernel::Deps& deps_;
  Router router_;
  Trail trail_;
  kernel::Outbound outbound_;
  struct Token {
    std::string text;
    Time expires;
  };
  std::mutex mutex_;
  std::map<std::string, Token> tokens_;          // of connections, by their ids and the time of their change
  std::map<std::string, Time> next_invocation_;  // of destinations with a rate
};

// A bus named by its name or ARN, "default" when not at all; throws ValidationException for what is neither.
struct BusName {
  Home home;
  std::string name;
};
BusName any_bus_named(const Ctx& ctx, const std::optional<std::string>& name_or_arn);
bool is_own(const Ctx& ctx, const BusName& bus);  // of the caller's account and region
// The same, of the caller's account and region; throws AccessDeniedException for another's.
BusName bus_named(const Ctx& ctx, const std::optional<std::string>& name_or_arn);
Error no_bus(std::string_view name);
Error too_many();  // LimitExceededException
Error no_rule(std::string_view rule, std::string_view bus);
Error bad_token();
// Fails with InvalidEventPatternException unless `pattern` is one.
void check_pattern(const std::string& pattern);
Tags tags_of(const std::optional<std::vector<Tag>>& tags);

}  // namespace virga::events
