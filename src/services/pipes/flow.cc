#include "services/pipes/flow.h"

#include <aws/logs/ops.h>
#include <aws/pipes/errors.h>

#include <utility>

#include "base/str.h"
#include "services/pipes/definition.h"
#include "services/pipes/limits.h"
#include "services/pipes/service.h"

namespace virga::pipes {

using lambda::esm::Ran;

Json view_of(const Json& event) {
  const Json* body = event.find("body");
  if (!body || !body->is_string()) return event;
  try {
    Json parsed = Json::parse(body->as_string());
    if (!parsed.is_object() && !parsed.is_array()) return event;
    Json out = event;
    out["body"] = std::move(parsed);
    return out;
  } catch (const JsonError&) {
    return event;
  }
}

Json transformed(const Json& event, const std::string& input_template, const Around& around) {
  if (input_template.empty()) return event;
  const Json view = view_of(event);
  if (input_template.starts_with("<$") && input_template.find('>') == input_template.size() - 1) {
    return kernel::at_path(view, input_template.substr(1, input_template.size() - 2)).value_or(Json(""));
  }
  const auto filling_of = [&](std::string_view name, bool) -> std::optional<kernel::Filling> {
    if (kernel::is_path(name)) return kernel::Filling{kernel::at_path(view, name).value_or(Json(""))};
    if (name == "aws.pipes.pipe-arn") return kernel::Filling{around.pipe_arn};
    if (name == "aws.pipes.pipe-name") return kernel::Filling{around.pipe_name};
    if (name == "aws.pipes.source-arn") return kernel::Filling{around.source_arn};
    if (name == "aws.pipes.enrichment-arn") return kernel::Filling{around.enrichment_arn};
    if (name == "aws.pipes.target-arn") return kernel::Filling{around.target_arn};
    if (name == "aws.pipes.event.ingestion-time") return kernel::Filling{iso8601_millis(around.ingested)};
    if (name == "aws.pipes.event") return kernel::Filling{event};
    if (name == "aws.pipes.event.json") return kernel::Filling{event.dump(), true};
    return std::nullopt;
  };
  const auto text = kernel::fill_template(input_template, filling_of, kMaxTransformed);
  if (!text) throw err::ValidationException("An event is larger than 6 MB by its input template.");
  try {
    return Json::parse(*text);
  } catch (const JsonError&) {
    return Json(*text);
  }
}

std::vector<Json> enriched(const std::string& answer) {
  if (answer.empty()) return {};
  Json json;
  try {
    json = Json::parse(answer);
  } catch (const JsonError&) {
    json = Json(answer);
  }
  if (json.is_array()) return std::move(json.as_array());
  if (json.is_null() || (json.is_object() && json.as_object().empty()) ||
      (json.is_string() && json.as_string().empty())) {
    return {};
  }
  std::vector<Json> out;
  out.push_back(std::move(json));
  return out;
}

std::string identifier_of(const Json& record) {
  if (const Json* inner = record.find("dynamodb")) return inner->string_or("SequenceNumber");
  return record.string_or("messageId");
}

namespace {

std::string array_text(const std::vector<Json>& events) { return Json(Json::Array(events)).dump(); }

// What an API destination adds to its request for one event: `given` may name parts of the event by path.
template <class P>
std::string http_of(const P& given, const Json& view) {
  Json out = Json::object();
  if (given.path_parameter_values) {
    for (const std::string& value : *given.path_parameter_values) out["Path"].push_back(value_of(view, value));
  }
  const auto add = [&](const char* where, const auto& all) {
    if (!all) return;
    for (const auto& [key, value] : *all) out[where][value_of(view, key)] = value_of(view, value);
  };
  add("Headers", given.header_parameters);
  add("Query", given.query_string_parameters);
  return out.dump();
}

// The target's input for one event.
kernel::TargetInput input_of(const Flow& flow, size_t i) {
  kernel::TargetInput input;
  input.body = text_of(flow.events[i]);
  input.trace = flow.trace;
  input.wait = true;
  const PipeTargetParameters p = flow.definition.target_parameters.value_or(PipeTargetParameters{});
  const Json view = view_of(flow.originals[i]);
  if (p.sqs_queue_parameters) {
    input.group = value_of(view, p.sqs_queue_parameters->message_group_id.value_or(""));
    input.deduplication = value_of(view, p.sqs_queue_parameters->message_deduplication_id.value_or(""));
  }
  if (p.http_parameters) input.parameters["Http"] = http_of(*p.http_parameters, view);
  if (flow.definition.target.find(":event-bus/") != std::string::npos) {
    const auto bus = p.event_bridge_event_bus_parameters.value_or(PipeTargetEventBridgeEventBusParameters{});
    const auto source = kernel::parse_arn(flow.definition.source);
    input.parameters["Source"] = bus.source ? value_of(view, *bus.source) : cat("Pipe ", flow.definition.name);
    input.parameters["DetailType"] =
        bus.detail_type ? value_of(view, *bus.detail_type) : cat("Event from aws:", source ? source->service : "");
    Json resources = Json::array();
    if (bus.resources) {
      for (const std::string& resource : *bus.resources) resources.push_back(value_of(view, resource));
    }
    input.parameters["Resources"] = resources.dump();
    if (bus.time) input.parameters["Time"] = value_of(view, *bus.time);
  }
  return input;
}

Time timestamp_of(const Json& view, const std::string& given, Time otherwise) {
  if (given.empty()) return otherwise;
  const std::string text = value_of(view, given);
  if (const auto number = parse_int(text)) {
    return *number < 100'000'000'000 ? Time::from_seconds(*number) : Time{*number * 1000};
  }
  return parse_iso8601(text).value_or(otherwise);
}

bool is_throttle(const Failure& failure) {
  const Error* error = error_of(failure);
  return error && (error->shape->code == "TooManyRequestsException" || error->shape->code == "ThrottlingException");
}

std::string problem_of(const Failure& failure) {
  const Error* error = error_of(failure);
  return error ? cat(error->shape->code, ": ", error->message) : describe(failure);
}

std::string failures_text(const std::vector<std::string>& ids) {
  Json list = Json::array();
  for (const std::string& id : ids) list.push_back(Json::object({{"itemIdentifier", id}}));
  return Json::object({{"batchItemFailures", std::move(list)}}).dump();
}

}  // namespace

void PipesService::note(const std::string& id, std::string problem) {
  const std::lock_guard lock(mutex_);
  if (problem.empty()) {
    problems_.erase(id);
  } else {
    problems_[id] = std::move(problem);
  }
}

Task<kernel::Principal> PipesService::session(Mapping mapping, std::string role) {
  const Home home{mapping.account, mapping.region};
  co_return co_await deps_.cloud.assume_role("pipes.amazonaws.com", role, mapping.function,
                                             pipe_arn(home, mapping.function));
}

Task<std::string> PipesService::role_for_mapping(Mapping mapping) {
  const Home home{mapping.account, mapping.region};
  const auto snapshot = deps_.db.snapshot();
  const auto pipe = co_await find_pipe(*snapshot, home, mapping.function);
  if (!pipe) co_return err::NotFoundException(cat("Pipe ", mapping.function, " does not exist."));
  co_return Json::parse(pipe->definition).string_or("RoleArn");
}

Task<kernel::Principal> PipesService::session_for_mapping(Mapping mapping) {
  const std::string role = co_await role_for_mapping(mapping);
  co_return co_await session(mapping, role);
}

Task<kernel::TargetDelivery> PipesService::letter_for_mapping(Mapping mapping, lambda::esm::Discarded discarded) {
  const std::string arn = pipe_arn({mapping.account, mapping.region}, mapping.function);
  Json document =
      Json::object({{"context", Json::object({{"partnerResourceArn", arn}, {"condition", discarded.condition}})},
                    {"version", "1.0"},
                    {"timestamp", iso8601_millis(deps_.clock.now())}});
  lambda::esm::add_batch_info(document, mapping, discarded);
  kernel::TargetDelivery out;
  out.target = mapping.on_failure;
  out.input.body = document.dump();
  out.account = mapping.account;
  out.region = mapping.region;
  out.service = "pipes.amazonaws.com";
  out.role = co_await role_for_mapping(mapping);
  out.source_arn = arn;
  co_return out;
}

Task<void> PipesService::mapping_gone(kv::Txn& tx, Mapping mapping) {
  tx.erase(pipe_key({mapping.account, mapping.region}, mapping.function));
  note(mapping.uuid, "");
  co_return;
}

// To targets that take one event at a time, or a list of log events. Answers which of them failed; fails when none
// could be tried.
Task<std::vector<size_t>> PipesService::send(Ctx& ctx, const Flow& flow, std::string id) {
  std::vector<size_t> failed;
  const PipeTargetParameters p = flow.definition.target_parameters.value_or(PipeTargetParameters{});
  if (p.cloud_watch_logs_parameters && p.cloud_watch_logs_parameters->log_stream_name) {
    const auto& logs = *p.cloud_watch_logs_parameters;
    const auto arn = kernel::parse_arn(flow.definition.target);
    std::string group = arn->resource.substr(arn->resource.find(':') + 1);
    if (group.ends_with(":*")) group.resize(group.size() - 2);
    for (size_t i = 0; i < flow.events.size(); ++i) {
      const Json view = view_of(flow.originals[i]);
      logs::PutLogEventsRequest put;
      put.log_group_name = group;
      put.log_stream_name = value_of(view, *logs.log_stream_name);
      auto& event = put.log_events.emplace_back();
      event.timestamp = timestamp_of(view, logs.timestamp.value_or(""), flow.around.ingested).micros / 1000;
      event.message = text_of(flow.events[i]);
      co_await deps_.cloud.call<logs::op::PutLogEvents>(ctx, std::move(put));
    }
    co_return failed;
  }
  std::string problem;
  for (size_t i = 0; i < flow.events.size(); ++i) {
    const auto sent = co_await as_result(deps_.cloud.deliver(ctx, flow.definition.target, input_of(flow, i)));
    if (sent) continue;
    problem = problem_of(sent.error());
    if (flow.events.size() == 1) co_await fail_with(Failure(sent.error()));
    failed.push_back(i);
    if (!flow.ordered) continue;
    while (++i < flow.events.size()) failed.push_back(i);
  }
  if (!problem.empty()) note(id, std::move(problem));
  co_return failed;
}

Task<Ran> PipesService::run_for_mapping(Mapping mapping, std::string event, std::string trace) {
  Ran ran;
  const auto ended = co_await as_result(flow_through(mapping, std::move(event), std::move(trace)));
  if (ended) {
    ran.kind = Ran::Kind::kAnswered;
    ran.answer.payload = *ended;
    if (ended->empty()) note(mapping.uuid, "");
    co_return ran;
  }
  ran.problem = problem_of(ended.error());
  note(mapping.uuid, ran.problem);
  if (is_throttle(ended.error())) {
    ran.kind = Ran::Kind::kThrottled;
    co_return ran;
  }
  // What the pipe's target, enrichment or role refuses counts as an attempt.
  ran.kind = Ran::Kind::kAnswered;
  ran.answer.function_error = "Unhandled";
  co_return ran;
}

// One batch through the pipe. Answers the failures of some of it in the form that functions report them in; empty: all
// went through.
Task<std::string> PipesService::flow_through(Mapping mapping, std::string event, std::string trace) {
  const Home home{mapping.account, mapping.region};
  Flow flow;
  {
    const auto snapshot = deps_.db.snapshot();
    const auto pipe = co_await find_pipe(*snapshot, home, mapping.function);
    if (!pipe) co_return err::NotFoundException(cat("Pipe ", mapping.function, " does not exist."));
    flow.definition = typed(Json::parse(pipe->definition));
  }
  const CreatePipeRequest& d = flow.definition;
  const std::string enrichment = d.enrichment.value_or("");
  flow.around = {pipe_arn(home, d.name), d.name, d.source, enrichment, d.target, deps_.clock.now()};
  flow.ordered = mapping.kind == lambda::esm::SourceKind::kStream || mapping.fifo();
  flow.trace = trace;
  Json batch = Json::parse(event);
  flow.originals = std::move(batch["Records"].as_array());
  std::vector<std::string> ids;
  for (const Json& record : flow.originals) ids.push_back(identifier_of(record));

  Ctx ctx = deps_.cloud.internal_context(co_await session(mapping, d.role_arn), home.account, home.region);
  ctx.trace = trace;
  if (!enrichment.empty()) {
    const std::string filled = d.enrichment_parameters ? d.enrichment_parameters->input_template.value_or("") : "";
    std::vector<Json> inputs;
    for (const Json& one : flow.originals) inputs.push_back(transformed(one, filled, flow.around));
    const std::vector<Json> sources = std::exchange(flow.originals, {});
    size_t bytes = 0;
    const bool together = enrichment.find(":lambda:") != std::string::npos;
    for (size_t i = 0; i < (together ? 1 : inputs.size()); ++i) {
      kernel::TargetInput input;
      input.body = together ? array_text(inputs) : text_of(inputs[i]);
      input.trace = trace;
      input.wait = true;
      if (d.enrichment_parameters && d.enrichment_parameters->http_parameters)
        input.parameters["Http"] = http_of(*d.enrichment_parameters->http_parameters, view_of(sources[i]));
      const std::string answer = co_await deps_.cloud.deliver(ctx, enrichment, std::move(input));
      bytes += answer.size();
      if (bytes > kMaxEnriched) co_return err::ValidationException("The enrichment's answer is larger than 6 MB.");
      for (Json& one : enriched(answer)) flow.originals.push_back(std::move(one));
    }
    if (flow.originals.empty()) co_return "";
  }
  const std::string filled = d.target_parameters ? d.target_parameters->input_template.value_or("") : "";
  for (const Json& one : flow.originals) flow.events.push_back(transformed(one, filled, flow.around));

  if (d.target.find(":lambda:") != std::string::npos) {
    kernel::TargetInput input;
    input.body = array_text(flow.events);
    input.trace = trace;
    const bool given = d.target_parameters && d.target_parameters->lambda_function_parameters;
    input.wait = !given || d.target_parameters->lambda_function_parameters->invocation_type !=
                               PipeTargetInvocationType::FIRE_AND_FORGET;
    const std::string answer = co_await deps_.cloud.deliver(ctx, d.target, std::move(input));
    // Functions that don't report failures may answer anything.
    const auto reported = lambda::esm::reported_failures(answer);
    co_return reported && !reported->empty() ? answer : "";
  }
  const std::vector<size_t> failed = co_await send(ctx, flow, mapping.uuid);
  if (failed.empty()) co_return "";
  // After an enrichment that made more or fewer of them, nobody knows which record an event came from.
  if (flow.events.size() != ids.size()) co_return err::ValidationException("Some events could not be delivered.");
  std::vector<std::string> names;
  for (const size_t i : failed) names.push_back(ids[i]);
  co_return failures_text(names);
}

}  // namespace virga::pipes
