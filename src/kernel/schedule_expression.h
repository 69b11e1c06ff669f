// When things recur, as EventBridge and Scheduler write it: rate(5 minutes), cron(0 10 ? * MON-FRI *),
// at(2026-11-21T10:00:00).
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.h"
#include "kernel/time_zone.h"

namespace virga::kernel {

class ScheduleExpression {
 public:
  enum class Kind : uint8_t { kRate, kCron, kAt };
  // Rules want rate(1 minute) and rate(5 minutes); Scheduler takes either form with any number.
  enum class Units : uint8_t { kAgree, kAny };
  static std::optional<ScheduleExpression> parse(std::string_view text, Units units = Units::kAgree);

  Kind kind() const { return kind_; }
  int64_t period() const { return period_; }  // of a rate, in seconds
  // The first time after `after`; nothing when there is none any more. A rate counts from `from`. A cron time that the
  // clock on the wall skips when it is put forward doesn't happen; one that comes twice happens the first time. An at
  // time that is skipped happens when the clock is put forward.
  std::optional<Time> next(Time after, const TimeZone& zone, Time from) const;

 private:
  static constexpr int kFirstYear = 1970, kLastYear = 2199;
  struct Days {
    bool any = false;                       // ? or *
    std::bitset<32> listed;                 // days of the month 1-31, or of the week 1-7 (Sunday first)
    bool last = false;                      // L; of the month
    int before_last = 0;                    // L-n
    bool last_weekday = false;              // LW
    std::bitset<32> nearest;                // nW
    std::array<uint8_t, 8> nth{}, lasts{};  // n-th (bits) such weekday, last such weekday
  };
  Kind kind_ = Kind::kRate;
  int64_t period_ = 0;
  int64_t at_ = 0;  // local seconds
  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<13> months_;
  std::bitset<kLastYear - kFirstYear + 1> years_;
  Days of_month_, of_week_;

  bool parse_cron(std::string_view fields);
  std::bitset<32> days(int64_t year, unsigned month) const;
  std::optional<Time> next_cron(Time after, const TimeZone& zone) const;
};

}  // namespace virga::kernel
