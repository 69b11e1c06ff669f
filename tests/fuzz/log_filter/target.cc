// Filter patterns of log events: any text is one, and matches any message or not, or is refused by a sentence. Pattern
// and message are separated by the first zero byte.
#include <cstdint>
#include <stdexcept>

#include "base/str.h"
#include "services/logs/filter.h"

using namespace virga;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto [pattern, message] = split_once({reinterpret_cast<const char*>(data), size}, '\0');
  try {
    logs::parse_filter(pattern).matches(message);
  } catch (const std::invalid_argument&) {
  }
  return 0;
}
