// AWS::IAM::Role, User, Group, Policy, ManagedPolicy and AccessKey.
#include <algorithm>

#include "base/str.h"
#include "services/cloudformation/intrinsics.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/resources/provider.h"

namespace virga::cloudformation {

namespace {

std::vector<std::string> texts(const Json* list) {
  std::vector<std::string> out;
  if (list && list->is_array()) {
    for (const Json& one : list->as_array()) out.push_back(scalar_text(one));
  } else if (list && list->is_string()) {
    out.push_back(list->as_string());
  }
  return out;
}
bool has(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

std::vector<std::string> policy_names(const Json* policies) {
  std::vector<std::string> out;
  if (policies && policies->is_array()) {
    for (const Json& policy : policies->as_array()) out.push_back(policy.string_or("PolicyName"));
  }
  return out;
}

// `kind` is Role, User or Group: names of operations and members follow from it.
Json named(const std::string& kind, const std::string& name) { return Json::object({{kind + "Name", name}}); }

// Makes the attached and inline policies of an entity those of the properties.
Task<void> set_policies(Call& call, std::string kind) {
  const auto arns = texts(call.find("ManagedPolicyArns")), former_arns = texts(call.former.find("ManagedPolicyArns"));
  for (const std::string& arn : arns) {
    Json input = named(kind, call.physical_id);
    input["PolicyArn"] = arn;
    co_await call.api("iam", cat("Attach", kind, "Policy"), std::move(input));
  }
  for (const std::string& arn : former_arns) {
    if (has(arns, arn)) continue;
    Json input = named(kind, call.physical_id);
    input["PolicyArn"] = arn;
    co_await call.api_unless("NoSuchEntity", "iam", cat("Detach", kind, "Policy"), std::move(input));
  }
  const Json* policies = call.find("Policies");
  const auto names = policy_names(policies), former_names = policy_names(call.former.find("Policies"));
  if (policies && policies->is_array()) {
    for (const Json& policy : policies->as_array()) {
      Json input = named(kind, call.physical_id);
      input["PolicyName"] = policy.string_or("PolicyName");
      input["PolicyDocument"] = policy.find("PolicyDocument") ? document_text(*policy.find("PolicyDocument")) : "";
      co_await call.api("iam", cat("Put", kind, "Policy"), std::move(input));
    }
  }
  for (const std::string& name : former_names) {
    if (has(names, name)) continue;
    Json input = named(kind, call.physical_id);
    input["PolicyName"] = name;
    co_await call.api_unless("NoSuchEntity", "iam", cat("Delete", kind, "Policy"), std::move(input));
  }
}

Task<void> drop_policies(Call& call, std::string kind) {
  const auto attached = co_await call.api_unless("NoSuchEntity", "iam", cat("ListAttached", kind, "Policies"),
                                                 named(kind, call.physical_id));
  if (!attached) co_return;
  if (const Json* all = attached->find("AttachedPolicies")) {
    for (const Json& policy : all->as_array()) {
      Json input = named(kind, call.physical_id);
      input["PolicyArn"] = policy.string_or("PolicyArn");
      co_await call.api_unless("NoSuchEntity", "iam", cat("Detach", kind, "Policy"), std::move(input));
    }
  }
  const Json inlined = co_await call.api("iam", cat("List", kind, "Policies"), named(kind, call.physical_id));
  for (const std::string& name : texts(inlined.find("PolicyNames"))) {
    Json input = named(kind, call.physical_id);
    input["PolicyName"] = name;
    co_await call.api_unless("NoSuchEntity", "iam", cat("Delete", kind, "Policy"), std::move(input));
  }
}

Task<void> set_tags(Call& call, std::string kind) {
  if (!call.changed("Tags")) co_return;
  const Json now = call.tag_map();
  Json gone = Json::array();
  if (const Json* before = call.former.find("Tags"); before && before->is_array()) {
    for (const Json& tag : before->as_array()) {
      if (!now.find(tag.string_or("Key"))) gone.push_back(tag.string_or("Key"));
    }
  }
  Json input = named(kind, call.physical_id);
  if (!gone.as_array().empty()) {
    input["TagKeys"] = gone;
    co_await call.api("iam", "Untag" + kind, input);
    input.erase("TagKeys");
  }
  if (!now.as_object().empty()) {
    input["Tags"] = call.tag_list();
    co_await call.api("iam", "Tag" + kind, std::move(input));
  }
}

Task<Made> made_of(Call& call, std::string kind) {
  const Json out = co_await call.api("iam", "Get" + kind, named(kind, call.physical_id));
  const Json& entity = *out.find(kind);
  Made made{call.physical_id, Json::object({{"Arn", entity.string_or("Arn")}})};
  if (const Json* id = entity.find(kind + "Id")) made.attributes[kind + "Id"] = *id;
  co_return std::move(made);
}

Task<Made> create_role(Call& call) {
  Json input = only(call.properties, "Path Description MaxSessionDuration PermissionsBoundary");
  input["RoleName"] = call.physical_id;
  const Json* trust = call.find("AssumeRolePolicyDocument");
  if (!trust)
    co_return validation_error(
        "Properties validation failed with message: #: required key [AssumeRolePolicyDocument] not found");
  input["AssumeRolePolicyDocument"] = document_text(*trust);
  if (Json tags = call.tag_list(); !tags.as_array().empty()) input["Tags"] = std::move(tags);
  co_await call.create("EntityAlreadyExists", "iam", "CreateRole", std::move(input));
  call.created = call.physical_id;
  co_await set_policies(call, "Role");
  co_return co_await made_of(call, "Role");
}

Task<Made> update_role(Call& call) {
  if (call.changed("AssumeRolePolicyDocument") && call.find("AssumeRolePolicyDocument")) {
    co_await call.api("iam", "UpdateAssumeRolePolicy",
                      Json::object({{"RoleName", call.physical_id},
                                    {"PolicyDocument", document_text(*call.find("AssumeRolePolicyDocument"))}}));
  }
  if (call.changed("Description") || call.changed("MaxSessionDuration")) {
    Json input = only(call.properties, "Description MaxSessionDuration");
    input["RoleName"] = call.physical_id;
    co_await call.api("iam", "UpdateRole", std::move(input));
  }
  if (call.changed("PermissionsBoundary")) {
    Json input = only(call.properties, "PermissionsBoundary");
    input["RoleName"] = call.physical_id;
    co_await call.api("iam",
                      call.find("PermissionsBoundary") ? "PutRolePermissionsBoundary" : "DeleteRolePermissionsBoundary",
                      std::move(input));
  }
  co_await set_policies(call, "Role");
  co_await set_tags(call, "Role");
  co_return co_await made_of(call, "Role");
}

Task<void> remove_role(Call& call) {
  co_await drop_policies(call, "Role");
  co_await call.api_unless("NoSuchEntity", "iam", "DeleteRole", named("Role", call.physical_id));
}

Task<void> set_groups(Call& call) {
  const auto now = texts(call.find("Groups")), before = texts(call.former.find("Groups"));
  for (const std::string& group : now)
    co_await call.api("iam", "AddUserToGroup", Json::object({{"GroupName", group}, {"UserName", call.physical_id}}));
  for (const std::string& group : before) {
    if (!has(now, group))
      co_await call.api_unless("NoSuchEntity", "iam", "RemoveUserFromGroup",
                               Json::object({{"GroupName", group}, {"UserName", call.physical_id}}));
  }
}

Task<Made> create_user(Call& call) {
  if (call.find("LoginProfile")) co_return not_served("The property LoginProfile of AWS::IAM::User");
  Json input = only(call.properties, "Path PermissionsBoundary");
  input["UserName"] = call.physical_id;
  if (Json tags = call.tag_list(); !tags.as_array().empty()) input["Tags"] = std::move(tags);
  co_await call.create("EntityAlreadyExists", "iam", "CreateUser", std::move(input));
  call.created = call.physical_id;
  co_await set_policies(call, "User");
  co_await set_groups(call);
  co_return co_await made_of(call, "User");
}

Task<Made> update_user(Call& call) {
  co_await set_policies(call, "User");
  co_await set_groups(call);
  co_await set_tags(call, "User");
  co_return co_await made_of(call, "User");
}

Task<void> remove_user(Call& call) {
  co_await drop_policies(call, "User");
  for (const std::string& group : texts(call.find("Groups")))
    co_await call.api_unless("NoSuchEntity", "iam", "RemoveUserFromGroup",
                             Json::object({{"GroupName", group}, {"UserName", call.physical_id}}));
  co_await call.api_unless("NoSuchEntity", "iam", "DeleteUser", named("User", call.physical_id));
}

Task<Made> create_group(Call& call) {
  Json input = only(call.properties, "Path");
  input["GroupName"] = call.physical_id;
  co_await call.create("EntityAlreadyExists", "iam", "CreateGroup", std::move(input));
  call.created = call.physical_id;
  co_await set_policies(call, "Group");
  co_return co_await made_of(call, "Group");
}

Task<Made> update_group(Call& call) {
  co_await set_policies(call, "Group");
  co_return co_await made_of(call, "Group");
}

Task<void> remove_group(Call& call) {
  co_await drop_policies(call, "Group");
  co_await call.api_unless("NoSuchEntity", "iam", "DeleteGroup", named("Group", call.physical_id));
}

constexpr std::pair<const char*, const char*> kHolders[] = {{"Roles", "Role"}, {"Users", "User"}, {"Groups", "Group"}};

// An inline policy on several entities; entities that a former version named lose it.
Task<Made> put_inline(Call& call) {
  const Json* document = call.find("PolicyDocument");
  const std::string name = call.text("PolicyName"), former = call.former.string_or("PolicyName");
  if (name.empty() || !document) co_return validation_error("AWS::IAM::Policy needs PolicyName and PolicyDocument");
  for (const auto& [list, kind] : kHolders) {
    const auto now = texts(call.find(list));
    for (const std::string& holder : now) {
      Json input = named(kind, holder);
      input["PolicyName"] = name;
      input["PolicyDocument"] = document_text(*document);
      co_await call.api("iam", cat("Put", kind, "Policy"), std::move(input));
    }
    for (const std::string& holder : texts(call.former.find(list))) {
      if (has(now, holder) && (former.empty() || former == name)) continue;
      Json input = named(kind, holder);
      input["PolicyName"] = former;
      co_await call.api_unless("NoSuchEntity", "iam", cat("Delete", kind, "Policy"), std::move(input));
    }
  }
  co_return Made{call.physical_id};
}

Task<void> remove_inline(Call& call) {
  for (const auto& [list, kind] : kHolders) {
    for (const std::string& holder : texts(call.find(list))) {
      Json input = named(kind, holder);
      input["PolicyName"] = call.text("PolicyName");
      co_await call.api_unless("NoSuchEntity", "iam", cat("Delete", kind, "Policy"), std::move(input));
    }
  }
}

Task<void> attach_to(Call& call, std::string arn) {
  for (const auto& [list, kind] : kHolders) {
    const auto now = texts(call.find(list));
    for (const std::string& holder : now) {
      Json input = named(kind, holder);
      input["PolicyArn"] = arn;
      co_await call.api("iam", cat("Attach", kind, "Policy"), std::move(input));
    }
    for (const std::string& holder : texts(call.former.find(list))) {
      if (has(now, holder)) continue;
      Json input = named(kind, holder);
      input["PolicyArn"] = arn;
      co_await call.api_unless("NoSuchEntity", "iam", cat("Detach", kind, "Policy"), std::move(input));
    }
  }
}

Made managed_made(const std::string& arn) { return {arn, Json::object({{"PolicyArn", arn}})}; }

Task<Made> create_managed(Call& call) {
  const Json* document = call.find("PolicyDocument");
  if (!document) co_return validation_error("AWS::IAM::ManagedPolicy needs PolicyDocument");
  Json input = only(call.properties, "Path Description");
  input["PolicyName"] = call.physical_id;
  input["PolicyDocument"] = document_text(*document);
  const auto out = co_await call.create("EntityAlreadyExists", "iam", "CreatePolicy", std::move(input));
  const std::string path = call.text("Path");
  const std::string arn =
      out ? out->find("Policy")->string_or("Arn")
          : kernel::global_arn(call.ctx, "iam", cat("policy", path.empty() ? "/" : path, call.physical_id));
  call.created = arn;
  co_await attach_to(call, arn);
  co_return managed_made(arn);
}

Task<Made> update_managed(Call& call) {
  const std::string arn = call.physical_id;
  if (call.changed("PolicyDocument") && call.find("PolicyDocument")) {
    const Json versions = co_await call.api("iam", "ListPolicyVersions", Json::object({{"PolicyArn", arn}}));
    const Json* all = versions.find("Versions");
    if (all && all->as_array().size() >= 5) {
      // The oldest that is not in use makes room.
      for (auto version = all->as_array().rbegin(); version != all->as_array().rend(); ++version) {
        const Json* in_use = version->find("IsDefaultVersion");
        if (in_use && *in_use == Json(true)) continue;
        co_await call.api("iam", "DeletePolicyVersion",
                          Json::object({{"PolicyArn", arn}, {"VersionId", version->string_or("VersionId")}}));
        break;
      }
    }
    co_await call.api("iam", "CreatePolicyVersion",
                      Json::object({{"PolicyArn", arn},
                                    {"PolicyDocument", document_text(*call.find("PolicyDocument"))},
                                    {"SetAsDefault", true}}));
  }
  co_await attach_to(call, arn);
  co_return managed_made(arn);
}

Task<void> remove_managed(Call& call) {
  const std::string arn = call.physical_id;
  for (const auto& [list, kind] : kHolders) {
    for (const std::string& holder : texts(call.find(list))) {
      Json input = named(kind, holder);
      input["PolicyArn"] = arn;
      co_await call.api_unless("NoSuchEntity", "iam", cat("Detach", kind, "Policy"), std::move(input));
    }
  }
  const auto versions =
      co_await call.api_unless("NoSuchEntity", "iam", "ListPolicyVersions", Json::object({{"PolicyArn", arn}}));
  if (!versions) co_return;
  if (const Json* all = versions->find("Versions")) {
    for (const Json& version : all->as_array()) {
      const Json* in_use = version.find("IsDefaultVersion");
      if (in_use && *in_use == Json(true)) continue;
      co_await call.api("iam", "DeletePolicyVersion",
                        Json::object({{"PolicyArn", arn}, {"VersionId", version.string_or("VersionId")}}));
    }
  }
  co_await call.api_unless("NoSuchEntity", "iam", "DeletePolicy", Json::object({{"PolicyArn", arn}}));
}

Task<Made> create_key(Call& call) {
  const Json out = co_await call.api("iam", "CreateAccessKey", Json::object({{"UserName", call.text("UserName")}}));
  const Json& key = *out.find("AccessKey");
  call.created = key.string_or("AccessKeyId");
  if (call.text("Status") == "Inactive")
    co_await call.api(
        "iam", "UpdateAccessKey",
        Json::object({{"UserName", call.text("UserName")}, {"AccessKeyId", call.created}, {"Status", "Inactive"}}));
  co_return Made{call.created, Json::object({{"SecretAccessKey", key.string_or("SecretAccessKey")}})};
}

Task<Made> update_key(Call& call) {
  const std::string status = call.text("Status");
  co_await call.api("iam", "UpdateAccessKey",
                    Json::object({{"UserName", call.text("UserName")},
                                  {"AccessKeyId", call.physical_id},
                                  {"Status", status.empty() ? "Active" : status}}));
  co_return Made{call.physical_id, call.attributes};
}

Task<void> remove_key(Call& call) {
  co_await call.api_unless("NoSuchEntity", "iam", "DeleteAccessKey",
                           Json::object({{"UserName", call.text("UserName")}, {"AccessKeyId", call.physical_id}}));
}

constexpr Provider kProviders[] = {
    {.type = "AWS::IAM::Role",
     .name_property = "RoleName",
     .replace_on = "Path",
     .create = create_role,
     .update = update_role,
     .remove = remove_role},
    {.type = "AWS::IAM::User",
     .name_property = "UserName",
     .replace_on = "Path",
     .create = create_user,
     .update = update_user,
     .remove = remove_user},
    {.type = "AWS::IAM::Group",
     .name_property = "GroupName",
     .name_most = 128,
     .replace_on = "Path",
     .create = create_group,
     .update = update_group,
     .remove = remove_group},
    {.type = "AWS::IAM::Policy",
     .name_property = "",
     .replace_on = "",
     .create = put_inline,
     .update = put_inline,
     .remove = remove_inline},
    {.type = "AWS::IAM::ManagedPolicy",
     .name_property = "ManagedPolicyName",
     .name_most = 128,
     .replace_on = "Path Description",
     .create = create_managed,
     .update = update_managed,
     .remove = remove_managed},
    {.type = "AWS::IAM::AccessKey",
     .name_property = "",
     .replace_on = "UserName Serial",
     .create = create_key,
     .update = update_key,
     .remove = remove_key},
};

}  // namespace

std::span<const Provider> iam_providers() { return kProviders; }

}  // namespace virga::cloudformation
