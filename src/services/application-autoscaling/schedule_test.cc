#include "services/application-autoscaling/schedule.h"

#include <gtest/gtest.h>

#include <string>

namespace virga::applicationautoscaling {
namespace {

Time at(std::string_view text) { return *parse_iso8601(text); }

std::string next(std::string_view text, std::string_view after, std::optional<Time> start = {},
                 std::optional<Time> end = {}) {
  const auto schedule = Schedule::parse(text);
  if (!schedule) return "invalid";
  const auto t = schedule->next(at(after), kernel::TimeZone::utc(), {start, end, at("2026-01-01T00:00:30Z")});
  return t ? iso8601(*t) : "never";
}

TEST(Schedule, RunsAtItsStartAndThenAsItSays) {
  const Time start = at("2026-03-02T11:17:00Z"), end = at("2026-03-04T08:00:00Z");
  EXPECT_EQ(next("cron(0 8 * * ? *)", "2026-03-01T00:00:00Z", start, end), "2026-03-02T11:17:00Z");
  EXPECT_EQ(next("cron(0 8 * * ? *)", "2026-03-02T11:17:00Z", start, end), "2026-03-03T08:00:00Z");
  EXPECT_EQ(next("cron(0 8 * * ? *)", "2026-03-03T08:00:00Z", start, end), "2026-03-04T08:00:00Z");
  EXPECT_EQ(next("cron(0 8 * * ? *)", "2026-03-04T08:00:00Z", start, end), "never");
  EXPECT_EQ(next("rate(2 hours)", "2026-03-01T00:00:00Z", start, end), "2026-03-02T11:17:00Z");
  EXPECT_EQ(next("rate(2 hours)", "2026-03-02T11:17:00Z", start, end), "2026-03-02T13:17:00Z");
  EXPECT_EQ(next("cron(0 8 * * ? *)", "2026-03-01T00:00:00Z", start, at("2026-03-02T00:00:00Z")), "never");
}

TEST(Schedule, OnceKnowsNoStart) {
  EXPECT_EQ(next("at(2026-03-05T10:00:00)", "2026-03-01T00:00:00Z", at("2026-03-02T00:00:00Z")),
            "2026-03-05T10:00:00Z");
}

TEST(Schedule, TakesEitherFormOfAUnit) {
  EXPECT_EQ(next("rate(1 minutes)", "2026-01-01T00:00:30Z"), "2026-01-01T00:01:30Z");
  EXPECT_EQ(next("rate(5 minute)", "2026-01-01T00:00:30Z"), "2026-01-01T00:05:30Z");
}

TEST(Schedule, CronMayBeginWithSeconds) {
  EXPECT_EQ(next("cron(20 0 8 * * ? *)", "2026-03-02T08:00:00Z"), "2026-03-02T08:00:20Z");
  EXPECT_EQ(next("cron(20 0 8 * * ? *)", "2026-03-02T08:00:20Z"), "2026-03-03T08:00:20Z");
  EXPECT_EQ(next("cron(0/15 0 8 * * ? *)", "2026-03-02T07:00:00Z"), "2026-03-02T08:00:00Z");
  EXPECT_EQ(next("cron(60 0 8 * * ? *)", "2026-03-02T07:00:00Z"), "invalid");
  EXPECT_EQ(next("cron(0 0 0 8 * * ? *)", "2026-03-02T07:00:00Z"), "invalid");
}

}  // namespace
}  // namespace virga::applicationautoscaling
