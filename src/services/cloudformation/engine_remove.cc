// Going back and clearing away: roll-backs, what updates leave over, and deletion.
#include <algorithm>

#include "base/str.h"
#include "services/cloudformation/engine.h"
#include "services/cloudformation/references.h"

namespace virga::cloudformation {

namespace {

bool keeps(const std::string& policy) {
  return policy == "Retain" || policy == "RetainExceptOnCreate" || policy == "Snapshot";
}

std::string failed_to(std::string_view what, const std::vector<std::string>& names) {
  return cat("The following resource(s) failed to ", what, ": [", join(names, ", "), "]. ");
}

// Dependents first.
std::vector<std::string> removal_order(const std::map<std::string, ResourceRecord>& all) {
  Graph graph;
  std::vector<std::string> names;
  for (const auto& [name, resource] : all) {
    names.push_back(name);
    auto& needs = graph[name];
    for (const std::string& other : resource.depends) {
      if (all.contains(other) && other != name) needs.insert(other);
    }
  }
  std::sort(names.begin(), names.end(),
            [&](const auto& a, const auto& b) { return all.at(a).order < all.at(b).order; });
  std::vector<std::string> out = dependency_order(names, graph);
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace

Task<bool> Engine::remove_resource(Work& work, std::string logical_id, bool retain) {
  ResourceRecord resource = work.resources.at(logical_id);
  const std::string physical_id = resource.made.physical_id;
  const auto forget = [&resource] {
    resource.made.physical_id.clear();
    resource.started.clear();
  };
  if (retain) {
    forget();
    co_await record(work, resource, "DELETE_SKIPPED", "", physical_id);
    co_return true;
  }
  if (resource.status != "DELETE_IN_PROGRESS" || resource.operation != work.stack.operation)
    co_await record(work, resource, "DELETE_IN_PROGRESS", "", physical_id);
  const Provider* provider = find_provider(resource.made.type);
  if (provider) {
    kernel::Ctx ctx = context_for(work);
    Call call = call_for(work, ctx, logical_id, resource.made);
    auto result = co_await as_result(provider->remove(call));
    if (!result) {
      const std::string why = reason_of(result.error(), call.token);
      co_await record(work, work.resources.at(logical_id), "DELETE_FAILED", why, physical_id);
      co_return false;
    }
  }
  forget();
  co_await record(work, resource, "DELETE_COMPLETE", "", physical_id);
  co_return true;
}

Task<std::vector<std::string>> Engine::remove_all(Work& work, bool deletion) {
  std::vector<std::string> stuck;
  const auto& asked = work.stack.retain;
  for (const std::string& name : removal_order(work.resources)) {
    if (stopping_) break;
    const ResourceRecord& resource = work.resources.at(name);
    if (!resource.exists()) {
      if (deletion || resource.status.starts_with("DELETE_")) continue;
      co_await record(work, resource, "DELETE_COMPLETE", "", "");
      continue;
    }
    const bool listed = deletion && std::find(asked.begin(), asked.end(), name) != asked.end();
    const bool policy =
        keeps(resource.made.deletion_policy) &&
        (deletion || (resource.made.deletion_policy != "RetainExceptOnCreate" && !work.stack.retain_except_on_create));
    // A creation that failed half-way has nothing worth keeping.
    const bool half_made = resource.status == "CREATE_FAILED";
    if (!co_await remove_resource(work, name, listed || (policy && !half_made))) stuck.push_back(name);
  }
  co_return std::move(stuck);
}

Task<void> Engine::roll_back_creation(Work& work) {
  const auto stuck = co_await remove_all(work, false);
  if (stopping_) co_return;
  if (!stuck.empty()) {
    co_await end(work, "ROLLBACK_FAILED", failed_to("delete", stuck));
  } else {
    co_await end(work, "ROLLBACK_COMPLETE", "");
  }
}

// Puts one resource back to what it was before the update.
Task<void> Engine::restore(Work& work, std::string logical_id) {
  ResourceRecord resource = work.resources.at(logical_id);
  const MadeRecord former = *resource.former;
  if (resource.made.physical_id != former.physical_id) {
    const MadeRecord replacement = resource.made;
    resource.made = former;
    resource.former.reset();
    co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
      Store store(tx);
      const auto trash = co_await store.trash(work.stack.id);
      store.put_trash(work.stack.id, trash.empty() ? 0 : trash.back().first + 1,
                      {resource.logical_id, replacement, true});
      store.put_resource(work.stack.id, resource);
    });
    co_return co_await record(work, resource, "UPDATE_COMPLETE", "", former.physical_id);
  }
  co_await record(work, resource, "UPDATE_IN_PROGRESS", "", former.physical_id);
  const Provider* provider = find_provider(former.type);
  kernel::Ctx ctx = context_for(work);
  Call call = call_for(work, ctx, logical_id, resource.made);
  call.former = call.properties;
  // A failed update may have got anywhere: what it wanted counts as what there is.
  call.properties = object_of(former.properties);
  call.repeated = true;
  if (provider && provider->update) {
    auto result = co_await as_result(provider->update(call));
    if (!result) {
      co_await record(work, resource, "UPDATE_FAILED", reason_of(result.error(), call.token), former.physical_id);
      co_return;
    }
  }
  resource.made = former;
  resource.former.reset();
  co_await record(work, resource, "UPDATE_COMPLETE", "", former.physical_id);
}

Task<void> Engine::roll_back_update(Work& work) {
  std::vector<std::string> order = removal_order(work.resources);
  std::reverse(order.begin(), order.end());
  for (const std::string& name : order) {
    if (stopping_) co_return;
    const ResourceRecord& resource = work.resources.at(name);
    if (resource.operation == work.stack.operation && resource.former) co_await restore(work, name);
  }
  std::vector<std::string> stuck;
  for (const auto& [name, resource] : work.resources) {
    if (resource.operation == work.stack.operation && resource.status == "UPDATE_FAILED") stuck.push_back(name);
  }
  if (!stuck.empty()) co_return co_await end(work, "UPDATE_ROLLBACK_FAILED", failed_to("update", stuck));
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx);
    auto stack = co_await store.find_stack(work.stack.account, work.stack.region, work.stack.id);
    const auto trash = co_await store.trash(stack->id);
    uint32_t order = trash.empty() ? 0 : trash.back().first + 1;
    auto resources = co_await store.resources(stack->id);
    std::sort(resources.begin(), resources.end(), [](const auto& a, const auto& b) { return a.order > b.order; });
    for (const ResourceRecord& resource : resources) {
      if (!resource.added || resource.operation != stack->operation) continue;
      if (resource.exists()) store.put_trash(stack->id, order++, {resource.logical_id, resource.made, false});
      store.drop_resource(stack->id, resource.logical_id);
    }
    if (stack->former) stack->now = *stack->former;
    stack->phase = Phase::kRollbackCleanup;
    set_status(store, *stack, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "");
    store.put_stack(*stack);
  });
}

// Deletes what the update replaced or dropped. What will not go stays behind, as AWS leaves it, with an event that says
// so.
Task<void> Engine::clean_up(Work& work) {
  const bool back = work.stack.phase == Phase::kRollbackCleanup;
  std::vector<std::pair<uint32_t, TrashRecord>> all;
  {
    auto snapshot = db_.snapshot();
    all = co_await Store(*snapshot).trash(work.stack.id);
  }
  for (const auto& [order, trash] : all) {
    if (stopping_) co_return;
    const std::string& policy = trash.replaced ? trash.made.update_replace_policy : trash.made.deletion_policy;
    std::string status = "DELETE_COMPLETE", reason;
    const Provider* provider = find_provider(trash.made.type);
    const auto note = [&](std::string what, std::string why, bool done) -> Task<void> {
      co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
        Store store(tx);
        auto stack = co_await store.find_stack(work.stack.account, work.stack.region, work.stack.id);
        const Time now = clock_.now();
        add_event(store, *stack,
                  {.event_id = cat(trash.logical_id, "-", what, "-", iso8601_millis(now)),
                   .logical_id = trash.logical_id,
                   .physical_id = trash.made.physical_id,
                   .type = trash.made.type,
                   .status = what,
                   .reason = why,
                   .token = stack->token,
                   .operation = stack->operation,
                   .at = now});
        if (done) store.drop_trash(stack->id, order);
        store.put_stack(*stack);
      });
    };
    if (!back && keeps(policy)) {
      co_await note("DELETE_SKIPPED", "", true);
      continue;
    }
    co_await note("DELETE_IN_PROGRESS", "", false);
    if (provider) {
      kernel::Ctx ctx = context_for(work);
      Call call = call_for(work, ctx, trash.logical_id, trash.made);
      auto result = co_await as_result(provider->remove(call));
      if (!result) {
        status = "DELETE_FAILED";
        reason = reason_of(result.error(), call.token);
      }
    }
    co_await note(status, reason, true);
  }
  if (back) co_return co_await end(work, "UPDATE_ROLLBACK_COMPLETE", "");
  co_await end(work, "UPDATE_COMPLETE", "");
}

Task<void> Engine::remove_stack(Work& work) {
  {
    auto snapshot = db_.snapshot();
    Store store(*snapshot);
    for (const OutputRecord& output : work.stack.outputs) {
      if (output.export_name.empty()) continue;
      const auto users = co_await store.importers(work.stack.account, work.stack.region, output.export_name);
      if (users.empty()) continue;
      co_return co_await end(
          work, "DELETE_FAILED",
          cat("Export ", output.export_name, " cannot be deleted as it is in use by ", name_in(users.front())));
    }
  }
  const auto stuck = co_await remove_all(work, true);
  if (stopping_) co_return;
  if (!stuck.empty()) co_return co_await end(work, "DELETE_FAILED", failed_to("delete", stuck));
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx);
    auto stack = co_await store.find_stack(work.stack.account, work.stack.region, work.stack.id);
    for (const OutputRecord& output : stack->outputs) {
      if (!output.export_name.empty()) store.drop_export(*stack, output.export_name);
    }
    for (const auto& [name, value] : work.exports) store.drop_import(*stack, name);
    for (const ChangeSetRecord& change_set : co_await store.change_sets(stack->id)) store.drop_change_set(change_set);
    store.drop_name(*stack);
    stack->phase = Phase::kNone;
    stack->creating = false;
    stack->deleted = clock_.now();
    set_status(store, *stack, "DELETE_COMPLETE", "");
    store.put_stack(*stack);
    store.set_running(*stack, false);
  });
}

}  // namespace virga::cloudformation
