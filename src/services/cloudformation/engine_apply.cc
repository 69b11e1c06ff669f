// Going forward: making and changing resources in order of their dependencies.
#include <algorithm>

#include "base/id.h"
#include "base/str.h"
#include "services/cloudformation/engine.h"
#include "services/cloudformation/refusal.h"

namespace virga::cloudformation {

namespace {

bool is_done(const ResourceRecord& resource, const StackRecord& stack) {
  return resource.operation == stack.operation && resource.status.ends_with("_COMPLETE") && resource.started.empty();
}

// Whether some changed property takes a new resource.
bool needs_replacement(const MadeRecord& made, const Json& properties) {
  const Json former = object_of(made.properties);
  const auto differs = [&](const Json& a, const Json& b) {
    return std::any_of(a.as_object().begin(), a.as_object().end(), [&](const auto& member) {
      const Json* other = b.find(member.first);
      return (!other || *other != member.second) && recreation_of(made.type, member.first) == Recreation::kAlways;
    });
  };
  return differs(former, properties) || differs(properties, former);
}

std::vector<std::string> failed_resources(const std::map<std::string, ResourceRecord>& all,
                                          const std::string& operation) {
  std::vector<std::string> out;
  for (const auto& [name, resource] : all) {
    if (resource.operation == operation && resource.status.ends_with("_FAILED")) out.push_back(name);
  }
  return out;
}

}  // namespace

Task<void> Engine::apply(Work& work) {
  co_await prepare_work(work);
  for (const LiveResource& live : work.prepared.resources) {
    if (stopping_) co_return;
    co_await apply_resource(work, live);
  }
  if (!stopping_) co_await finish_apply(work);
}

Task<void> Engine::apply_resource(Work& work, const LiveResource& live) {
  const auto found = work.resources.find(live.name);
  if (found != work.resources.end() && is_done(found->second, work.stack)) co_return;
  Json properties = work.resolver.resolve(live.properties);
  if (!properties.is_object()) properties = Json::object();
  if (found == work.resources.end() || !found->second.exists())
    co_return co_await make(work, live, std::move(properties), false);
  ResourceRecord& resource = found->second;
  const bool same = resource.made.type == live.type && Json::parse(resource.made.properties) == properties;
  if (!same) {
    if (resource.made.type != live.type || needs_replacement(resource.made, properties))
      co_return co_await make(work, live, std::move(properties), true);
    co_return co_await change(work, live, std::move(properties));
  }
  // Only what CloudFormation itself keeps may have changed.
  ResourceRecord kept = resource;
  kept.made.deletion_policy = live.deletion_policy;
  kept.made.update_replace_policy = live.update_replace_policy;
  kept.depends = live.depends;
  kept.metadata = live.metadata;
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store(tx).put_resource(work.stack.id, kept);
    co_return;
  });
  resource = std::move(kept);
}

Task<void> Engine::make(Work& work, const LiveResource& live, Json properties, bool replacement) {
  ResourceRecord resource;
  if (const auto found = work.resources.find(live.name); found != work.resources.end()) resource = found->second;
  const bool repeated = !resource.started.empty() && resource.operation == work.stack.operation;
  const std::string verb = replacement ? "UPDATE" : "CREATE";
  const Provider* provider = find_provider(live.type);
  MadeRecord next{.type = live.type,
                  .properties = properties.dump(),
                  .deletion_policy = live.deletion_policy,
                  .update_replace_policy = live.update_replace_policy};
  const MadeRecord former = resource.made;
  if (!replacement) resource.made = next;
  resource.logical_id = live.name;
  resource.depends = live.depends;
  resource.metadata = live.metadata;
  if (!repeated) {
    resource.added = !replacement;
    resource.former.reset();
    if (replacement) resource.former = former;
    resource.started = provider ? plan_name(*provider, work.stack.name, live.name, properties) : "";
    co_await record(
        work, resource, cat(verb, "_IN_PROGRESS"),
        replacement ? "Requested update requires the creation of a new physical resource; hence creating one." : "",
        replacement ? former.physical_id : "");
    resource = work.resources.at(live.name);
  }
  if (!provider) {
    resource.started.clear();
    const std::string why = cat("Resource type ", live.type, " is not served by Virga");
    co_await record(work, resource, cat(verb, "_FAILED"), why, "");
    co_await fail(validation_error(why));
  }
  if (replacement && provider->name_property.size() && properties.find(provider->name_property) &&
      resource.started == former.physical_id) {
    const std::string why =
        cat("CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename ",
            resource.started, " and update the stack again.");
    resource.started.clear();
    co_await record(work, resource, cat(verb, "_FAILED"), why, former.physical_id);
    co_await fail(validation_error(why));
  }
  kernel::Ctx ctx = context_for(work);
  MadeRecord planned = next;
  planned.physical_id = resource.started;
  Call call = call_for(work, ctx, live.name, planned);
  call.repeated = repeated;
  auto result = co_await as_result(create(*provider, call));
  if (!result) {
    const std::string why = reason_of(result.error(), call.token);
    resource.started.clear();
    if (!call.created.empty()) {
      // Half made: known, so that turning back removes it.
      resource.made = next;
      resource.made.physical_id = call.created;
    }
    co_await record(work, resource, cat(verb, "_FAILED"), why, call.created);
    co_await fail(validation_error(why));
  }
  resource.started.clear();
  resource.made = std::move(next);
  resource.made.physical_id = result->physical_id;
  resource.made.attributes = result->attributes.dump();
  resource.order = ++work.stack.next_order;
  if (!replacement)
    co_await record(work, resource, "CREATE_IN_PROGRESS", "Resource creation Initiated", result->physical_id);
  co_await record(work, resource, cat(verb, "_COMPLETE"), "", result->physical_id);
}

Task<void> Engine::change(Work& work, const LiveResource& live, Json properties) {
  ResourceRecord resource = work.resources.at(live.name);
  const Provider* provider = find_provider(live.type);
  const bool repeated = resource.operation == work.stack.operation && resource.former;
  if (!repeated) {
    resource.former = resource.made;
    resource.added = false;
    co_await record(work, resource, "UPDATE_IN_PROGRESS", "", resource.made.physical_id);
  }
  kernel::Ctx ctx = context_for(work);
  Call call = call_for(work, ctx, live.name, resource.made);
  call.former = object_of(resource.former->properties);
  call.properties = properties;
  call.repeated = repeated;
  auto result = co_await as_result(update(*provider, call));
  if (!result) {
    const std::string why = reason_of(result.error(), call.token);
    co_await record(work, resource, "UPDATE_FAILED", why, resource.made.physical_id);
    co_await fail(validation_error(why));
  }
  resource.made.properties = properties.dump();
  resource.made.deletion_policy = live.deletion_policy;
  resource.made.update_replace_policy = live.update_replace_policy;
  resource.made.attributes = result->attributes.dump();
  resource.made.physical_id = result->physical_id;
  resource.depends = live.depends;
  resource.metadata = live.metadata;
  co_await record(work, resource, "UPDATE_COMPLETE", "", result->physical_id);
}

// Outputs and exports; then what an update leaves over becomes trash.
Task<void> Engine::finish_apply(Work& work) {
  const Json outputs = live_outputs(work.prepared, work.resolver);
  std::vector<OutputRecord> records;
  for (const auto& [key, output] : outputs.as_object()) {
    if (!output.find("Value")) co_await fail(template_error(cat("Output ", key, " is null")));
    OutputRecord record{
        .key = key, .value = scalar_text(*output.find("Value")), .description = output.string_or("Description")};
    if (const Json* exported = output.find("Export"); exported && exported->find("Name"))
      record.export_name = scalar_text(*exported->find("Name"));
    records.push_back(std::move(record));
  }
  std::vector<std::string> imported = work.resolver.imported;
  imported.insert(imported.end(), work.prepared.resolver.imported.begin(), work.prepared.resolver.imported.end());
  std::vector<std::string> live;
  for (const LiveResource& r : work.prepared.resources) live.push_back(r.name);

  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx);
    auto stack = co_await store.find_stack(work.stack.account, work.stack.region, work.stack.id);
    for (const OutputRecord& old : stack->outputs) {
      if (old.export_name.empty()) continue;
      const auto kept = std::find_if(records.begin(), records.end(),
                                     [&](const OutputRecord& r) { return r.export_name == old.export_name; });
      if (kept != records.end() && kept->value == old.value) continue;
      const auto users = co_await store.importers(stack->account, stack->region, old.export_name);
      if (!users.empty())
        co_await fail(validation_error(cat("Export ", old.export_name, " cannot be ",
                                           kept == records.end() ? "deleted" : "updated", " as it is in use by ",
                                           name_in(users.front()))));
      store.drop_export(*stack, old.export_name);
    }
    for (const OutputRecord& output : records) {
      if (output.export_name.empty()) continue;
      const auto taken = co_await store.find_export(stack->account, stack->region, output.export_name);
      if (taken && taken->stack_id != stack->id)
        co_await fail(validation_error(cat("Export with name ", output.export_name, " is already exported by stack ",
                                           name_in(taken->stack_id),
                                           ". Export names must be unique across a given account and region.")));
      store.put_export(*stack, {output.export_name, output.value, stack->id});
    }
    for (const auto& [name, value] : work.exports) {
      if (std::find(imported.begin(), imported.end(), name) == imported.end()) store.drop_import(*stack, name);
    }
    for (const std::string& name : imported) store.put_import(*stack, name);
    stack->outputs = records;

    uint32_t order = 0;
    auto resources = co_await store.resources(stack->id);
    // What was made last goes first.
    std::sort(resources.begin(), resources.end(), [](const auto& a, const auto& b) { return a.order > b.order; });
    for (ResourceRecord& resource : resources) {
      if (std::find(live.begin(), live.end(), resource.logical_id) == live.end()) {
        if (resource.exists()) store.put_trash(stack->id, order++, {resource.logical_id, resource.made, false});
        store.drop_resource(stack->id, resource.logical_id);
        continue;
      }
      if (resource.former && resource.former->physical_id != resource.made.physical_id)
        store.put_trash(stack->id, order++, {resource.logical_id, *resource.former, true});
      if (!resource.former && !resource.added) continue;
      resource.former.reset();
      resource.added = false;
      store.put_resource(stack->id, resource);
    }
    if (stack->creating) {
      stack->phase = Phase::kNone;
      stack->creating = false;
      store.set_running(*stack, false);
      set_status(store, *stack, "CREATE_COMPLETE", "");
    } else {
      stack->phase = Phase::kCleanup;
      set_status(store, *stack, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "");
    }
    store.put_stack(*stack);
  });
}

Task<void> Engine::turn_back(Work& work, std::string reason) {
  const std::vector<std::string> failed = failed_resources(work.resources, work.stack.operation);
  const std::string_view verb = work.stack.creating ? "create" : "update";
  const std::string why = failed.empty()
                              ? cat(reason, reason.ends_with('.') ? " " : ". ")
                              : cat("The following resource(s) failed to ", verb, ": [", join(failed, ", "), "]. ");
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx);
    auto stack = co_await store.find_stack(work.stack.account, work.stack.region, work.stack.id);
    stack->failure = why;
    const bool stay = stack->disable_rollback || (stack->creating && stack->on_failure == "DO_NOTHING");
    if (stay) {
      set_status(store, *stack, stack->creating ? "CREATE_FAILED" : "UPDATE_FAILED", why);
      stack->phase = Phase::kNone;
      stack->creating = false;
      stack->former.reset();
      store.set_running(*stack, false);
    } else if (stack->creating && stack->on_failure == "DELETE") {
      stack->phase = Phase::kDelete;
      set_status(store, *stack, "DELETE_IN_PROGRESS", cat(why, "Delete requested by user."));
    } else {
      stack->phase = Phase::kRollback;
      set_status(store, *stack, stack->creating ? "ROLLBACK_IN_PROGRESS" : "UPDATE_ROLLBACK_IN_PROGRESS",
                 stack->creating ? cat(why, "Rollback requested by user.") : why);
    }
    store.put_stack(*stack);
  });
}

}  // namespace virga::cloudformation
