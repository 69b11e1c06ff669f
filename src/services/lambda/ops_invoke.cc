#include <aws/lambda/errors.h>

#include "base/encoding.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "kv/record.h"
#include "services/lambda/limits.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

// An event waiting to run: the payload of its durable timer.
struct AsyncEvent {
  std::string account, region, function, qualifier, payload, client_context, trace;
  Time accepted;
  int32_t attempts = 0;
  template <class A>
  void fields(A& a) {
    a(1, account), a(2, region), a(3, function), a(4, qualifier), a(5, payload), a(6, client_context), a(7, trace),
        a(8, accepted);
    a(9, attempts);
  }
};

constexpr std::string_view kAsyncKind = "lambda.async";

void check_json(const std::string& payload) {
  try {
    JsonReader reader(payload);
    reader.skip_value();
    reader.end();
  } catch (const JsonError& error) {
    throw err::InvalidRequestContentException(
        cat("Could not parse request body into json: ", error.what(), " at byte ", error.offset));
  }
}

}  // namespace

// The version that a qualifier means: by number, or by alias with its weights.
Task<Call> LambdaService::route(Ctx& ctx, const FunctionId& id) {
  const auto function = co_await catalog_.function(id.home(), id.name);
  if (!function) co_return function_not_found(ctx, id);
  auto version = parse_version(id.qualifier);
  if (!version) {
    const auto alias = co_await catalog_.alias(id.home(), id.name, id.qualifier);
    if (!alias) co_return function_not_found(ctx, id);
    version = alias->version;
    double dice = static_cast<double>(random_u64() >> 11) * 0x1.0p-53;
    for (const auto& [other, weight] : alias->weights) {
      if (dice < weight) version = parse_version(other);
      dice -= weight;
    }
  }
  Call call;
  call.version = co_await catalog_.version(id.home(), id.name, version.value_or(0));
  if (!call.version) co_return function_not_found(ctx, id);
  call.id = id;
  call.reserved = function->reserved_concurrency;
  call.unreserved = kConcurrency - co_await catalog_.set_aside(id.home());
  call.invoked_arn = id.qualifier.empty() ? function_arn(ctx, id) : qualified_arn(ctx, id, id.qualifier);
  co_return call;
}

Task<InvocationResponse> LambdaService::invoke(Ctx& ctx, const InvocationRequest& in) {
  if (in.durable_execution_name)
    co_return err::InvalidParameterValueException("Durable executions are not served by Virga.");
  if (in.tenant_id) co_return err::InvalidParameterValueException("Tenant isolation is not served by Virga.");
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const InvocationType type = in.invocation_type.value_or(InvocationType::RequestResponse);
  std::string payload = in.payload && !in.payload->empty() ? *in.payload : "{}";
  const size_t most = type == InvocationType::Event ? kMaxAsyncPayload : kMaxSyncPayload;
  if (payload.size() > most) {
    co_return err::RequestTooLargeException(cat(payload.size(), " byte payload is too large for the ", to_string(type),
                                                " invocation type (limit ", most, " bytes)"));
  }
  check_json(payload);
  Call call = co_await route(ctx, id);

  InvocationResponse out;
  out.executed_version = version_name(call.version->version);
  if (type == InvocationType::DryRun) {
    out.status_code = 204;
    co_return out;
  }
  std::string client_context;
  if (in.client_context) client_context = base64_decode(*in.client_context).value_or("");
  if (type == InvocationType::Event) {
    AsyncEvent event{id.account, id.region, id.name, id.qualifier, std::move(payload), client_context,
                     ctx.trace,  ctx.now(), 0};
    const std::string bytes = kv::encode(event);
    co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
      co_await deps_.timers.set(tx, {std::string(kAsyncKind), ctx.request_id, ctx.now(), bytes});
    });
    out.status_code = 202;
    out.executed_version.reset();
    co_return out;
  }
  call.request_id = ctx.request_id;
  call.payload = std::move(payload);
  call.client_context = std::move(client_context);
  call.trace = ctx.trace;
  Answer answer = co_await invoker_.invoke(ctx, std::move(call));
  out.status_code = 200;
  out.payload = std::move(answer.payload);
  if (!answer.function_error.empty()) out.function_error = answer.function_error;
  if (in.log_type == LogType::Tail) out.log_result = base64_encode(answer.log_tail);
  co_return out;
}

// A share of the timers that run at a time, which one slow function must not have to itself.
class LambdaService::AsyncTurn {
 public:
  AsyncTurn(LambdaService& service, std::string function) : service_(service), function_(std::move(function)) {
    std::lock_guard lock(service_.async_mutex_);
    const auto of_one = service_.async_of_.find(function_);
    given_ = service_.async_running_ < kMostAsync &&
             (of_one == service_.async_of_.end() || of_one->second < kMostAsyncOfOne);
    if (!given_) return;
    ++service_.async_running_;
    ++service_.async_of_[function_];
  }
  AsyncTurn(const AsyncTurn&) = delete;
  AsyncTurn& operator=(const AsyncTurn&) = delete;
  ~AsyncTurn() {
    if (!given_) return;
    std::lock_guard lock(service_.async_mutex_);
    --service_.async_running_;
    if (--service_.async_of_[function_] == 0) service_.async_of_.erase(function_);
  }
  bool given() const { return given_; }

 private:
  LambdaService& service_;
  const std::string function_;
  bool given_ = false;
};

// One attempt at an asynchronous event. It is forgotten once the function succeeded or its attempts or its time are
// used up; until then its timer is set again: a function error waits one minute, then two, a throttle backs off to
// five.
Task<void> LambdaService::run_async(kernel::Timer timer) {
  AsyncEvent event = kv::decode<AsyncEvent>(timer.payload);
  Ctx ctx = deps_.cloud.internal_context(kernel::service_principal("lambda.amazonaws.com", event.account),
                                         event.account, event.region);
  const FunctionId id{event.account, event.region, event.function, event.qualifier};
  const AsyncTurn turn(*this, function_arn(ctx, id));
  Result<Call> call = co_await as_result(route(ctx, id));
  bool done = !call;  // the function is gone
  std::chrono::seconds wait{0};
  if (call && !turn.given()) {
    wait = std::chrono::seconds(std::clamp<int64_t>((ctx.now() - event.accepted).count() / 1'000'000, 1, 30));
  } else if (call) {
    call->request_id = timer.id;
    call->payload = event.payload;
    call->client_context = event.client_context;
    call->trace = event.trace;
    Result<Answer> answer = co_await as_result(invoker_.invoke(ctx, std::move(*call)));
    if (answer) {
      ++event.attempts;
      done = answer->function_error.empty() || event.attempts >= kAsyncAttempts;
      wait = std::chrono::minutes(event.attempts);
    } else {
      const int64_t age = (ctx.now() - event.accepted).count() / 1'000'000;
      wait = std::chrono::seconds(std::clamp<int64_t>(age, 1, 300));
    }
  }
  if (ctx.now() + wait > event.accepted + kAsyncMaxAge) done = true;
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    if (done) {
      co_await deps_.timers.clear(tx, timer.kind, timer.id);
    } else {
      co_await deps_.timers.set(tx, {timer.kind, timer.id, ctx.now() + wait, kv::encode(event)});
    }
  });
}

}  // namespace virga::lambda
