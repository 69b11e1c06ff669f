// A log group as the target of events: each becomes a log event, in a stream named after what sent it.
#include <aws/logs/errors.h>

#include "base/json.h"
#include "base/str.h"
#include "services/logs/service.h"

namespace virga::logs {
namespace {

// EventBridge's templates for log groups say {"timestamp": …, "message": "…"}; anything else is a message itself.
InputLogEvent event_of(const std::string& body, Time now) {
  InputLogEvent out;
  out.timestamp = now.millis();
  out.message = body;
  try {
    const Json json = Json::parse(body);
    const Json* message = json.find("message");
    const Json* time = json.find("timestamp");
    if (!message || !time || json.as_object().size() != 2) return out;
    out.message = message->is_string() ? message->as_string() : message->dump();
    if (time->is_int()) out.timestamp = time->as_int();
    if (time->is_string()) {
      if (const auto t = parse_iso8601(time->as_string())) out.timestamp = t->millis();
    }
  } catch (const JsonError&) {
  }
  return out;
}

std::string stream_of(const Ctx& ctx) {
  const auto source = kernel::parse_arn(ctx.source_arn);
  if (!source) return "events";
  return replace_all(replace_all(source->resource, ":", "-"), "*", "-");
}

}  // namespace

Task<std::string> LogsService::take(Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input) {
  const std::string group = group_named(
      std::nullopt, cat("arn:", target.partition, ":logs:", target.region, ":", target.account, ":", target.resource));
  PutLogEventsRequest put;
  put.log_group_name = group;
  put.log_stream_name = stream_of(ctx);
  put.log_events.push_back(event_of(input.body, deps_.clock.now()));
  CreateLogStreamRequest create;
  create.log_group_name = group;
  create.log_stream_name = put.log_stream_name;
  bool there = false;
  {
    const auto snapshot = deps_.db.snapshot();
    there = (co_await Store(*snapshot, {target.account, target.region}).find_stream(group, put.log_stream_name))
                .has_value();
  }
  if (!there) {
    auto created = co_await as_result(deps_.cloud.call<op::CreateLogStream>(ctx, std::move(create)));
    const Error* error = error_of(created);
    if (!created && (!error || error->shape->code != "ResourceAlreadyExistsException")) {
      co_await fail_with(std::move(created.error()));
    }
  }
  co_await deps_.cloud.call<op::PutLogEvents>(ctx, std::move(put));
  co_return "";
}

}  // namespace virga::logs
