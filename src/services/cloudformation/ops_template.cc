// GetTemplate, GetTemplateSummary, ValidateTemplate, and where templates come from.
#include <aws/cloudformation/errors.h>

#include <algorithm>
#include <set>

#include "base/str.h"
#include "services/cloudformation/limits.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/service.h"
#include "services/cloudformation/template.h"
#include "services/cloudformation/template_url.h"

namespace virga::cloudformation {

namespace {

// A template that can't be transformed without its stack's parameters: checked as far as it goes.
struct Looked {
  Json root;
  std::vector<std::string> transforms;
  std::vector<DeclaredParameter> declared;
  std::vector<std::string> capabilities;
  std::string capabilities_reason;
};

Looked look(const std::string& text) {
  Looked out;
  out.root = parse_template(text);
  out.transforms = transforms_of(out.root);
  out.declared = declared_parameters(out.root);
  std::vector<std::string> iam;
  if (out.transforms.empty()) {
    check_template(out.root);
    for (const auto& [name, resource] : section(out.root, "Resources")) {
      const std::string type = resource.string_or("Type");
      if (type.starts_with("AWS::IAM::") && std::find(iam.begin(), iam.end(), type) == iam.end()) iam.push_back(type);
    }
    out.capabilities = needed_capabilities(out.root);
    if (!out.capabilities.empty())
      out.capabilities_reason = cat("The following resource(s) require capabilities: [", join(iam, ", "), "]");
  } else {
    if (section(out.root, "Resources").empty()) throw format_error("At least one Resources member must be defined.");
    out.capabilities = {"CAPABILITY_AUTO_EXPAND"};
    if (std::find(out.transforms.begin(), out.transforms.end(), "AWS::Serverless-2016-10-31") != out.transforms.end())
      out.capabilities.insert(out.capabilities.begin(), "CAPABILITY_IAM");
    out.capabilities_reason = cat("The following resource(s) require capabilities: [", join(out.transforms, ", "), "]");
  }
  return out;
}

template <class Out>
void describe(const Looked& looked, Out& out) {
  out.description = unless_empty(looked.root.string_or("Description"));
  if (looked.capabilities.empty()) return;
  out.capabilities = capability_values(looked.capabilities);
  out.capabilities_reason = looked.capabilities_reason;
}

}  // namespace

Task<std::optional<std::string>> CloudFormationService::template_text(Ctx& ctx, std::optional<std::string> body,
                                                                      std::optional<std::string> url) {
  if (body && url) co_return validation_error("Specify only one of TemplateBody or TemplateURL");
  if (body) {
    if (body->size() > kTemplateBodyMost) {
      co_return validation_error(cat("1 validation error detected: Value '", body->substr(0, 64),
                                     "…' at 'templateBody' failed to satisfy constraint: "
                                     "Member must have length less than or equal to ",
                                     kTemplateBodyMost));
    }
    co_return body;
  }
  if (!url) co_return std::optional<std::string>();
  const auto at = template_address(*url, ctx.base_url);
  if (!at) co_return validation_error("TemplateURL must be a supported URL.");
  Call call{.cloud = deps_.cloud, .ctx = ctx};
  auto text = co_await as_result(call.object(at->bucket, at->key, at->version, kTemplateUrlMost));
  if (!text) {
    const Error* error = error_of(text);
    if (!error) co_await fail_with(std::move(text.error()));
    co_return validation_error(
        cat("S3 error: ", error->message,
            "\nFor more information check http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"));
  }
  co_return std::optional<std::string>(std::move(*text));
}

Task<GetTemplateOutput> CloudFormationService::get_template(Ctx& ctx, const GetTemplateInput& in) {
  DefinitionRecord definition;
  if (in.change_set_name) {
    auto snapshot = deps_.db.snapshot();
    Store store(*snapshot);
    std::optional<std::string> stack_id;
    if (in.stack_name) {
      stack_id = (co_await need_stack(ctx, *in.stack_name)).id;
    } else {
      stack_id = co_await store.find_change_set_stack(*in.change_set_name);
    }
    const auto found = stack_id ? co_await store.find_change_set(*stack_id, name_in(*in.change_set_name))
                                : std::optional<ChangeSetRecord>();
    if (!found) co_return err::ChangeSetNotFoundException(cat("ChangeSet [", *in.change_set_name, "] does not exist"));
    definition = found->definition;
  } else if (in.stack_name) {
    definition = (co_await need_stack(ctx, *in.stack_name)).now;
  } else {
    co_return validation_error("StackName or ChangeSetName must be specified");
  }
  const bool processed = in.template_stage && *in.template_stage == TemplateStage::Processed;
  GetTemplateOutput out;
  out.template_body = processed ? definition.processed : definition.text;
  out.stages_available = std::vector<TemplateStage>{TemplateStage::Original, TemplateStage::Processed};
  co_return std::move(out);
}

Task<GetTemplateSummaryOutput> CloudFormationService::get_template_summary(Ctx& ctx,
                                                                           const GetTemplateSummaryInput& in) {
  if (in.stack_set_name) co_return not_served("StackSetName");
  auto text = co_await template_text(ctx, in.template_body, in.template_url);
  if (!text && in.stack_name) text = (co_await need_stack(ctx, *in.stack_name)).now.text;
  if (!text) co_return validation_error("Either Template URL, Template Body or StackName must be specified.");
  const Looked looked = look(*text);
  GetTemplateSummaryOutput out;
  out.parameters.emplace();
  for (const DeclaredParameter& p : looked.declared) {
    ParameterDeclaration one{
        .parameter_key = p.name, .default_value = p.default_value, .parameter_type = p.type, .no_echo = p.no_echo};
    one.description = unless_empty(p.description);
    one.parameter_constraints.emplace();
    if (!p.allowed_values.empty()) one.parameter_constraints->allowed_values = p.allowed_values;
    out.parameters->push_back(std::move(one));
  }
  describe(looked, out);
  std::set<std::string> seen;
  out.resource_types.emplace();
  for (const auto& [name, resource] : section(looked.root, "Resources")) {
    const std::string type = resource.string_or("Type");
    if (seen.insert(type).second) out.resource_types->push_back(type);
  }
  out.version = unless_empty(looked.root.string_or("AWSTemplateFormatVersion"));
  if (const Json* metadata = looked.root.find("Metadata")) out.metadata = metadata->dump();
  out.declared_transforms = looked.transforms;
  co_return std::move(out);
}

Task<ValidateTemplateOutput> CloudFormationService::validate_template(Ctx& ctx, const ValidateTemplateInput& in) {
  const auto text = co_await template_text(ctx, in.template_body, in.template_url);
  if (!text) co_return validation_error("Either Template URL or Template Body must be specified.");
  const Looked looked = look(*text);
  ValidateTemplateOutput out;
  out.parameters.emplace();
  for (const DeclaredParameter& p : looked.declared) {
    TemplateParameter one{.parameter_key = p.name, .default_value = p.default_value, .no_echo = p.no_echo};
    one.description = unless_empty(p.description);
    out.parameters->push_back(std::move(one));
  }
  describe(looked, out);
  if (!looked.transforms.empty()) out.declared_transforms = looked.transforms;
  co_return std::move(out);
}

}  // namespace virga::cloudformation
