// Subscription filters: a group's events sent to functions as they come.
#include <aws/lambda/ops.h>
#include <aws/logs/errors.h>

#include <algorithm>
#include <stdexcept>

#include "base/encoding.h"
#include "base/gzip.h"
#include "base/json.h"
#include "base/str.h"
#include "kernel/page.h"
#include "kernel/target_delivery.h"
#include "services/logs/filter.h"
#include "services/logs/limits.h"
#include "services/logs/service.h"

namespace virga::logs {
namespace {

constexpr std::string_view kService = "logs.amazonaws.com";

void check(const PutSubscriptionFilterRequest& in) {
  const auto refuse = [](std::string message) { throw err::InvalidParameterException(std::move(message)); };
  const auto arn = kernel::parse_arn(in.destination_arn);
  if (!arn) refuse("destinationArn is not an ARN.");
  if (arn->service != "lambda" || !arn->resource.starts_with("function:"))
    refuse(cat("Destinations of the service ", arn->service, " are not served by Virga: only functions are."));
  if (in.role_arn) refuse("destinationArn for vendor lambda cannot be used with roleArn");
  if (in.apply_on_transformed_logs.value_or(false)) refuse("applyOnTransformedLogs is not served by Virga.");
  if (in.field_selection_criteria) refuse("fieldSelectionCriteria is not served by Virga.");
  if (in.emit_system_fields && !in.emit_system_fields->empty()) refuse("emitSystemFields is not served by Virga.");
  try {
    parse_filter(in.filter_pattern);
  } catch (const std::invalid_argument& e) {
    refuse(cat("Invalid filter pattern: ", e.what()));
  }
}

Error no_filter() { return err::ResourceNotFoundException("The specified subscription filter does not exist."); }

auto find(std::vector<Subscription>& all, const std::string& name) {
  return std::ranges::find(all, name, &Subscription::name);
}

}  // namespace

Task<op::PutSubscriptionFilter::Output> LogsService::put_subscription_filter(Ctx& ctx,
                                                                             const PutSubscriptionFilterRequest& in) {
  check(in);
  // Whether the function lets itself be called is asked now, not when the first event comes.
  Ctx asking = deps_.cloud.internal_context(kernel::service_principal(kService, ctx.account), ctx.account, ctx.region);
  asking.source_arn = cat(group_arn(ctx, in.log_group_name), ":*");
  asking.source_account = ctx.account;
  lambda::InvocationRequest dry;
  dry.function_name = in.destination_arn;
  dry.invocation_type = lambda::InvocationType::DryRun;
  if (!co_await as_result(deps_.cloud.call<lambda::op::Invoke>(asking, std::move(dry)))) {
    co_return err::InvalidParameterException(
        "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your "
        "function.");
  }
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::PutSubscriptionFilter::Output> {
    WriteStore store(tx, home_of(ctx));
    auto group = co_await store.find_group(in.log_group_name);
    if (!group) co_return no_group();
    auto& all = group->subscriptions;
    auto known = find(all, in.filter_name);
    if (known == all.end()) {
      if (all.size() >= kMaxSubscriptions) co_return err::LimitExceededException("Resource limit exceeded.");
      known = all.insert(all.end(), {in.filter_name, "", "", ctx.now()});
    }
    known->pattern = in.filter_pattern;
    known->destination = in.destination_arn;
    store.put_group(*group);
    co_return op::PutSubscriptionFilter::Output{};
  });
}

Task<op::DeleteSubscriptionFilter::Output> LogsService::delete_subscription_filter(
    Ctx& ctx, const DeleteSubscriptionFilterRequest& in) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::DeleteSubscriptionFilter::Output> {
    WriteStore store(tx, home_of(ctx));
    auto group = co_await store.find_group(in.log_group_name);
    if (!group) co_return no_group();
    const auto known = find(group->subscriptions, in.filter_name);
    if (known == group->subscriptions.end()) co_return no_filter();
    group->subscriptions.erase(known);
    store.put_group(*group);
    co_return op::DeleteSubscriptionFilter::Output{};
  });
}

// There are at most two, so that every answer is whole.
Task<DescribeSubscriptionFiltersResponse> LogsService::describe_subscription_filters(
    Ctx& ctx, const DescribeSubscriptionFiltersRequest& in) {
  if (in.next_token) co_return bad_token();
  const auto snapshot = deps_.db.snapshot();
  const auto group = co_await Store(*snapshot, home_of(ctx)).find_group(in.log_group_name);
  if (!group) co_return no_group();
  DescribeSubscriptionFiltersResponse out;
  out.subscription_filters.emplace();
  for (const Subscription& subscription : group->subscriptions) {
    if (!subscription.name.starts_with(in.filter_name_prefix.value_or(""))) continue;
    SubscriptionFilter& shown = out.subscription_filters->emplace_back();
    shown.log_group_name = group->name;
    shown.filter_name = subscription.name;
    shown.filter_pattern = subscription.pattern;
    shown.destination_arn = subscription.destination;
    shown.distribution = Distribution::ByLogStream;
    shown.creation_time = subscription.created.millis();
  }
  co_return out;
}

void LogsService::send_to_subscribers(kv::Txn& tx, const Ctx& ctx, const Group& group, const std::string& stream,
                                      const std::vector<const InputLogEvent*>& events) {
  for (const Subscription& subscription : group.subscriptions) {
    const Filter filter = parse_filter(subscription.pattern);
    for (size_t next = 0; next < events.size();) {
      Json list = Json::array();
      for (size_t bytes = 0; next < events.size() && bytes < kSubscriptionBytes; ++next) {
        const InputLogEvent& event = *events[next];
        if (!filter.matches(event.message)) continue;
        bytes += event.message.size();
        list.push_back(Json::object({{"id", cat(event.timestamp, ctx.now().micros, next)},
                                     {"timestamp", event.timestamp},
                                     {"message", event.message}}));
      }
      if (list.as_array().empty()) break;
      Json data = Json::object({{"messageType", "DATA_MESSAGE"}, {"owner", ctx.account}, {"logGroup", group.name}});
      data["logStream"] = stream;
      data["subscriptionFilters"].push_back(subscription.name);
      data["logEvents"] = std::move(list);
      kernel::TargetDelivery delivery;
      delivery.target = subscription.destination;
      delivery.input.body =
          Json::object({{"awslogs", Json::object({{"data", base64_encode(gzip(data.dump()))}})}}).dump();
      delivery.account = ctx.account;
      delivery.region = ctx.region;
      delivery.service = kService;
      delivery.source_arn = cat(group_arn(ctx, group.name), ":*");
      deps_.targets.enqueue(tx, std::move(delivery));
    }
  }
}

}  // namespace virga::logs
