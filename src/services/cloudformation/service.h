#pragma once

#include <aws/cloudformation/ops.h>
#include <aws/cloudformation/types.h>

#include "kernel/context.h"
#include "kernel/deps.h"
#include "kernel/service.h"
#include "services/cloudformation/engine.h"
#include "services/cloudformation/store.h"

namespace virga::cloudformation {

using kernel::Ctx;

// A template and what goes with it, as the operations that start something take them.
struct Wanted {
  std::string stack_name;
  std::string text;  // of the template
  std::vector<Parameter> parameters;
  std::vector<std::string> capabilities;
  TagList tags;
  std::string role_arn;
};

class CloudFormationService final : public kernel::Service {
 public:
  explicit CloudFormationService(kernel::Deps& deps) : deps_(deps), engine_(deps) {}
  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;
  Task<void> start() override { return engine_.start(); }
  Task<void> stop() override { return engine_.stop(); }

 private:
  // ops_stack.cc
  Task<CreateStackOutput> create_stack(Ctx& ctx, const CreateStackInput& in);
  Task<UpdateStackOutput> update_stack(Ctx& ctx, const UpdateStackInput& in);
  Task<op::DeleteStack::Output> delete_stack(Ctx& ctx, const DeleteStackInput& in);
  Task<UpdateTerminationProtectionOutput> update_termination_protection(Ctx& ctx,
                                                                        const UpdateTerminationProtectionInput& in);

  // ops_change_set.cc
  Task<CreateChangeSetOutput> create_change_set(Ctx& ctx, const CreateChangeSetInput& in);
  Task<DescribeChangeSetOutput> describe_change_set(Ctx& ctx, const DescribeChangeSetInput& in);
  Task<ExecuteChangeSetOutput> execute_change_set(Ctx& ctx, const ExecuteChangeSetInput& in);
  Task<DeleteChangeSetOutput> delete_change_set(Ctx& ctx, const DeleteChangeSetInput& in);
  Task<ListChangeSetsOutput> list_change_sets(Ctx& ctx, const ListChangeSetsInput& in);

  // ops_describe.cc
  Task<DescribeStacksOutput> describe_stacks(Ctx& ctx, const DescribeStacksInput& in);
  Task<ListStacksOutput> list_stacks(Ctx& ctx, const ListStacksInput& in);
  Task<DescribeStackEventsOutput> describe_stack_events(Ctx& ctx, const DescribeStackEventsInput& in);
  Task<DescribeStackResourceOutput> describe_stack_resource(Ctx& ctx, const DescribeStackResourceInput& in);
  Task<DescribeStackResourcesOutput> describe_stack_resources(Ctx& ctx, const DescribeStackResourcesInput& in);
  Task<ListStackResourcesOutput> list_stack_resources(Ctx& ctx, const ListStackResourcesInput& in);
  Task<ListExportsOutput> list_exports(Ctx& ctx, const ListExportsInput& in);
  Task<ListImportsOutput> list_imports(Ctx& ctx, const ListImportsInput& in);

  // ops_template.cc
  Task<GetTemplateOutput> get_template(Ctx& ctx, const GetTemplateInput& in);
  Task<GetTemplateSummaryOutput> get_template_summary(Ctx& ctx, const GetTemplateSummaryInput& in);
  Task<ValidateTemplateOutput> validate_template(Ctx& ctx, const ValidateTemplateInput& in);
  // The template that a request gives, in itself or by URL; nothing when neither.
  Task<std::optional<std::string>> template_text(Ctx& ctx, std::optional<std::string> body,
                                                 std::optional<std::string> url);

  // intake.cc
  // The stack by name or id; fails with `missing` (a text in which %s is the name) when there is none.
  Task<StackRecord> need_stack(Ctx& ctx, std::string name_or_id,
                               std::string missing = "Stack with id %s does not exist");
  Task<std::optional<StackRecord>> find_stack(Ctx& ctx, std::string name_or_id);
  Task<std::map<std::string, std::string>> exports(Ctx& ctx);
  // Reads the template with the parameters bound (those that keep their value from `before`) into `prepared`.
  Task<DefinitionRecord> define(Ctx& ctx, const Wanted& wanted, const std::string& stack_id, const StackRecord* before,
                                bool needs_auto_expand, Prepared& prepared,
                                const std::map<std::string, std::string>& exports);
  // What applying `prepared` to the stack would do, as the entries of a change set; nothing when it would do nothing at
  // all.
  Task<std::optional<Json>> planned(const StackRecord& before, const DefinitionRecord& definition,
                                    const Prepared& prepared);
  // Puts the stack into its operation and hands it to the engine when the transaction commits.
  void begin(kv::Txn& tx, StackRecord& stack, Phase phase, std::string status, std::string reason);
  Task<void> check_role(Ctx& ctx, const std::string& role_arn);

  kernel::Deps& deps_;
  Engine engine_;
};

// How long a starting operation's answer waits for the operation to end: clients poll every few seconds at best, and
// most stacks of a machine this near are done before the first time.
inline constexpr Micros kPatience = std::chrono::milliseconds(2500);

TagList tags_of(const std::optional<std::vector<Tag>>& tags);
// The enumerator that a record's text names.
template <class E>
E value_of(const std::string& text) {
  E value{};
  from_string(text, value);
  return value;
}
std::vector<std::string> capabilities_of(const std::optional<std::vector<Capability>>& given);
std::vector<Capability> capability_values(const std::vector<std::string>& names);
// Parameters as descriptions show them: NoEcho values are hidden.
std::vector<Parameter> shown_parameters(const DefinitionRecord& definition);
std::vector<Tag> shown_tags(const TagList& tags);
// Refuses names that no stack or change set can have.
void check_name(const std::string& name, std::string_view member);
// Whether a stack in this status takes an update.
bool can_update(const std::string& status);

}  // namespace virga::cloudformation
