#include <aws/lambda/errors.h>

#include "base/encoding.h"
#include "base/json.h"
#include "base/str.h"
#include "services/lambda/limits.h"
#include "services/lambda/refusals.h"
#include "services/lambda/resources.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

using Part = InvokeWithResponseStreamResponseEvent;

// An answer as events: its bytes as they come, then how it ended.
class AnswerEvents final : public Source<Part> {
 public:
  AnswerEvents(Answer answer, bool tail) : answer_(std::move(answer)), tail_(tail) {}

  Task<std::optional<Part>> next() override {
    if (completed_) co_return std::nullopt;
    Part event;
    if (answer_.stream) {
      Result<std::optional<std::string>> chunk = co_await as_result(answer_.stream->next());
      if (chunk && *chunk) {
        event.payload_chunk.emplace().payload = std::move(**chunk);
        co_return std::move(event);
      }
      const bool too_large = !chunk && !answer_.end->done.is_set();
      answer_.stream = nullptr;
      completed_ = true;
      if (too_large) {
        event.invoke_complete.emplace().error_code = "Function.ResponseSizeTooLarge";
        co_return std::move(event);
      }
      co_return complete(answer_.end->answer);
    }
    if (!answer_.payload.empty() && answer_.function_error.empty()) {
      event.payload_chunk.emplace().payload = std::exchange(answer_.payload, {});
      co_return std::move(event);
    }
    completed_ = true;
    co_return complete(answer_);
  }

 private:
  Part complete(const Answer& answer) const {
    Part event;
    auto& done = event.invoke_complete.emplace();
    if (!answer.function_error.empty()) {
      std::string code = answer.function_error;
      try {
        code = Json::parse(answer.payload).string_or("errorType", code);
      } catch (const JsonError&) {
      }
      done.error_code = std::move(code);
      done.error_details = answer.payload;
    }
    if (tail_) done.log_result = base64_encode(answer.log_tail);
    return event;
  }

  Answer answer_;
  const bool tail_;
  bool completed_ = false;
};

}  // namespace

Task<InvokeWithResponseStreamResponse> LambdaService::invoke_with_response_stream(
    Ctx& ctx, const InvokeWithResponseStreamRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  std::string payload = in.payload && !in.payload->empty() ? *in.payload : "{}";
  if (payload.size() > kMaxSyncRequest) {
    co_return entity_too_large(
        cat("Request must be smaller than ", kMaxSyncRequest, " bytes for the InvokeWithResponseStream operation"));
  }
  check_json(payload);
  Call call = co_await route_call(ctx, id);
  call.tenant = in.tenant_id.value_or("");
  check_tenant(call);
  InvokeWithResponseStreamResponse out;
  out.executed_version = version_name(call.version->version);
  if (in.invocation_type == ResponseStreamingInvocationType::DryRun) {
    out.status_code = 204;
    co_return out;
  }
  call.request_id = ctx.request_id;
  call.payload = std::move(payload);
  call.client_context = client_context_of(in.client_context);
  co_await follow_trace(ctx, call, ctx.trace);
  call.stream = true;
  Answer answer = co_await run(ctx, std::move(call));
  out.status_code = 200;
  // ResponseStreamContentType is the Content-Type of the response, which is the event stream's.
  out.event_stream = std::make_shared<AnswerEvents>(std::move(answer), in.log_type == LogType::Tail);
  co_return out;
}

}  // namespace virga::lambda
