// AWS::Events::{EventBus, EventBusPolicy, Rule, Archive, Connection, ApiDestination}.
#include "base/str.h"
#include "services/cloudformation/resources/provider.h"

namespace virga::cloudformation {

namespace {

Json named(const Call& call, std::string_view key = "Name") {
  return Json::object({{std::string(key), call.physical_id}});
}

// Patterns are text to the service and objects in templates.
void write_pattern(Json& input) {
  if (Json* pattern = input.find("EventPattern"); pattern && !pattern->is_string()) *pattern = pattern->dump();
}

std::string bus_arn(const Call& call) { return kernel::arn(call.ctx, "events", cat("event-bus/", call.physical_id)); }

Made made_of_bus(const Call& call) {
  Json attributes = Json::object({{"Arn", bus_arn(call)}, {"Name", call.physical_id}});
  if (const Json* policy = call.find("Policy")) attributes["Policy"] = document_text(*policy);
  return {call.physical_id, std::move(attributes)};
}

Task<void> set_policy(Call& call) {
  if (const Json* policy = call.find("Policy")) {
    co_await call.api("events", "PutPermission",
                      Json::object({{"EventBusName", call.physical_id}, {"Policy", document_text(*policy)}}));
  } else if (call.former.find("Policy")) {
    co_await call.api("events", "RemovePermission",
                      Json::object({{"EventBusName", call.physical_id}, {"RemoveAllPermissions", true}}));
  }
}

Task<Made> create_bus(Call& call) {
  Json input = only(call.properties, "EventSourceName Description KmsKeyIdentifier DeadLetterConfig LogConfig");
  input["Name"] = call.physical_id;
  if (Json tags = call.tag_list(); !tags.as_array().empty()) input["Tags"] = std::move(tags);
  co_await call.create("ResourceAlreadyExistsException", "events", "CreateEventBus", std::move(input));
  call.created = call.physical_id;
  co_await set_policy(call);
  co_return made_of_bus(call);
}

Task<Made> update_bus(Call& call) {
  Json input = only(call.properties, "Description KmsKeyIdentifier DeadLetterConfig LogConfig");
  input["Name"] = call.physical_id;
  co_await call.api("events", "UpdateEventBus", std::move(input));
  co_await set_policy(call);
  co_await call.retag("events", "ResourceARN", bus_arn(call), call.tag_list());
  co_return made_of_bus(call);
}

Task<void> remove_bus(Call& call) { co_await call.api("events", "DeleteEventBus", named(call)); }

// A statement of a bus's policy, named <bus>|<statement>.
Task<Made> put_bus_policy(Call& call) {
  const std::string bus = call.text("EventBusName").empty() ? "default" : call.text("EventBusName");
  const std::string statement_id(need(call.properties, "StatementId").as_string());
  Json input = Json::object({{"EventBusName", bus}, {"StatementId", statement_id}});
  if (const Json* statement = call.find("Statement")) {
    // A whole statement joins the bus's policy.
    const Json described = co_await call.api("events", "DescribeEventBus", Json::object({{"Name", bus}}));
    const std::string old = described.string_or("Policy");
    Json document =
        old.empty() ? Json::object({{"Version", "2012-10-17"}, {"Statement", Json::array()}}) : Json::parse(old);
    Json& all = document["Statement"];
    std::erase_if(all.as_array(), [&](const Json& s) { return s.string_or("Sid") == statement_id; });
    Json added = *statement;
    added["Sid"] = statement_id;
    all.push_back(std::move(added));
    input = Json::object({{"EventBusName", bus}, {"Policy", document.dump()}});
  } else {
    input["Action"] = need(call.properties, "Action");
    input["Principal"] = need(call.properties, "Principal");
    if (const Json* condition = call.find("Condition")) input["Condition"] = *condition;
  }
  co_await call.api("events", "PutPermission", std::move(input));
  call.created = cat(bus, "|", statement_id);
  co_return Made{call.created};
}

Task<void> remove_bus_policy(Call& call) {
  const auto [bus, statement] = split_once(call.physical_id, '|');
  co_await call.api_unless("ResourceNotFoundException", "events", "RemovePermission",
                           Json::object({{"EventBusName", bus}, {"StatementId", statement}}));
}

// A rule is named by its name on the default bus, and by <bus>|<name> on another.
struct RuleId {
  std::string bus, name;
  explicit RuleId(std::string_view id) {
    const size_t bar = id.find('|');
    bus = bar == id.npos ? "default" : id.substr(0, bar);
    name = bar == id.npos ? id : id.substr(bar + 1);
  }
};

Json target_ids(const Json* targets) {
  Json out = Json::array();
  if (targets && targets->is_array()) {
    for (const Json& target : targets->as_array()) out.push_back(need(target, "Id"));
  }
  return out;
}

Task<Made> put_rule(Call& call, std::string bus, std::string name, bool fresh) {
  Json input = only(call.properties, "EventPattern ScheduleExpression State Description RoleArn");
  input["Name"] = name;
  input["EventBusName"] = bus;
  write_pattern(input);
  if (Json tags = call.tag_list(); fresh && !tags.as_array().empty()) input["Tags"] = std::move(tags);
  const Json put = co_await call.api("events", "PutRule", std::move(input));
  const std::string short_bus = bus.starts_with("arn:") ? bus.substr(bus.rfind('/') + 1) : bus;
  const std::string arn = put.string_or("RuleArn");
  Made made{short_bus == "default" ? name : cat(short_bus, "|", name),
            Json::object({{"Arn", arn}, {"RuleName", name}})};
  if (fresh) call.created = made.physical_id;
  if (!fresh) co_await call.retag("events", "ResourceARN", arn, call.tag_list());
  const Json* targets = call.find("Targets");
  if (!fresh) {
    // What the template no longer names goes, the rest is written over.
    Json gone = target_ids(call.former.find("Targets"));
    const Json kept = target_ids(targets);
    std::erase_if(gone.as_array(), [&](const Json& id) {
      for (const Json& k : kept.as_array()) {
        if (k == id) return true;
      }
      return false;
    });
    if (!gone.as_array().empty()) {
      co_await call.api("events", "RemoveTargets",
                        Json::object({{"Rule", name}, {"EventBusName", bus}, {"Ids", std::move(gone)}}));
    }
  }
  if (targets && targets->is_array() && !targets->as_array().empty()) {
    co_await call.api("events", "PutTargets",
                      Json::object({{"Rule", name}, {"EventBusName", bus}, {"Targets", *targets}}));
  }
  co_return made;
}

Task<Made> create_rule(Call& call) {
  const std::string bus = call.text("EventBusName").empty() ? "default" : call.text("EventBusName");
  // A step that runs again finds the rule as it left it; tags are for new rules only.
  const bool there =
      call.repeated && (co_await call.api_unless("ResourceNotFoundException", "events", "DescribeRule",
                                                 Json::object({{"Name", call.physical_id}, {"EventBusName", bus}})));
  const std::string name = call.physical_id;
  Made made = co_await put_rule(call, bus, name, !there);
  call.created = made.physical_id;
  co_return made;
}

Task<Made> update_rule(Call& call) {
  const RuleId id(call.physical_id);
  co_return co_await put_rule(call, id.bus, id.name, false);
}

Task<void> remove_rule(Call& call) {
  const RuleId id(call.physical_id);
  const Json rule = Json::object({{"Rule", id.name}, {"EventBusName", id.bus}});
  const auto targets = co_await call.api_unless("ResourceNotFoundException", "events", "ListTargetsByRule", rule);
  if (!targets) co_return;
  Json ids = target_ids(targets->find("Targets"));
  if (!ids.as_array().empty()) {
    Json input = rule;
    input["Ids"] = std::move(ids);
    co_await call.api("events", "RemoveTargets", std::move(input));
  }
  co_await call.api_unless("ResourceNotFoundException", "events", "DeleteRule",
                           Json::object({{"Name", id.name}, {"EventBusName", id.bus}}));
}

Made made_of_archive(const Call& call) {
  return {call.physical_id, Json::object({{"Arn", kernel::arn(call.ctx, "events", cat("archive/", call.physical_id))},
                                          {"ArchiveName", call.physical_id}})};
}

Json archive_input(const Call& call, std::string_view names) {
  Json input = only(call.properties, names);
  input["ArchiveName"] = call.physical_id;
  if (const Json* source = call.find("SourceArn"); source && names.find("SourceArn") != names.npos) {
    input.erase("SourceArn");
    input["EventSourceArn"] = *source;
  }
  write_pattern(input);
  return input;
}

Task<Made> create_archive(Call& call) {
  co_await call.create("ResourceAlreadyExistsException", "events", "CreateArchive",
                       archive_input(call, "Description EventPattern RetentionDays KmsKeyIdentifier SourceArn"));
  call.created = call.physical_id;
  co_return made_of_archive(call);
}

Task<Made> update_archive(Call& call) {
  co_await call.api("events", "UpdateArchive",
                    archive_input(call, "Description EventPattern RetentionDays KmsKeyIdentifier"));
  co_return made_of_archive(call);
}

Task<void> remove_archive(Call& call) {
  co_await call.api_unless("ResourceNotFoundException", "events", "DeleteArchive", named(call, "ArchiveName"));
}

// What connections and API destinations have in common: how their operations and ARNs are named, and what the two that
// make and change them take.
struct Named {
  std::string_view operation, arn, takes;
};
constexpr Named kConnection{
    "Connection", "connection",
    "AuthorizationType AuthParameters Description KmsKeyIdentifier InvocationConnectivityParameters"};
constexpr Named kDestination{"ApiDestination", "api-destination",
                             "ConnectionArn Description HttpMethod InvocationEndpoint InvocationRateLimitPerSecond"};

Json input_of(const Call& call, const Named& kind) {
  Json input = only(call.properties, kind.takes);
  input["Name"] = call.physical_id;
  return input;
}

template <const Named& kKind>
Task<Made> made_of_named(Call& call) {
  const Json found = co_await call.api("events", cat("Describe", kKind.operation), named(call));
  co_return Made{
      call.physical_id,
      Json::object({{"Arn", *found.find(cat(kKind.operation, "Arn"))},
                    {"ArnForPolicy", kernel::arn(call.ctx, "events", cat(kKind.arn, "/", call.physical_id))}})};
}

template <const Named& kKind>
Task<Made> create_named(Call& call) {
  co_await call.create("ResourceAlreadyExistsException", "events", cat("Create", kKind.operation),
                       input_of(call, kKind));
  call.created = call.physical_id;
  co_return co_await made_of_named<kKind>(call);
}

template <const Named& kKind>
Task<Made> update_named(Call& call) {
  co_await call.api("events", cat("Update", kKind.operation), input_of(call, kKind));
  co_return co_await made_of_named<kKind>(call);
}

template <const Named& kKind>
Task<void> remove_named(Call& call) {
  co_await call.api_unless("ResourceNotFoundException", "events", cat("Delete", kKind.operation), named(call));
}

constexpr Provider kProviders[] = {
    {.type = "AWS::Events::EventBus",
     .name_property = "Name",
     .name_most = 256,
     .properties = "DeadLetterConfig Description EventSourceName KmsKeyIdentifier LogConfig Name Policy Tags",
     .replace_on = "Name EventSourceName",
     .create = create_bus,
     .update = update_bus,
     .remove = remove_bus},
    {.type = "AWS::Events::EventBusPolicy",
     .properties = "Action Condition EventBusName Principal Statement StatementId",
     .replace_on = "EventBusName StatementId",
     .create = put_bus_policy,
     .update = put_bus_policy,
     .remove = remove_bus_policy},
    {.type = "AWS::Events::Rule",
     .name_property = "Name",
     .properties = "Description EventBusName EventPattern Name RoleArn ScheduleExpression State Tags Targets",
     .replace_on = "Name EventBusName",
     .create = create_rule,
     .update = update_rule,
     .remove = remove_rule},
    {.type = "AWS::Events::Archive",
     .name_property = "ArchiveName",
     .name_most = 48,
     .properties = "ArchiveName Description EventPattern KmsKeyIdentifier RetentionDays SourceArn",
     .replace_on = "ArchiveName SourceArn",
     .create = create_archive,
     .update = update_archive,
     .remove = remove_archive},
    {.type = "AWS::Events::Connection",
     .name_property = "Name",
     .properties = "AuthParameters AuthorizationType Description InvocationConnectivityParameters KmsKeyIdentifier "
                   "Name",
     .replace_on = "Name",
     .create = create_named<kConnection>,
     .update = update_named<kConnection>,
     .remove = remove_named<kConnection>},
    {.type = "AWS::Events::ApiDestination",
     .name_property = "Name",
     .properties = "ConnectionArn Description HttpMethod InvocationEndpoint InvocationRateLimitPerSecond Name",
     .replace_on = "Name",
     .create = create_named<kDestination>,
     .update = update_named<kDestination>,
     .remove = remove_named<kDestination>},
};

}  // namespace

std::span<const Provider> events_providers() { return kProviders; }

}  // namespace virga::cloudformation
