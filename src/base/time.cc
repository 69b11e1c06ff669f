#include "base/time.h"

#include <array>

#include "base/str.h"

namespace virga {

namespace {

constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct Civil {
  int64_t year;
  unsigned month, day, hour, minute, second, micros, weekday;
};

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

Civil civil_of(Time t) {
  using namespace std::chrono;
  const int64_t seconds = floor_div(t.micros, 1'000'000);
  const int64_t days = floor_div(seconds, 86400);
  const auto in_day = static_cast<unsigned>(seconds - days * 86400);
  const sys_days date{std::chrono::days(days)};
  const year_month_day ymd(date);
  return {.year = static_cast<int>(ymd.year()),
          .month = static_cast<unsigned>(ymd.month()),
          .day = static_cast<unsigned>(ymd.day()),
          .hour = in_day / 3600,
          .minute = in_day / 60 % 60,
          .second = in_day % 60,
          .micros = static_cast<unsigned>(t.micros - seconds * 1'000'000),
          .weekday = weekday(date).c_encoding()};
}

void put(std::string& out, int64_t value, int width) {
  std::array<char, 20> digits;
  size_t at = digits.size();
  for (; width > 0 || value > 0; --width) {
    digits[--at] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  out.append(digits.data() + at, digits.size() - at);
}

std::string date_and_time(const Civil& c) {
  std::string out;
  out.reserve(32);
  put(out, c.year, 4);
  out += '-';
  put(out, c.month, 2);
  out += '-';
  put(out, c.day, 2);
  out += 'T';
  put(out, c.hour, 2);
  out += ':';
  put(out, c.minute, 2);
  out += ':';
  put(out, c.second, 2);
  return out;
}

// Reads from the front of a text; the first mismatch makes every later step fail.
struct Scanner {
  std::string_view rest;
  bool good = true;

  int64_t digits(size_t least, size_t most) {
    int64_t value = 0;
    size_t count = 0;
    while (count < most && count < rest.size() && rest[count] >= '0' && rest[count] <= '9') {
      value = value * 10 + (rest[count++] - '0');
    }
    if (count < least) good = false;
    rest.remove_prefix(count);
    return value;
  }
  bool take(char c) {
    if (rest.empty() || rest[0] != c) return false;
    rest.remove_prefix(1);
    return true;
  }
  void expect(char c) { good = take(c) && good; }
  unsigned month() {
    for (unsigned i = 0; i < kMonths.size(); ++i) {
      if (rest.substr(0, 3) == kMonths[i]) {
        rest.remove_prefix(3);
        return i + 1;
      }
    }
    good = false;
    return 1;
  }
  // The digits after a decimal point, as microseconds; finer ones are dropped.
  int64_t fraction() {
    int64_t value = 0, scale = 100'000;
    size_t count = 0;
    for (; count < rest.size() && rest[count] >= '0' && rest[count] <= '9'; ++count) {
      value += (rest[count] - '0') * scale;
      scale /= 10;
    }
    if (count == 0) good = false;
    rest.remove_prefix(count);
    return value;
  }
};

std::optional<Time> time_of(int64_t year, int64_t month, int64_t day, int64_t hour, int64_t minute, int64_t second) {
  using namespace std::chrono;
  const year_month_day ymd(std::chrono::year(static_cast<int>(year)), std::chrono::month(static_cast<unsigned>(month)),
                           std::chrono::day(static_cast<unsigned>(day)));
  // A leap second is read as the second after it.
  if (!ymd.ok() || hour > 24 || minute > 59 || second > 60 || (hour == 24 && (minute > 0 || second > 0)))
    return std::nullopt;
  return Time::from_seconds(sys_days(ymd).time_since_epoch().count() * int64_t{86400} + hour * 3600 + minute * 60 +
                            second);
}

}  // namespace

Time SystemClock::now() const {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return {std::chrono::duration_cast<std::chrono::microseconds>(since).count()};
}

std::string iso8601_millis(Time t) {
  const Civil c = civil_of(t);
  std::string out = date_and_time(c);
  out += '.';
  put(out, c.micros / 1000, 3);
  out += 'Z';
  return out;
}

std::string iso8601(Time t) {
  const Civil c = civil_of(t);
  if (c.micros / 1000 > 0) return iso8601_millis(t);
  return date_and_time(c) + 'Z';
}

std::string iso8601_lambda(Time t) {
  std::string out = iso8601_millis(t);
  out.pop_back();
  return out + "+0000";
}

std::string http_date(Time t) {
  const Civil c = civil_of(t);
  std::string out;
  out.reserve(29);
  append(out, kDays[c.weekday], ", ");
  put(out, c.day, 2);
  append(out, ' ', kMonths[c.month - 1], ' ');
  put(out, c.year, 4);
  out += ' ';
  put(out, c.hour, 2);
  out += ':';
  put(out, c.minute, 2);
  out += ':';
  put(out, c.second, 2);
  return out + " GMT";
}

std::string amz_date(Time t) {
  const Civil c = civil_of(t);
  std::string out;
  out.reserve(16);
  put(out, c.year, 4);
  put(out, c.month, 2);
  put(out, c.day, 2);
  out += 'T';
  put(out, c.hour, 2);
  put(out, c.minute, 2);
  put(out, c.second, 2);
  out += 'Z';
  return out;
}

std::string epoch_seconds(Time t) {
  const int64_t millis = floor_div(t.micros, 1000);
  std::string out = millis < 0 ? "-" : "";
  const int64_t absolute = millis < 0 ? -millis : millis;
  append(out, absolute / 1000);
  if (absolute % 1000 != 0) {
    out += '.';
    put(out, absolute % 1000, 3);
    while (out.back() == '0') out.pop_back();
  }
  return out;
}

std::optional<Time> parse_iso8601(std::string_view text) {
  Scanner in{trim(text)};
  const int64_t year = in.digits(4, 4);
  in.expect('-');
  const int64_t month = in.digits(2, 2);
  in.expect('-');
  const int64_t day = in.digits(2, 2);
  int64_t hour = 0, minute = 0, second = 0, micros = 0, offset = 0;
  if (in.good && !in.rest.empty()) {
    if (!in.take('T') && !in.take('t') && !in.take(' ')) return std::nullopt;
    hour = in.digits(2, 2);
    in.expect(':');
    minute = in.digits(2, 2);
    if (in.take(':')) {
      second = in.digits(2, 2);
      if (in.take('.') || in.take(',')) micros = in.fraction();
    }
    if (!in.take('Z') && !in.take('z') && !in.rest.empty()) {
      const bool west = in.take('-');
      if (!west) in.expect('+');
      const int64_t hours = in.digits(2, 2);
      in.take(':');
      const int64_t minutes = in.rest.empty() ? 0 : in.digits(2, 2);
      offset = (hours * 60 + minutes) * (west ? -60 : 60);
    }
  }
  if (!in.good || !in.rest.empty()) return std::nullopt;
  const std::optional<Time> t = time_of(year, month, day, hour, minute, second);
  if (!t) return std::nullopt;
  return Time{t->micros + micros - offset * 1'000'000};
}

std::optional<Time> parse_http_date(std::string_view text) {
  Scanner in{trim(text)};
  const size_t comma = in.rest.find(',');
  if (comma == std::string_view::npos) return std::nullopt;
  in.rest = trim(in.rest.substr(comma + 1));
  const int64_t day = in.digits(1, 2);
  const char separator = in.rest.empty() ? ' ' : in.rest[0];
  if (separator != ' ' && separator != '-') return std::nullopt;
  in.expect(separator);
  const unsigned month = in.month();
  in.expect(separator);
  const size_t before = in.rest.size();
  int64_t year = in.digits(2, 4);
  if (before - in.rest.size() == 2) year += year < 70 ? 2000 : 1900;
  in.expect(' ');
  const int64_t hour = in.digits(1, 2);
  in.expect(':');
  const int64_t minute = in.digits(2, 2);
  in.expect(':');
  const int64_t second = in.digits(2, 2);
  const int64_t micros = in.take('.') ? in.fraction() : 0;
  const std::string_view zone = trim(in.rest);
  if (!in.good || (zone != "GMT" && zone != "UTC" && zone != "+0000")) return std::nullopt;
  const std::optional<Time> t = time_of(year, month, day, hour, minute, second);
  if (!t) return std::nullopt;
  return Time{t->micros + micros};
}

std::optional<Time> parse_amz_date(std::string_view text) {
  Scanner in{text};
  const int64_t year = in.digits(4, 4), month = in.digits(2, 2), day = in.digits(2, 2);
  in.expect('T');
  const int64_t hour = in.digits(2, 2), minute = in.digits(2, 2), second = in.digits(2, 2);
  in.expect('Z');
  if (!in.good || !in.rest.empty()) return std::nullopt;
  return time_of(year, month, day, hour, minute, second);
}

}  // namespace virga
