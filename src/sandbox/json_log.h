// The log of a function whose format is JSON: what happens to an instance is told there as events, the ones that the
// Telemetry API tells extensions; and of these, as of the function's own lines, only those of a level are kept.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/time.h"
#include "sandbox/sandbox.h"

namespace virga::sandbox {

// {"time", "type", "record"}, in one line.
std::string platform_event(Time time, std::string_view type, const Json& record);

// As AWS assigns them to the events of its platform.
LogLevel level_of_event(std::string_view type, const Json& record);

// The JSON object that a line is, if it is one.
std::optional<Json> object_in(std::string_view line);

// What an object's "level" says; INFO for anything else.
LogLevel level_of_line(std::string_view line);

}  // namespace virga::sandbox
