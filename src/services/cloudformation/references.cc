#include "services/cloudformation/references.h"

#include <algorithm>

#include "base/str.h"
#include "services/cloudformation/refusal.h"

namespace virga::cloudformation {

namespace {

bool good_sub_name(std::string_view name) {
  if (name.empty()) return false;
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) || c == '.' || c == ':' || c == '_'; });
}

void add_name(std::set<Reference>& out, std::string_view dotted) {
  const auto [name, attribute] = split_once(dotted, '.');
  if (attribute.empty()) {
    out.insert({Reference::Kind::kRef, std::string(name), ""});
  } else {
    out.insert({Reference::Kind::kGetAtt, std::string(name), std::string(attribute)});
  }
}

void collect_sub(const Json& argument, std::set<Reference>& out) {
  const Json* text = &argument;
  const Json* variables = nullptr;
  if (argument.is_array() && !argument.as_array().empty()) {
    text = &argument.as_array()[0];
    if (argument.as_array().size() > 1) variables = &argument.as_array()[1];
  }
  if (!text->is_string()) return;
  for (const SubPiece& piece : parse_sub(text->as_string())) {
    if (piece.variable && !(variables && variables->find(piece.text))) add_name(out, piece.text);
  }
}

void collect(const Json& value, std::set<Reference>& out) {
  if (value.is_array()) {
    for (const Json& element : value.as_array()) collect(element, out);
  } else if (value.is_object()) {
    const bool alone = value.as_object().size() == 1;
    for (const auto& [key, member] : value.as_object()) {
      if (alone && key == "Ref" && member.is_string()) {
        out.insert({Reference::Kind::kRef, member.as_string(), ""});
      } else if (alone && key == "Fn::GetAtt" && member.is_string()) {
        add_name(out, member.as_string());
      } else if (alone && key == "Fn::GetAtt" && member.is_array() && member.as_array().size() == 2 &&
                 member.as_array()[0].is_string()) {
        const Json& attribute = member.as_array()[1];
        out.insert({Reference::Kind::kGetAtt, member.as_array()[0].as_string(),
                    attribute.is_string() ? attribute.as_string() : ""});
        collect(attribute, out);
      } else {
        if (alone && key == "Fn::Sub") collect_sub(member, out);
        collect(member, out);
      }
    }
  }
}

// Names on some cycle of what is left.
std::vector<std::string> cyclic_names(const std::vector<std::string>& names, const Graph& graph,
                                      const std::set<std::string>& done) {
  std::vector<std::string> out;
  for (const std::string& name : names) {
    if (done.contains(name)) continue;
    std::set<std::string> seen;
    std::vector<std::string> to_visit(graph.at(name).begin(), graph.at(name).end());
    while (!to_visit.empty()) {
      const std::string at = to_visit.back();
      to_visit.pop_back();
      if (!seen.insert(at).second || done.contains(at)) continue;
      if (const auto found = graph.find(at); found != graph.end())
        to_visit.insert(to_visit.end(), found->second.begin(), found->second.end());
    }
    if (seen.contains(name)) out.push_back(name);
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

std::vector<SubPiece> parse_sub(std::string_view text) {
  std::vector<SubPiece> out;
  std::string literal;
  size_t at = 0;
  while (at < text.size()) {
    const size_t open = text.find("${", at);
    const size_t close = open == std::string_view::npos ? open : text.find('}', open);
    if (close == std::string_view::npos) break;
    literal += text.substr(at, open - at);
    const std::string_view inside = text.substr(open + 2, close - open - 2);
    at = close + 1;
    if (inside.starts_with('!')) {
      append(literal, "${", inside.substr(1), "}");
      continue;
    }
    const std::string_view name = trim(inside);
    if (!good_sub_name(name)) {
      throw template_error(
          "variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, periods, and "
          "colons");
    }
    if (!literal.empty()) out.push_back({false, std::move(literal)});
    literal.clear();
    out.push_back({true, std::string(name)});
  }
  literal += text.substr(std::min(at, text.size()));
  if (!literal.empty()) out.push_back({false, std::move(literal)});
  return out;
}

std::set<Reference> references_in(const Json& value) {
  std::set<Reference> out;
  collect(value, out);
  return out;
}

std::vector<std::string> depends_on(const Json& resource) {
  std::vector<std::string> out;
  const Json* names = resource.find("DependsOn");
  if (names && names->is_string()) out.push_back(names->as_string());
  if (names && names->is_array()) {
    for (const Json& name : names->as_array()) {
      if (name.is_string()) out.push_back(name.as_string());
    }
  }
  return out;
}

std::set<std::string> conditions_in(const Json& value) {
  std::set<std::string> out;
  if (value.is_array()) {
    for (const Json& element : value.as_array()) out.merge(conditions_in(element));
  } else if (value.is_object()) {
    const bool alone = value.as_object().size() == 1;
    for (const auto& [key, member] : value.as_object()) {
      if (alone && key == "Condition" && member.is_string()) out.insert(member.as_string());
      if (alone && key == "Fn::If" && member.is_array() && !member.as_array().empty() &&
          member.as_array()[0].is_string())
        out.insert(member.as_array()[0].as_string());
      out.merge(conditions_in(member));
    }
  }
  return out;
}

bool is_pseudo_parameter(std::string_view name) {
  for (const char* known : {"AWS::AccountId", "AWS::NoValue", "AWS::NotificationARNs", "AWS::Partition", "AWS::Region",
                            "AWS::StackId", "AWS::StackName", "AWS::URLSuffix"}) {
    if (name == known) return true;
  }
  return false;
}

bool is_intrinsic(const Json& value) {
  if (!value.is_object() || value.as_object().size() != 1) return false;
  const auto& [key, member] = value.as_object()[0];
  return key == "Ref" || key.starts_with("Fn::") || (key == "Condition" && member.is_string());
}

std::vector<std::string> dependency_order(const std::vector<std::string>& names, const Graph& graph) {
  std::vector<std::string> out;
  std::set<std::string> done;
  while (out.size() < names.size()) {
    const size_t before = out.size();
    for (const std::string& name : names) {
      if (done.contains(name)) continue;
      const auto& needs = graph.at(name);
      if (!std::all_of(needs.begin(), needs.end(),
                       [&](const std::string& n) { return done.contains(n) || !graph.contains(n); }))
        continue;
      done.insert(name);
      out.push_back(name);
    }
    if (out.size() == before) {
      throw validation_error(
          cat("Circular dependency between resources: [", join(cyclic_names(names, graph, done), ", "), "]"));
    }
  }
  return out;
}

Graph resource_graph(const Json::Object& resources) {
  std::set<std::string> known;
  for (const auto& [name, resource] : resources) known.insert(name);
  Graph graph;
  for (const auto& [name, resource] : resources) {
    auto& needs = graph[name];
    for (const char* part : {"Properties", "Metadata", "UpdatePolicy", "CreationPolicy"}) {
      const Json* value = resource.find(part);
      if (!value) continue;
      for (const Reference& reference : references_in(*value)) {
        if (known.contains(reference.name)) needs.insert(reference.name);
      }
    }
    for (const std::string& other : depends_on(resource)) {
      if (known.contains(other)) needs.insert(other);
    }
  }
  return graph;
}

}  // namespace virga::cloudformation
