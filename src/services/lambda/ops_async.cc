// Running events: from the queue of deliveries to the function, and from there to destinations and dead letters.
#include <aws/lambda/errors.h>

#include "base/log.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kv/record.h"
#include "services/lambda/async.h"
#include "services/lambda/limits.h"
#include "services/lambda/lineage.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

constexpr std::string_view kAsyncKind = "lambda.async";
constexpr std::string_view kPrincipal = "lambda.amazonaws.com";
constexpr int64_t kDestinationAge = 6 * 3600;  // seconds for which a record is tried to be delivered
constexpr int64_t kDestinationRetries = 185;
constexpr std::chrono::seconds kLongestPause{15};  // of a throttled function whose own events don't make room

// What a role needs for a destination, and how AWS names the call in its refusals.
struct Permission {
  std::string action, call;
};
std::optional<Permission> permission_for(const kernel::Arn& destination) {
  if (destination.service == "sqs") return Permission{"sqs:SendMessage", "SendMessage"};
  if (destination.service == "sns") return Permission{"sns:Publish", "Publish"};
  if (destination.service == "lambda") return Permission{"lambda:InvokeFunction", "InvokeFunction"};
  if (destination.service == "events") return Permission{"events:PutEvents", "PutEvents"};
  if (destination.service == "s3") return Permission{"s3:PutObject", "PutObject"};
  return std::nullopt;
}

}  // namespace

void LambdaService::serve_async() {
  deps_.deliveries.on(std::string(kAsyncKind),
                      [this](kernel::Attempt attempt) { return run_async(std::move(attempt)); },
                      {.lane = kMostAsyncOfOne, .pool = kMostAsync});
}

Task<std::string> LambdaService::take_event(Ctx& ctx, kernel::Arn target, kernel::TargetInput input) {
  Ctx there = ctx;
  there.region = target.region;
  InvocationRequest request;
  request.function_name = cat(target.account, ":", target.resource);  // account:function:name
  request.invocation_type = input.wait ? InvocationType::RequestResponse : InvocationType::Event;
  request.payload = std::move(input.body);
  const InvocationResponse response = co_await deps_.cloud.call<op::Invoke>(there, std::move(request));
  if (response.function_error) {
    static constexpr ErrorShape kFailed{"FunctionError", 500, Fault::kReceiver, {}};
    co_return Error{&kFailed, response.payload.value_or(""), nullptr, {}};
  }
  co_return response.payload.value_or("");
}

Task<void> LambdaService::enqueue_async(Ctx& ctx, FunctionId id, std::string payload, std::string client_context,
                                        std::string tenant) {
  AsyncEvent event{id.account, id.region,        id.name, id.qualifier, std::move(payload), std::move(client_context),
                   ctx.trace,  std::move(tenant)};
  if (event.trace.empty()) event.trace = begun_trace(ctx.now());
  const std::string bytes = kv::encode(event);
  const std::string lane = function_arn(ctx, id);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    deps_.deliveries.enqueue(tx, {std::string(kAsyncKind), lane, "", bytes, {}, ctx.request_id});
    co_return;
  });
}

Task<void> LambdaService::follow_trace(const Ctx& ctx, Call& call, std::string_view trace) {
  const std::string function = function_arn(ctx, call.id);
  if (runs_before(trace, function) >= kMostRuns) {
    const auto record = co_await catalog_.function(call.id.home(), call.id.name);
    if (record && !record->may_recurse) {
      log_warning("lambda", "a recursive loop was stopped", {{"function", function}});
      co_await fail(err::RecursiveInvocationException(
          "Lambda has detected your function being invoked in a recursive loop with other Amazon Web Services "
          "resources and stopped your function's invocation."));
    }
  }
  call.trace = trace_through(trace, function, ctx.now());
}

// One attempt at an event.
Task<kernel::Verdict> LambdaService::run_async(kernel::Attempt attempt) {
  using How = Attempted::How;
  AsyncEvent event = kv::decode<AsyncEvent>(attempt.payload);
  Ctx ctx =
      deps_.cloud.internal_context(kernel::service_principal(kPrincipal, event.account), event.account, event.region);
  ctx.request_id = attempt.id;
  const FunctionId id{event.account, event.region, event.function, event.qualifier};
  Result<Call> call = co_await as_result(route_call(ctx, id));
  if (!call) {
    if (!error_of(call)) co_await fail_with(std::move(call.error()));
    co_return kernel::Verdict::give_up();  // the function is gone, and with it where its events went
  }
  const auto snapshot = deps_.db.snapshot();
  const std::string qualifier = id.qualifier.empty() ? std::string(kLatest) : id.qualifier;
  const auto found = co_await Store(*snapshot, id.home()).find_event_invoke(id.name, qualifier);
  const EventInvokeRecord config = found.value_or(EventInvokeRecord{});

  std::string passed = event.trace;  // what the event's end is told with: through the function, if it ran
  Attempted attempted;
  attempted.executed_version = version_name(call->version->version);
  const std::shared_ptr<const VersionRecord> version = call->version;
  const Micros limit = std::chrono::seconds(config.max_age.value_or(kDefaultMaxAge));
  if (call->reserved == 0) {
    attempted.how = How::kSwitchedOff;
    attempted.payload = "Function not invoked: it is configured with zero reserved concurrent executions.";
  } else if (ctx.now() - attempt.accepted > limit) {
    attempted.how = How::kTooOld;
    attempted.payload = "The event was not processed before it reached its maximum age.";
  } else if (auto followed = co_await as_result(follow_trace(ctx, *call, event.trace)); !followed) {
    attempted.how = How::kRecursive;
    attempted.payload = error_of(followed) ? error_of(followed)->message : "";
  } else {
    ++event.invokes;
    passed = call->trace;
    call->request_id = attempt.id;
    call->payload = event.payload;
    call->client_context = event.client_context;
    call->tenant = event.tenant;
    Result<Answer> answer = co_await as_result(invoker_.invoke(ctx, std::move(*call)));
    if (answer) {
      attempted.how = answer->function_error.empty() ? How::kSuccess : How::kFunctionError;
      attempted.function_error = answer->function_error;
      attempted.payload = std::move(answer->payload);
    } else {
      const Error* error = error_of(answer);
      attempted.how = error && error->shape->status == 429 ? How::kThrottled : How::kSystemError;
      attempted.payload = error ? error->message : "The function could not be run.";
      if (!error) log_error("lambda", "an event could not be run", {{"why", virga::describe(answer.error())}});
    }
  }

  const Next next = next_step(attempted, attempt.attempts, ctx.now() - attempt.accepted, config);
  // What is throttled costs no write: it goes on when another of the function's events has ended.
  if (next.wait && attempted.how == How::kThrottled) {
    co_return kernel::Verdict::busy(std::min<std::chrono::seconds>(*next.wait, kLongestPause));
  }
  if (next.wait) {
    std::string payload = kv::encode(event);
    co_return (next.counted ? kernel::Verdict::again(*next.wait) : kernel::Verdict::later(*next.wait))
        .instead(std::move(payload));
  }
  event.trace = std::move(passed);
  co_return co_await finish_async(ctx, std::move(event), std::move(attempted), next.condition, id, config, version);
}

namespace {

// What destinations and dead letters are told of an event's end.
std::vector<kernel::TargetDelivery> letters(const Ctx& ctx, const AsyncEvent& event, const Attempted& attempted,
                                            std::string_view condition, const FunctionId& id,
                                            const EventInvokeRecord& config, const VersionRecord& version) {
  const bool success = attempted.how == Attempted::How::kSuccess;
  kernel::TargetDelivery delivery;
  delivery.account = event.account;
  delivery.region = event.region;
  delivery.service = kPrincipal;
  delivery.role = version.role;
  delivery.source_arn = function_arn(ctx, id);
  delivery.retry = {kDestinationRetries, kDestinationAge};
  std::vector<kernel::TargetDelivery> out;
  const std::string& destination = success ? config.on_success : config.on_failure;
  const std::string qualified = qualified_arn(ctx, id, id.qualifier.empty() ? kLatest : std::string_view(id.qualifier));
  if (!destination.empty()) {
    delivery.target = destination;
    delivery.input = destination_input(destination, event, attempted, condition, ctx.request_id, qualified, ctx.now());
    out.push_back(delivery);
  }
  if (!success && !version.dead_letter.empty()) {
    delivery.target = version.dead_letter;
    delivery.input = dead_letter_input(event, attempted, ctx.request_id);
    out.push_back(std::move(delivery));
  }
  return out;
}

}  // namespace

// The end of an event: its records go out in the transaction that forgets it.
Task<kernel::Verdict> LambdaService::finish_async(Ctx& ctx, AsyncEvent event, Attempted attempted,
                                                  std::string_view condition, FunctionId id, EventInvokeRecord config,
                                                  std::shared_ptr<const VersionRecord> version) {
  auto out = letters(ctx, event, attempted, condition, id, config, *version);
  kernel::Verdict verdict =
      attempted.how == Attempted::How::kSuccess ? kernel::Verdict::done() : kernel::Verdict::give_up();
  if (out.empty()) co_return verdict;
  co_return std::move(verdict).with([this, out = std::move(out)](kv::Txn& tx) -> Task<void> {
    for (const kernel::TargetDelivery& each : out) deps_.targets.enqueue(tx, each);
    co_return;
  });
}

Task<std::vector<kernel::TargetDelivery>> LambdaService::letters_of(kv::Txn& tx, Ctx& ctx, AsyncEvent event,
                                                                    Attempted attempted, std::string condition,
                                                                    uint64_t version) {
  const FunctionId id{event.account, event.region, event.function, event.qualifier};
  const Store store(tx, id.home());
  const auto record = co_await store.find_version(id.name, version);
  if (!record) co_return std::vector<kernel::TargetDelivery>{};
  const auto config = co_await store.find_event_invoke(id.name, id.qualifier);
  co_return letters(ctx, event, attempted, condition, id, config.value_or(EventInvokeRecord{}), *record);
}

Task<void> LambdaService::check_destination(Ctx& ctx, std::string role, std::string destination, bool dead_letter) {
  const auto arn = kernel::parse_arn(destination);
  const auto permission = arn ? permission_for(*arn) : std::nullopt;
  if (!permission || (dead_letter && arn->service != "sqs" && arn->service != "sns")) {
    co_await fail(err::InvalidParameterValueException(
        cat("The provided ", dead_letter ? "dead letter target" : "destination", " ", destination, " is invalid.")));
  }
  if (!deps_.cloud.accepts(destination)) {
    co_await fail(err::InvalidParameterValueException(
        cat("Sending events to ", arn->service, " (", destination, ") is not served by Virga.")));
  }
  Ctx as_role = deps_.cloud.internal_context(
      co_await deps_.cloud.assume_role(std::string(kPrincipal), std::move(role), "lambda"), ctx.account, ctx.region);
  const std::string resource = arn->service == "s3" ? cat(destination, "/*") : destination;
  if (co_await deps_.cloud.authorizer().allowed(as_role, {permission->action, resource, {}}, std::nullopt)) co_return;
  co_await fail(err::InvalidParameterValueException(
      dead_letter ? cat("The provided execution role does not have permissions to call ", permission->call, " on ",
                        upper(arn->service))
                  : cat("The function's execution role does not have permissions to call ", permission->call, " on ",
                        destination)));
}

}  // namespace virga::lambda
