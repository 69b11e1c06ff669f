#include "kernel/event_template.h"

#include <algorithm>
#include <span>
#include <vector>

#include "base/str.h"

namespace virga::kernel {
namespace {

// One step of a path: a name, an index, or all elements.
struct Step {
  std::string name;
  std::optional<int64_t> index;
  bool all = false;
};

std::optional<std::vector<Step>> steps(std::string_view path) {
  if (!path.starts_with('$')) return std::nullopt;
  path.remove_prefix(1);
  std::vector<Step> out;
  while (!path.empty()) {
    if (path[0] == '.') {
      path.remove_prefix(1);
      const size_t end = std::min(path.find_first_of(".["), path.size());
      if (end == 0) return std::nullopt;
      Step step;
      step.name = path.substr(0, end);
      step.all = step.name == "*";
      out.push_back(std::move(step));
      path.remove_prefix(end);
    } else if (path[0] == '[') {
      const size_t end = path.find(']');
      if (end == path.npos) return std::nullopt;
      std::string_view inside = path.substr(1, end - 1);
      Step step;
      if (inside == "*") {
        step.all = true;
      } else if (inside.size() >= 2 && (inside[0] == '\'' || inside[0] == '"') && inside.back() == inside[0]) {
        step.name = inside.substr(1, inside.size() - 2);
      } else {
        step.index = parse_int(inside);
        if (!step.index || *step.index < 0) return std::nullopt;
      }
      out.push_back(std::move(step));
      path.remove_prefix(end + 1);
    } else {
      return std::nullopt;
    }
  }
  return out;
}

std::optional<Json> walk(const Json& value, std::span<const Step> path) {
  if (path.empty()) return value;
  const Step& step = path.front();
  const auto rest = path.subspan(1);
  if (step.all) {
    if (!value.is_array()) return std::nullopt;
    Json out = Json::array();
    for (const Json& element : value.as_array()) {
      if (auto found = walk(element, rest)) out.push_back(std::move(*found));
    }
    return out;
  }
  if (step.index) {
    if (!value.is_array() || static_cast<size_t>(*step.index) >= value.as_array().size()) return std::nullopt;
    return walk(value.as_array()[static_cast<size_t>(*step.index)], rest);
  }
  if (const Json* member = value.find(step.name)) return walk(*member, rest);
  return std::nullopt;
}

// Text for the inside of a JSON string.
std::string escaped(std::string_view text) {
  std::string quoted;
  append_json_string(quoted, text);
  return quoted.substr(1, quoted.size() - 2);
}

std::string inside_quotes(const Json& value) {
  if (value.is_string()) return escaped(value.as_string());
  std::string text = value.dump();
  if (value.is_object() || value.is_array()) text.erase(std::remove(text.begin(), text.end(), '"'), text.end());
  return escaped(text);
}

}  // namespace

bool is_path(std::string_view text) { return steps(text).has_value(); }

std::optional<Json> at_path(const Json& event, std::string_view path) {
  const auto all = steps(path);
  if (!all) return std::nullopt;
  return walk(event, *all);
}

std::string text_of(const Json& value) { return value.is_string() ? value.as_string() : value.dump(); }

std::string value_of(const Json& event, std::string_view given) {
  if (!is_path(given)) return std::string(given);
  const auto found = at_path(event, given);
  return found ? text_of(*found) : "";
}

std::optional<std::string> fill_template(std::string_view text, const FillingOf& filling_of, size_t most) {
  std::string out;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (out.size() > most) return std::nullopt;
    const char c = text[i];
    if (c == '\\' && i + 1 < text.size()) {
      out += c;
      out += text[++i];
      continue;
    }
    if (c == '"') quoted = !quoted;
    const size_t end = c == '<' ? text.find('>', i) : text.npos;
    const auto filling = end == text.npos ? std::nullopt : filling_of(text.substr(i + 1, end - i - 1), quoted);
    if (!filling) {
      out += c;
      continue;
    }
    i = end;
    if (filling->raw) {
      out += quoted ? escaped(filling->value.as_string()) : filling->value.as_string();
    } else {
      out += quoted ? inside_quotes(filling->value) : filling->value.dump();
    }
  }
  if (out.size() > most) return std::nullopt;
  return out;
}

}  // namespace virga::kernel
