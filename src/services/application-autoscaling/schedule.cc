#include "services/application-autoscaling/schedule.h"

#include <string>
#include <vector>

#include "base/str.h"

namespace virga::applicationautoscaling {
namespace {

constexpr std::string_view kCron = "cron(";

std::optional<kernel::ScheduleExpression> parsed(std::string_view text) {
  return kernel::ScheduleExpression::parse(text, kernel::ScheduleExpression::Units::kAny);
}

}  // namespace

std::optional<Schedule> Schedule::parse(std::string_view text) {
  Schedule out;
  std::string without_seconds;
  if (text.starts_with(kCron) && text.ends_with(')')) {
    std::vector<std::string> fields;
    for (const std::string_view field : split(text.substr(kCron.size(), text.size() - kCron.size() - 1), ' ')) {
      if (!field.empty()) fields.emplace_back(field);
    }
    if (fields.size() == 7) {
      // Seconds are written as minutes are. What is listed or recurs within a minute is no finer than the minute.
      if (!parsed(cat(kCron, fields[0], " * * * ? *)"))) return std::nullopt;
      out.second_ = std::chrono::seconds(parse_int(fields[0]).value_or(0));
      fields.erase(fields.begin());
      without_seconds = cat(kCron, join(fields, " "), ")");
      text = without_seconds;
    }
  }
  const auto expression = parsed(text);
  if (!expression) return std::nullopt;
  out.expression_ = *expression;
  return out;
}

std::optional<Time> Schedule::next(Time after, const kernel::TimeZone& zone, const Bounds& bounds) const {
  if (expression_.kind() == kernel::ScheduleExpression::Kind::kAt) return expression_.next(after, zone, bounds.from);
  std::optional<Time> next = bounds.start;
  if (!next || *next <= after) {
    next = expression_.next(after - second_, zone, bounds.start.value_or(bounds.from));
    if (next) next = *next + second_;
  }
  return next && bounds.end && *next > *bounds.end ? std::nullopt : next;
}

}  // namespace virga::applicationautoscaling
