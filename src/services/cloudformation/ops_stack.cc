// CreateStack, UpdateStack, DeleteStack, UpdateTerminationProtection.
#include <aws/cloudformation/errors.h>

#include "base/id.h"
#include "base/str.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/service.h"

namespace virga::cloudformation {

namespace {

// Options that would change what happens, and aren't built.
template <class In>
void refuse_unserved(const In& in) {
  if (in.notification_arns && !in.notification_arns->empty()) throw not_served("NotificationARNs");
  if (in.stack_policy_body || in.stack_policy_url) throw not_served("A stack policy");
  if (in.resource_types && !in.resource_types->empty()) throw not_served("ResourceTypes");
  if (in.rollback_configuration && in.rollback_configuration->rollback_triggers &&
      !in.rollback_configuration->rollback_triggers->empty())
    throw not_served("RollbackConfiguration with triggers");
}

}  // namespace

Task<CreateStackOutput> CloudFormationService::create_stack(Ctx& ctx, const CreateStackInput& in) {
  check_name(in.stack_name, "stackName");
  refuse_unserved(in);
  if (in.timeout_in_minutes) co_return not_served("TimeoutInMinutes");
  if (in.disable_rollback && in.on_failure)
    co_return validation_error("You may only specify one of DisableRollback or OnFailure");
  const auto text = co_await template_text(ctx, in.template_body, in.template_url);
  if (!text) co_return validation_error("Either Template URL or Template Body must be specified.");
  const auto existing = co_await find_stack(ctx, in.stack_name);
  if (existing && in.client_request_token && existing->token == *in.client_request_token)
    co_return CreateStackOutput{.stack_id = existing->id, .operation_id = existing->operation};
  if (existing && existing->status != "REVIEW_IN_PROGRESS")
    co_return err::AlreadyExistsException(cat("Stack [", in.stack_name, "] already exists"));

  StackRecord stack;
  stack.id = existing ? existing->id : kernel::arn(ctx, "cloudformation", cat("stack/", in.stack_name, "/", uuid()));
  stack.name = in.stack_name;
  stack.account = ctx.account;
  stack.region = ctx.region;
  const Wanted wanted{in.stack_name,
                      *text,
                      in.parameters.value_or(std::vector<Parameter>{}),
                      capabilities_of(in.capabilities),
                      tags_of(in.tags),
                      in.role_arn.value_or("")};
  const auto known_exports = co_await exports(ctx);
  auto prepared = std::make_unique<Prepared>();
  stack.now = co_await define(ctx, wanted, stack.id, nullptr, true, *prepared, known_exports);
  stack.created = ctx.now();
  stack.disable_rollback = in.disable_rollback.value_or(false);
  stack.on_failure = in.on_failure ? std::string(to_string(*in.on_failure)) : "ROLLBACK";
  stack.termination_protection = in.enable_termination_protection.value_or(false);
  stack.retain_except_on_create = in.retain_except_on_create.value_or(false);
  stack.token = in.client_request_token.value_or("");
  stack.operation = uuid();
  stack.creating = true;
  stack.actor = actor_of(ctx);
  if (existing) stack.next_event = existing->next_event;

  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    const auto taken = co_await Store(tx).find_name(ctx.account, ctx.region, in.stack_name);
    if (taken && (!existing || *taken != existing->id))
      co_await fail(err::AlreadyExistsException(cat("Stack [", in.stack_name, "] already exists")));
    StackRecord fresh = stack;
    begin(tx, fresh, Phase::kApply, "CREATE_IN_PROGRESS", "User Initiated");
  });
  co_await engine_.wait(stack.id, kPatience);
  co_return CreateStackOutput{.stack_id = stack.id, .operation_id = stack.operation};
}

Task<UpdateStackOutput> CloudFormationService::update_stack(Ctx& ctx, const UpdateStackInput& in) {
  refuse_unserved(in);
  if (in.stack_policy_during_update_body || in.stack_policy_during_update_url) co_return not_served("A stack policy");
  const StackRecord before = co_await need_stack(ctx, in.stack_name, "Stack [%s] does not exist");
  if (in.client_request_token && before.token == *in.client_request_token)
    co_return UpdateStackOutput{.stack_id = before.id, .operation_id = before.operation};
  auto text = co_await template_text(ctx, in.template_body, in.template_url);
  if (!text && in.use_previous_template.value_or(false)) text = before.now.text;
  if (!text) co_return validation_error("Either Template URL or Template Body must be specified.");
  if (!can_update(before.status))
    co_return validation_error(cat("Stack:", before.id, " is in ", before.status, " state and can not be updated."));

  Wanted wanted{before.name,
                *text,
                in.parameters.value_or(std::vector<Parameter>{}),
                capabilities_of(in.capabilities),
                in.tags ? tags_of(in.tags) : before.now.tags,
                in.role_arn.value_or("")};
  const auto known_exports = co_await exports(ctx);
  auto prepared = std::make_unique<Prepared>();
  const DefinitionRecord definition = co_await define(ctx, wanted, before.id, &before, true, *prepared, known_exports);
  if (!co_await planned(before, definition, *prepared)) co_return validation_error("No updates are to be performed.");

  const std::string operation = uuid();
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    auto stack = co_await Store(tx).find_stack(ctx.account, ctx.region, before.id);
    if (!stack || stack->running() || !can_update(stack->status))
      co_await fail(validation_error(cat("Stack:", before.id, " is in ", stack ? stack->status : "DELETE_COMPLETE",
                                         " state and can not be updated.")));
    stack->former = stack->now;
    stack->now = definition;
    stack->updated = ctx.now();
    stack->disable_rollback = in.disable_rollback.value_or(false);
    stack->token = in.client_request_token.value_or("");
    stack->operation = operation;
    stack->creating = false;
    stack->actor = actor_of(ctx);
    begin(tx, *stack, Phase::kApply, "UPDATE_IN_PROGRESS", "User Initiated");
  });
  co_await engine_.wait(before.id, kPatience);
  co_return UpdateStackOutput{.stack_id = before.id, .operation_id = operation};
}

Task<op::DeleteStack::Output> CloudFormationService::delete_stack(Ctx& ctx, const DeleteStackInput& in) {
  const auto found = co_await find_stack(ctx, in.stack_name);
  // Deleting what is not there succeeds.
  if (!found || found->status == "DELETE_COMPLETE") co_return op::DeleteStack::Output{};
  if (in.deletion_mode && *in.deletion_mode == DeletionMode::FORCE_DELETE_STACK)
    co_return not_served("The deletion mode FORCE_DELETE_STACK");
  if (in.retain_resources && !in.retain_resources->empty() && found->status != "DELETE_FAILED")
    co_return validation_error(cat("Invalid operation on stack [", found->id,
                                   "]. RetainResources is only for stacks in the DELETE_FAILED state."));
  co_await check_role(ctx, in.role_arn.value_or(""));
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    auto stack = co_await Store(tx).find_stack(ctx.account, ctx.region, found->id);
    if (!stack || stack->status == "DELETE_COMPLETE" || stack->phase == Phase::kDelete) co_return;
    if (stack->termination_protection)
      co_await fail(
          validation_error(cat("Stack [", stack->name, "] cannot be deleted while TerminationProtection is enabled")));
    if (stack->running())
      co_await fail(
          validation_error(cat("Stack [", stack->name, "] cannot be deleted while in status ", stack->status)));
    stack->retain = in.retain_resources.value_or(std::vector<std::string>{});
    if (in.role_arn) stack->now.role_arn = *in.role_arn;
    stack->token = in.client_request_token.value_or("");
    stack->operation = uuid();
    stack->creating = false;
    stack->actor = actor_of(ctx);
    begin(tx, *stack, Phase::kDelete, "DELETE_IN_PROGRESS", "User Initiated");
  });
  co_await engine_.wait(found->id, kPatience);
  co_return op::DeleteStack::Output{};
}

Task<UpdateTerminationProtectionOutput> CloudFormationService::update_termination_protection(
    Ctx& ctx, const UpdateTerminationProtectionInput& in) {
  const StackRecord found = co_await need_stack(ctx, in.stack_name, "Stack [%s] does not exist");
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<UpdateTerminationProtectionOutput> {
    Store store(tx);
    auto stack = co_await store.find_stack(ctx.account, ctx.region, found.id);
    stack->termination_protection = in.enable_termination_protection;
    store.put_stack(*stack);
    co_return UpdateTerminationProtectionOutput{.stack_id = stack->id};
  });
}

}  // namespace virga::cloudformation
