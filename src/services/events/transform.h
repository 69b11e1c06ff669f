// What a target is given of an event: all of it, a constant, a part, or a template filled with parts. Pure.
#pragma once

#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/time.h"
#include "kernel/event_template.h"

namespace virga::events {

using kernel::at_path;
using kernel::is_path;

// Values that templates may name without a path.
struct Surroundings {
  std::string rule_arn, rule_name;
  Time ingested;
};

// `<name>` stands for the value at paths[name]: as JSON outside quotes, as its text inside them; a value that isn't
// there is an empty string. Objects inside quotes lose their own quotes in templates that are text; in one that is an
// object they are refused, as is what comes to more than kMaxInput: with the reason.
std::expected<std::string, std::string_view> fill_template(std::string_view text,
                                                           const std::map<std::string, std::string>& paths,
                                                           const Json& event, std::string_view event_text,
                                                           const Surroundings& around);

// A `<name>` that no path and none of EventBridge's own values stands for.
std::optional<std::string> unknown_name(std::string_view text, const std::map<std::string, std::string>& paths);

// JSON without the white space between its tokens.
std::string compact(std::string_view json);

}  // namespace virga::events
