// What CloudFormation itself makes: WaitConditionHandle.
#include "base/id.h"
#include "base/str.h"
#include "services/cloudformation/resources/provider.h"

namespace virga::cloudformation {

namespace {

// Nothing signals it yet; templates use it as a placeholder, and its Ref is a URL of its own.
Task<Made> create_handle(Call& call) {
  co_return Made{cat("https://cloudformation-waitcondition-", call.ctx.region, ".s3.", call.ctx.region,
                     ".amazonaws.com/", call.physical_id)};
}
Task<void> remove_handle(Call&) { co_return; }

constexpr Provider kProviders[] = {{.type = "AWS::CloudFormation::WaitConditionHandle",
                                    .name_property = "",
                                    .replace_on = "",
                                    .create = create_handle,
                                    .update = create_handle,
                                    .remove = remove_handle}};

}  // namespace

std::span<const Provider> cloudformation_providers() { return kProviders; }

}  // namespace virga::cloudformation
