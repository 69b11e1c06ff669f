// Stacks, their events and resources, exports: everything that only looks.
#include <aws/cloudformation/errors.h>

#include <algorithm>
#include <functional>

#include "base/str.h"
#include "kernel/page.h"
#include "services/cloudformation/limits.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/service.h"

namespace virga::cloudformation {

namespace {

struct After {
  std::string last;
  uint64_t number = 0;
  template <class A>
  void fields(A& a) {
    a(1, last);
    a(2, number);
  }
};

Error bad_token() { return validation_error("NextToken is invalid"); }

std::optional<Time> unless_zero(Time t) { return t == Time{} ? std::nullopt : std::optional<Time>(t); }

std::string description_of(const StackRecord& stack) {
  return stack.now.processed.empty() ? "" : Json::parse(stack.now.processed).string_or("Description");
}

Stack shown(const StackRecord& stack) {
  Stack out;
  out.stack_id = stack.id;
  out.stack_name = stack.name;
  out.change_set_id = unless_empty(stack.change_set_id);
  out.description = unless_empty(description_of(stack));
  out.parameters = shown_parameters(stack.now);
  out.creation_time = stack.created;
  out.deletion_time = unless_zero(stack.deleted);
  out.last_updated_time = unless_zero(stack.updated);
  out.rollback_configuration.emplace();
  out.stack_status = value_of<StackStatus>(stack.status);
  out.stack_status_reason = unless_empty(stack.reason);
  out.disable_rollback = stack.disable_rollback;
  out.notification_arns.emplace();
  out.capabilities = capability_values(stack.now.capabilities);
  for (const OutputRecord& output : stack.outputs) {
    if (!out.outputs) out.outputs.emplace();
    out.outputs->push_back(Output{.output_key = output.key,
                                  .output_value = output.value,
                                  .description = unless_empty(output.description),
                                  .export_name = unless_empty(output.export_name)});
  }
  out.role_arn = unless_empty(stack.now.role_arn);
  out.tags = shown_tags(stack.now.tags);
  out.enable_termination_protection = stack.termination_protection;
  out.parent_id = unless_empty(stack.parent);
  out.root_id = unless_empty(stack.root);
  out.drift_information = StackDriftInformation{.stack_drift_status = StackDriftStatus::NOT_CHECKED};
  return out;
}

std::vector<ResourceRecord> ordered(std::vector<ResourceRecord> all) {
  std::erase_if(all, [](const ResourceRecord& r) { return r.status.empty(); });
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.logical_id < b.logical_id; });
  return all;
}

struct StackPage {
  std::vector<StackRecord> stacks;
  std::optional<std::string> next;
};

// The stacks that `wanted` says yes to, from where `token` left off.
Task<StackPage> page_of_stacks(kernel::Deps& deps, Ctx& ctx, std::string_view purpose, std::optional<std::string> token,
                               std::function<bool(const StackRecord&)> wanted) {
  StackPage out;
  const auto after = kernel::open_page<After>(deps.tokens, ctx, purpose, token, bad_token());
  std::string last = after ? after->last : "";
  auto snapshot = deps.db.snapshot();
  Store store(*snapshot);
  for (;;) {
    const auto page = co_await store.stacks(ctx.account, ctx.region, last, kPageMost + 1);
    for (const StackRecord& stack : page) {
      if (out.stacks.size() == kPageMost) {
        out.next = kernel::seal_page(deps.tokens, ctx, purpose, After{last});
        co_return std::move(out);
      }
      last = stack.id;
      if (wanted(stack)) out.stacks.push_back(stack);
    }
    if (page.size() <= kPageMost) co_return std::move(out);
  }
}

}  // namespace

Task<DescribeStacksOutput> CloudFormationService::describe_stacks(Ctx& ctx, const DescribeStacksInput& in) {
  DescribeStacksOutput out;
  out.stacks.emplace();
  if (in.stack_name && !in.stack_name->empty()) {
    out.stacks->push_back(shown(co_await need_stack(ctx, *in.stack_name)));
    co_return std::move(out);
  }
  StackPage page = co_await page_of_stacks(deps_, ctx, "cloudformation:DescribeStacks", in.next_token,
                                           [](const StackRecord& stack) { return stack.status != "DELETE_COMPLETE"; });
  for (const StackRecord& stack : page.stacks) out.stacks->push_back(shown(stack));
  out.next_token = std::move(page.next);
  co_return std::move(out);
}

Task<ListStacksOutput> CloudFormationService::list_stacks(Ctx& ctx, const ListStacksInput& in) {
  ListStacksOutput out;
  out.stack_summaries.emplace();
  const auto& statuses = in.stack_status_filter;
  StackPage page = co_await page_of_stacks(
      deps_, ctx, "cloudformation:ListStacks", in.next_token, [&statuses](const StackRecord& stack) {
        const auto status = value_of<StackStatus>(stack.status);
        return !statuses || statuses->empty() ||
               std::find(statuses->begin(), statuses->end(), status) != statuses->end();
      });
  for (const StackRecord& stack : page.stacks) {
    StackSummary summary;
    summary.stack_id = stack.id;
    summary.stack_name = stack.name;
    summary.template_description = unless_empty(description_of(stack));
    summary.creation_time = stack.created;
    summary.last_updated_time = unless_zero(stack.updated);
    summary.deletion_time = unless_zero(stack.deleted);
    summary.stack_status = value_of<StackStatus>(stack.status);
    summary.stack_status_reason = unless_empty(stack.reason);
    summary.drift_information = StackDriftInformationSummary{.stack_drift_status = StackDriftStatus::NOT_CHECKED};
    out.stack_summaries->push_back(std::move(summary));
  }
  out.next_token = std::move(page.next);
  co_return std::move(out);
}

Task<DescribeStackEventsOutput> CloudFormationService::describe_stack_events(Ctx& ctx,
                                                                             const DescribeStackEventsInput& in) {
  const StackRecord stack = co_await need_stack(ctx, in.stack_name, "Stack [%s] does not exist");
  const auto after =
      kernel::open_page<After>(deps_.tokens, ctx, "cloudformation:DescribeStackEvents", in.next_token, bad_token());
  if (after && after->last != stack.id) co_return bad_token();
  auto snapshot = deps_.db.snapshot();
  const auto page = co_await Store(*snapshot).events(stack.id, after ? after->number : UINT64_MAX, kPageMost + 1);
  DescribeStackEventsOutput out;
  out.stack_events.emplace();
  uint64_t last = 0;
  for (const auto& [number, record] : page) {
    if (out.stack_events->size() == kPageMost) {
      out.next_token =
          kernel::seal_page(deps_.tokens, ctx, "cloudformation:DescribeStackEvents", After{stack.id, last});
      break;
    }
    last = number;
    StackEvent event;
    event.stack_id = stack.id;
    event.event_id = record.event_id;
    event.stack_name = stack.name;
    event.operation_id = unless_empty(record.operation);
    event.logical_resource_id = record.logical_id;
    event.physical_resource_id = record.physical_id;
    event.resource_type = record.type;
    event.timestamp = record.at;
    event.resource_status = value_of<ResourceStatus>(record.status);
    event.resource_status_reason = unless_empty(record.reason);
    event.resource_properties = unless_empty(record.properties);
    event.client_request_token = unless_empty(record.token);
    out.stack_events->push_back(std::move(event));
  }
  co_return std::move(out);
}

Task<DescribeStackResourceOutput> CloudFormationService::describe_stack_resource(Ctx& ctx,
                                                                                 const DescribeStackResourceInput& in) {
  const StackRecord stack = co_await need_stack(ctx, in.stack_name, "Stack '%s' does not exist");
  auto snapshot = deps_.db.snapshot();
  const auto r = co_await Store(*snapshot).find_resource(stack.id, in.logical_resource_id);
  if (!r)
    co_return validation_error(cat("Resource ", in.logical_resource_id, " does not exist for stack ", stack.name));
  StackResourceDetail detail;
  detail.stack_name = stack.name;
  detail.stack_id = stack.id;
  detail.logical_resource_id = r->logical_id;
  detail.physical_resource_id = unless_empty(r->made.physical_id);
  detail.resource_type = r->made.type;
  detail.last_updated_timestamp = r->updated;
  detail.resource_status = value_of<ResourceStatus>(r->status);
  detail.resource_status_reason = unless_empty(r->reason);
  detail.metadata = r->metadata.empty() ? "{}" : r->metadata;
  detail.drift_information =
      StackResourceDriftInformation{.stack_resource_drift_status = StackResourceDriftStatus::NOT_CHECKED};
  DescribeStackResourceOutput out;
  out.stack_resource_detail = std::move(detail);
  co_return std::move(out);
}

Task<DescribeStackResourcesOutput> CloudFormationService::describe_stack_resources(
    Ctx& ctx, const DescribeStackResourcesInput& in) {
  if (!in.stack_name)
    co_return in.physical_resource_id ? not_served("Finding a stack by PhysicalResourceId")
                                      : validation_error("StackName or PhysicalResourceId must be specified");
  const StackRecord stack = co_await need_stack(ctx, *in.stack_name);
  auto snapshot = deps_.db.snapshot();
  DescribeStackResourcesOutput out;
  out.stack_resources.emplace();
  for (const ResourceRecord& r : ordered(co_await Store(*snapshot).resources(stack.id))) {
    if (in.logical_resource_id && r.logical_id != *in.logical_resource_id) continue;
    if (out.stack_resources->size() == kPageMost) break;
    StackResource one;
    one.stack_name = stack.name;
    one.stack_id = stack.id;
    one.logical_resource_id = r.logical_id;
    one.physical_resource_id = unless_empty(r.made.physical_id);
    one.resource_type = r.made.type;
    one.timestamp = r.updated;
    one.resource_status = value_of<ResourceStatus>(r.status);
    one.resource_status_reason = unless_empty(r.reason);
    one.drift_information =
        StackResourceDriftInformation{.stack_resource_drift_status = StackResourceDriftStatus::NOT_CHECKED};
    out.stack_resources->push_back(std::move(one));
  }
  co_return std::move(out);
}

Task<ListStackResourcesOutput> CloudFormationService::list_stack_resources(Ctx& ctx,
                                                                           const ListStackResourcesInput& in) {
  const StackRecord stack = co_await need_stack(ctx, in.stack_name);
  const auto after =
      kernel::open_page<After>(deps_.tokens, ctx, "cloudformation:ListStackResources", in.next_token, bad_token());
  auto snapshot = deps_.db.snapshot();
  ListStackResourcesOutput out;
  out.stack_resource_summaries.emplace();
  for (const ResourceRecord& r : ordered(co_await Store(*snapshot).resources(stack.id))) {
    if (after && r.logical_id <= after->last) continue;
    if (out.stack_resource_summaries->size() == kPageMost) {
      out.next_token = kernel::seal_page(deps_.tokens, ctx, "cloudformation:ListStackResources",
                                         After{out.stack_resource_summaries->back().logical_resource_id});
      break;
    }
    StackResourceSummary one;
    one.logical_resource_id = r.logical_id;
    one.physical_resource_id = unless_empty(r.made.physical_id);
    one.resource_type = r.made.type;
    one.last_updated_timestamp = r.updated;
    one.resource_status = value_of<ResourceStatus>(r.status);
    one.resource_status_reason = unless_empty(r.reason);
    one.drift_information =
        StackResourceDriftInformationSummary{.stack_resource_drift_status = StackResourceDriftStatus::NOT_CHECKED};
    out.stack_resource_summaries->push_back(std::move(one));
  }
  co_return std::move(out);
}

Task<ListExportsOutput> CloudFormationService::list_exports(Ctx& ctx, const ListExportsInput& in) {
  const auto after =
      kernel::open_page<After>(deps_.tokens, ctx, "cloudformation:ListExports", in.next_token, bad_token());
  auto snapshot = deps_.db.snapshot();
  ListExportsOutput out;
  out.exports.emplace();
  for (const ExportRecord& record :
       co_await Store(*snapshot).exports(ctx.account, ctx.region, after ? after->last : "", kPageMost + 1)) {
    if (out.exports->size() == kPageMost) {
      out.next_token =
          kernel::seal_page(deps_.tokens, ctx, "cloudformation:ListExports", After{*out.exports->back().name});
      break;
    }
    out.exports->push_back(Export{.exporting_stack_id = record.stack_id, .name = record.name, .value = record.value});
  }
  co_return std::move(out);
}

Task<ListImportsOutput> CloudFormationService::list_imports(Ctx& ctx, const ListImportsInput& in) {
  auto snapshot = deps_.db.snapshot();
  ListImportsOutput out;
  out.imports.emplace();
  for (const std::string& id : co_await Store(*snapshot).importers(ctx.account, ctx.region, in.export_name))
    out.imports->push_back(name_in(id));
  if (out.imports->empty())
    co_return validation_error(cat("Export '", in.export_name, "' is not imported by any stack."));
  co_return std::move(out);
}

}  // namespace virga::cloudformation
