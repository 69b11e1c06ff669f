// Change sets: what an operation would do, kept until it is carried out or thrown away.
#include <aws/cloudformation/errors.h>

#include "base/id.h"
#include "base/str.h"
#include "kernel/tokens.h"
#include "services/cloudformation/limits.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/service.h"
#include "services/cloudformation/typed_json.h"

namespace virga::cloudformation {

namespace {

constexpr std::string_view kNoChanges =
    "The submitted information didn't contain changes. Submit different information to create a change set.";

// The stack of a change set named by its ARN alone.
Task<std::optional<std::string>> stack_of(Store& store, const Ctx& ctx, std::string change_set,
                                          const std::optional<std::string>& stack_name) {
  if (!stack_name) {
    if (!change_set.starts_with("arn:"))
      co_await fail(validation_error("StackName must be specified if ChangeSetName is not specified as an ARN."));
    co_return co_await store.find_change_set_stack(std::move(change_set));
  }
  if (stack_name->starts_with("arn:")) co_return std::optional<std::string>(*stack_name);
  co_return co_await store.find_name(ctx.account, ctx.region, *stack_name);
}

Task<ChangeSetRecord> need_change_set(Store& store, const Ctx& ctx, std::string name,
                                      std::optional<std::string> stack_name) {
  const auto stack_id = co_await stack_of(store, ctx, name, stack_name);
  if (!stack_id && stack_name) co_return validation_error(cat("Stack [", *stack_name, "] does not exist"));
  auto found = stack_id ? co_await store.find_change_set(*stack_id, name_in(name)) : std::optional<ChangeSetRecord>();
  if (!found || (name.starts_with("arn:") && found->id != name))
    co_return err::ChangeSetNotFoundException(cat("ChangeSet [", name, "] does not exist"));
  co_return std::move(*found);
}

}  // namespace

Task<CreateChangeSetOutput> CloudFormationService::create_change_set(Ctx& ctx, const CreateChangeSetInput& in) {
  if (!in.stack_name.starts_with("arn:")) check_name(in.stack_name, "stackName");
  check_name(in.change_set_name, "changeSetName");
  if (in.notification_arns && !in.notification_arns->empty()) co_return not_served("NotificationARNs");
  if (in.resources_to_import && !in.resources_to_import->empty()) co_return not_served("Importing resources");
  if (in.change_set_type && *in.change_set_type == ChangeSetType::IMPORT)
    co_return not_served("A change set of type IMPORT");
  if (in.import_existing_resources.value_or(false)) co_return not_served("ImportExistingResources");
  if (in.deployment_mode) co_return not_served("DeploymentMode");
  const bool creates = in.change_set_type && *in.change_set_type == ChangeSetType::CREATE;
  auto existing = co_await find_stack(ctx, in.stack_name);
  if (!creates && !existing) co_return validation_error(cat("Stack [", in.stack_name, "] does not exist"));
  if (creates && existing && existing->status != "REVIEW_IN_PROGRESS")
    co_return validation_error(cat("Stack [", in.stack_name,
                                   "] already exists and cannot be created again with the changeSet [",
                                   in.change_set_name, "]."));
  if (!creates && !can_update(existing->status))
    co_return validation_error(
        cat("Stack:", existing->id, " is in ", existing->status, " state and can not be updated."));
  auto text = co_await template_text(ctx, in.template_body, in.template_url);
  if (!text && in.use_previous_template.value_or(false) && existing) text = existing->now.text;
  if (!text) co_return validation_error("Either Template URL or Template Body must be specified.");

  StackRecord stack;
  if (existing) {
    stack = *existing;
  } else {
    stack.id = kernel::arn(ctx, "cloudformation", cat("stack/", in.stack_name, "/", uuid()));
    stack.name = in.stack_name;
    stack.account = ctx.account;
    stack.region = ctx.region;
    stack.created = ctx.now();
    stack.actor = actor_of(ctx);
  }
  const Wanted wanted{stack.name,
                      *text,
                      in.parameters.value_or(std::vector<Parameter>{}),
                      capabilities_of(in.capabilities),
                      in.tags ? tags_of(in.tags) : stack.now.tags,
                      in.role_arn.value_or("")};
  const auto known_exports = co_await exports(ctx);
  auto prepared = std::make_unique<Prepared>();
  ChangeSetRecord record;
  record.definition =
      co_await define(ctx, wanted, stack.id, creates ? nullptr : &stack, false, *prepared, known_exports);
  const auto changes = co_await planned(stack, record.definition, *prepared);
  record.id = kernel::arn(ctx, "cloudformation", cat("changeSet/", in.change_set_name, "/", uuid()));
  record.name = in.change_set_name;
  record.stack_id = stack.id;
  record.stack_name = stack.name;
  record.description = in.description.value_or("");
  record.type = creates ? "CREATE" : "UPDATE";
  record.token = in.client_token.value_or("");
  record.created = ctx.now();
  record.status = changes ? "CREATE_COMPLETE" : "FAILED";
  record.reason = changes ? "" : std::string(kNoChanges);
  record.execution = changes ? "AVAILABLE" : "UNAVAILABLE";
  record.changes = changes ? changes->dump() : "[]";
  record.on_failure = in.on_stack_failure ? std::string(to_string(*in.on_stack_failure)) : "";

  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<CreateChangeSetOutput> {
    Store store(tx);
    const auto same = co_await store.find_change_set(stack.id, record.name);
    if (same && !record.token.empty() && same->token == record.token)
      co_return CreateChangeSetOutput{.id = same->id, .stack_id = stack.id};
    // A spent one gives its name up: the aws cli names its change sets by the second, and two deployments fit into one
    // here.
    const bool spent = same && (same->status == "FAILED" || same->execution == "EXECUTE_COMPLETE");
    if (same && !spent) co_return err::AlreadyExistsException(cat("ChangeSet ", record.name, " already exists"));
    if (same) store.drop_change_set(*same);
    const auto taken = co_await store.find_name(ctx.account, ctx.region, stack.name);
    if (taken && *taken != stack.id) co_return validation_error(cat("Stack [", stack.name, "] already exists"));
    if (!existing) {
      StackRecord fresh = stack;
      engine_.set_status(store, fresh, "REVIEW_IN_PROGRESS", "User Initiated");
      store.put_name(fresh);
      store.put_stack(fresh);
    }
    store.put_change_set(record);
    co_return CreateChangeSetOutput{.id = record.id, .stack_id = stack.id};
  });
}

Task<DescribeChangeSetOutput> CloudFormationService::describe_change_set(Ctx& ctx, const DescribeChangeSetInput& in) {
  auto snapshot = deps_.db.snapshot();
  Store store(*snapshot);
  const ChangeSetRecord record = co_await need_change_set(store, ctx, in.change_set_name, in.stack_name);
  DescribeChangeSetOutput out;
  out.change_set_name = record.name;
  out.change_set_id = record.id;
  out.stack_id = record.stack_id;
  out.stack_name = record.stack_name;
  out.description = unless_empty(record.description);
  out.parameters = shown_parameters(record.definition);
  out.creation_time = record.created;
  out.status = value_of<ChangeSetStatus>(record.status);
  out.status_reason = unless_empty(record.reason);
  out.execution_status = value_of<ExecutionStatus>(record.execution);
  out.capabilities = capability_values(record.definition.capabilities);
  out.tags = shown_tags(record.definition.tags);
  out.notification_arns.emplace();
  out.rollback_configuration.emplace();
  out.include_nested_stacks = false;
  const std::string purpose = cat("cfn:changes:", record.id);
  size_t first = 0;
  if (in.next_token) {
    const auto opened = deps_.tokens.open(purpose, *in.next_token);
    const auto number = opened ? parse_int(*opened) : std::nullopt;
    if (!number) co_return validation_error("Invalid next token");
    first = static_cast<size_t>(*number);
  }
  const Json all = Json::parse(record.changes);
  Json page = Json::array();
  for (size_t i = first; i < all.as_array().size() && i < first + kPageMost; ++i) page.push_back(all.as_array()[i]);
  if (first + kPageMost < all.as_array().size()) out.next_token = deps_.tokens.seal(purpose, cat(first + kPageMost));
  const wire::Member* member = find_member(*op::DescribeChangeSet::model().output->structure, "Changes");
  fill(*member->shape, page, &out.changes.emplace());
  co_return std::move(out);
}

Task<ExecuteChangeSetOutput> CloudFormationService::execute_change_set(Ctx& ctx, const ExecuteChangeSetInput& in) {
  std::string stack_id;
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    Store store(tx);
    ChangeSetRecord record = co_await need_change_set(store, ctx, in.change_set_name, in.stack_name);
    auto stack = co_await store.find_stack(ctx.account, ctx.region, record.stack_id);
    stack_id = record.stack_id;
    if (in.client_request_token && stack && !stack->token.empty() && stack->token == *in.client_request_token &&
        stack->change_set_id == record.id)
      co_return;
    if (record.status != "CREATE_COMPLETE" || record.execution != "AVAILABLE" || !stack)
      co_await fail(err::InvalidChangeSetStatusException(
          cat("ChangeSet [", record.id, "] cannot be executed in its current execution status of [", record.execution,
              "]")));
    const bool creates = record.type == "CREATE" && stack->status == "REVIEW_IN_PROGRESS";
    if (stack->running() || (!creates && !can_update(stack->status)))
      co_await fail(
          validation_error(cat("Stack:", stack->id, " is in ", stack->status, " state and can not be updated.")));
    for (const ChangeSetRecord& other : co_await store.change_sets(stack->id)) {
      if (other.id != record.id) store.drop_change_set(other);
    }
    record.execution = "EXECUTE_COMPLETE";
    store.put_change_set(record);
    if (!creates) stack->former = stack->now;
    stack->now = record.definition;
    if (!creates) stack->updated = ctx.now();
    stack->creating = creates;
    stack->disable_rollback = in.disable_rollback.value_or(record.on_failure == "DO_NOTHING");
    stack->on_failure = record.on_failure.empty() ? "ROLLBACK" : record.on_failure;
    stack->retain_except_on_create = in.retain_except_on_create.value_or(false);
    stack->change_set_id = record.id;
    stack->token = in.client_request_token.value_or("");
    stack->operation = uuid();
    stack->actor = actor_of(ctx);
    begin(tx, *stack, Phase::kApply, creates ? "CREATE_IN_PROGRESS" : "UPDATE_IN_PROGRESS", "User Initiated");
  });
  co_await engine_.wait(stack_id, kPatience);
  co_return ExecuteChangeSetOutput{};
}

Task<DeleteChangeSetOutput> CloudFormationService::delete_change_set(Ctx& ctx, const DeleteChangeSetInput& in) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<DeleteChangeSetOutput> {
    Store store(tx);
    const auto stack_id = co_await stack_of(store, ctx, in.change_set_name, in.stack_name);
    if (!stack_id && in.stack_name) co_return validation_error(cat("Stack [", *in.stack_name, "] does not exist"));
    const auto found = stack_id ? co_await store.find_change_set(*stack_id, name_in(in.change_set_name))
                                : std::optional<ChangeSetRecord>();
    if (found) store.drop_change_set(*found);
    co_return DeleteChangeSetOutput{};
  });
}

Task<ListChangeSetsOutput> CloudFormationService::list_change_sets(Ctx& ctx, const ListChangeSetsInput& in) {
  const StackRecord stack = co_await need_stack(ctx, in.stack_name, "Stack [%s] does not exist");
  auto snapshot = deps_.db.snapshot();
  ListChangeSetsOutput out;
  out.summaries.emplace();
  for (const ChangeSetRecord& record : co_await Store(*snapshot).change_sets(stack.id)) {
    ChangeSetSummary summary;
    summary.stack_id = record.stack_id;
    summary.stack_name = record.stack_name;
    summary.change_set_id = record.id;
    summary.change_set_name = record.name;
    summary.execution_status = value_of<ExecutionStatus>(record.execution);
    summary.status = value_of<ChangeSetStatus>(record.status);
    summary.status_reason = unless_empty(record.reason);
    summary.creation_time = record.created;
    summary.description = unless_empty(record.description);
    summary.include_nested_stacks = false;
    out.summaries->push_back(std::move(summary));
  }
  co_return std::move(out);
}

}  // namespace virga::cloudformation
