// Our own structured log: one line an event, to standard error, as text or JSON. Not for functions' output.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace virga {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

struct LogField {
  std::string_view name;
  std::string value;
};

void set_log(LogLevel least, LogFormat format);
// `where` names the part that speaks ("front", "kv", "sandbox"); `message` is a sentence without values.
void log(LogLevel level, std::string_view where, std::string_view message, std::initializer_list<LogField> fields = {});

inline void log_debug(std::string_view where, std::string_view m, std::initializer_list<LogField> f = {}) {
  log(LogLevel::kDebug, where, m, f);
}
inline void log_info(std::string_view where, std::string_view m, std::initializer_list<LogField> f = {}) {
  log(LogLevel::kInfo, where, m, f);
}
inline void log_warning(std::string_view where, std::string_view m, std::initializer_list<LogField> f = {}) {
  log(LogLevel::kWarning, where, m, f);
}
inline void log_error(std::string_view where, std::string_view m, std::initializer_list<LogField> f = {}) {
  log(LogLevel::kError, where, m, f);
}

}  // namespace virga
