#include "services/events/transform.h"

#include <algorithm>
#include <cctype>

#include "base/str.h"
#include "services/events/limits.h"

namespace virga::events {
namespace {

bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.'; }

}  // namespace

std::optional<std::string> fill_template(std::string_view text, const std::map<std::string, std::string>& paths,
                                         const Json& event, std::string_view event_text, const Surroundings& around) {
  const auto filling_of = [&](std::string_view name) -> std::optional<kernel::Filling> {
    if (name.empty() || !std::ranges::all_of(name, is_name)) return std::nullopt;
    const auto path = paths.find(std::string(name));
    if (path != paths.end()) return kernel::Filling{at_path(event, path->second).value_or(Json(""))};
    if (name == "aws.events.rule-arn") return kernel::Filling{around.rule_arn};
    if (name == "aws.events.rule-name") return kernel::Filling{around.rule_name};
    if (name == "aws.events.event.ingestion-time") return kernel::Filling{iso8601(around.ingested)};
    if (name == "aws.events.event.json") return kernel::Filling{event_text, true};
    if (name == "aws.events.event") {
      // Without detail, as AWS gives it.
      Json envelope = event;
      envelope.erase("detail");
      return kernel::Filling{std::move(envelope)};
    }
    return kernel::Filling{""};
  };
  return kernel::fill_template(text, filling_of, kMaxInput);
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
