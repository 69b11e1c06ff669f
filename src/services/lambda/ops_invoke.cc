#include <aws/lambda/errors.h>

#include <algorithm>
#include <cctype>

#include "base/encoding.h"
#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "services/lambda/limits.h"
#include "services/lambda/refusals.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

// What is wrong with a payload, as AWS's parser says it where the value begins, and where.
std::string fault_in(std::string_view payload, const JsonError& error) {
  constexpr std::string_view kExpected = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')";
  constexpr size_t kMostToken = 256;
  size_t at = std::min(error.offset, payload.size());
  std::string what = error.what();
  const size_t begin = std::min(payload.find_first_not_of(" \t\r\n"), payload.size());
  size_t end = begin;
  while (end < payload.size() && std::isalnum(static_cast<unsigned char>(payload[end]))) ++end;
  const std::string_view token = payload.substr(begin, end - begin);
  const auto byte = static_cast<unsigned char>(end < payload.size() ? payload[end] : 0);
  if (begin == payload.size() || at < begin || at > end ||
      std::string_view("{[\"-0123456789").contains(payload[begin]) || token == "true" || token == "false" ||
      token == "null") {
    // What is wrong lies within the value, or after it.
  } else if (token.empty()) {
    at = begin;
    what = cat("Unexpected character (",
               byte < 0x20 || byte > 0x7e ? "(CTRL-CHAR, " : cat("'", payload.substr(at, 1), "' ("), "code ", int{byte},
               ")): expected a valid value ", kExpected);
  } else if (byte >= 0x80) {
    at = end + 1;
    what = cat("Invalid UTF-8 start byte 0x", hex_encode(payload.substr(end, 1)));
  } else {
    at = end;
    what = cat("Unrecognized token '", token.substr(0, kMostToken), token.size() > kMostToken ? "..." : "",
               "': was expecting ", kExpected);
  }
  const std::string_view before = payload.substr(0, at);
  const auto line = std::ranges::count(before, '\n');
  return cat(what,
             "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: ", line + 1,
             ", column: ", at - (line ? before.rfind('\n') + 1 : 0) + 1, "]");
}

}  // namespace

void check_json(const std::string& payload) {
  try {
    JsonReader reader(payload);
    reader.skip_value();
    reader.end();
  } catch (const JsonError& error) {
    throw err::InvalidRequestContentException(
        cat("Could not parse request body into json: Could not parse payload into json: ", fault_in(payload, error)));
  }
}

std::string client_context_of(const std::optional<std::string>& encoded) {
  if (!encoded || encoded->empty()) return {};
  const auto text = base64_decode(*encoded);
  try {
    if (text && Json::parse(*text).is_object()) return *text;
  } catch (const JsonError&) {
  }
  throw untyped(err::InvalidRequestContentException("Client context must be a valid Base64-encoded JSON object."));
}

// The version that a qualifier names: by number, or the first of an alias.
Task<Call> LambdaService::route(Ctx& ctx, const FunctionId& id, std::string_view unqualified) {
  const auto function = co_await catalog_.function(id.home(), id.name);
  if (!function) co_return function_not_found(ctx, id, unqualified);
  auto version = parse_version(id.qualifier);
  if (!version) {
    const auto alias = co_await catalog_.alias(id.home(), id.name, id.qualifier);
    if (!alias) co_return function_not_found(ctx, id);
    version = alias->version;
  }
  Call call;
  call.version = co_await catalog_.version(id.home(), id.name, version.value_or(0));
  if (!call.version) co_return function_not_found(ctx, id);
  call.id = id;
  call.reserved = function->reserved_concurrency;
  call.unreserved = concurrency_ - co_await catalog_.set_aside(id.home());
  call.invoked_arn = id.qualifier.empty() ? function_arn(ctx, id) : qualified_arn(ctx, id, id.qualifier);
  co_return call;
}

// What is called by a qualifier: by an alias with weights now one, now the other version; a function on a capacity
// provider as it is published.
Task<Call> LambdaService::route_call(Ctx& ctx, const FunctionId& id) {
  Call call = co_await route(ctx, id, kLatest);
  if (!parse_version(id.qualifier)) {
    const auto alias = co_await catalog_.alias(id.home(), id.name, id.qualifier);
    if (!alias) co_return function_not_found(ctx, id);
    double dice = static_cast<double>(random_u64() >> 11) * 0x1.0p-53;
    for (const auto& [other, weight] : alias->weights) {
      if (dice < weight) call.version = co_await catalog_.version(id.home(), id.name, parse_version(other).value_or(0));
      dice -= weight;
    }
    if (!call.version) co_return function_not_found(ctx, id);
  }
  if (call.version->state == to_string(State::Inactive)) {
    co_await wake(call.id, call.version->version);
    call.version = co_await catalog_.version(id.home(), id.name, call.version->version);
    if (!call.version) co_return function_not_found(ctx, id);
  }
  if (call.version->version == 0 && !call.version->capacity_provider.empty()) {
    call.version = co_await catalog_.version(id.home(), id.name, kLatestPublished);
    if (!call.version) {
      co_return err::NoPublishedVersionException(
          "A function with a capacity provider runs when a version of it is published.");
    }
  }
  co_return call;
}

// What Event invocations were before there was Invoke.
Task<InvokeAsyncResponse> LambdaService::invoke_async(Ctx& ctx, const InvokeAsyncRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name);
  std::string payload =
      in.invoke_args
          ? co_await read_all(
                *in.invoke_args, kMaxAsyncPayload,
                err::InvalidRequestContentException(cat("The arguments are larger than ", kMaxAsyncPayload, " bytes.")))
          : std::string();
  check_json(payload);
  const Call call = co_await route_call(ctx, id);
  check_tenant(call);
  co_await enqueue_async(ctx, id, std::move(payload), {}, {});
  InvokeAsyncResponse out;
  out.status = 202;
  co_return out;
}

Task<InvocationResponse> LambdaService::invoke(Ctx& ctx, const InvocationRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const InvocationType type = in.invocation_type.value_or(InvocationType::RequestResponse);
  std::string payload = in.payload && !in.payload->empty() ? *in.payload : "{}";
  const size_t most = type == InvocationType::Event ? kMaxAsyncPayload : kMaxSyncRequest;
  if (payload.size() > most) {
    co_return entity_too_large(
        type == InvocationType::Event
            ? cat(payload.size(), " byte payload is too large for the Event invocation type (limit ", most, " bytes)")
            : cat("Request must be smaller than ", most, " bytes for the InvokeFunction operation"));
  }
  check_json(payload);
  Call call = co_await route_call(ctx, id);
  call.tenant = in.tenant_id.value_or("");
  check_tenant(call);
  if (call.version->durable_timeout) {
    co_return co_await executions_.invoke(ctx, std::move(call), std::move(payload), in.durable_execution_name, type);
  }
  if (in.durable_execution_name) {
    co_return err::InvalidParameterValueException("Only a durable function takes a durable execution's name.");
  }

  InvocationResponse out;
  out.executed_version = version_name(call.version->version);
  if (type == InvocationType::DryRun) {
    out.status_code = 204;
    co_return out;
  }
  std::string client_context = client_context_of(in.client_context);
  if (type == InvocationType::Event) {
    if (auto refusal = refusal_by_state(*call.version)) co_return std::move(*refusal);
    co_await enqueue_async(ctx, id, std::move(payload), std::move(client_context), call.tenant);
    out.status_code = 202;
    out.executed_version.reset();
    co_return out;
  }
  call.request_id = ctx.request_id;
  call.payload = std::move(payload);
  call.client_context = std::move(client_context);
  call.tail = in.log_type == LogType::Tail;
  co_await follow_trace(ctx, call, ctx.trace);
  Answer answer = co_await invoker_.invoke(ctx, std::move(call));
  out.status_code = 200;
  out.payload = std::move(answer.payload);
  if (!answer.function_error.empty()) out.function_error = answer.function_error;
  if (in.log_type == LogType::Tail) out.log_result = base64_encode(answer.log_tail);
  co_return out;
}

Task<Answer> LambdaService::run(Ctx& ctx, Call call) {
  return call.version->durable_timeout ? executions_.answer(ctx, std::move(call))
                                       : invoker_.invoke(ctx, std::move(call));
}

// What executions ask of Lambda.
Task<Call> LambdaService::find_function(Ctx& ctx, FunctionId id) { co_return co_await route_call(ctx, id); }
Task<Answer> LambdaService::run_function(Ctx& ctx, Call call) { return invoker_.invoke(ctx, std::move(call)); }
Task<void> LambdaService::trace_function(Ctx& ctx, Call& call, std::string trace) {
  co_await follow_trace(ctx, call, trace);
}

}  // namespace virga::lambda
