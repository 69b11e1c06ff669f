#include "services/cloudformation/service.h"

#include <aws/cloudformation/model.h>

#include "base/str.h"
#include "services/cloudformation/api.h"

namespace virga::cloudformation {

namespace {

std::string stack_arn(const Ctx& ctx, const std::string& name) {
  return name.starts_with("arn:") ? name : kernel::arn(ctx, "cloudformation", cat("stack/", name, "/*"));
}
template <class In>
std::string by_stack(const Ctx& ctx, const In& in) {
  return stack_arn(ctx, in.stack_name);
}
template <class In>
std::string by_optional_stack(const Ctx& ctx, const In& in) {
  return in.stack_name ? stack_arn(ctx, *in.stack_name) : "*";
}

}  // namespace

const wire::ServiceModel& CloudFormationService::model() const { return kModel; }

void CloudFormationService::operations(kernel::OpTable& t) {
  using S = CloudFormationService;
  t.add<op::CreateStack>(this, &S::create_stack).resource(by_stack<CreateStackInput>);
  t.add<op::UpdateStack>(this, &S::update_stack).resource(by_stack<UpdateStackInput>);
  t.add<op::DeleteStack>(this, &S::delete_stack).resource(by_stack<DeleteStackInput>);
  t.add<op::UpdateTerminationProtection>(this, &S::update_termination_protection)
      .resource(by_stack<UpdateTerminationProtectionInput>);
  t.add<op::CreateChangeSet>(this, &S::create_change_set).resource(by_stack<CreateChangeSetInput>);
  t.add<op::DescribeChangeSet>(this, &S::describe_change_set).resource(by_optional_stack<DescribeChangeSetInput>);
  t.add<op::ExecuteChangeSet>(this, &S::execute_change_set).resource(by_optional_stack<ExecuteChangeSetInput>);
  t.add<op::DeleteChangeSet>(this, &S::delete_change_set).resource(by_optional_stack<DeleteChangeSetInput>);
  t.add<op::ListChangeSets>(this, &S::list_change_sets).resource(by_stack<ListChangeSetsInput>);
  t.add<op::DescribeStacks>(this, &S::describe_stacks).resource(by_optional_stack<DescribeStacksInput>);
  t.add<op::ListStacks>(this, &S::list_stacks);
  t.add<op::DescribeStackEvents>(this, &S::describe_stack_events).resource(by_stack<DescribeStackEventsInput>);
  t.add<op::DescribeStackResource>(this, &S::describe_stack_resource).resource(by_stack<DescribeStackResourceInput>);
  t.add<op::DescribeStackResources>(this, &S::describe_stack_resources)
      .resource(by_optional_stack<DescribeStackResourcesInput>);
  t.add<op::ListStackResources>(this, &S::list_stack_resources).resource(by_stack<ListStackResourcesInput>);
  t.add<op::ListExports>(this, &S::list_exports);
  t.add<op::ListImports>(this, &S::list_imports);
  t.add<op::GetTemplate>(this, &S::get_template).resource(by_optional_stack<GetTemplateInput>);
  t.add<op::GetTemplateSummary>(this, &S::get_template_summary).resource(by_optional_stack<GetTemplateSummaryInput>);
  t.add<op::ValidateTemplate>(this, &S::validate_template);
}

std::unique_ptr<kernel::Service> make_cloudformation(kernel::Deps& deps) {
  return std::make_unique<CloudFormationService>(deps);
}

}  // namespace virga::cloudformation
