#include "services/cloudformation/sam/transform.h"

#include <algorithm>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/str.h"
#include "services/cloudformation/references.h"
#include "services/cloudformation/refusal.h"
#include "services/cloudformation/sam/sam.h"
#include "services/cloudformation/template.h"

namespace virga::cloudformation {

Json transform_serverless(Json root, const std::map<std::string, Json>& parameters, const PseudoParameters& pseudo) {
  return sam::Transform(std::move(root), parameters, pseudo).run();
}

namespace sam {

namespace {

void write_canonical(std::string& out, const Json& value) {
  if (value.is_array()) {
    out += '[';
    bool first = true;
    for (const Json& element : value.as_array()) {
      if (!first) out += ',';
      first = false;
      write_canonical(out, element);
    }
    out += ']';
  } else if (value.is_object()) {
    std::vector<const Json::Member*> members;
    for (const auto& member : value.as_object()) members.push_back(&member);
    std::sort(members.begin(), members.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
    out += '{';
    bool first = true;
    for (const auto* member : members) {
      if (!first) out += ',';
      first = false;
      write_canonical(out, Json(member->first));
      out += ':';
      write_canonical(out, member->second);
    }
    out += '}';
  } else {
    out += value.dump();
  }
}

// JSON text with \uXXXX for everything outside ASCII.
std::string escaped(std::string_view json) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  const auto unit = [&](uint32_t u) {
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) out += kHex[u >> shift & 15];
  };
  for (size_t i = 0; i < json.size();) {
    const auto c = static_cast<unsigned char>(json[i]);
    if (c < 0x80) {
      out += json[i++];
      continue;
    }
    const int length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    uint32_t point = c & (0xFF >> (length + 1));
    for (int k = 1; k < length && i + k < json.size(); ++k)
      point = point << 6 | (static_cast<unsigned char>(json[i + k]) & 63);
    i += static_cast<size_t>(length);
    if (point >= 0x10000) {
      unit(0xD800 + ((point - 0x10000) >> 10));
      unit(0xDC00 + ((point - 0x10000) & 1023));
    } else {
      unit(point);
    }
  }
  return out;
}

using Renamed = std::map<std::string, std::string>;

// The new spelling of a dotted name, or nothing when it stays.
std::string new_name(const Renamed& renamed, std::string_view dotted) {
  if (const auto found = renamed.find(std::string(dotted)); found != renamed.end()) return found->second;
  for (size_t dot = dotted.rfind('.'); dot != std::string_view::npos && dot > 0; dot = dotted.rfind('.', dot - 1)) {
    if (const auto found = renamed.find(std::string(dotted.substr(0, dot))); found != renamed.end())
      return cat(found->second, dotted.substr(dot));
  }
  return "";
}

std::string rename_in_text(const Renamed& renamed, const std::string& text) {
  std::string out;
  size_t at = 0;
  for (;;) {
    const size_t open = text.find("${", at);
    const size_t close = open == std::string::npos ? open : text.find('}', open);
    if (close == std::string::npos) break;
    out += text.substr(at, open + 2 - at);
    const std::string_view name = std::string_view(text).substr(open + 2, close - open - 2);
    const std::string better = new_name(renamed, trim(name));
    out += better.empty() ? std::string(name) : better;
    at = close;
  }
  return out + text.substr(at);
}

void rename(const Renamed& renamed, Json& value) {
  if (value.is_array()) {
    for (Json& element : value.as_array()) rename(renamed, element);
    return;
  }
  if (!value.is_object()) return;
  const bool alone = value.as_object().size() == 1;
  for (auto& [key, member] : value.as_object()) {
    if (alone && key == "Ref" && member.is_string()) {
      if (const std::string name = new_name(renamed, member.as_string()); !name.empty()) member = name;
    } else if (alone && key == "Fn::GetAtt" && member.is_array() && member.as_array().size() == 2 &&
               member.as_array()[0].is_string() && member.as_array()[1].is_string()) {
      const std::string name =
          new_name(renamed, cat(member.as_array()[0].as_string(), ".", member.as_array()[1].as_string()));
      if (name.empty()) continue;
      const auto [resource, attribute] = split_once(name, '.');
      member = Json(Json::Array{resource, attribute});
    } else if (alone && key == "Fn::Sub") {
      Json* text = member.is_array() && !member.as_array().empty() ? &member.as_array()[0] : &member;
      if (text->is_string()) *text = rename_in_text(renamed, text->as_string());
      if (member.is_array()) rename(renamed, member);
    } else if (key == "DependsOn" && member.is_string()) {
      if (const auto found = renamed.find(member.as_string()); found != renamed.end()) member = found->second;
    } else if (key == "DependsOn" && member.is_array()) {
      for (Json& one : member.as_array()) {
        if (const auto found = one.is_string() ? renamed.find(one.as_string()) : renamed.end(); found != renamed.end())
          one = found->second;
      }
    } else {
      rename(renamed, member);
    }
  }
}

}  // namespace

void refuse(std::string_view logical_id, std::string_view why) {
  throw validation_error(
      cat("Transform AWS::Serverless-2016-10-31 failed with: Invalid Serverless Application Specification document. "
          "Number of errors found: 1. Resource with id [",
          logical_id, "] is invalid. ", why));
}
void refuse_unserved(std::string_view logical_id, std::string_view what) {
  refuse(logical_id, cat(what, " is not served by Virga."));
}

Json refer_to(std::string_view name) { return Json::object({{"Ref", Json(name)}}); }
Json get_att(std::string_view name, std::string_view attribute) {
  return Json::object({{"Fn::GetAtt", Json(Json::Array{name, attribute})}});
}
Json sub(std::string text) { return Json::object({{"Fn::Sub", Json(std::move(text))}}); }
Json sub(std::string text, Json variables) {
  return Json::object({{"Fn::Sub", Json(Json::Array{Json(std::move(text)), std::move(variables)})}});
}

Json assume_role(std::string_view service) {
  return Json::object(
      {{"Version", "2012-10-17"},
       {"Statement", Json(Json::Array{Json::object(
                         {{"Action", Json(Json::Array{"sts:AssumeRole"})},
                          {"Effect", "Allow"},
                          {"Principal", Json::object({{"Service", Json(Json::Array{Json(service)})}})}})})}});
}

Json tag_list(const Json* tags) {
  Json out = Json::array();
  out.push_back(Json::object({{"Key", Json(kCreatedBy)}, {"Value", "SAM"}}));
  if (tags && tags->is_object()) {
    for (const auto& [key, value] : tags->as_object()) out.push_back(Json::object({{"Key", key}, {"Value", value}}));
  }
  return out;
}

std::string canonical(const Json& value) {
  std::string out;
  write_canonical(out, value);
  return escaped(out);
}

std::string hashed_id(std::string_view prefix, const Json& value) {
  return cat(prefix, hex_encode(sha1(canonical(value))).substr(0, 10));
}

bool is_no_value(const Json& value) { return value == refer_to("AWS::NoValue"); }

Json Transform::with_parameters(const Json& value) const {
  if (value.is_array()) {
    Json out = Json::array();
    for (const Json& element : value.as_array()) out.push_back(with_parameters(element));
    return out;
  }
  if (!value.is_object()) return value;
  if (value.as_object().size() == 1 && value.as_object()[0].first == "Ref" && value.as_object()[0].second.is_string()) {
    const std::string& name = value.as_object()[0].second.as_string();
    if (const auto found = parameters_.find(name); found != parameters_.end()) return found->second;
    if (name == "AWS::Region") return pseudo_.region;
    return value;
  }
  Json out = Json::object();
  for (const auto& [key, member] : value.as_object()) out.as_object().emplace_back(key, with_parameters(member));
  return out;
}

// PropagateTags: what else a resource generates has its tags too, where that kind has any.
void Transform::propagate_tags(const Source& source, std::string_view type, Json& properties) {
  static constexpr std::string_view kTagged =
      " AWS::IAM::Role AWS::SQS::Queue AWS::SNS::Topic AWS::Lambda::EventSourceMapping ";
  const Json* given = source.find("Tags");
  if (!given || !given->is_object() || kTagged.find(cat(" ", type, " ")) == std::string_view::npos) return;
  Json tags = properties.find("Tags") ? *properties.find("Tags") : Json::array();
  for (const auto& [key, value] : given->as_object()) {
    const bool there =
        std::ranges::any_of(tags.as_array(), [&](const Json& tag) { return tag.string_or("Key") == key; });
    if (!there) tags.push_back(Json::object({{"Key", key}, {"Value", value}}));
  }
  properties["Tags"] = std::move(tags);
}

// A generated resource. What guards its source guards it: Condition, and the policies for deletion and replacement.
void Transform::add(const Source& source, std::string id, std::string_view type, Json properties, Json attributes) {
  Json resource = Json::object({{"Type", Json(type)}});
  for (const char* name : {"Condition", "DeletionPolicy", "UpdateReplacePolicy"}) {
    if (const Json* value = source.resource.find(name); value && !attributes.find(name)) resource[name] = *value;
  }
  for (auto& [key, value] : attributes.as_object()) resource[key] = value;
  const Json* propagates = source.find("PropagateTags");
  if (propagates && with_parameters(*propagates) == Json(true)) propagate_tags(source, type, properties);
  if (!properties.as_object().empty()) resource["Properties"] = std::move(properties);
  resources_[id] = std::move(resource);
}

void Transform::rename_references() {
  if (renamed_.empty()) return;
  rename(renamed_, resources_);
  if (Json* outputs = root_.find("Outputs")) rename(renamed_, *outputs);
}

Json Transform::run() {
  merge_globals();
  prepare_http_apis();
  const Json::Object given = section(root_, "Resources");
  // Plain resources first: events of functions add to them.
  for (const auto& [id, resource] : given) {
    if (resource.find("Connectors")) refuse_unserved(id, "Connectors");
    if (!resource.string_or("Type").starts_with("AWS::Serverless::")) resources_[id] = resource;
  }
  for (const auto& [id, resource] : given) {
    const std::string type = resource.string_or("Type");
    if (!type.starts_with("AWS::Serverless::")) continue;
    const Json none = Json::object();
    const Json* properties = resource.find("Properties");
    const Source source{id, resource, properties && properties->is_object() ? *properties : none};
    if (type == "AWS::Serverless::Function") {
      function(source);
    } else if (type == "AWS::Serverless::SimpleTable") {
      simple_table(source);
    } else if (type == "AWS::Serverless::LayerVersion") {
      layer(source);
    } else if (type == "AWS::Serverless::StateMachine") {
      state_machine(source);
    } else if (type == "AWS::Serverless::CapacityProvider") {
      capacity_provider(source);
    } else if (type != "AWS::Serverless::HttpApi") {
      refuse_unserved(id, type);
    }
  }
  finish_http_apis();
  rename_references();
  root_["Resources"] = resources_;
  root_.erase("Transform");
  root_.erase("Globals");
  return root_;
}

}  // namespace sam
}  // namespace virga::cloudformation
