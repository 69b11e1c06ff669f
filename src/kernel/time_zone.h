// Time zones, from the machine's own data (/usr/share/zoneinfo, the tzdata package).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace virga::kernel {

// A zone's history and rule for the future. Seconds are since 1970; local seconds count as if the clock on the wall
// showed UTC.
class TimeZone {
 public:
  static TimeZone utc();
  // From the bytes of a TZif file (RFC 8536); nothing when they are none.
  static std::optional<TimeZone> parse(std::string_view file);

  int64_t offset_at(int64_t utc) const;  // to be added to UTC
  int64_t local(int64_t utc) const { return utc + offset_at(utc); }
  // The instants at which the wall shows `local`: none when it is skipped, two when it comes twice.
  std::vector<int64_t> instants(int64_t local) const;

 private:
  struct Change {
    int64_t at, offset;
  };
  // When daylight saving begins or ends, as a POSIX TZ string says it.
  struct Turn {
    char form = 'M';  // M: month, week, day; J: day of the year without 29 February; n: with it
    int month = 0, week = 0, day = 0;
    int64_t seconds = 7200;  // local, from midnight
    int64_t in_year(int year) const;
  };
  struct Rule {
    int64_t standard = 0, daylight = 0;
    bool changes = false;
    Turn begin, end;
  };
  static std::optional<Rule> parse_rule(std::string_view text);
  int64_t by_rule(int64_t utc) const;

  int64_t first_offset_ = 0;
  std::vector<Change> changes_;
  Rule rule_;
};

// Zones by name ("Europe/Berlin"), read once.
class TimeZones {
 public:
  explicit TimeZones(std::string directory = "/usr/share/zoneinfo") : directory_(std::move(directory)) {}
  std::shared_ptr<const TimeZone> find(const std::string& name);  // null when there is none

 private:
  const std::string directory_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const TimeZone>> zones_;
};

// Days since 1970-01-01 of a date of the Gregorian calendar, and back.
int64_t days_of(int64_t year, unsigned month, unsigned day);
struct Date {
  int64_t year;
  unsigned month, day;
};
Date date_of(int64_t days);
unsigned days_in_month(int64_t year, unsigned month);
inline unsigned weekday_of(int64_t days) { return static_cast<unsigned>(((days + 4) % 7 + 7) % 7); }  // 0: Sunday

}  // namespace virga::kernel
