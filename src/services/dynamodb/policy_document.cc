#include "services/dynamodb/policy_document.h"

#include <algorithm>
#include <set>
#include <vector>

#include "base/json.h"
#include "base/str.h"
#include "kernel/context.h"
#include "kernel/policy.h"
#include "services/dynamodb/errors.h"

namespace virga::dynamodb {

namespace {

constexpr size_t kMaxPolicyBytes = 20 * 1024;
constexpr std::string_view kStreamActions[] = {"describestream", "getrecords", "getsharditerator"};
constexpr std::string_view kPolicyActions[] = {"putresourcepolicy", "getresourcepolicy", "deleteresourcepolicy"};
// Conditions by one of these on what is no pattern leave a statement for everyone open to a few.
constexpr std::string_view kNarrowing[] = {
    "aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths",   "aws:sourceaccount",
    "aws:sourcearn",        "aws:sourceip",     "aws:sourceowner",    "aws:sourceorgid",         "aws:sourcevpc",
    "aws:sourcevpce",       "aws:userid",       "aws:vpcsourceip",    "aws:principalservicename"};

[[noreturn]] void refuse(std::string_view why) { throw invalid_parameter(cat("Invalid policy document: ", why)); }

Json without_lists_of_one(Json value) {
  if (!value.is_array() || value.as_array().size() != 1) return value;
  return std::move(value.as_array()[0]);
}

template <class F>
void each_text(const Json& value, F f) {
  if (value.is_string()) f(value.as_string());
  if (!value.is_array()) return;
  for (const Json& one : value.as_array()) {
    if (one.is_string()) f(one.as_string());
  }
}

bool is_account(std::string_view text) {
  return text.size() == 12 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

Json canonical_principals(Json value) {
  if (!value.is_object()) return value;
  for (auto& [type, names] : value.as_object()) {
    if (type == "AWS") {
      Json once = Json::array();
      std::set<std::string> seen;
      each_text(names, [&](const std::string& name) {
        std::string arn = is_account(name) ? cat("arn:aws:iam::", name, ":root") : name;
        if (seen.insert(arn).second) once.push_back(std::move(arn));
      });
      names = std::move(once);
    }
    names = without_lists_of_one(std::move(names));
  }
  return value;
}

Json canonical_statement(const Json& in) {
  if (!in.is_object()) return in;
  Json out = Json::object();
  for (const std::string_view name :
       {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}) {
    const Json* member = in.find(name);
    if (!member) continue;
    Json value = *member;
    if (name == "Effect" && value.is_string()) {
      for (const std::string_view effect : {"Allow", "Deny"}) {
        if (equals_ignoring_case(value.as_string(), effect)) value = effect;
      }
    } else if (name == "Principal" || name == "NotPrincipal") {
      value = canonical_principals(std::move(value));
    } else if (name == "Condition" && value.is_object()) {
      for (auto& [op, keys] : value.as_object()) {
        if (!keys.is_object()) continue;
        for (auto& [key, values] : keys.as_object()) values = without_lists_of_one(std::move(values));
      }
    } else {
      value = without_lists_of_one(std::move(value));
    }
    out[name] = std::move(value);
  }
  for (const auto& [name, value] : in.as_object()) {
    if (!out.find(name)) out[name] = value;  // what no statement has, which is refused
  }
  return out;
}

bool is_everyone(const Json& statement) {
  if (statement.find("NotPrincipal")) return true;
  const Json* principal = statement.find("Principal");
  if (!principal) return false;
  bool out = false;
  const auto look = [&](const std::string& name) { out = out || name == "*"; };
  each_text(*principal, look);
  if (const Json* names = principal->find("AWS")) each_text(*names, look);
  return out;
}

bool is_narrowed(const Json& statement) {
  const Json* conditions = statement.find("Condition");
  if (!conditions || !conditions->is_object()) return false;
  for (const auto& [op, keys] : conditions->as_object()) {
    const std::string name = lower(op);
    if (name.find("not") != name.npos || name.ends_with("ifexists") || name.starts_with("forallvalues:") ||
        name == "null" || !keys.is_object())
      continue;
    for (const auto& [key, values] : keys.as_object()) {
      if (std::ranges::find(kNarrowing, lower(key)) == std::end(kNarrowing)) continue;
      bool open = false;
      each_text(values, [&](const std::string& value) {
        open = open || value.find('*') != value.npos || value == "0.0.0.0/0" || value == "::/0";
      });
      if (!open) return true;
    }
  }
  return false;
}

bool has_action(PolicyOf what, std::string_view action) {
  const std::string name = lower(action);
  if (name == "*") return true;
  if (!name.starts_with("dynamodb:")) return false;
  const std::string_view own = std::string_view(name).substr(9);
  if (own.find_first_of("*?") != own.npos || std::ranges::find(kPolicyActions, own) != std::end(kPolicyActions))
    return true;
  const bool of_stream = std::ranges::find(kStreamActions, own) != std::end(kStreamActions);
  return of_stream == (what == PolicyOf::kStream);
}

void check_statement(const Json& statement, PolicyOf what, std::vector<std::string>& strange_actions) {
  if (!statement.find("Resource") && !statement.find("NotResource")) refuse("Missing required field Resource");
  for (const std::string_view name : {"Action", "NotAction"}) {
    if (const Json* actions = statement.find(name)) {
      each_text(*actions, [&](const std::string& action) {
        if (!has_action(what, action)) strange_actions.push_back(cat('"', action, '"'));
      });
    }
  }
  for (const std::string_view name : {"Resource", "NotResource"}) {
    if (const Json* resources = statement.find(name)) {
      each_text(*resources, [&](const std::string& resource) {
        const auto arn = kernel::parse_arn(resource);
        if (!arn || arn->resource.find('*') != arn->resource.npos) return;
        const bool of_stream = arn->resource.find("/stream/") != arn->resource.npos;
        if (of_stream == (what == PolicyOf::kStream)) return;
        refuse(cat("The relative-id \"", arn->resource, "\" is invalid for ARN \"", resource, "\"."));
      });
    }
  }
}

}  // namespace

std::string canonical_policy(std::string_view document, PolicyOf what) {
  if (document.size() > kMaxPolicyBytes) {
    throw invalid_parameter(cat("Maximum policy size of ", kMaxPolicyBytes, " bytes exceeded"));
  }
  Json in;
  try {
    in = Json::parse(document);
  } catch (const JsonError&) {
    refuse("This policy contains invalid Json");
  }
  Json out = Json::object();
  for (const std::string_view name : {"Version", "Id"}) {
    if (const Json* member = in.find(name)) out[name] = *member;
  }
  Json& statements = out["Statement"];
  statements = Json::array();
  if (const Json* given = in.find("Statement")) {
    if (given->is_array()) {
      for (const Json& one : given->as_array()) statements.push_back(canonical_statement(one));
    } else {
      statements.push_back(canonical_statement(*given));
    }
  }
  if (statements.as_array().empty()) refuse("Could not parse the policy: Statement is empty!");
  std::set<std::string> ids;
  std::vector<std::string> strange_actions;
  bool public_access = false;
  for (const Json& statement : statements.as_array()) {
    const std::string id = statement.string_or("Sid");
    if (!id.empty() && !ids.insert(id).second) refuse("The Statement Ids in the policy are not unique");
    check_statement(statement, what, strange_actions);
    public_access = public_access ||
                    (statement.string_or("Effect") == "Allow" && is_everyone(statement) && !is_narrowed(statement));
  }
  if (!strange_actions.empty()) refuse(cat("The following action names are invalid: ", join(strange_actions, ", ")));
  std::string text = out.dump();
  try {
    kernel::policy::parse(text, kernel::policy::Type::kResource);
  } catch (const std::invalid_argument& fault) {
    refuse(fault.what());
  }
  if (public_access) {
    throw validation(
        "Resource-based policy grants unbounded access in one or more elements. Please revise the policy to ensure "
        "least-privilege form of access");
  }
  return text;
}

std::string shown_policy(const std::string& kept) {
  if (kept.starts_with("{\"Version\"")) return kept;
  return cat("{\"Version\":\"2008-10-17\",", std::string_view(kept).substr(1));
}

}  // namespace virga::dynamodb
