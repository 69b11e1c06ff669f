#include "base/log.h"

#include <unistd.h>

#include <atomic>

#include "base/json.h"
#include "base/str.h"
#include "base/time.h"

namespace virga {

namespace {

std::atomic<LogLevel> least_level = LogLevel::kInfo;
std::atomic<LogFormat> log_format = LogFormat::kText;

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

// A value stays on its line and in its place: anything but plain text is quoted.
void append_value(std::string& line, std::string_view value) {
  for (const char c : value) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '=' || c == '\\') {
      append_json_string(line, value);
      return;
    }
  }
  line.append(value);
}

// Control characters in a message could forge further lines.
void append_message(std::string& line, std::string_view message) {
  for (const char c : message) line += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
}

}  // namespace

void set_log(LogLevel least, LogFormat format) {
  least_level.store(least, std::memory_order_relaxed);
  log_format.store(format, std::memory_order_relaxed);
}

void log(LogLevel level, std::string_view where, std::string_view message, std::initializer_list<LogField> fields) {
  if (level < least_level.load(std::memory_order_relaxed)) return;
  const std::string now = iso8601_millis(SystemClock().now());
  std::string line;
  line.reserve(128);
  if (log_format.load(std::memory_order_relaxed) == LogFormat::kJson) {
    JsonWriter out(line);
    out.begin_object();
    out.key("time");
    out.string(now);
    out.key("level");
    out.string(name_of(level));
    out.key("where");
    out.string(where);
    out.key("message");
    out.string(message);
    for (const LogField& field : fields) {
      out.key(field.name);
      out.string(field.value);
    }
    out.end_object();
  } else {
    append(line, now, ' ', name_of(level), ' ', where, ": ");
    append_message(line, message);
    for (const LogField& field : fields) {
      append(line, ' ', field.name, '=');
      append_value(line, field.value);
    }
  }
  line += '\n';
  // One write a line, so that lines of several threads don't mix; a log that cannot be written is not worth failing
  // for.
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

}  // namespace virga
