#include "services/cloudformation/intrinsics.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/str.h"
#include "services/cloudformation/cidr.h"
#include "services/cloudformation/references.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/template.h"

namespace virga::cloudformation {

namespace {

// The elements of a function's list argument, which must be `least` to `most` long; otherwise what AWS says.
const Json::Array& arguments(const Json& value, size_t least, size_t most, std::string_view complaint) {
  if (!value.is_array() || value.as_array().size() < least || value.as_array().size() > most)
    throw template_error(complaint);
  return value.as_array();
}

Json get_azs(const PseudoParameters& pseudo, const Json& argument) {
  std::string region = scalar_text(argument);
  if (region.empty()) region = pseudo.region;
  return Json::Array{cat(region, "a"), cat(region, "b"), cat(region, "c")};
}

Json join_list(const Json& argument) {
  constexpr std::string_view kComplaint =
      "every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined or "
      "a "
      "function that returns a list of strings (such as Fn::GetAZs) to be joined.";
  const Json::Array& a = arguments(argument, 2, 2, kComplaint);
  if (!a[0].is_string() || !a[1].is_array()) throw template_error(kComplaint);
  std::vector<std::string> parts;
  for (const Json& part : a[1].as_array()) parts.push_back(scalar_text(part));
  return join(parts, a[0].as_string());
}

Json select(const Json& argument) {
  constexpr std::string_view kComplaint =
      "Fn::Select requires a list argument with two elements: an integer index and a list";
  const Json::Array& a = arguments(argument, 2, 2, kComplaint);
  const auto index = parse_int(scalar_text(a[0]));
  if (!index || !a[1].is_array()) throw template_error(kComplaint);
  const Json::Array& list = a[1].as_array();
  if (*index < 0 || static_cast<size_t>(*index) >= list.size())
    throw template_error(cat("Fn::Select  cannot select nonexistent value at index ", *index));
  return list[static_cast<size_t>(*index)];
}

Json split_text(const Json& argument) {
  constexpr std::string_view kComplaint =
      "every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split or a "
      "function that "
      "returns a string to be split.";
  const Json::Array& a = arguments(argument, 2, 2, kComplaint);
  if (!a[0].is_string() || a[0].as_string().empty() || !a[1].is_string()) throw template_error(kComplaint);
  Json::Array out;
  std::string_view rest = a[1].as_string();
  for (;;) {
    const size_t at = rest.find(a[0].as_string());
    out.push_back(rest.substr(0, at));
    if (at == std::string_view::npos) return out;
    rest.remove_prefix(at + a[0].as_string().size());
  }
}

bool is_condition_function(std::string_view name) {
  return name == "Fn::Equals" || name == "Fn::And" || name == "Fn::Or" || name == "Fn::Not" || name == "Condition";
}

}  // namespace

std::string scalar_text(const Json& value) {
  if (value.is_string()) return value.as_string();
  if (value.is_bool() || value.is_number()) return value.dump();
  throw template_error(
      cat("a string was expected where the template has ", value.is_array() ? "a list" : "a map", "."));
}

Json Resolver::resolve(const Json& value) const { return value_of(value).value_or(Json()); }

std::optional<Json> Resolver::value_of(const Json& value) const {
  if (value.is_string()) {
    if (const size_t at = value.as_string().find("{{resolve:"); at != std::string::npos) {
      const std::string& s = value.as_string();
      const size_t end = s.find("}}", at);
      throw not_served(cat("The dynamic reference ", s.substr(at, end == std::string::npos ? end : end + 2 - at)));
    }
    return value;
  }
  if (value.is_array()) {
    Json::Array out;
    for (const Json& element : value.as_array()) {
      if (auto resolved = value_of(element)) out.push_back(std::move(*resolved));
    }
    return out;
  }
  if (!value.is_object()) return value;
  // The one function that has a place beside other members: what it answers joins them.
  if (const Json* transform = value.find("Fn::Transform"))
    throw not_served(cat("Transform ", transform->string_or("Name", "Fn::Transform")));
  if (value.as_object().size() == 1) {
    const auto& [name, argument] = value.as_object()[0];
    if (name == "Ref" || name.starts_with("Fn::")) return function(name, argument);
  }
  Json::Object out;
  for (const auto& [key, member] : value.as_object()) {
    if (auto resolved = value_of(member)) out.emplace_back(key, std::move(*resolved));
  }
  return out;
}

// Whether `value`, already resolved, still holds a function that waits for a resource.
bool Resolver::pending(const Json& value) const {
  if (unknown == Unknown::kRefuse) return false;
  if (is_intrinsic(value)) return true;
  if (value.is_array())
    return std::any_of(value.as_array().begin(), value.as_array().end(), [&](const Json& v) { return pending(v); });
  if (value.is_object())
    return std::any_of(value.as_object().begin(), value.as_object().end(),
                       [&](const auto& m) { return pending(m.second); });
  return false;
}

std::optional<Json> Resolver::function(const std::string& name, const Json& argument) const {
  if (name == "Ref") return reference(argument);
  if (name == "Fn::GetAtt") return attribute(argument);
  if (name == "Fn::Sub") return substitute(argument);
  if (name == "Fn::If") {
    const Json::Array& a = arguments(argument, 3, 3, "Fn::If requires a list argument with three elements");
    if (!a[0].is_string())
      throw template_error("Fn::If requires a list argument with the first element being a condition");
    return value_of(a[holds(Json::object({{"Condition", a[0]}})) ? 1 : 2]);
  }
  if (is_condition_function(name)) return holds(Json::object({{name, argument}}));
  const Json resolved = resolve(argument);
  if (pending(resolved)) return Json::object({{name, resolved}});
  if (name == "Fn::Join") return join_list(resolved);
  if (name == "Fn::Select") return select(resolved);
  if (name == "Fn::Split") return split_text(resolved);
  if (name == "Fn::Base64") return base64_encode(scalar_text(resolved));
  if (name == "Fn::GetAZs") return get_azs(pseudo, resolved);
  if (name == "Fn::FindInMap") return find_in_map(resolved);
  if (name == "Fn::ToJsonString") return resolved.dump();
  if (name == "Fn::Length") {
    if (!resolved.is_array()) throw template_error("Fn::Length only supports lists");
    return static_cast<int64_t>(resolved.as_array().size());
  }
  if (name == "Fn::Cidr") {
    const Json::Array& a = arguments(
        resolved, 2, 3,
        "every Fn::Cidr object requires two or three parameters, (1) an ipBlock, (2) a count and (3) cidrBits");
    const auto count = parse_int(scalar_text(a[1]));
    const auto bits = a.size() == 3 ? parse_int(scalar_text(a[2])) : std::optional<int64_t>(8);
    const auto blocks = count && bits ? cidr_blocks(scalar_text(a[0]), *count, *bits) : std::nullopt;
    if (!blocks) throw template_error(cat("Fn::Cidr can't divide ", resolved.dump()));
    return Json(Json::Array(blocks->begin(), blocks->end()));
  }
  if (name == "Fn::ImportValue") {
    const std::string wanted = scalar_text(resolved);
    const auto found = exports ? exports->find(wanted) : std::map<std::string, std::string>::const_iterator{};
    if (!exports || found == exports->end()) throw validation_error(cat("No export named ", wanted, " found."));
    imported.push_back(wanted);
    return Json(found->second);
  }
  throw template_error(
      cat("encountered unsupported function: ", name,
          " Supported functions are: [Fn::Base64, Fn::GetAtt, Fn::GetAZs, Fn::ImportValue, Fn::Join, Fn::Split, "
          "Fn::FindInMap, Fn::Select, Ref, Fn::Equals, Fn::If, Fn::Not, Condition, Fn::And, Fn::Or, Fn::Contains, "
          "Fn::EachMemberEquals, Fn::EachMemberIn, Fn::ValueOf, Fn::ValueOfAll, Fn::RefAll, Fn::Sub, Fn::Cidr]"));
}

std::optional<Json> Resolver::reference(const Json& argument) const {
  if (!argument.is_string()) throw template_error("every Ref object must have a single String value.");
  const std::string& name = argument.as_string();
  if (name == "AWS::NoValue") return std::nullopt;
  if (name == "AWS::AccountId") return Json(pseudo.account);
  if (name == "AWS::Region") return Json(pseudo.region);
  if (name == "AWS::Partition") return Json(pseudo.partition);
  if (name == "AWS::URLSuffix") return Json("amazonaws.com");
  if (name == "AWS::StackId") return Json(pseudo.stack_id);
  if (name == "AWS::StackName") return Json(pseudo.stack_name);
  if (name == "AWS::NotificationARNs")
    return Json(Json::Array(pseudo.notification_arns.begin(), pseudo.notification_arns.end()));
  if (const auto found = parameters.find(name); found != parameters.end()) return found->second;
  if (ref) {
    if (auto value = ref(name)) return value;
  }
  if (unknown == Unknown::kKeep) return Json::object({{"Ref", argument}});
  throw format_error(cat("Unresolved resource dependencies [", name, "] in the Resources block of the template"));
}

std::optional<Json> Resolver::attribute(const Json& argument) const {
  std::string name, key;
  if (argument.is_string()) {
    const auto [n, k] = split_once(argument.as_string(), '.');
    name = n;
    key = k;
  } else if (argument.is_array() && argument.as_array().size() == 2 && argument.as_array()[0].is_string()) {
    name = argument.as_array()[0].as_string();
    key = scalar_text(resolve(argument.as_array()[1]));
  }
  if (name.empty() || key.empty())
    throw template_error(
        "every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute");
  if (get_att) {
    if (auto value = get_att(name, key)) return value;
  }
  if (unknown == Unknown::kKeep) return Json::object({{"Fn::GetAtt", Json(Json::Array{name, key})}});
  throw template_error(cat("instance of Fn::GetAtt references undefined resource ", name));
}

Json Resolver::find_in_map(const Json& argument) const {
  const Json::Array& a = arguments(
      argument, 3, 4,
      "every Fn::FindInMap object requires three parameters, the map name, map key and the attribute for return value");
  const std::string map = scalar_text(a[0]), key = scalar_text(a[1]), attribute = scalar_text(a[2]);
  const Json* at = mappings ? mappings->find(map) : nullptr;
  if (!at && a.size() < 4)
    throw template_error(cat("Mapping named '", map, "' is not present in the 'Mappings' section of template."));
  at = at ? at->find(key) : nullptr;
  at = at ? at->find(attribute) : nullptr;
  if (at) return *at;
  if (a.size() == 4) {
    if (const Json* otherwise = a[3].find("DefaultValue")) return *otherwise;
  }
  throw template_error(cat("Unable to get mapping for ", map, "::", key, "::", attribute));
}

Json Resolver::substitute(const Json& argument) const {
  constexpr std::string_view kComplaint =
      "One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string as first argument, "
      "and an "
      "optional second argument to specify a mapping of values to replace in the string";
  const Json* text = &argument;
  Json variables = Json::object();
  if (argument.is_array()) {
    const Json::Array& a = arguments(argument, 1, 2, kComplaint);
    text = &a[0];
    if (a.size() == 2) {
      if (!a[1].is_object()) throw template_error(kComplaint);
      variables = resolve(a[1]);
    }
  }
  if (!text->is_string()) throw template_error(kComplaint);
  std::string out, kept;
  bool waiting = false;
  Json::Object left;
  for (const SubPiece& piece : parse_sub(text->as_string())) {
    if (!piece.variable) {
      out += piece.text;
      kept += replace_all(piece.text, "${", "${!");
      continue;
    }
    std::optional<Json> value;
    if (const Json* own = variables.find(piece.text)) {
      value = *own;
      if (pending(*own)) left.emplace_back(piece.text, *own);
    } else if (piece.text.find('.') != std::string::npos) {
      value = attribute(Json(piece.text));
    } else {
      value = reference(Json(piece.text));
    }
    if (value && pending(*value)) {
      waiting = true;
      append(kept, "${", piece.text, "}");
    } else if (value) {
      const std::string resolved = scalar_text(*value);
      out += resolved;
      kept += replace_all(resolved, "${", "${!");
    }
  }
  if (!waiting) {
    if (out.find("{{resolve:") != std::string::npos) return *value_of(Json(out));
    return out;
  }
  if (left.empty()) return Json::object({{"Fn::Sub", Json(kept)}});
  return Json::object({{"Fn::Sub", Json(Json::Array{Json(kept), Json(left)})}});
}

bool Resolver::holds(const Json& condition) const {
  if (condition.is_bool()) return condition.as_bool();
  if (condition.is_string() && (condition.as_string() == "true" || condition.as_string() == "false"))
    return condition.as_string() == "true";
  if (!condition.is_object() || condition.as_object().size() != 1)
    throw format_error("Every Conditions member must be a condition function.");
  const auto& [name, argument] = condition.as_object()[0];
  if (name == "Condition") {
    const auto found = argument.is_string() ? conditions.find(argument.as_string()) : conditions.end();
    if (found == conditions.end())
      throw format_error(
          cat("Unresolved condition dependency ", argument.is_string() ? argument.as_string() : argument.dump()));
    return found->second;
  }
  if (name == "Fn::Equals") {
    const Json::Array& a = arguments(argument, 2, 2, "Fn::Equals cannot be partially collapsed");
    const Json left = resolve(a[0]), right = resolve(a[1]);
    const auto plain = [](const Json& v) { return v.is_string() || v.is_bool() || v.is_number(); };
    return plain(left) && plain(right) ? scalar_text(left) == scalar_text(right) : left == right;
  }
  if (name == "Fn::Not")
    return !holds(arguments(argument, 1, 1, "Fn::Not requires a list argument with one element")[0]);
  if (name == "Fn::And" || name == "Fn::Or") {
    const Json::Array& a = arguments(argument, 2, 10, cat(name, " requires a list argument with two to ten elements"));
    const auto each = [&](const Json& c) { return holds(c); };
    return name == "Fn::And" ? std::all_of(a.begin(), a.end(), each) : std::any_of(a.begin(), a.end(), each);
  }
  return holds(resolve(condition));
}

void Resolver::evaluate_conditions(const Json& root) {
  const Json::Object& all = section(root, "Conditions");
  Graph graph;
  std::vector<std::string> names;
  for (const auto& [name, condition] : all) {
    names.push_back(name);
    graph[name] = conditions_in(condition);
  }
  for (const std::string& name : dependency_order(names, graph))
    conditions[name] = holds(*root.find("Conditions")->find(name));
}

bool Resolver::rule_holds(const Json& expression) const {
  if (expression.is_object() && expression.as_object().size() == 1) {
    const auto& [name, argument] = expression.as_object()[0];
    if (name == "Fn::Contains" || name == "Fn::EachMemberIn") {
      const Json::Array& a = arguments(argument, 2, 2, cat(name, " requires a list argument with two elements"));
      const Json all = resolve(a[name == "Fn::Contains" ? 0 : 1]);
      const Json wanted = resolve(a[name == "Fn::Contains" ? 1 : 0]);
      if (!all.is_array()) throw template_error(cat(name, " requires a list of strings"));
      const auto contains = [&](const Json& v) {
        return std::find(all.as_array().begin(), all.as_array().end(), v) != all.as_array().end();
      };
      if (!wanted.is_array()) return contains(wanted);
      return std::all_of(wanted.as_array().begin(), wanted.as_array().end(), contains);
    }
    if (name == "Fn::EachMemberEquals") {
      const Json::Array& a =
          arguments(argument, 2, 2, "Fn::EachMemberEquals requires a list argument with two elements");
      const Json all = resolve(a[0]), wanted = resolve(a[1]);
      if (!all.is_array()) throw template_error("Fn::EachMemberEquals requires a list of strings");
      return std::all_of(all.as_array().begin(), all.as_array().end(), [&](const Json& v) { return v == wanted; });
    }
    if (name == "Fn::Not" && argument.is_array() && argument.as_array().size() == 1)
      return !rule_holds(argument.as_array()[0]);
    if ((name == "Fn::And" || name == "Fn::Or") && argument.is_array()) {
      const auto each = [&](const Json& c) { return rule_holds(c); };
      const auto& a = argument.as_array();
      return name == "Fn::And" ? std::all_of(a.begin(), a.end(), each) : std::any_of(a.begin(), a.end(), each);
    }
    if (name == "Fn::RefAll" || name == "Fn::ValueOf" || name == "Fn::ValueOfAll")
      throw not_served(cat("The rule function ", name));
  }
  return holds(expression);
}

void Resolver::check_rules(const Json& root) const {
  for (const auto& [name, rule] : section(root, "Rules")) {
    const Json* when = rule.find("RuleCondition");
    if (when && !rule_holds(*when)) continue;
    const Json* assertions = rule.find("Assertions");
    if (!assertions || !assertions->is_array())
      throw format_error(cat("[/Rules/", name, "] must contain a list of Assertions."));
    for (const Json& assertion : assertions->as_array()) {
      const Json* test = assertion.find("Assert");
      if (!test) throw format_error(cat("[/Rules/", name, "] every assertion must contain an Assert member."));
      if (!rule_holds(*test)) {
        throw validation_error(cat("Template rule ", name, " failed: ",
                                   assertion.string_or("AssertDescription", "an assertion does not hold")));
      }
    }
  }
}

}  // namespace virga::cloudformation
