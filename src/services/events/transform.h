// What a target is given of an event: all of it, a constant, a part, or a template filled with parts. Pure.
#pragma once

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

// `<name>` stands for the value at paths[name]: as JSON outside quotes, as its text inside them. Objects inside quotes
// lose their own quotes, as on AWS; a value that isn't there is an empty string. Nothing when it comes to more than
// kMaxInput.
std::optional<std::string> fill_template(std::string_view text, const std::map<std::string, std::string>& paths,
                                         const Json& event, std::string_view event_text, const Surroundings& around);

// JSON without the white space between its tokens.
std::string compact(std::string_view json);

}  // namespace virga::events
