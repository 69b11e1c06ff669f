#include <aws/organizations/errors.h>

#include "base/id.h"
#include "base/str.h"
#include "services/organizations/service.h"

namespace virga::organizations {
namespace {

Organization described(const OrganizationRecord& record) {
  const std::string all = cat("arn:aws:organizations::", record.management, ":");
  Organization out;
  out.id = record.id;
  out.arn = cat(all, "organization/", record.id);
  from_string(record.features, out.feature_set.emplace());
  out.master_account_arn = cat(all, "account/", record.id, "/", record.management);
  out.master_account_id = record.management;
  out.available_policy_types.emplace();
  return out;
}

}  // namespace

Task<OrganizationRecord> managed(kv::Reader& reader, std::string account) {
  auto organization = co_await find_organization(reader, account);
  if (!organization)
    co_return err::AWSOrganizationsNotInUseException("Your account is not a member of an organization.");
  if (organization->management != account)
    co_return err::AccessDeniedException("You don't have permissions to access this resource.");
  co_return std::move(*organization);
}

Task<CreateOrganizationResponse> OrganizationsService::create_organization(Ctx& ctx,
                                                                           const CreateOrganizationRequest& in) {
  OrganizationRecord record{cat("o-", random_lower_alnum(10)), ctx.account,
                            std::string(to_string(in.feature_set.value_or(OrganizationFeatureSet::ALL)))};
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    if (co_await find_organization(tx, ctx.account))
      co_await fail(
          err::AlreadyInOrganizationException("The provided account is already a member of an organization."));
    AccountRecord account{ctx.account, "management", "", false, ctx.now()};
    tx.put(keys::organization(ctx.account), kv::encode(record));
    tx.put(keys::membership(ctx.account), ctx.account);
    tx.put(keys::entry(keys::accounts(ctx.account), ctx.account), kv::encode(account));
  });
  co_return CreateOrganizationResponse{described(record)};
}

Task<DescribeOrganizationResponse> OrganizationsService::describe_organization(Ctx& ctx,
                                                                               const DescribeOrganizationInput&) {
  const auto snapshot = deps_.db.snapshot();
  const auto organization = co_await find_organization(*snapshot, ctx.account);
  if (!organization)
    co_return err::AWSOrganizationsNotInUseException("Your account is not a member of an organization.");
  co_return DescribeOrganizationResponse{described(*organization)};
}

Task<DeleteOrganizationOutput> OrganizationsService::delete_organization(Ctx& ctx, const DeleteOrganizationInput&) {
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<DeleteOrganizationOutput> {
    const OrganizationRecord organization = co_await managed(tx, ctx.account);
    const std::string accounts = keys::accounts(organization.management);
    if ((co_await tx.scan(kv::prefix_range(accounts), {.limit = 2})).size() > 1)
      co_return err::OrganizationNotEmptyException(
          "To delete an organization you must first remove all member "
          "accounts (except the master).");
    tx.erase(keys::organization(organization.management));
    tx.erase(keys::membership(organization.management));
    tx.erase(keys::entry(accounts, organization.management));
    tx.erase_range(kv::prefix_range(keys::requests(organization.management)));
    co_return DeleteOrganizationOutput{};
  });
}

}  // namespace virga::organizations
