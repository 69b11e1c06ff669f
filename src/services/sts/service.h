#pragma once

#include <aws/sts/ops.h>

#include "kernel/deps.h"
#include "kernel/service.h"
#include "services/iam/api.h"

namespace virga::sts {

class StsService : public kernel::Service {
 public:
  StsService(kernel::Deps& deps, iam::Directory& directory) : clock_(deps.clock), directory_(directory) {}

  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;
  // A role's trust policy.
  Task<std::optional<std::string>> resource_policy(kernel::Ctx& ctx, std::string resource) override;

  Task<GetCallerIdentityResponse> get_caller_identity(kernel::Ctx& ctx, const GetCallerIdentityRequest& in);
  Task<AssumeRoleResponse> assume_role(kernel::Ctx& ctx, const AssumeRoleRequest& in);
  Task<GetSessionTokenResponse> get_session_token(kernel::Ctx& ctx, const GetSessionTokenRequest& in);
  Task<GetAccessKeyInfoResponse> get_access_key_info(kernel::Ctx& ctx, const GetAccessKeyInfoRequest& in);

 private:
  // The session policies of a request as one document; nothing when there are none.
  Task<std::optional<std::string>> session_policy(std::string account, const AssumeRoleRequest& in);

  const Clock& clock_;
  iam::Directory& directory_;
};

}  // namespace virga::sts
