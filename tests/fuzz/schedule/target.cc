// Arbitrary schedule expressions are refused or have times that grow; arbitrary bytes are a time zone or not, whose
// local times and instants agree. Expression and zone are separated by the first zero byte.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "kernel/schedule_expression.h"

using namespace virga;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t middle = text.find('\0');
  kernel::TimeZone zone = kernel::TimeZone::utc();
  if (middle != std::string_view::npos) {
    if (auto parsed = kernel::TimeZone::parse(text.substr(middle + 1))) zone = std::move(*parsed);
  }
  for (const int64_t local : {int64_t{0}, int64_t{1'795'000'000}, int64_t{4'000'000'000}}) {
    for (const int64_t instant : zone.instants(local)) {
      if (zone.local(instant) != local) abort();
    }
  }
  const auto expression = kernel::ScheduleExpression::parse(text.substr(0, middle));
  if (!expression) return 0;
  Time t = Time::from_seconds(1'795'000'000);
  for (int i = 0; i < 5; ++i) {
    const auto next = expression->next(t, zone, Time::from_seconds(1'700'000'000));
    if (!next) break;
    if (*next <= t) abort();
    t = *next;
  }
  return 0;
}
