#include <aws/lambda/errors.h>

#include <algorithm>

#include "base/str.h"
#include "kernel/page.h"
#include "services/lambda/limits.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

// What a configuration is for: $LATEST when no qualifier says otherwise.
std::string qualifier_of(const FunctionId& id) { return id.qualifier.empty() ? std::string(kLatest) : id.qualifier; }

Error no_config(const Ctx& ctx, const FunctionId& id) {
  return err::ResourceNotFoundException(
      cat("The function ", qualified_arn(ctx, id, qualifier_of(id)), " doesn't have an EventInvokeConfig"));
}

template <class Out>
Out describe_config(const Ctx& ctx, const FunctionId& id, const EventInvokeRecord& record) {
  Out out;
  out.last_modified = record.modified;
  out.function_arn = qualified_arn(ctx, id, record.qualifier);
  out.maximum_retry_attempts = record.retries;
  out.maximum_event_age_in_seconds = record.max_age;
  DestinationConfig destinations;
  destinations.on_success.emplace();
  destinations.on_failure.emplace();
  if (!record.on_success.empty()) destinations.on_success->destination = record.on_success;
  if (!record.on_failure.empty()) destinations.on_failure->destination = record.on_failure;
  out.destination_config = std::move(destinations);
  return out;
}

std::string success_of(const DestinationConfig& config) {
  return config.on_success ? config.on_success->destination.value_or("") : "";
}
std::string failure_of(const DestinationConfig& config) {
  return config.on_failure ? config.on_failure->destination.value_or("") : "";
}

}  // namespace

// Both destinations can be reached by the function's role, and neither is the function itself.
Task<void> LambdaService::check_destinations(Ctx& ctx, FunctionId id, std::string on_success, std::string on_failure) {
  auto call = co_await as_result(route(ctx, id));
  if (!call) {
    if (!error_of(call)) co_await fail_with(Failure(call.error()));
    co_await fail(err::ResourceNotFoundException("The function doesn't exist."));
  }
  for (const bool success : {true, false}) {
    const std::string& destination = success ? on_success : on_failure;
    if (destination.empty()) continue;
    const std::string own = function_arn(ctx, id);
    if (destination == own || destination.starts_with(own + ":")) {
      co_await fail(err::InvalidParameterValueException("You can't specify the function as a destination for itself."));
    }
    const auto arn = kernel::parse_arn(destination);
    static constexpr std::string_view kServices[] = {"sqs", "sns", "lambda", "events", "s3"};
    if (!arn || std::ranges::find(kServices, arn->service) == std::end(kServices) ||
        (success && arn->service == "s3")) {
      co_await fail(err::InvalidParameterValueException(
          cat("The provided destination config DestinationConfig(onSuccess=",
              on_success.empty() ? "null" : cat("OnSuccess(destination=", on_success, ")"), ", onFailure=",
              on_failure.empty() ? "null" : cat("OnFailure(destination=", on_failure, ")"), ") is invalid.")));
    }
    if (arn->service == "lambda" && arn->region == ctx.region && arn->account == ctx.account) {
      auto there = co_await as_result(route(ctx, function_id(ctx, destination)));
      if (!there) {
        if (!error_of(there)) co_await fail_with(Failure(there.error()));
        co_await fail(err::InvalidParameterValueException(cat("The destination ARN ", destination, " is invalid.")));
      }
    }
    co_await check_destination(ctx, call->version->role, destination, false);
  }
}

template <class Out, class In>
Task<Out> LambdaService::set_event_invoke_config(Ctx& ctx, const In& in, bool whole) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  if (!in.maximum_retry_attempts && !in.maximum_event_age_in_seconds && !in.destination_config) {
    co_return err::InvalidParameterValueException(
        "You must specify at least one of error handling or destination setting.");
  }
  if (in.destination_config) {
    co_await check_destinations(ctx, id, success_of(*in.destination_config), failure_of(*in.destination_config));
  }
  const Time now = ctx.now();
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<Out> {
    WriteStore store(tx, id.home(), catalog_);
    const auto version = parse_version(id.qualifier);
    const bool exists = version ? (co_await store.find_version(id.name, *version)).has_value()
                                : (co_await store.find_alias(id.name, id.qualifier)).has_value();
    if (!exists) co_return err::ResourceNotFoundException("The function doesn't exist.");
    auto former = co_await store.find_event_invoke(id.name, qualifier_of(id));
    if (!whole && !former) co_return no_config(ctx, id);
    EventInvokeRecord record = whole ? EventInvokeRecord{} : std::move(*former);
    record.qualifier = qualifier_of(id);
    record.modified = now;
    if (in.maximum_retry_attempts) record.retries = in.maximum_retry_attempts;
    if (in.maximum_event_age_in_seconds) record.max_age = in.maximum_event_age_in_seconds;
    if (in.destination_config) {
      // An update leaves the destination that it does not name.
      if (whole || in.destination_config->on_success) record.on_success = success_of(*in.destination_config);
      if (whole || in.destination_config->on_failure) record.on_failure = failure_of(*in.destination_config);
    }
    store.put_event_invoke(id.name, record);
    co_return describe_config<Out>(ctx, id, record);
  });
}

Task<op::PutFunctionEventInvokeConfig::Output> LambdaService::put_function_event_invoke_config(
    Ctx& ctx, const PutFunctionEventInvokeConfigRequest& in) {
  return set_event_invoke_config<op::PutFunctionEventInvokeConfig::Output>(ctx, in, true);
}

Task<op::UpdateFunctionEventInvokeConfig::Output> LambdaService::update_function_event_invoke_config(
    Ctx& ctx, const UpdateFunctionEventInvokeConfigRequest& in) {
  return set_event_invoke_config<op::UpdateFunctionEventInvokeConfig::Output>(ctx, in, false);
}

Task<op::GetFunctionEventInvokeConfig::Output> LambdaService::get_function_event_invoke_config(
    Ctx& ctx, const GetFunctionEventInvokeConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const auto snapshot = deps_.db.snapshot();
  const auto record = co_await Store(*snapshot, id.home()).find_event_invoke(id.name, qualifier_of(id));
  if (!record) co_return no_config(ctx, id);
  co_return describe_config<op::GetFunctionEventInvokeConfig::Output>(ctx, id, *record);
}

Task<op::DeleteFunctionEventInvokeConfig::Output> LambdaService::delete_function_event_invoke_config(
    Ctx& ctx, const DeleteFunctionEventInvokeConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::DeleteFunctionEventInvokeConfig::Output> {
    WriteStore store(tx, id.home(), catalog_);
    if (!co_await store.find_event_invoke(id.name, qualifier_of(id))) co_return no_config(ctx, id);
    store.erase_event_invoke(id.name, qualifier_of(id));
    co_return op::DeleteFunctionEventInvokeConfig::Output{};
  });
}

Task<ListFunctionEventInvokeConfigsResponse> LambdaService::list_function_event_invoke_configs(
    Ctx& ctx, const ListFunctionEventInvokeConfigsRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  const std::string purpose = cat("lambda:ListFunctionEventInvokeConfigs:", id.name);
  const auto after = kernel::open_page<std::string>(deps_.tokens, ctx, purpose, in.marker, bad_marker());
  const size_t limit = std::min<size_t>(in.max_items.value_or(kListPage), kListPage);
  const auto snapshot = deps_.db.snapshot();
  const Store store(*snapshot, id.home());
  if (!co_await store.find_function(id.name)) co_return err::ResourceNotFoundException("The function doesn't exist.");
  auto page = co_await store.list_event_invokes(id.name, after.value_or(""), limit + 1);
  ListFunctionEventInvokeConfigsResponse out;
  out.function_event_invoke_configs.emplace();
  if (page.size() > limit) {
    page.resize(limit);
    out.next_marker = kernel::seal_page(deps_.tokens, ctx, purpose, page.back().qualifier);
  }
  for (const EventInvokeRecord& record : page) {
    out.function_event_invoke_configs->push_back(describe_config<FunctionEventInvokeConfig>(ctx, id, record));
  }
  co_return out;
}

Task<op::PutFunctionRecursionConfig::Output> LambdaService::put_function_recursion_config(
    Ctx& ctx, const PutFunctionRecursionConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::PutFunctionRecursionConfig::Output> {
    WriteStore store(tx, id.home(), catalog_);
    auto function = co_await store.find_function(id.name);
    if (!function) co_return function_not_found(ctx, id);
    function->may_recurse = in.recursive_loop == RecursiveLoop::Allow;
    store.put_function(*function);
    op::PutFunctionRecursionConfig::Output out;
    out.recursive_loop = in.recursive_loop;
    co_return out;
  });
}

Task<op::GetFunctionRecursionConfig::Output> LambdaService::get_function_recursion_config(
    Ctx& ctx, const GetFunctionRecursionConfigRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  const auto function = co_await catalog_.function(id.home(), id.name);
  if (!function) co_return function_not_found(ctx, id);
  op::GetFunctionRecursionConfig::Output out;
  out.recursive_loop = function->may_recurse ? RecursiveLoop::Allow : RecursiveLoop::Terminate;
  co_return out;
}

}  // namespace virga::lambda
