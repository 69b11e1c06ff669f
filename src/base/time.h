// Time as AWS counts it, and the only way to read it: nothing below app/ looks at the wall clock but through Clock.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace virga {

// An instant, in microseconds since 1970-01-01T00:00:00Z.
struct Time {
  int64_t micros = 0;

  static Time from_seconds(int64_t s) { return {s * 1'000'000}; }
  static Time from_millis(int64_t ms) { return {ms * 1000}; }
  int64_t seconds() const { return micros / 1'000'000; }
  int64_t millis() const { return micros / 1000; }
  auto operator<=>(const Time&) const = default;
  Time operator+(std::chrono::microseconds d) const { return {micros + d.count()}; }
  Time operator-(std::chrono::microseconds d) const { return {micros - d.count()}; }
  std::chrono::microseconds operator-(Time other) const { return std::chrono::microseconds(micros - other.micros); }
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() const = 0;
};

// The machine's clock.
class SystemClock : public Clock {
 public:
  Time now() const override;
};

// A clock that stands until moved: for tests.
class ManualClock : public Clock {
 public:
  explicit ManualClock(Time start = Time::from_seconds(1'700'000'000)) : now_(start) {}
  Time now() const override { return now_; }
  void advance(std::chrono::microseconds by) { now_ = now_ + by; }
  void set(Time t) { now_ = t; }

 private:
  Time now_;
};

// The forms AWS writes and reads.
std::string iso8601(Time t);         // 2024-05-01T12:00:00Z, with .mmm only when there are milliseconds
std::string iso8601_millis(Time t);  // 2024-05-01T12:00:00.000Z
std::string iso8601_lambda(Time t);  // 2024-05-01T12:00:00.000+0000
std::string http_date(Time t);       // Wed, 01 May 2024 12:00:00 GMT
std::string amz_date(Time t);        // 20240501T120000Z
std::string epoch_seconds(Time t);   // 1714564800.123 (at most millisecond precision, no trailing zeros)
std::optional<Time> parse_iso8601(std::string_view text);  // with offset, fraction, or a bare date
std::optional<Time> parse_http_date(std::string_view text);
std::optional<Time> parse_amz_date(std::string_view text);

}  // namespace virga
