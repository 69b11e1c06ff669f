#include <aws/events/errors.h>

#include "base/id.h"
#include "base/str.h"
#include "kernel/authorize.h"
#include "kernel/cloud.h"
#include "kernel/event_pattern.h"
#include "services/events/limits.h"
#include "services/events/service.h"

namespace virga::events {
namespace {

struct Refusal {
  std::string code, message;
};

bool is_object(std::string_view text) {
  try {
    JsonReader reader(text);
    if (reader.peek() != JsonReader::Token::kObject) return false;
    reader.skip_value();
    reader.end();
    return true;
  } catch (const JsonError&) {
    return false;
  }
}

std::optional<Refusal> refusal(const PutEventsRequestEntry& entry) {
  const auto missing = [](std::string_view name) {
    return Refusal{"InvalidArgument",
                   cat("Parameter ", name, " is not valid. Reason: ", name, " is a required argument.")};
  };
  if (!entry.source || entry.source->empty()) return missing("Source");
  if (!entry.detail_type || entry.detail_type->empty()) return missing("DetailType");
  if (!entry.detail || entry.detail->empty()) return missing("Detail");
  if (entry.detail_type->size() > 128) {
    return Refusal{"InvalidArgument",
                   "Parameter DetailType is not valid. Reason: DetailType is longer than 128 characters."};
  }
  if (lower(*entry.source).starts_with("aws.")) {
    return Refusal{"NotAuthorizedForSourceException", "Not authorized for the source."};
  }
  if (!is_object(*entry.detail)) return Refusal{"MalformedDetail", "Detail is malformed."};
  return std::nullopt;
}

// As AWS counts it.
size_t size_of(const PutEventsRequestEntry& entry) {
  size_t size = entry.time ? 14 : 0;
  for (const auto* text : {&entry.source, &entry.detail_type, &entry.detail}) {
    if (*text) size += (*text)->size();
  }
  if (entry.resources) {
    for (const std::string& resource : *entry.resources) size += resource.size();
  }
  return size;
}

std::string list_json(const std::optional<std::vector<std::string>>& list) {
  Json out = Json::array();
  if (list) {
    for (const std::string& element : *list) out.push_back(element);
  }
  return out.dump();
}

}  // namespace

Task<PutEventsResponse> EventsService::put_events(Ctx& ctx, const PutEventsRequest& in) {
  if (in.endpoint_id) co_return err::ValidationException("EndpointId is not served: there are no global endpoints.");
  size_t size = 0;
  for (const PutEventsRequestEntry& entry : in.entries) size += size_of(entry);
  if (size > kMaxRequestBytes) {
    co_return err::ValidationException("Total size of the entries in the request is over the limit.");
  }
  struct Taken {
    BusName bus;
    Event event;
  };
  PutEventsResponse out;
  out.failed_entry_count = 0;
  std::vector<Taken> taken;
  for (const PutEventsRequestEntry& entry : in.entries) {
    PutEventsResultEntry& result = out.entries ? out.entries->emplace_back() : out.entries.emplace().emplace_back();
    if (const auto no = refusal(entry)) {
      result.error_code = no->code;
      result.error_message = no->message;
      ++*out.failed_entry_count;
      continue;
    }
    Taken& t = taken.emplace_back();
    t.bus = any_bus_named(ctx, entry.event_bus_name);
    t.event.id = uuid();
    t.event.time = entry.time.value_or(ctx.now());
    t.event.ingested = ctx.now();
    t.event.trace = entry.trace_header.value_or(ctx.trace);
    Envelope e;
    e.id = t.event.id;
    e.detail_type = *entry.detail_type;
    e.source = *entry.source;
    e.account = ctx.principal.account;
    e.region = ctx.region;
    e.resources = list_json(entry.resources);
    e.detail = compact(*entry.detail);
    e.time = t.event.time;
    t.event.text = envelope(e);
    result.event_id = t.event.id;
  }
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    // An event for a bus that isn't there is taken and goes nowhere, as on AWS.
    for (const Taken& t : taken) co_await router_.route(tx, t.bus.home, t.bus.name, t.event);
  });
  co_return out;
}

Task<TestEventPatternResponse> EventsService::test_event_pattern(Ctx&, const TestEventPatternRequest& in) {
  kernel::EventPattern pattern;
  try {
    pattern = kernel::EventPattern::parse(in.event_pattern);
  } catch (const kernel::PatternError& e) {
    co_return err::InvalidEventPatternException(cat("Event pattern is not valid. Reason: ", e.what()));
  }
  Json event;
  try {
    event = Json::parse(in.event);
  } catch (const JsonError&) {  // no object, as what follows finds
  }
  for (std::string_view field : {"id", "account", "source", "time", "region", "detail-type"}) {
    if (!event.find(field)) co_return err::ValidationException("Parameter Event is not valid.");
  }
  TestEventPatternResponse out;
  out.result = pattern.matches(in.event);
  co_return out;
}

Task<std::string> EventsService::take(Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input) {
  if (target.resource.starts_with("api-destination/")) {
    co_return co_await invoke_destination(ctx, target, std::move(input));
  }
  if (!target.resource.starts_with("event-bus/")) {
    co_return err::ValidationException(cat("Not an event bus or API destination: ", target.resource));
  }
  co_await take_event(ctx, target, std::move(input));
  co_return "";
}

// From a rule (a whole event, with "Event" its id), or from a service that has something to say: then the body is the
// detail, and the parameters "Source", "DetailType" and "Resources" (a JSON list) say the rest.
Task<void> EventsService::take_event(Ctx& ctx, const kernel::Arn& target, kernel::TargetInput input) {
  const Home home{target.account, target.region};
  const std::string bus = target.resource.substr(10);
  const std::string arn = bus_arn(home, bus);
  const bool service = ctx.principal.kind == kernel::Principal::Kind::kService;
  if (!service || ctx.principal.account != target.account) {
    // A service's word for another account is that account's root's.
    Ctx asking = ctx;
    if (service) asking.principal = kernel::root_of(ctx.principal.account);
    asking.account = target.account;
    const auto policy = co_await resource_policy(ctx, arn);
    const auto denied = co_await deps_.cloud.authorizer().why_denied(asking, {"events:PutEvents", arn, {}}, policy);
    if (denied) co_await fail(err::AccessDeniedException(*denied));
  }
  Event event;
  event.trace = input.trace;
  event.ingested = deps_.clock.now();
  const auto parameter = [&](const char* name) {
    const auto found = input.parameters.find(name);
    return found == input.parameters.end() ? std::string() : found->second;
  };
  event.id = parameter("Event");
  if (!event.id.empty()) {
    event.text = std::move(input.body);
    event.hops = static_cast<int>(parse_int(parameter("Hops")).value_or(1));
    event.time = event.ingested;
  } else {
    Envelope e;
    e.id = event.id = uuid();
    e.detail_type = parameter("DetailType");
    e.source = parameter("Source");
    if (e.source.empty() || e.detail_type.empty()) {
      co_await fail(err::ValidationException("An event for a bus needs a Source and a DetailType."));
    }
    if (!service && lower(e.source).starts_with("aws.")) {
      co_await fail(err::ValidationException("Not authorized for the source."));
    }
    if (!is_object(input.body)) co_await fail(err::ValidationException("Detail is malformed."));
    e.account = ctx.principal.account;
    e.region = ctx.region;
    e.detail = compact(input.body);
    e.resources = parameter("Resources");
    if (e.resources.empty()) {
      e.resources = ctx.source_arn.empty() ? "[]" : Json(Json::Array{Json(ctx.source_arn)}).dump();
    }
    const auto time = parse_iso8601(parameter("Time"));
    e.time = event.time = time.value_or(event.ingested);
    event.text = envelope(e);
  }
  bool known = true;
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> { known = co_await router_.route(tx, home, bus, event); });
  if (!known) co_await fail(no_bus(bus));
}

}  // namespace virga::events
