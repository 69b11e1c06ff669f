#include "kernel/schedule_expression.h"

#include <algorithm>
#include <vector>

#include "base/str.h"

namespace virga::kernel {
namespace {

constexpr int64_t kDaySeconds = 86'400;

constexpr std::string_view kMonthNames[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                            "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::string_view kWeekdays[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

template <size_t N>
std::optional<int> number(std::string_view text, const std::string_view (&names)[N]) {
  for (size_t i = 0; i < N; ++i) {
    if (equals_ignoring_case(text, names[i])) return static_cast<int>(i + 1);
  }
  const auto n = parse_int(text);
  if (!n || *n < 0 || *n > 9999) return std::nullopt;
  return static_cast<int>(*n);
}
constexpr std::string_view kNoNames[] = {""};

// A list of values, ranges and steps; false when it is none. `set` is called for each value.
template <size_t N, class F>
bool values(std::string_view text, int least, int most, const std::string_view (&names)[N], const F& set) {
  for (std::string_view part : split(text, ',')) {
    int step = 1;
    const size_t slash = part.find('/');
    if (slash != part.npos) {
      const auto n = parse_int(part.substr(slash + 1));
      if (!n || *n < 1 || *n > most) return false;
      step = static_cast<int>(*n);
      part = part.substr(0, slash);
    }
    int from = least, to = most;
    if (part != "*") {
      const size_t dash = part.find('-');
      const auto a = number(part.substr(0, dash), names);
      const auto b = dash == part.npos ? a : number(part.substr(dash + 1), names);
      if (part.empty() || !a || !b || *a < least || *a > most || *b < least || *b > most) return false;
      from = *a;
      to = dash == part.npos && slash != text.npos ? most : *b;
      if (from > to) {
        // A range over the end, as FRI-MON, goes round.
        for (int v = from; v <= most; v += step) set(v);
        for (int v = least; v <= to; v += step) set(v);
        continue;
      }
    }
    for (int v = from; v <= to; v += step) set(v);
  }
  return true;
}

}  // namespace

std::optional<ScheduleExpression> ScheduleExpression::parse(std::string_view text, Units units) {
  ScheduleExpression out;
  if (!text.ends_with(')')) return std::nullopt;
  const auto inside = [&](std::string_view word) { return text.substr(word.size(), text.size() - word.size() - 1); };
  if (text.starts_with("rate(")) {
    out.kind_ = Kind::kRate;
    const auto [count, unit] = split_once(inside("rate("), ' ');
    const auto n = parse_int(count);
    if (!n || *n < 1 || *n > 1'000'000'000 || count[0] == '+') return std::nullopt;
    const bool plural = unit.ends_with('s');
    if (units == Units::kAgree && plural == (*n == 1)) return std::nullopt;
    const std::string_view one = plural ? unit.substr(0, unit.size() - 1) : unit;
    const int64_t seconds = one == "minute" ? 60 : one == "hour" ? 3600 : one == "day" ? kDaySeconds : 0;
    out.period_ = *n * seconds;
    return seconds ? std::optional(out) : std::nullopt;
  }
  if (text.starts_with("at(")) {
    out.kind_ = Kind::kAt;
    const std::string_view when = inside("at(");
    const auto t = when.size() == 19 && when[10] == 'T' ? parse_iso8601(cat(when, "Z")) : std::nullopt;
    if (!t) return std::nullopt;
    out.at_ = t->seconds();
    return out;
  }
  if (text.starts_with("cron(")) {
    out.kind_ = Kind::kCron;
    if (!out.parse_cron(inside("cron("))) return std::nullopt;
    return out;
  }
  return std::nullopt;
}

bool ScheduleExpression::parse_cron(std::string_view text) {
  std::vector<std::string_view> fields;
  for (std::string_view field : split(text, ' ')) {
    if (!field.empty()) fields.push_back(field);
  }
  if (fields.size() != 6) return false;
  if (!values(fields[0], 0, 59, kNoNames, [&](int v) { minutes_.set(static_cast<size_t>(v)); })) return false;
  if (!values(fields[1], 0, 23, kNoNames, [&](int v) { hours_.set(static_cast<size_t>(v)); })) return false;
  if (!values(fields[3], 1, 12, kMonthNames, [&](int v) { months_.set(static_cast<size_t>(v)); })) return false;
  if (!values(fields[5], kFirstYear, kLastYear, kNoNames,
              [&](int v) { years_.set(static_cast<size_t>(v - kFirstYear)); })) {
    return false;
  }
  // One of the two kinds of days says nothing, and says so with a question mark.
  const std::string_view month_days = fields[2], week_days = fields[4];
  if ((month_days == "?") == (week_days == "?")) return false;
  of_month_.any = month_days == "?" || month_days == "*";
  of_week_.any = week_days == "?" || week_days == "*";
  if (!of_month_.any) {
    for (std::string_view part : split(month_days, ',')) {
      if (part == "L") {
        of_month_.last = true;
      } else if (part == "LW" || part == "WL") {
        of_month_.last_weekday = true;
      } else if (part.starts_with("L-")) {
        const auto n = parse_int(part.substr(2));
        if (!n || *n < 1 || *n > 30) return false;
        of_month_.before_last = static_cast<int>(*n);
      } else if (part.ends_with('W')) {
        const auto n = parse_int(part.substr(0, part.size() - 1));
        if (!n || *n < 1 || *n > 31) return false;
        of_month_.nearest.set(static_cast<size_t>(*n));
      } else if (!values(part, 1, 31, kNoNames, [&](int v) { of_month_.listed.set(static_cast<size_t>(v)); })) {
        return false;
      }
    }
  }
  if (!of_week_.any) {
    for (std::string_view part : split(week_days, ',')) {
      const size_t hash = part.find('#');
      if (hash != part.npos) {
        const auto day = number(part.substr(0, hash), kWeekdays), n = number(part.substr(hash + 1), kNoNames);
        if (!day || *day < 1 || *day > 7 || !n || *n < 1 || *n > 5) return false;
        of_week_.nth[static_cast<size_t>(*day)] |= static_cast<uint8_t>(1 << *n);
      } else if (part == "L") {
        of_week_.listed.set(7);
      } else if (part.size() > 1 && part.ends_with('L')) {
        const auto day = number(part.substr(0, part.size() - 1), kWeekdays);
        if (!day || *day < 1 || *day > 7) return false;
        of_week_.lasts[static_cast<size_t>(*day)] = 1;
      } else if (!values(part, 1, 7, kWeekdays, [&](int v) { of_week_.listed.set(static_cast<size_t>(v)); })) {
        return false;
      }
    }
  }
  return true;
}

std::bitset<32> ScheduleExpression::days(int64_t year, unsigned month) const {
  std::bitset<32> out;
  const unsigned count = days_in_month(year, month);
  const unsigned first = weekday_of(days_of(year, month, 1));                    // 0: Sunday
  const auto weekday = [&](unsigned day) { return (first + day - 1) % 7 + 1; };  // 1: Sunday
  const auto nearest = [&](unsigned day) {
    const unsigned w = weekday(day);
    if (w == 7) return day == 1 ? day + 2 : day - 1;
    if (w == 1) return day == count ? day - 2 : day + 1;
    return day;
  };
  for (unsigned day = 1; day <= count; ++day) {
    bool month_says = of_month_.any || of_month_.listed.test(day);
    month_says |= of_month_.last && day == count;
    month_says |= of_month_.before_last && static_cast<int>(count - day) == of_month_.before_last;
    const unsigned w = weekday(day);
    bool week_says = of_week_.any || of_week_.listed.test(w);
    week_says |= (of_week_.nth[w] >> ((day - 1) / 7 + 1)) & 1;
    week_says |= of_week_.lasts[w] && day + 7 > count;
    if (month_says && week_says) out.set(day);
  }
  if (!of_month_.any && of_week_.any) {
    if (of_month_.last_weekday) out.set(nearest(count));
    for (unsigned day = 1; day <= count; ++day) {
      if (of_month_.nearest.test(day)) out.set(nearest(day));
    }
  }
  return out;
}

std::optional<Time> ScheduleExpression::next_cron(Time after, const TimeZone& zone) const {
  const int64_t utc = after.seconds();
  const int64_t local = zone.local(utc);
  // A day earlier, since a clock put back shows hours again that it showed before.
  const Date start = date_of((local - kDaySeconds) / kDaySeconds);
  for (int64_t year = std::max<int64_t>(start.year, kFirstYear); year <= kLastYear; ++year) {
    if (!years_.test(static_cast<size_t>(year - kFirstYear))) continue;
    for (unsigned month = year == start.year ? start.month : 1; month <= 12; ++month) {
      if (!months_.test(month)) continue;
      const std::bitset<32> matching = days(year, month);
      for (unsigned day = year == start.year && month == start.month ? start.day : 1; day <= 31; ++day) {
        if (!matching.test(day)) continue;
        const int64_t midnight = days_of(year, month, day) * kDaySeconds;
        if (midnight + 2 * kDaySeconds < local) continue;
        for (size_t hour = 0; hour < 24; ++hour) {
          if (!hours_.test(hour)) continue;
          for (size_t minute = 0; minute < 60; ++minute) {
            if (!minutes_.test(minute)) continue;
            const auto at = zone.instants(midnight + static_cast<int64_t>(hour * 3600 + minute * 60));
            if (!at.empty() && Time::from_seconds(at.front()) > after) return Time::from_seconds(at.front());
          }
        }
      }
    }
  }
  return std::nullopt;
}

std::optional<Time> ScheduleExpression::next(Time after, const TimeZone& zone, Time from) const {
  switch (kind_) {
    case Kind::kRate: {
      if (after < from) return from;
      const int64_t period = period_ * 1'000'000;
      return Time{from.micros + ((after.micros - from.micros) / period + 1) * period};
    }
    case Kind::kAt: {
      auto at = zone.instants(at_);
      // Skipped by the clock: as far behind the jump as it is before, which is the hour by the old offset.
      if (at.empty()) at.push_back(at_ - zone.offset_at(at_ - kDaySeconds));
      const Time t = Time::from_seconds(at.front());
      return t > after ? std::optional(t) : std::nullopt;
    }
    case Kind::kCron:
      return next_cron(after, zone);
  }
  return std::nullopt;
}

}  // namespace virga::kernel
