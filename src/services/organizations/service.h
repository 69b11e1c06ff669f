#pragma once

#include <aws/organizations/ops.h>
#include <aws/organizations/types.h>

#include "kernel/context.h"
#include "kernel/deps.h"
#include "kernel/service.h"
#include "services/organizations/store.h"

namespace virga::organizations {

using kernel::Ctx;

class OrganizationsService final : public kernel::Service {
 public:
  explicit OrganizationsService(kernel::Deps& deps) : deps_(deps) {}
  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;

 private:
  // ops_organization.cc
  Task<CreateOrganizationResponse> create_organization(Ctx& ctx, const CreateOrganizationRequest& in);
  Task<DescribeOrganizationResponse> describe_organization(Ctx& ctx, const DescribeOrganizationInput& in);
  Task<DeleteOrganizationOutput> delete_organization(Ctx& ctx, const DeleteOrganizationInput& in);

  // ops_account.cc
  Task<CreateAccountResponse> create_account(Ctx& ctx, const CreateAccountRequest& in);
  Task<DescribeCreateAccountStatusResponse> describe_create_account_status(
      Ctx& ctx, const DescribeCreateAccountStatusRequest& in);
  Task<ListCreateAccountStatusResponse> list_create_account_status(Ctx& ctx, const ListCreateAccountStatusRequest& in);
  Task<ListAccountsResponse> list_accounts(Ctx& ctx, const ListAccountsRequest& in);
  Task<DescribeAccountResponse> describe_account(Ctx& ctx, const DescribeAccountRequest& in);
  Task<void> make_role(std::string account, std::string role, std::string management);

  kernel::Deps& deps_;
};

// The organization of the caller, who is of its management account. Fails as AWS does for others.
Task<OrganizationRecord> managed(kv::Reader& reader, std::string account);

}  // namespace virga::organizations
