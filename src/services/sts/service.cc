#include "services/sts/service.h"

#include <aws/sts/errors.h>
#include <aws/sts/model.h>

#include "base/str.h"
#include "kernel/cloud.h"
#include "services/sts/api.h"

namespace virga::sts {

using kernel::Access;
using kernel::Ctx;

const wire::ServiceModel& StsService::model() const { return kModel; }

void StsService::operations(kernel::OpTable& t) {
  t.add<op::GetCallerIdentity>(this, &StsService::get_caller_identity).open();
  t.add<op::GetAccessKeyInfo>(this, &StsService::get_access_key_info);
  t.add<op::GetSessionToken>(this, &StsService::get_session_token).open();
  t.add<op::AssumeRole>(this, &StsService::assume_role).guarded().access([](const Ctx&, const AssumeRoleRequest& in) {
    Access assume{"sts:AssumeRole", in.role_arn, {{"sts:RoleSessionName", {in.role_session_name}}}};
    if (in.external_id) assume.conditions.push_back({"sts:ExternalId", {*in.external_id}});
    std::vector<Access> all;
    if (in.tags && !in.tags->empty()) {
      std::vector<std::string> keys;
      for (const Tag& tag : *in.tags) {
        assume.conditions.push_back({cat("aws:RequestTag/", tag.key), {tag.value}});
        keys.push_back(tag.key);
      }
      assume.conditions.push_back({"aws:TagKeys", std::move(keys)});
      all.push_back(assume);
      assume.action = "sts:TagSession";
    }
    all.push_back(std::move(assume));
    return all;
  });
}

Task<std::optional<std::string>> StsService::resource_policy(Ctx&, std::string resource) {
  auto role = co_await directory_.find_role(std::move(resource));
  if (!role) co_return std::nullopt;
  co_return std::move(role->trust_policy);
}

std::unique_ptr<kernel::Service> make_sts(kernel::Deps& deps, iam::Directory& directory) {
  deps.cloud.set_role_source(
      [&deps, &directory](kernel::Ctx& ctx, std::string role, std::string session) -> Task<kernel::Principal> {
        AssumeRoleRequest request;
        request.role_arn = std::move(role);
        request.role_session_name = std::move(session);
        const auto assumed = co_await deps.cloud.call<op::AssumeRole>(ctx, std::move(request));
        const Credentials& credentials = *assumed.credentials;
        auto known = co_await directory.find_credential(credentials.access_key_id, credentials.session_token);
        if (!known) co_return err::AccessDenied("The role's session is not known.");
        co_return std::move(known->principal);
      });
  return std::make_unique<StsService>(deps, directory);
}

}  // namespace virga::sts
