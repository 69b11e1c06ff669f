#include <algorithm>
#include <stdexcept>

#include "base/json.h"
#include "base/str.h"
#include "kernel/policy_document.h"

namespace virga::kernel::policy {

namespace {

constexpr size_t kMaxStatements = 1000;

[[noreturn]] void refuse(std::string text) { throw std::invalid_argument(std::move(text)); }
[[noreturn]] void refuse_syntax() { refuse("Syntax errors in policy."); }

// A string, or a list of strings. Numbers and booleans count as their text where a condition has them.
std::vector<std::string> texts(const Json& value, bool scalars = false) {
  std::vector<std::string> out;
  const auto add = [&](const Json& v) {
    if (v.is_string()) {
      out.push_back(v.as_string());
    } else if (scalars && (v.is_number() || v.is_bool())) {
      out.push_back(v.dump());
    } else {
      refuse_syntax();
    }
  };
  if (value.is_array()) {
    for (const Json& v : value.as_array()) add(v);
  } else {
    add(value);
  }
  for (const std::string& text : out) {
    // These two stand for wildcards inside patterns.
    if (text.find(Pattern::kMany) != std::string::npos || text.find(Pattern::kOne) != std::string::npos)
      refuse_syntax();
  }
  return out;
}

bool is_account(std::string_view text) {
  return text.size() == 12 && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

PrincipalName aws_principal(const std::string& text) {
  using Kind = PrincipalName::Kind;
  if (text == "*") return {Kind::kEveryone, {}};
  if (is_account(text)) return {Kind::kAccount, text};
  if (const auto arn = parse_arn(text)) {
    if (arn->service == "iam" && arn->resource == "root" && is_account(arn->account))
      return {Kind::kAccount, arn->account};
    const bool known = arn->service == "iam" || arn->service == "sts" || arn->service == "cloudfront";
    if (known && !arn->resource.empty() && arn->resource.find('*') == std::string::npos) return {Kind::kArn, text};
  } else if (text.starts_with("AIDA") || text.starts_with("AROA")) {
    return {Kind::kArn, text};  // what is left of a principal that was deleted
  }
  refuse(cat("Invalid principal in policy: \"AWS\":\"", text, "\""));
}

std::vector<PrincipalName> principals_of(const Json& value) {
  using Kind = PrincipalName::Kind;
  std::vector<PrincipalName> out;
  if (value.is_string()) {
    if (value.as_string() != "*") refuse(cat("Invalid principal in policy: \"", value.as_string(), "\""));
    return {{Kind::kEveryone, {}}};
  }
  if (!value.is_object() || value.as_object().empty()) refuse("Invalid principal in policy.");
  for (const auto& [type, names] : value.as_object()) {
    for (const std::string& name : texts(names)) {
      if (type == "AWS") {
        out.push_back(aws_principal(name));
      } else if (type == "Service") {
        out.push_back({Kind::kService, name});
      } else if (type == "Federated") {
        out.push_back({Kind::kFederated, name});
      } else if (type == "CanonicalUser") {
        out.push_back({Kind::kCanonical, name});
      } else {
        refuse(cat("Invalid principal in policy: \"", type, "\""));
      }
    }
  }
  return out;
}

std::vector<Pattern> actions_of(const Json& value) {
  std::vector<Pattern> out;
  for (const std::string& text : texts(value)) {
    if (text != "*") {
      const size_t colon = text.find(':');
      if (colon == std::string::npos)
        refuse("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.");
      const std::string_view vendor = std::string_view(text).substr(0, colon);
      const bool good = !vendor.empty() && std::all_of(vendor.begin(), vendor.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '*';
      });
      if (!good) refuse(cat("Vendor ", vendor, " is not valid"));
    }
    out.push_back(Pattern::compile(lower(text), false, true));
  }
  return out;
}

std::vector<Pattern> resources_of(const Json& value, Type type, bool variables) {
  std::vector<Pattern> out;
  for (const std::string& text : texts(value)) {
    if (type == Type::kIdentity && text != "*" && !text.starts_with("arn:"))
      refuse(cat("Resource ", text, " must be in ARN format or \"*\"."));
    out.push_back(Pattern::compile(text, variables, true));
  }
  return out;
}

struct OperatorName {
  std::string_view name;
  Operator op;
  bool negated;
};
constexpr OperatorName kOperators[] = {
    {"stringequals", Operator::kStringEquals, false},
    {"stringnotequals", Operator::kStringEquals, true},
    {"stringequalsignorecase", Operator::kStringEqualsIgnoreCase, false},
    {"stringnotequalsignorecase", Operator::kStringEqualsIgnoreCase, true},
    {"stringlike", Operator::kStringLike, false},
    {"stringnotlike", Operator::kStringLike, true},
    {"numericequals", Operator::kNumericEquals, false},
    {"numericnotequals", Operator::kNumericEquals, true},
    {"numericlessthan", Operator::kNumericLess, false},
    {"numericlessthanequals", Operator::kNumericLessEquals, false},
    {"numericgreaterthan", Operator::kNumericGreater, false},
    {"numericgreaterthanequals", Operator::kNumericGreaterEquals, false},
    {"dateequals", Operator::kDateEquals, false},
    {"datenotequals", Operator::kDateEquals, true},
    {"datelessthan", Operator::kDateLess, false},
    {"datelessthanequals", Operator::kDateLessEquals, false},
    {"dategreaterthan", Operator::kDateGreater, false},
    {"dategreaterthanequals", Operator::kDateGreaterEquals, false},
    {"bool", Operator::kBool, false},
    {"binaryequals", Operator::kBinary, false},
    {"ipaddress", Operator::kIp, false},
    {"notipaddress", Operator::kIp, true},
    {"arnequals", Operator::kArnLike, false},
    {"arnlike", Operator::kArnLike, false},
    {"arnnotequals", Operator::kArnLike, true},
    {"arnnotlike", Operator::kArnLike, true},
    {"null", Operator::kNull, false},
};

// "ForAnyValue:StringNotLikeIfExists" taken apart.
Condition operator_of(std::string_view spelled) {
  Condition out;
  std::string name = lower(spelled);
  std::string_view rest = name;
  if (rest.starts_with("foranyvalue:")) {
    out.quantifier = Quantifier::kAny;
    rest.remove_prefix(12);
  } else if (rest.starts_with("forallvalues:")) {
    out.quantifier = Quantifier::kAll;
    rest.remove_prefix(13);
  }
  if (rest.ends_with("ifexists")) {
    out.if_exists = true;
    rest.remove_suffix(8);
  }
  for (const auto& known : kOperators) {
    if (known.name != rest) continue;
    if (known.op == Operator::kNull && out.if_exists) break;
    out.op = known.op;
    out.negated = known.negated;
    return out;
  }
  refuse(cat("Invalid Condition type : ", spelled, "."));
}

void add_values(Condition& c, const std::vector<std::string>& values, bool variables) {
  bool yes = false, no = false;
  for (const std::string& value : values) {
    switch (c.op) {
      case Operator::kStringEquals:
      case Operator::kStringEqualsIgnoreCase:
        c.patterns.push_back(Pattern::compile(value, variables, false));
        break;
      case Operator::kStringLike:
      case Operator::kArnLike:
        c.patterns.push_back(Pattern::compile(value, variables, true));
        break;
      case Operator::kBinary:
        c.patterns.push_back(Pattern::compile(value, false, false));
        break;
      case Operator::kBool:
      case Operator::kNull:
        yes |= equals_ignoring_case(value, "true");
        no |= equals_ignoring_case(value, "false");
        break;
      case Operator::kIp:
        if (auto network = parse_network(value)) {
          c.networks.push_back(*network);
        } else {
          refuse(cat("Invalid IP address in Conditions: ", value));
        }
        break;
      case Operator::kDateEquals:
      case Operator::kDateLess:
      case Operator::kDateLessEquals:
      case Operator::kDateGreater:
      case Operator::kDateGreaterEquals:
        if (auto t = parse_iso8601(value)) {
          c.numbers.push_back(static_cast<double>(t->micros) / 1e6);
        } else if (auto seconds = parse_double(value)) {
          c.numbers.push_back(*seconds);
        } else {
          refuse_syntax();
        }
        break;
      default:
        if (auto number = parse_double(value)) {
          c.numbers.push_back(*number);
        } else {
          refuse_syntax();
        }
    }
  }
  if (c.op != Operator::kBool && c.op != Operator::kNull) return;
  if (!yes && !no) {
    c.op = Operator::kStringEquals;  // no value is either: nothing matches
  } else {
    c.flag = yes;
    c.both = yes && no;
  }
}

std::vector<Condition> conditions_of(const Json& value, bool variables) {
  std::vector<Condition> out;
  if (!value.is_object()) refuse_syntax();
  for (const auto& [op, keys] : value.as_object()) {
    const Condition prototype = operator_of(op);
    if (!keys.is_object()) refuse_syntax();
    for (const auto& [key, values] : keys.as_object()) {
      // aws:PrincipalTag/team is prefaced; a bare name is not.
      if (key.find(':') == std::string::npos)
        refuse("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.");
      Condition c = prototype;
      c.key = lower(key);
      add_values(c, texts(values, true), variables);
      out.push_back(std::move(c));
    }
  }
  return out;
}

Statement statement_of(const Json& json, Type type, bool variables) {
  if (!json.is_object()) refuse_syntax();
  Statement out;
  bool has_effect = false, has_action = false, has_resource = false;
  for (const auto& [name, value] : json.as_object()) {
    if (name == "Sid") {
      if (!value.is_string()) refuse_syntax();
      out.sid = value.as_string();
      if (type == Type::kIdentity &&
          !std::all_of(out.sid.begin(), out.sid.end(), [](unsigned char c) { return std::isalnum(c); }))
        refuse(
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression "
            "[0-9A-Za-z]*");
    } else if (name == "Effect") {
      if (!value.is_string() || (value.as_string() != "Allow" && value.as_string() != "Deny")) refuse_syntax();
      out.allow = value.as_string() == "Allow";
      has_effect = true;
    } else if (name == "Principal" || name == "NotPrincipal") {
      if (type == Type::kIdentity) refuse("Policy document should not specify a principal.");
      if (out.has_principal) refuse_syntax();
      out.has_principal = true;
      out.not_principal = name == "NotPrincipal";
      out.principals = principals_of(value);
    } else if (name == "Action" || name == "NotAction") {
      if (has_action) refuse_syntax();
      has_action = true;
      out.not_action = name == "NotAction";
      out.actions = actions_of(value);
    } else if (name == "Resource" || name == "NotResource") {
      if (has_resource) refuse_syntax();
      has_resource = true;
      out.not_resource = name == "NotResource";
      out.resources = resources_of(value, type, variables);
    } else if (name == "Condition") {
      out.conditions = conditions_of(value, variables);
    } else {
      refuse_syntax();
    }
  }
  if (!has_effect) refuse_syntax();
  if (out.actions.empty()) refuse("Policy statement must contain actions.");
  if (type == Type::kIdentity && out.resources.empty()) refuse("Policy statement must contain resources.");
  if (type == Type::kResource && !out.has_principal) refuse("Missing required field Principal");
  return out;
}

void add_keys(const std::vector<Pattern>& patterns, std::vector<std::string>& keys) {
  for (const Pattern& pattern : patterns) {
    for (const auto& piece : pattern.pieces) {
      if (const auto* variable = std::get_if<Pattern::Variable>(&piece)) keys.push_back(variable->key);
    }
  }
}

void add_keys(const Statement& s, std::vector<std::string>& keys) {
  add_keys(s.resources, keys);
  for (const Condition& condition : s.conditions) {
    keys.push_back(condition.key);
    add_keys(condition.patterns, keys);
  }
}

}  // namespace

Pattern Pattern::compile(std::string_view source, bool variables, bool wildcards) {
  Pattern out;
  std::string text;
  const auto flush = [&] {
    if (!text.empty()) out.pieces.emplace_back(std::move(text));
    text.clear();
  };
  bool found = false;
  for (size_t i = 0; i < source.size(); ++i) {
    const char c = source[i];
    if (variables && c == '$' && i + 1 < source.size() && source[i + 1] == '{') {
      const size_t end = source.find('}', i);
      if (end == std::string_view::npos) refuse_syntax();
      std::string_view inside = source.substr(i + 2, end - i - 2);
      i = end;
      if (inside == "*" || inside == "?" || inside == "$") {
        text += inside;
        continue;
      }
      Variable variable;
      const auto [key, otherwise] = split_once(inside, ',');
      if (const std::string_view quoted = trim(otherwise); !quoted.empty()) {
        if (quoted.size() < 2 || quoted.front() != '\'' || quoted.back() != '\'') refuse_syntax();
        variable.otherwise = std::string(quoted.substr(1, quoted.size() - 2));
      }
      variable.key = lower(trim(key));
      if (variable.key.empty()) refuse_syntax();
      flush();
      out.pieces.emplace_back(std::move(variable));
      found = true;
    } else if (wildcards && c == '*') {
      if (text.empty() || text.back() != kMany) text += kMany;
    } else if (wildcards && c == '?') {
      text += kOne;
    } else {
      text += c;
    }
  }
  if (found) {
    flush();
  } else {
    out.text = std::move(text);
  }
  return out;
}

DocumentPtr parse(std::string_view text, Type type) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const JsonError&) {
    refuse(type == Type::kIdentity ? "The policy is not in the valid JSON format."
                                   : "This policy contains invalid Json");
  }
  if (!json.is_object()) refuse_syntax();
  auto out = std::make_shared<Document>();
  bool variables = false;
  const Json* statements = nullptr;
  for (const auto& [name, value] : json.as_object()) {
    if (name == "Version") {
      if (!value.is_string() || (value.as_string() != "2012-10-17" && value.as_string() != "2008-10-17"))
        refuse_syntax();
      variables = value.as_string() == "2012-10-17";
    } else if (name == "Id") {
      if (!value.is_string()) refuse_syntax();
      out->id = value.as_string();
    } else if (name == "Statement") {
      statements = &value;
    } else {
      refuse_syntax();
    }
  }
  if (!statements) refuse_syntax();
  const auto add = [&](const Json& s) { out->statements.push_back(statement_of(s, type, variables)); };
  if (statements->is_array()) {
    if (statements->as_array().empty() || statements->as_array().size() > kMaxStatements) refuse_syntax();
    for (const Json& s : statements->as_array()) add(s);
  } else {
    add(*statements);
  }
  std::vector<std::string_view> sids;
  for (const Statement& s : out->statements) {
    if (!s.sid.empty()) sids.push_back(s.sid);
    add_keys(s, out->keys);
  }
  std::sort(out->keys.begin(), out->keys.end());
  out->keys.erase(std::unique(out->keys.begin(), out->keys.end()), out->keys.end());
  std::sort(sids.begin(), sids.end());
  if (std::adjacent_find(sids.begin(), sids.end()) != sids.end())
    refuse("Statement IDs (SID) in a single policy must be unique.");
  return out;
}

bool uses_keys(const Document& document) { return !document.keys.empty(); }

}  // namespace virga::kernel::policy
