#include <aws/events/errors.h>

#include <stdexcept>

#include "base/str.h"
#include "kernel/cloud.h"
#include "kernel/policy.h"
#include "services/events/limits.h"
#include "services/events/list.h"
#include "services/events/service.h"

namespace virga::events {
namespace {

// What isn't built, by name.
template <class In>
void refuse_unserved(const In& in) {
  if (in.kms_key_identifier && !in.kms_key_identifier->empty()) {
    throw err::ValidationException("KmsKeyIdentifier is not served: event buses are not encrypted with KMS keys.");
  }
  if (in.log_config && in.log_config->level && *in.log_config->level != Level::OFF) {
    throw err::ValidationException("LogConfig is not served: event buses write no logs.");
  }
}

std::optional<DeadLetterConfig> dead_letter(const BusRecord& bus) {
  if (bus.dead_letter.empty()) return std::nullopt;
  DeadLetterConfig out;
  out.arn = bus.dead_letter;
  return out;
}

template <class Out>
void describe(Out& out, const Home& home, const BusRecord& bus) {
  out.name = bus.name;
  out.arn = bus_arn(home, bus.name);
  if (!bus.description.empty()) out.description = bus.description;
  if (!bus.policy.empty()) out.policy = bus.policy;
  if (bus.created.micros) {
    out.creation_time = bus.created;
    out.last_modified_time = bus.modified;
  }
}

}  // namespace

Task<CreateEventBusResponse> EventsService::create_event_bus(Ctx& ctx, const CreateEventBusRequest& in) {
  refuse_unserved(in);
  if (in.event_source_name) co_return err::ValidationException("EventSourceName is not served: partner event sources.");
  if (in.name == "default" || in.name.find('/') != std::string::npos || in.name.starts_with("aws.")) {
    if (in.name == "default") co_return err::ResourceAlreadyExistsException("Event bus default already exists.");
    co_return err::ValidationException(cat("Event bus name ", in.name, " is not valid."));
  }
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<CreateEventBusResponse> {
    WriteStore store(tx, home_of(ctx));
    if (co_await store.find<BusRecord>(in.name)) {
      co_return err::ResourceAlreadyExistsException(cat("Event bus ", in.name, " already exists."));
    }
    if (co_await store.is_full<BusRecord>(kMaxBuses)) co_return too_many();
    BusRecord bus;
    bus.name = in.name;
    bus.description = in.description.value_or("");
    if (in.dead_letter_config) bus.dead_letter = in.dead_letter_config->arn.value_or("");
    bus.tags = tags_of(in.tags);
    bus.created = bus.modified = ctx.now();
    store.put(bus);
    store.change(bus.name);
    CreateEventBusResponse out;
    out.event_bus_arn = bus_arn(home_of(ctx), bus.name);
    out.description = in.description;
    out.dead_letter_config = dead_letter(bus);
    co_return out;
  });
}

Task<op::DeleteEventBus::Output> EventsService::delete_event_bus(Ctx& ctx, const DeleteEventBusRequest& in) {
  const BusName name = bus_named(ctx, in.name);
  if (name.name == "default") co_return err::ValidationException("Cannot delete event bus default.");
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, name.home);
    if (!co_await store.find<BusRecord>(name.name)) co_return;
    if (!(co_await store.list<RuleRecord>("", "", 1, name.name)).empty()) {
      co_await fail(err::ValidationException(cat("Event bus ", name.name, " can't be deleted since it has rules.")));
    }
    store.erase<BusRecord>(name.name);
    store.change(name.name);
  });
  co_return op::DeleteEventBus::Output{};
}

Task<DescribeEventBusResponse> EventsService::describe_event_bus(Ctx& ctx, const DescribeEventBusRequest& in) {
  const BusName name = any_bus_named(ctx, in.name);
  const auto snapshot = deps_.db.snapshot();
  auto bus = co_await Store(*snapshot, name.home).find<BusRecord>(name.name);
  if (!bus && name.name != "default") co_return no_bus(name.name);
  if (!bus) bus.emplace().name = "default";
  DescribeEventBusResponse out;
  describe(out, name.home, *bus);
  out.dead_letter_config = dead_letter(*bus);
  co_return out;
}

Task<ListEventBusesResponse> EventsService::list_event_buses(Ctx& ctx, const ListEventBusesRequest& in) {
  ListEventBusesResponse out;
  out.event_buses.emplace();
  const Home home = home_of(ctx);
  const std::string prefix = in.name_prefix.value_or("");
  if (!in.next_token && std::string_view("default").starts_with(prefix)) {
    // The default bus has a record only once something was said about it.
    const auto snapshot = deps_.db.snapshot();
    if (!co_await Store(*snapshot, home).find<BusRecord>("default")) {
      BusRecord bus;
      bus.name = "default";
      describe(out.event_buses->emplace_back(), home, bus);
    }
  }
  const auto page =
      co_await list_page<BusRecord>(deps_, ctx, {"events:ListEventBuses", prefix, in.next_token, in.limit, home, ""},
                                    out.next_token, [](const BusRecord&) { return true; });
  for (const BusRecord& bus : page) describe(out.event_buses->emplace_back(), home, bus);
  co_return out;
}

Task<UpdateEventBusResponse> EventsService::update_event_bus(Ctx& ctx, const UpdateEventBusRequest& in) {
  refuse_unserved(in);
  const BusName name = bus_named(ctx, in.name);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<UpdateEventBusResponse> {
    WriteStore store(tx, name.home);
    auto bus = co_await store.find<BusRecord>(name.name);
    if (!bus && name.name != "default") co_return no_bus(name.name);
    if (!bus) bus.emplace().name = "default";
    if (in.description) bus->description = *in.description;
    if (in.dead_letter_config) bus->dead_letter = in.dead_letter_config->arn.value_or("");
    bus->modified = ctx.now();
    if (!bus->created.micros) bus->created = bus->modified;
    store.put(*bus);
    UpdateEventBusResponse out;
    out.arn = bus_arn(name.home, name.name);
    out.name = name.name;
    if (!bus->description.empty()) out.description = bus->description;
    out.dead_letter_config = dead_letter(*bus);
    co_return out;
  });
}

Task<op::PutPermission::Output> EventsService::put_permission(Ctx& ctx, const PutPermissionRequest& in) {
  const BusName name = bus_named(ctx, in.event_bus_name);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::PutPermission::Output> {
    WriteStore store(tx, name.home);
    auto bus = co_await store.find<BusRecord>(name.name);
    if (!bus && name.name != "default") co_return no_bus(name.name);
    if (!bus) {
      bus.emplace().name = "default";
      bus->created = ctx.now();
    }
    if (in.policy) {
      if (in.action || in.principal || in.statement_id || in.condition) {
        co_return err::ValidationException(
            "Policy can't be given together with Action, Principal, StatementId or Condition.");
      }
      bus->policy = *in.policy;
    } else {
      if (!in.action || !in.principal || !in.statement_id) {
        co_return err::ValidationException("Action, Principal and StatementId are required when no Policy is given.");
      }
      Json document = bus->policy.empty() ? Json::object({{"Version", "2012-10-17"}, {"Statement", Json::array()}})
                                          : Json::parse(bus->policy);
      Json& statements = document["Statement"];
      if (!statements.is_array()) statements = Json(Json::Array{statements});
      std::erase_if(statements.as_array(), [&](const Json& s) { return s.string_or("Sid") == *in.statement_id; });
      Json statement = Json::object({{"Sid", *in.statement_id}, {"Effect", "Allow"}});
      statement["Principal"] =
          *in.principal == "*" ? Json("*") : Json::object({{"AWS", cat("arn:aws:iam::", *in.principal, ":root")}});
      statement["Action"] = *in.action;
      statement["Resource"] = bus_arn(name.home, name.name);
      if (in.condition) statement["Condition"][in.condition->type][in.condition->key] = in.condition->value;
      statements.push_back(std::move(statement));
      bus->policy = document.dump();
    }
    if (bus->policy.size() > kMaxPolicyBytes) {
      co_return err::PolicyLengthExceededException("The event bus policy is longer than 10240 bytes.");
    }
    try {
      kernel::policy::parse(bus->policy, kernel::policy::Type::kResource);
    } catch (const std::invalid_argument&) {
      co_return err::ValidationException("Policy is not a valid JSON policy document.");
    }
    bus->modified = ctx.now();
    store.put(*bus);
    co_return op::PutPermission::Output{};
  });
}

Task<op::RemovePermission::Output> EventsService::remove_permission(Ctx& ctx, const RemovePermissionRequest& in) {
  const BusName name = bus_named(ctx, in.event_bus_name);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<op::RemovePermission::Output> {
    WriteStore store(tx, name.home);
    auto bus = co_await store.find<BusRecord>(name.name);
    if (!bus && name.name != "default") co_return no_bus(name.name);
    if (!bus || bus->policy.empty()) {
      if (in.remove_all_permissions.value_or(false)) co_return op::RemovePermission::Output{};
      co_return err::ResourceNotFoundException("Statement with the provided id does not exist.");
    }
    if (in.remove_all_permissions.value_or(false)) {
      bus->policy.clear();
    } else {
      Json document = Json::parse(bus->policy);
      Json& statements = document["Statement"];
      if (!statements.is_array()) statements = Json(Json::Array{statements});
      const size_t gone = std::erase_if(statements.as_array(), [&](const Json& s) {
        return in.statement_id && s.string_or("Sid") == *in.statement_id;
      });
      if (gone == 0) co_return err::ResourceNotFoundException("Statement with the provided id does not exist.");
      bus->policy = statements.as_array().empty() ? "" : document.dump();
    }
    bus->modified = ctx.now();
    store.put(*bus);
    co_return op::RemovePermission::Output{};
  });
}

// Tags are on buses and rules.
Task<Tags> EventsService::change_tags(Ctx& ctx, std::string arn, Tags set, std::vector<std::string> removed) {
  const auto parsed = kernel::parse_arn(arn);
  if (!parsed || parsed->service != "events" || parsed->account != ctx.account || parsed->region != ctx.region) {
    co_return err::ValidationException("Provided Arn is not in correct format. Reason: Arn is not valid.");
  }
  const auto change = [&](Tags& tags) {
    for (const auto& [key, value] : set) tags[key] = value;
    for (const std::string& key : removed) tags.erase(key);
    if (tags.size() > kMaxTags) throw err::LimitExceededException("A resource has at most 50 tags.");
    return tags;
  };
  const bool changes = !set.empty() || !removed.empty();
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<Tags> {
    WriteStore store(tx, {parsed->account, parsed->region});
    const auto [kind, rest] = split_once(parsed->resource, '/');
    if (kind == "event-bus") {
      auto bus = co_await store.find<BusRecord>(std::string(rest));
      if (!bus && rest != "default") co_return no_bus(rest);
      if (!bus) {
        bus.emplace().name = "default";
        bus->created = bus->modified = ctx.now();
      }
      Tags tags = change(bus->tags);
      if (changes) store.put(*bus);
      co_return tags;
    }
    if (kind != "rule") {
      co_return err::ValidationException(
          cat("Tags of ", kind, " resources are not served: buses and rules have tags."));
    }
    const size_t slash = rest.rfind('/');
    const std::string bus(slash == rest.npos ? "default" : rest.substr(0, slash));
    const std::string name(slash == rest.npos ? rest : rest.substr(slash + 1));
    auto rule = co_await store.find<RuleRecord>(name, bus);
    if (!rule) co_return no_rule(name, bus);
    Tags tags = change(rule->tags);
    if (changes) store.put(*rule, bus);
    co_return tags;
  });
}

Task<TagResourceResponse> EventsService::tag_resource(Ctx& ctx, const TagResourceRequest& in) {
  co_await change_tags(ctx, in.resource_arn, tags_of(in.tags), {});
  co_return TagResourceResponse{};
}

Task<UntagResourceResponse> EventsService::untag_resource(Ctx& ctx, const UntagResourceRequest& in) {
  co_await change_tags(ctx, in.resource_arn, {}, in.tag_keys);
  co_return UntagResourceResponse{};
}

Task<ListTagsForResourceResponse> EventsService::list_tags_for_resource(Ctx& ctx,
                                                                        const ListTagsForResourceRequest& in) {
  const Tags tags = co_await change_tags(ctx, in.resource_arn, {}, {});
  ListTagsForResourceResponse out;
  out.tags.emplace();
  for (const auto& [key, value] : tags) out.tags->push_back({key, value});
  co_return out;
}

}  // namespace virga::events
