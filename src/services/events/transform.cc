#include "services/events/transform.h"

#include <algorithm>
#include <cctype>

#include "base/str.h"
#include "services/events/limits.h"

namespace virga::events {
namespace {

constexpr std::string_view kOwnNames[] = {"aws.events.rule-arn", "aws.events.rule-name",
                                          "aws.events.event.ingestion-time", "aws.events.event.json",
                                          "aws.events.event"};

bool is_name(std::string_view text) {
  const auto good = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
  };
  return !text.empty() && std::ranges::all_of(text, good);
}

}  // namespace

std::expected<std::string, std::string_view> fill_template(std::string_view text,
                                                           const std::map<std::string, std::string>& paths,
                                                           const Json& event, std::string_view event_text,
                                                           const Surroundings& around) {
  const bool object = trim(text).starts_with('{');
  bool broken = false;
  const auto filling_of = [&](std::string_view name, bool quoted) -> std::optional<kernel::Filling> {
    if (!is_name(name)) return std::nullopt;
    const auto path = paths.find(std::string(name));
    if (path != paths.end()) {
      Json value = at_path(event, path->second).value_or(Json(""));
      broken |= object && quoted && (value.is_object() || value.is_array()) && value.dump().contains('"');
      return kernel::Filling{std::move(value)};
    }
    if (name == "aws.events.rule-arn") return kernel::Filling{around.rule_arn};
    if (name == "aws.events.rule-name") return kernel::Filling{around.rule_name};
    if (name == "aws.events.event.ingestion-time") return kernel::Filling{iso8601(around.ingested)};
    if (name == "aws.events.event.json") return kernel::Filling{event_text, true};
    if (name == "aws.events.event") {
      // Without detail and with the name of its own, as AWS gives it.
      Json envelope = Json::object();
      for (const auto& [key, value] : event.as_object()) {
        if (key != "detail") envelope[key == "detail-type" ? "detailType" : key] = value;
      }
      return kernel::Filling{std::move(envelope)};
    }
    return kernel::Filling{""};
  };
  auto filled = kernel::fill_template(text, filling_of, kMaxInput);
  if (!filled) return std::unexpected("The transformed input is larger than 1 MB.");
  if (broken) return std::unexpected("The transformed input is no JSON: an object or a list stands inside quotes.");
  return std::move(*filled);
}

std::optional<std::string> unknown_name(std::string_view text, const std::map<std::string, std::string>& paths) {
  std::optional<std::string> unknown;
  const auto look = [&](std::string_view name, bool) -> std::optional<kernel::Filling> {
    if (is_name(name) && !paths.contains(std::string(name)) &&
        std::ranges::find(kOwnNames, name) == std::end(kOwnNames))
      unknown = name;
    return std::nullopt;
  };
  (void)kernel::fill_template(text, look, text.size());
  return unknown;
}

std::string compact(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  bool quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (quoted) {
      out += c;
      if (c == '\\' && i + 1 < json.size()) {
        out += json[++i];
      } else if (c == '"') {
        quoted = false;
      }
    } else if (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
      out += c;
      quoted = c == '"';
    }
  }
  return out;
}

}  // namespace virga::events
