#include "kernel/time_zone.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>

#include "base/encoding.h"

namespace virga::kernel {

int64_t days_of(int64_t year, unsigned month, unsigned day) {
  year -= month <= 2;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto of_era = static_cast<unsigned>(year - era * 400);
  const unsigned of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  return era * 146'097 + static_cast<int64_t>(of_era * 365 + of_era / 4 - of_era / 100 + of_year) - 719'468;
}

Date date_of(int64_t days) {
  days += 719'468;
  const int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const auto of_era = static_cast<unsigned>(days - era * 146'097);
  const unsigned year = (of_era - of_era / 1460 + of_era / 36'524 - of_era / 146'096) / 365;
  const unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
  const unsigned shifted = (5 * of_year + 2) / 153;
  const unsigned month = shifted < 10 ? shifted + 3 : shifted - 9;
  return {static_cast<int64_t>(year) + era * 400 + (month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1};
}

unsigned days_in_month(int64_t year, unsigned month) {
  static constexpr unsigned kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return kDays[month - 1] + (month == 2 && leap ? 1 : 0);
}

namespace {

constexpr int64_t kDay = 86'400;
constexpr size_t kMostFile = 1 << 20;

int64_t floor_days(int64_t seconds) { return seconds / kDay - (seconds % kDay < 0 ? 1 : 0); }

// A POSIX TZ string's pieces, taken from its front.
struct Posix {
  std::string_view rest;
  bool name() {
    if (rest.starts_with('<')) {
      const size_t end = rest.find('>');
      if (end == rest.npos) return false;
      rest.remove_prefix(end + 1);
      return true;
    }
    size_t n = 0;
    while (n < rest.size() && std::isalpha(static_cast<unsigned char>(rest[n]))) ++n;
    rest.remove_prefix(n);
    return n >= 3;
  }
  bool number(int64_t& out) {
    size_t n = 0;
    out = 0;
    while (n < rest.size() && n < 4 && rest[n] >= '0' && rest[n] <= '9') out = out * 10 + (rest[n++] - '0');
    rest.remove_prefix(n);
    return n > 0;
  }
  bool take(char c) {
    if (!rest.starts_with(c)) return false;
    rest.remove_prefix(1);
    return true;
  }
  bool clock(int64_t& seconds) {
    const bool minus = take('-');
    if (!minus) take('+');
    int64_t h = 0, m = 0, s = 0;
    if (!number(h)) return false;
    if (take(':') && !number(m)) return false;
    if (take(':') && !number(s)) return false;
    seconds = (h * 60 + m) * 60 + s;
    if (minus) seconds = -seconds;
    return true;
  }
};

}  // namespace

int64_t TimeZone::Turn::in_year(int year) const {
  if (form == 'J') {
    const bool leap = days_in_month(year, 2) == 29;
    return (days_of(year, 1, 1) + day - 1 + (leap && day >= 60 ? 1 : 0)) * kDay + seconds;
  }
  if (form == 'n') return (days_of(year, 1, 1) + day) * kDay + seconds;
  const auto m = static_cast<unsigned>(month);
  const int64_t first = days_of(year, m, 1);
  int64_t at = first + (static_cast<int64_t>(day) - weekday_of(first) + 7) % 7 + (week - 1) * 7;
  while (at >= first + days_in_month(year, m)) at -= 7;
  return at * kDay + seconds;
}

std::optional<TimeZone::Rule> TimeZone::parse_rule(std::string_view text) {
  Posix p{text};
  Rule rule;
  if (!p.name() || !p.clock(rule.standard)) return std::nullopt;
  rule.standard = -rule.standard;
  if (p.rest.empty()) return rule;
  if (!p.name()) return std::nullopt;
  rule.changes = true;
  rule.daylight = rule.standard + 3600;
  if (!p.rest.starts_with(',')) {
    if (!p.clock(rule.daylight)) return std::nullopt;
    rule.daylight = -rule.daylight;
  }
  for (Turn* turn : {&rule.begin, &rule.end}) {
    int64_t a = 0, b = 0, c = 0;
    if (!p.take(',')) return std::nullopt;
    if (p.take('M')) {
      if (!p.number(a) || !p.take('.') || !p.number(b) || !p.take('.') || !p.number(c)) return std::nullopt;
      if (a < 1 || a > 12 || b < 1 || b > 5 || c > 6) return std::nullopt;
      turn->month = static_cast<int>(a);
      turn->week = static_cast<int>(b);
      turn->day = static_cast<int>(c);
    } else {
      turn->form = p.take('J') ? 'J' : 'n';
      if (!p.number(a) || a > 366) return std::nullopt;
      turn->day = static_cast<int>(a);
    }
    if (p.take('/') && !p.clock(turn->seconds)) return std::nullopt;
  }
  return rule;
}

TimeZone TimeZone::utc() { return {}; }

std::optional<TimeZone> TimeZone::parse(std::string_view file) {
  const auto count = [](std::string_view header, size_t i) { return read_be32(header.data() + 20 + 4 * i); };
  if (file.size() < 44 || !file.starts_with("TZif") || file[4] < '2') return std::nullopt;
  // The first block is the same in 32 bits.
  uint64_t skip = 44;
  skip += uint64_t{count(file, 3)} * 5 + uint64_t{count(file, 4)} * 6 + count(file, 5) + uint64_t{count(file, 2)} * 8 +
          count(file, 1) + count(file, 0);
  if (skip + 44 > file.size()) return std::nullopt;
  file.remove_prefix(skip);
  if (!file.starts_with("TZif")) return std::nullopt;
  const uint64_t leaps = count(file, 2), times = count(file, 3), types = count(file, 4), names = count(file, 5);
  const uint64_t marks = uint64_t{count(file, 0)} + count(file, 1);
  const uint64_t size = 44 + times * 9 + types * 6 + names + leaps * 12 + marks;
  if (size > file.size() || types == 0 || types > 256) return std::nullopt;
  const char* const at = file.data() + 44;
  const char* const index = at + times * 8;
  const char* const kinds = index + times;
  const auto offset = [&](uint64_t type) {
    return static_cast<int64_t>(static_cast<int32_t>(read_be32(kinds + type * 6)));
  };
  TimeZone zone;
  zone.first_offset_ = offset(0);
  for (uint64_t i = 0; i < times; ++i) {
    const auto type = static_cast<unsigned char>(index[i]);
    if (type >= types) return std::nullopt;
    zone.changes_.push_back({static_cast<int64_t>(read_be64(at + i * 8)), offset(type)});
  }
  std::string_view footer = file.substr(size);
  if (footer.size() >= 2 && footer.front() == '\n') footer = footer.substr(1, footer.find('\n', 1) - 1);
  if (const auto rule = parse_rule(footer)) {
    zone.rule_ = *rule;
  } else {
    zone.rule_.standard = zone.changes_.empty() ? zone.first_offset_ : zone.changes_.back().offset;
  }
  return zone;
}

int64_t TimeZone::by_rule(int64_t utc) const {
  if (!rule_.changes) return rule_.standard;
  const int year = static_cast<int>(date_of(floor_days(utc + rule_.standard)).year);
  const int64_t begin = rule_.begin.in_year(year) - rule_.standard, end = rule_.end.in_year(year) - rule_.daylight;
  const bool daylight = begin < end ? utc >= begin && utc < end : utc >= begin || utc < end;
  return daylight ? rule_.daylight : rule_.standard;
}

int64_t TimeZone::offset_at(int64_t utc) const {
  if (changes_.empty() || utc >= changes_.back().at) {
    return changes_.empty() && rule_.standard == 0 && !rule_.changes ? first_offset_ : by_rule(utc);
  }
  const auto after = std::upper_bound(changes_.begin(), changes_.end(), utc,
                                      [](int64_t t, const Change& change) { return t < change.at; });
  return after == changes_.begin() ? first_offset_ : std::prev(after)->offset;
}

std::vector<int64_t> TimeZone::instants(int64_t local) const {
  std::vector<int64_t> out;
  // No two changes of an offset are within a day of each other.
  for (const int64_t offset : {offset_at(local - kDay), offset_at(local + kDay)}) {
    const int64_t utc = local - offset;
    if (offset_at(utc) == offset && std::find(out.begin(), out.end(), utc) == out.end()) out.push_back(utc);
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::shared_ptr<const TimeZone> TimeZones::find(const std::string& name) {
  std::lock_guard lock(mutex_);
  const auto known = zones_.find(name);
  if (known != zones_.end()) return known->second;
  std::shared_ptr<const TimeZone> zone;
  const bool plain =
      !name.empty() && name.size() <= 50 && name.front() != '/' && name.find("..") == name.npos &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) || c == '/' || c == '_' || c == '-' || c == '+';
      });
  if (name == "UTC" || name == "Etc/UTC") {
    zone = std::make_shared<const TimeZone>(TimeZone::utc());
  } else if (plain) {
    std::ifstream file(directory_ + "/" + name, std::ios::binary);
    std::string bytes;
    if (file) bytes.assign(std::istreambuf_iterator<char>(file), {});
    if (bytes.size() <= kMostFile) {
      if (auto parsed = TimeZone::parse(bytes)) zone = std::make_shared<const TimeZone>(std::move(*parsed));
    }
  }
  // Names that are none aren't kept: they could be anything.
  if (zone) zones_.emplace(name, zone);
  return zone;
}

}  // namespace virga::kernel
