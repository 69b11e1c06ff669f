// Questions about an account, and about things that can't be made here: the answer to "which are there" is none.
#include <aws/iam/errors.h>

#include "base/str.h"
#include "services/iam/limits.h"
#include "services/iam/managed_policies.h"
#include "services/iam/service.h"

namespace virga::iam {

using kernel::Ctx;

namespace {

Task<int32_t> count(View& view, Kind kind) {
  int32_t n = 0;
  std::string last;
  for (;;) {
    const auto some = co_await view.list(kind, last, 500);
    n += static_cast<int32_t>(some.size());
    if (some.size() < 500) co_return n;
    last = some.back().name;
  }
}

}  // namespace

Task<GetAccountSummaryResponse> IamService::get_account_summary(Ctx& ctx, const GetAccountSummaryInput&) {
  const auto reader = db_.snapshot();
  View view(*reader, ctx.account);
  int32_t policies = 0, versions = 0;
  std::string last;
  for (;;) {
    const auto some = co_await view.list_policies(last, 500);
    policies += static_cast<int32_t>(some.size());
    for (const Managed& policy : some) versions += static_cast<int32_t>(policy.versions.size());
    if (some.size() < 500) break;
    last = some.back().name;
  }
  GetAccountSummaryResponse out;
  out.summary_map = std::map<std::string, int32_t>{
      {"Users", co_await count(view, Kind::kUser)},
      {"Groups", co_await count(view, Kind::kGroup)},
      {"Roles", co_await count(view, Kind::kRole)},
      {"Policies", policies},
      {"PolicyVersionsInUse", versions},
      {"InstanceProfiles", 0},
      {"MFADevices", 0},
      {"MFADevicesInUse", 0},
      {"ServerCertificates", 0},
      {"Providers", 0},
      {"AccountMFAEnabled", 0},
      {"GroupsPerUserQuota", static_cast<int32_t>(kGroupsPerUser)},
      {"AccessKeysPerUserQuota", static_cast<int32_t>(kAccessKeysPerUser)},
      {"AttachedPoliciesPerUserQuota", static_cast<int32_t>(kAttachedPolicies)},
      {"AttachedPoliciesPerGroupQuota", static_cast<int32_t>(kAttachedPolicies)},
      {"AttachedPoliciesPerRoleQuota", static_cast<int32_t>(kAttachedPolicies)},
      {"UserPolicySizeQuota", static_cast<int32_t>(kUserPolicySize)},
      {"GroupPolicySizeQuota", static_cast<int32_t>(kGroupPolicySize)},
      {"RolePolicySizeQuota", static_cast<int32_t>(kRolePolicySize)},
      {"AssumeRolePolicySizeQuota", static_cast<int32_t>(kTrustPolicySize)},
      {"PolicySizeQuota", static_cast<int32_t>(kManagedPolicySize)},
      {"VersionsPerPolicyQuota", static_cast<int32_t>(kPolicyVersions)},
  };
  co_return out;
}

Task<ListAccountAliasesResponse> IamService::list_account_aliases(Ctx&, const ListAccountAliasesRequest&) {
  co_return ListAccountAliasesResponse{.is_truncated = false};
}

Task<ListInstanceProfilesResponse> IamService::list_instance_profiles(Ctx&, const ListInstanceProfilesRequest&) {
  co_return ListInstanceProfilesResponse{.is_truncated = false};
}

Task<ListInstanceProfilesForRoleResponse> IamService::list_instance_profiles_for_role(
    Ctx& ctx, const ListInstanceProfilesForRoleRequest& in) {
  co_await read(ctx, Kind::kRole, in.role_name);
  co_return ListInstanceProfilesForRoleResponse{.is_truncated = false};
}

// What a user may have besides keys and policies: asked by tools before they delete one.
Task<void> IamService::need_user(Ctx& ctx, std::optional<std::string> name) {
  if (name) co_await read(ctx, Kind::kUser, *name);
}

Task<ListMFADevicesResponse> IamService::list_mfa_devices(Ctx& ctx, const ListMFADevicesRequest& in) {
  co_await need_user(ctx, in.user_name);
  co_return ListMFADevicesResponse{.is_truncated = false};
}

Task<ListSSHPublicKeysResponse> IamService::list_ssh_public_keys(Ctx& ctx, const ListSSHPublicKeysRequest& in) {
  co_await need_user(ctx, in.user_name);
  ListSSHPublicKeysResponse out;
  out.ssh_public_keys.emplace();
  out.is_truncated = false;
  co_return out;
}

Task<ListSigningCertificatesResponse> IamService::list_signing_certificates(Ctx& ctx,
                                                                            const ListSigningCertificatesRequest& in) {
  co_await need_user(ctx, in.user_name);
  co_return ListSigningCertificatesResponse{.is_truncated = false};
}

Task<ListServiceSpecificCredentialsResponse> IamService::list_service_specific_credentials(
    Ctx& ctx, const ListServiceSpecificCredentialsRequest& in) {
  co_await need_user(ctx, in.user_name);
  ListServiceSpecificCredentialsResponse out;
  out.service_specific_credentials.emplace();
  co_return out;
}

Task<GetLoginProfileResponse> IamService::get_login_profile(Ctx& ctx, const GetLoginProfileRequest& in) {
  const std::string name = user_or_self(ctx, in.user_name);
  co_await read(ctx, Kind::kUser, name);
  co_return err::NoSuchEntityException(cat("Login Profile for User ", name, " cannot be found."));
}

}  // namespace virga::iam
