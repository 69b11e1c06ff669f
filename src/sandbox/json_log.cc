#include "sandbox/json_log.h"

#include "base/str.h"

namespace virga::sandbox {

std::optional<LogLevel> log_level(std::string_view name) {
  static constexpr std::pair<std::string_view, LogLevel> kNames[] = {
      {"TRACE", LogLevel::kTrace},  {"DEBUG", LogLevel::kDebug},   {"INFO", LogLevel::kInfo},
      {"WARN", LogLevel::kWarn},    {"ERROR", LogLevel::kError},   {"FATAL", LogLevel::kFatal},
      {"WARNING", LogLevel::kWarn}, {"CRITICAL", LogLevel::kFatal}};  // as Python writes them
  for (const auto& [known, level] : kNames) {
    if (equals_ignoring_case(name, known)) return level;
  }
  return std::nullopt;
}

std::string platform_event(Time time, std::string_view type, const Json& record) {
  return Json::object({{"time", iso8601_millis(time)}, {"type", type}, {"record", record}}).dump();
}

LogLevel level_of_event(std::string_view type, const Json& record) {
  type.remove_prefix(std::string_view("platform.").size());
  if (type == "logsDropped" || record.string_or("status", "success") != "success" || record.find("errorType"))
    return LogLevel::kWarn;
  if (type == "initStart" || type == "restoreStart")
    return record.find("runtimeVersion") ? LogLevel::kInfo : LogLevel::kDebug;
  if (type == "initRuntimeDone" || type == "restoreRuntimeDone" || type == "runtimeDone") return LogLevel::kDebug;
  if (type == "initReport" && record.string_or("initializationType") == "on-demand") return LogLevel::kDebug;
  return LogLevel::kInfo;
}

std::optional<Json> object_in(std::string_view line) {
  line = trim(line);
  if (!line.starts_with('{') || !line.ends_with('}')) return std::nullopt;
  try {
    return Json::parse(line);
  } catch (const JsonError&) {
    return std::nullopt;
  }
}

LogLevel level_of_line(std::string_view line) {
  // Most lines say nothing of a level: those need no parsing.
  if (line.find("level\"") == std::string_view::npos) return LogLevel::kInfo;
  const auto object = object_in(line);
  if (!object) return LogLevel::kInfo;
  // Python's runtime names that of an error it tells "log_level".
  return log_level(object->string_or("level", object->string_or("log_level"))).value_or(LogLevel::kInfo);
}

}  // namespace virga::sandbox
