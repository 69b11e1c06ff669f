// What the operations that start something have in common: finding stacks, defining them, planning, beginning.
#include <aws/cloudformation/errors.h>

#include <algorithm>
#include <set>

#include "base/id.h"
#include "base/str.h"
#include "kernel/authorize.h"
#include "services/cloudformation/limits.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/resources/provider.h"
#include "services/cloudformation/service.h"
#include "services/cloudformation/template.h"

namespace virga::cloudformation {

TagList tags_of(const std::optional<std::vector<Tag>>& tags) {
  TagList out;
  if (!tags) return out;
  if (tags->size() > kTagsMost) throw validation_error(cat("Stacks have at most ", kTagsMost, " tags"));
  for (const Tag& tag : *tags) out.emplace_back(tag.key, tag.value);
  return out;
}

std::vector<std::string> capabilities_of(const std::optional<std::vector<Capability>>& given) {
  std::vector<std::string> out;
  if (given) {
    for (const Capability capability : *given) out.emplace_back(to_string(capability));
  }
  return out;
}

std::vector<Capability> capability_values(const std::vector<std::string>& names) {
  std::vector<Capability> out;
  for (const std::string& name : names) {
    Capability value{};
    if (from_string(name, value)) out.push_back(value);
  }
  return out;
}

std::vector<Parameter> shown_parameters(const DefinitionRecord& definition) {
  std::vector<Parameter> out;
  if (definition.processed.empty()) return out;
  for (const DeclaredParameter& p : declared_parameters(Json::parse(definition.processed))) {
    const auto found = definition.parameters.find(p.name);
    out.push_back(Parameter{.parameter_key = p.name,
                            .parameter_value = p.no_echo                              ? "****"
                                               : found == definition.parameters.end() ? ""
                                                                                      : found->second});
  }
  return out;
}

std::vector<Tag> shown_tags(const TagList& tags) {
  std::vector<Tag> out;
  for (const auto& [key, value] : tags) out.push_back(Tag{.key = key, .value = value});
  return out;
}

void check_name(const std::string& name, std::string_view member) {
  const auto fits = [](unsigned char c) { return std::isalnum(c) || c == '-'; };
  const bool good =
      !name.empty() && std::isalpha(static_cast<unsigned char>(name[0])) && std::all_of(name.begin(), name.end(), fits);
  if (!good) {
    throw validation_error(
        cat("1 validation error detected: Value '", name, "' at '", member,
            "' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"));
  }
  if (name.size() > kStackNameMost) {
    throw validation_error(cat("1 validation error detected: Value '", name, "' at '", member,
                               "' failed to satisfy constraint: Member must have length less than or equal to ",
                               kStackNameMost));
  }
}

bool can_update(const std::string& status) {
  return status == "CREATE_COMPLETE" || status == "UPDATE_COMPLETE" || status == "UPDATE_ROLLBACK_COMPLETE" ||
         status == "CREATE_FAILED" || status == "UPDATE_FAILED";
}

Task<std::optional<StackRecord>> CloudFormationService::find_stack(Ctx& ctx, std::string name_or_id) {
  auto snapshot = deps_.db.snapshot();
  Store store(*snapshot);
  if (!name_or_id.starts_with("arn:")) {
    const auto id = co_await store.find_name(ctx.account, ctx.region, name_or_id);
    if (!id) co_return std::optional<StackRecord>();
    name_or_id = *id;
  }
  co_return co_await store.find_stack(ctx.account, ctx.region, name_or_id);
}

Task<StackRecord> CloudFormationService::need_stack(Ctx& ctx, std::string name_or_id, std::string missing) {
  auto found = co_await find_stack(ctx, name_or_id);
  if (!found) co_return validation_error(replace_all(missing, "%s", name_or_id));
  co_return std::move(*found);
}

Task<std::map<std::string, std::string>> CloudFormationService::exports(Ctx& ctx) {
  std::map<std::string, std::string> out;
  auto snapshot = deps_.db.snapshot();
  for (const ExportRecord& record : co_await Store(*snapshot).exports(ctx.account, ctx.region, "", SIZE_MAX))
    out[record.name] = record.value;
  co_return std::move(out);
}

Task<void> CloudFormationService::check_role(Ctx& ctx, const std::string& role_arn) {
  if (role_arn.empty()) co_return;
  const auto arn = kernel::parse_arn(role_arn);
  if (!arn || arn->service != "iam" || !arn->resource.starts_with("role/"))
    co_await fail(validation_error(cat("Role ", role_arn, " is invalid or cannot be assumed")));
  co_await deps_.cloud.authorizer().authorize_pass(ctx, model(), role_arn);
  co_await assume(deps_.cloud, role_arn, ctx.account, ctx.region);
}

Task<DefinitionRecord> CloudFormationService::define(Ctx& ctx, const Wanted& wanted, const std::string& stack_id,
                                                     const StackRecord* before, bool needs_auto_expand,
                                                     Prepared& prepared,
                                                     const std::map<std::string, std::string>& exports) {
  std::map<std::string, std::string> given;
  for (const Parameter& p : wanted.parameters) {
    const std::string key = p.parameter_key.value_or("");
    if (!p.use_previous_value.value_or(false)) {
      given[key] = p.parameter_value.value_or("");
    } else if (!before || !before->now.parameters.contains(key)) {
      co_return validation_error(
          cat("Invalid input for parameter key ", key,
              ". Cannot specify usePreviousValue as true for a parameter key not in the previous template"));
    } else {
      given[key] = before->now.parameters.at(key);
    }
  }
  PseudoParameters pseudo{ctx.account, ctx.region, ctx.partition, stack_id, wanted.stack_name, {}};
  prepare(prepared, wanted.text, given, std::move(pseudo), &exports);
  std::set<std::string> unserved;
  for (const LiveResource& live : prepared.resources) {
    if (!find_provider(live.type)) unserved.insert(cat(live.type, " (", live.name, ")"));
  }
  if (!unserved.empty())
    co_return validation_error(
        cat("Resource types not served by Virga: [", join(std::vector(unserved.begin(), unserved.end()), ", "), "]"));

  const auto has = [&](std::string_view name) {
    return std::find(wanted.capabilities.begin(), wanted.capabilities.end(), name) != wanted.capabilities.end();
  };
  std::vector<std::string> missing;
  for (const std::string& needed : needed_capabilities(prepared.root)) {
    if (!has(needed) && !(needed == "CAPABILITY_IAM" && has("CAPABILITY_NAMED_IAM"))) missing.push_back(needed);
  }
  if (needs_auto_expand && !prepared.transforms.empty() && !has("CAPABILITY_AUTO_EXPAND"))
    missing.push_back("CAPABILITY_AUTO_EXPAND");
  if (!missing.empty())
    co_return err::InsufficientCapabilitiesException(cat("Requires capabilities : [", join(missing, ", "), "]"));
  co_await check_role(ctx, wanted.role_arn);

  DefinitionRecord out;
  out.text = wanted.text;
  out.processed = prepared.root.dump();
  out.parameters = prepared.bound;
  out.capabilities = wanted.capabilities;
  out.tags = wanted.tags;
  out.role_arn = !wanted.role_arn.empty() ? wanted.role_arn : before ? before->now.role_arn : "";
  co_return std::move(out);
}

Task<std::optional<Json>> CloudFormationService::planned(const StackRecord& before, const DefinitionRecord& definition,
                                                         const Prepared& prepared) {
  std::map<std::string, std::string> physical_ids;
  std::vector<LiveResource> existing;
  auto was = std::make_unique<Prepared>();
  if (!before.now.processed.empty()) {
    prepare_again(*was, before.now.processed, before.now.parameters, pseudo_parameters(before),
                  prepared.resolver.exports);
    auto snapshot = deps_.db.snapshot();
    for (const ResourceRecord& resource : co_await Store(*snapshot).resources(before.id)) {
      if (resource.exists()) physical_ids[resource.logical_id] = resource.made.physical_id;
    }
    // What a failed creation never made is still to be added.
    for (LiveResource& r : was->resources) {
      if (physical_ids.contains(r.name)) existing.push_back(std::move(r));
    }
  }
  Json changes = plan_changes(existing, prepared.resources, physical_ids, recreation_of);
  const bool same_rest = !before.now.processed.empty() &&
                         live_outputs(*was, was->resolver) == live_outputs(prepared, prepared.resolver) &&
                         before.now.tags == definition.tags;
  if (changes.as_array().empty() && same_rest) co_return std::optional<Json>();
  co_return std::optional<Json>(std::move(changes));
}

void CloudFormationService::begin(kv::Txn& tx, StackRecord& stack, Phase phase, std::string status,
                                  std::string reason) {
  Store store(tx);
  stack.phase = phase;
  stack.failure.clear();
  engine_.set_status(store, stack, std::move(status), std::move(reason));
  store.put_name(stack);
  store.put_stack(stack);
  store.set_running(stack, true);
  tx.on_commit(
      [this, account = stack.account, region = stack.region, id = stack.id] { engine_.run(account, region, id); });
}

}  // namespace virga::cloudformation
