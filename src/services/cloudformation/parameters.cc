#include "services/cloudformation/parameters.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <memory>

#include "base/str.h"
#include "services/cloudformation/intrinsics.h"
#include "services/cloudformation/limits.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/template.h"

namespace virga::cloudformation {

namespace {

constexpr uint32_t kMatchSteps = 200'000;

std::optional<int64_t> whole(const Json* value) {
  return value && !value->is_array() && !value->is_object() ? parse_int(scalar_text(*value)) : std::nullopt;
}
std::optional<double> real(const Json* value) {
  return value && !value->is_array() && !value->is_object() ? parse_double(scalar_text(*value)) : std::nullopt;
}

bool known_type(std::string_view type) {
  if (type == "String" || type == "Number" || type == "CommaDelimitedList" || type == "List<Number>" ||
      type == "List<String>")
    return true;
  if (type.starts_with("List<AWS::")) return type.ends_with(">");
  return type.starts_with("AWS::");
}

std::vector<std::string> items(std::string_view text) {
  std::vector<std::string> out;
  for (const std::string_view item : split(text, ',')) out.emplace_back(trim(item));
  return out;
}

[[noreturn]] void violated(const DeclaredParameter& p, const std::string& what) {
  if (!p.constraint_description.empty())
    throw validation_error(cat("Parameter ", p.name, " failed to satisfy constraint: ", p.constraint_description));
  throw validation_error(cat("Parameter '", p.name, "' ", what));
}

void check_number(const DeclaredParameter& p, const std::string& text) {
  const auto n = parse_double(trim(text));
  if (!n) throw validation_error(cat("Parameter '", p.name, "' must be a number."));
  if (p.min_value && *n < *p.min_value) violated(p, cat("must be a number not less than ", *p.min_value));
  if (p.max_value && *n > *p.max_value) violated(p, cat("must be a number not greater than ", *p.max_value));
}

void check_value(const DeclaredParameter& p, const std::string& text) {
  if (count_characters(text) > kParameterValueMost)
    throw validation_error(cat("Parameter '", p.name, "' must be no more than ", kParameterValueMost, " characters"));
  const std::vector<std::string> each = p.is_list() ? items(text) : std::vector<std::string>{text};
  for (const std::string& value : each) {
    if (!p.allowed_values.empty() &&
        std::find(p.allowed_values.begin(), p.allowed_values.end(), value) == p.allowed_values.end())
      violated(p, "must be one of AllowedValues");
    if (p.type == "Number" || p.type == "List<Number>") check_number(p, value);
  }
  if (!p.allowed_pattern.empty() && !matches_pattern(p.allowed_pattern, text))
    violated(p, cat("must match pattern ", p.allowed_pattern));
  const auto length = static_cast<int64_t>(count_characters(text));
  if (p.min_length && length < *p.min_length) violated(p, cat("must contain at least ", *p.min_length, " characters"));
  if (p.max_length && length > *p.max_length) violated(p, cat("must contain at most ", *p.max_length, " characters"));
}

}  // namespace

std::vector<DeclaredParameter> declared_parameters(const Json& root) {
  std::vector<DeclaredParameter> out;
  const Json::Object& all = section(root, "Parameters");
  if (all.size() > kParametersMost)
    throw format_error(
        cat("Number of parameters, ", all.size(), ", is greater than maximum allowed, ", kParametersMost));
  for (const auto& [name, declaration] : all) {
    if (!std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c); }) || name.empty())
      throw format_error(cat("Parameter name ", name, " is non alphanumeric."));
    if (!declaration.is_object() || !declaration.find("Type"))
      throw format_error("Every Parameters object must contain a Type member.");
    DeclaredParameter p;
    p.name = name;
    p.type = declaration.string_or("Type");
    if (p.type.starts_with("AWS::SSM::Parameter::Value<")) throw not_served(cat("The parameter type ", p.type));
    if (!known_type(p.type)) throw format_error(cat("Unrecognized parameter type: ", p.type));
    p.description = declaration.string_or("Description");
    p.constraint_description = declaration.string_or("ConstraintDescription");
    p.allowed_pattern = declaration.string_or("AllowedPattern");
    if (const Json* value = declaration.find("Default")) p.default_value = scalar_text(*value);
    if (const Json* values = declaration.find("AllowedValues")) {
      if (!values->is_array()) throw format_error(cat("[/Parameters/", name, "/AllowedValues] must be a list."));
      for (const Json& value : values->as_array()) p.allowed_values.push_back(scalar_text(value));
    }
    p.min_length = whole(declaration.find("MinLength"));
    p.max_length = whole(declaration.find("MaxLength"));
    p.min_value = real(declaration.find("MinValue"));
    p.max_value = real(declaration.find("MaxValue"));
    if (const Json* no_echo = declaration.find("NoEcho")) p.no_echo = lower(scalar_text(*no_echo)) == "true";
    out.push_back(std::move(p));
  }
  return out;
}

std::map<std::string, std::string> bind_parameters(const std::vector<DeclaredParameter>& declared,
                                                   const std::map<std::string, std::string>& given) {
  std::vector<std::string> unknown, missing;
  for (const auto& [name, value] : given) {
    if (std::none_of(declared.begin(), declared.end(), [&](const auto& p) { return p.name == name; }))
      unknown.push_back(name);
  }
  if (!unknown.empty())
    throw validation_error(cat("Parameters: [", join(unknown, ", "), "] do not exist in the template"));
  std::map<std::string, std::string> out;
  for (const DeclaredParameter& p : declared) {
    if (const auto found = given.find(p.name); found != given.end()) {
      out[p.name] = found->second;
    } else if (p.default_value) {
      out[p.name] = *p.default_value;
    } else {
      missing.push_back(p.name);
    }
  }
  if (!missing.empty()) throw validation_error(cat("Parameters: [", join(missing, ", "), "] must have values"));
  for (const DeclaredParameter& p : declared) check_value(p, out[p.name]);
  return out;
}

std::map<std::string, Json> parameter_values(const std::vector<DeclaredParameter>& declared,
                                             const std::map<std::string, std::string>& bound) {
  std::map<std::string, Json> out;
  for (const DeclaredParameter& p : declared) {
    const std::string& text = bound.at(p.name);
    if (!p.is_list()) {
      out[p.name] = text;
      continue;
    }
    Json list = Json::array();
    if (!text.empty()) {
      for (std::string& item : items(text)) list.push_back(std::move(item));
    }
    out[p.name] = std::move(list);
  }
  return out;
}

bool matches_pattern(std::string_view pattern, std::string_view text) {
  int code = 0;
  PCRE2_SIZE at = 0;
  const std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> compiled(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED, &code, &at, nullptr),
      &pcre2_code_free);
  if (!compiled) return false;
  const std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context(
      pcre2_match_context_create(nullptr), &pcre2_match_context_free);
  pcre2_set_match_limit(context.get(), kMatchSteps);
  pcre2_set_depth_limit(context.get(), 10'000);
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create_from_pattern(compiled.get(), nullptr), &pcre2_match_data_free);
  return pcre2_match(compiled.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0, data.get(),
                     context.get()) >= 0;
}

}  // namespace virga::cloudformation
