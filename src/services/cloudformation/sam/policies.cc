// The Policies property: managed policies by name or ARN, inline documents, statements, and policy templates.
#include <algorithm>

#include "base/str.h"
#include "services/cloudformation/references.h"
#include "services/cloudformation/sam/policy_templates.h"
#include "services/cloudformation/sam/transform.h"

namespace virga::cloudformation::sam {

namespace {

// Managed policies whose ARN has a path.
constexpr std::string_view kServiceRolePolicies =
    " AWSLambdaBasicExecutionRole AWSLambdaBasicDurableExecutionRolePolicy AWSLambdaDynamoDBExecutionRole "
    "AWSLambdaENIManagementAccess "
    "AWSLambdaKinesisExecutionRole AWSLambdaMSKExecutionRole AWSLambdaRole AWSLambdaSQSQueueExecutionRole "
    "AWSLambdaVPCAccessExecutionRole "
    "AmazonAPIGatewayPushToCloudWatchLogs AmazonS3ObjectLambdaExecutionRolePolicy CloudWatchEventsInvocationAccess ";

std::string lower_first(std::string_view name) {
  std::string out(name);
  if (!out.empty()) out[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(out[0])));
  return out;
}

// One resource of a template's statement, its parameters given as variables of Fn::Sub.
Json resource_of(std::string_view pattern, const Json& values) {
  if (pattern == "*") return "*";
  std::string text;
  Json variables = Json::object();
  if (!pattern.starts_with("${") || !pattern.ends_with("Arn}")) text = "arn:${AWS::Partition}:";
  size_t at = 0;
  while (at < pattern.size()) {
    if (pattern[at] == '~') {
      text += "${AWS::Region}:${AWS::AccountId}";
      ++at;
    } else if (pattern.substr(at).starts_with("${")) {
      const size_t close = pattern.find('}', at);
      const std::string_view name = pattern.substr(at + 2, close - at - 2);
      append(text, "${", lower_first(name), "}");
      variables[lower_first(name)] = *values.find(name);
      at = close + 1;
    } else {
      text += pattern[at++];
    }
  }
  return variables.as_object().empty() ? sub(std::move(text)) : sub(std::move(text), std::move(variables));
}

Json statement_of(std::string_view whole, const Json& values) {
  const auto [line, condition] = split_once(whole, '?');
  const size_t colon = line.find(':'), split_at = line.find(" @ ");
  Json actions = Json::array(), resources = Json::array();
  for (const std::string_view action : split(trim(line.substr(colon + 1, split_at - colon - 1)), ' '))
    actions.push_back(cat(line.substr(0, colon), ":", action));
  for (const std::string_view resource : split(trim(line.substr(split_at + 3)), ' '))
    resources.push_back(resource_of(resource, values));
  Json out = Json::object({{"Action", actions},
                           {"Effect", "Allow"},
                           {"Resource", resources.as_array().size() == 1 ? resources.as_array()[0] : resources}});
  if (!condition.empty()) {
    const auto [key, arn] = split_once(trim(condition), ' ');
    out["Condition"] = Json::object({{"StringEquals", Json::object({{std::string(key), resource_of(arn, values)}})}});
  }
  return out;
}

// The document of {"DynamoDBCrudPolicy": {"TableName": …}}.
Json expand_template(const Source& source, const std::string& name, const Json& values) {
  const auto found =
      std::find_if(kPolicyTemplates.begin(), kPolicyTemplates.end(), [&](const auto& t) { return t.name == name; });
  if (found == kPolicyTemplates.end()) refuse_unserved(source.id, cat("The policy template '", name, "'"));
  if (!found->parameters.empty()) {
    for (const std::string_view parameter : split(found->parameters, ' ')) {
      if (!values.find(parameter))
        refuse(source.id, cat("The following required parameters of template '", name, "' don't have values: ['",
                              parameter, "']"));
    }
  }
  Json statements = Json::array();
  for (const std::string_view line : split(found->statements, '\n'))
    statements.push_back(statement_of(trim(line), values));
  return Json::object({{"Statement", statements}});
}

void add_once(Json& list, Json value) {
  const auto& all = list.as_array();
  if (std::find(all.begin(), all.end(), value) == all.end()) list.push_back(std::move(value));
}

bool is_template_name(std::string_view name) { return name.ends_with("Policy") || name.ends_with("Policy_v2"); }

}  // namespace

Json Transform::managed_policy(std::string_view name) const {
  if (name.starts_with("arn:")) return Json(name);
  const bool in_path = kServiceRolePolicies.find(cat(" ", name, " ")) != std::string_view::npos;
  return cat("arn:", pseudo_.partition, ":iam::aws:policy/", in_path ? "service-role/" : "", name);
}

void Transform::add_policies(const Source& source, const std::string& role, const Json& policies, Json& managed,
                             Json& documents) {
  const Json::Array all = policies.is_array() ? policies.as_array() : Json::Array{policies};
  size_t index = 0;
  // A document for one entry, or nothing when it names a managed policy.
  const auto document = [&](const Json& entry) -> std::optional<Json> {
    if (entry.find("Statement")) return entry;
    if (!is_intrinsic(entry) && entry.is_object() && entry.as_object().size() == 1 &&
        is_template_name(entry.as_object()[0].first))
      return expand_template(source, entry.as_object()[0].first, entry.as_object()[0].second);
    return std::nullopt;
  };
  const auto named = [&](Json body) {
    return Json::object({{"PolicyName", cat(role, "Policy", index)}, {"PolicyDocument", std::move(body)}});
  };
  for (const Json& entry : all) {
    if (entry.is_string()) {
      add_once(managed, managed_policy(entry.as_string()));
    } else if (auto body = document(entry)) {
      documents.push_back(named(std::move(*body)));
    } else if (const Json* choice = entry.find("Fn::If");
               choice && choice->is_array() && choice->as_array().size() == 3) {
      Json::Array branches = choice->as_array();
      bool inline_policy = false;
      for (size_t i = 1; i < 3; ++i) {
        if (auto branch = document(branches[i])) {
          branches[i] = named(std::move(*branch));
          inline_policy = true;
        } else if (branches[i].is_string()) {
          branches[i] = managed_policy(branches[i].as_string());
        }
      }
      Json conditional = Json::object({{"Fn::If", Json(branches)}});
      if (inline_policy) {
        documents.push_back(std::move(conditional));
      } else {
        add_once(managed, std::move(conditional));
      }
    } else if (is_intrinsic(entry)) {
      if (!is_no_value(entry)) add_once(managed, entry);
    } else {
      refuse(source.id, cat("Policy at index ", index, " in the 'Policies' property is not valid"));
    }
    ++index;
  }
}

}  // namespace virga::cloudformation::sam
