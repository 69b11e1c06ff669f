// Arbitrary patterns parse or are refused with a sentence; what parses matches arbitrary events the same way alone and
// in a machine with others. The pattern and the event are separated by the first zero byte.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "kernel/event_pattern.h"

using namespace virga;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t middle = text.find('\0');
  const std::string_view pattern = text.substr(0, middle);
  const std::string_view event = middle == std::string_view::npos ? "" : text.substr(middle + 1);
  if (pattern.size() > 4096) return 0;
  try {
    const auto parsed = kernel::EventPattern::parse(pattern);
    static const auto other = kernel::EventPattern::parse(R"({"source":["x",{"prefix":"a"}],"detail":{"a":[1]}})");
    const bool alone = parsed.matches(event);
    const std::vector all{other, parsed, other};
    kernel::PatternScratch scratch;
    std::vector<uint32_t> matched;
    kernel::PatternMachine(all).match(event, scratch, matched);
    const bool among = std::find(matched.begin(), matched.end(), 1u) != matched.end();
    if (alone != among) abort();
  } catch (const kernel::PatternError& e) {
    if (std::string_view(e.what()).empty()) abort();
  }
  return 0;
}
