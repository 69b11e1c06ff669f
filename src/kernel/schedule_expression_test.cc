#include "kernel/schedule_expression.h"

#include <gtest/gtest.h>

#include <string>

#include "base/str.h"

namespace virga::kernel {
namespace {

Time at(std::string_view text) { return *parse_iso8601(text); }

std::string next(std::string_view expression, std::string_view after, const std::string& zone = "UTC",
                 std::string_view from = "2026-01-01T00:00:00Z") {
  const auto parsed = ScheduleExpression::parse(expression);
  if (!parsed) return "invalid";
  TimeZones zones;
  const auto z = zones.find(zone);
  if (!z) return "no zone";
  const auto t = parsed->next(at(after), *z, at(from));
  return t ? iso8601(*t) : "never";
}

TEST(ScheduleExpression, RefusesWhatIsNone) {
  for (std::string_view text : {"",
                                "rate()",
                                "rate(1 minutes)",
                                "rate(5 minute)",
                                "rate(0 minutes)",
                                "rate(1 second)",
                                "rate(5  minutes)",
                                "cron(* * * * *)",
                                "cron(0 10 * * * *)",
                                "cron(0 10 ? * ? *)",
                                "cron(60 10 * * ? *)",
                                "cron(0 24 * * ? *)",
                                "cron(0 10 0 * ? *)",
                                "cron(0 10 ? * 8 *)",
                                "cron(0 10 ? * MON#6 *)",
                                "cron(0 10 * 13 ? *)",
                                "cron(0/0 * * * ? *)",
                                "at(2026-11-21)",
                                "at(2026-11-21T10:00:00Z)",
                                "every(5 minutes)",
                                "rate(5 minutes"}) {
    EXPECT_FALSE(ScheduleExpression::parse(text)) << text;
  }
}

TEST(ScheduleExpression, Rates) {
  EXPECT_EQ(next("rate(5 minutes)", "2026-01-01T00:00:00Z"), "2026-01-01T00:05:00Z");
  EXPECT_EQ(next("rate(5 minutes)", "2026-01-01T00:07:00Z"), "2026-01-01T00:10:00Z");
  for (const char* any : {"rate(5 minute)", "rate(1 minutes)"})
    EXPECT_TRUE(ScheduleExpression::parse(any, ScheduleExpression::Units::kAny)) << any;
  EXPECT_EQ(next("rate(1 day)", "2025-12-01T00:00:00Z"), "2026-01-01T00:00:00Z");  // begins in the future
}

TEST(ScheduleExpression, Crons) {
  EXPECT_EQ(next("cron(0 10 * * ? *)", "2026-11-21T10:00:00Z"), "2026-11-22T10:00:00Z");
  EXPECT_EQ(next("cron(15 12 * * ? *)", "2026-11-21T12:14:59Z"), "2026-11-21T12:15:00Z");
  EXPECT_EQ(next("cron(0 18 ? * MON-FRI *)", "2026-11-20T18:00:00Z"), "2026-11-23T18:00:00Z");
  EXPECT_EQ(next("cron(0 8 1 * ? *)", "2026-11-21T00:00:00Z"), "2026-12-01T08:00:00Z");
  EXPECT_EQ(next("cron(0/15 * * * ? *)", "2026-11-21T10:16:00Z"), "2026-11-21T10:30:00Z");
  EXPECT_EQ(next("cron(0/5 8-17 ? * MON-FRI *)", "2026-11-20T17:55:00Z"), "2026-11-23T08:00:00Z");
  EXPECT_EQ(next("cron(0 9 ? * 2#1 *)", "2026-11-21T00:00:00Z"), "2026-12-07T09:00:00Z");
  EXPECT_EQ(next("cron(0 9 ? * 6L *)", "2026-11-21T00:00:00Z"), "2026-11-27T09:00:00Z");
  EXPECT_EQ(next("cron(0 9 L * ? *)", "2026-02-01T00:00:00Z"), "2026-02-28T09:00:00Z");
  EXPECT_EQ(next("cron(0 9 LW * ? *)", "2026-02-01T00:00:00Z"), "2026-02-27T09:00:00Z");
  EXPECT_EQ(next("cron(0 9 3W * ? *)", "2026-10-01T00:00:00Z"), "2026-10-02T09:00:00Z");
  EXPECT_EQ(next("cron(0 9 29 2 ? *)", "2026-11-21T00:00:00Z"), "2028-02-29T09:00:00Z");
  EXPECT_EQ(next("cron(0 9 30 2 ? *)", "2026-11-21T00:00:00Z"), "never");
  EXPECT_EQ(next("cron(0 9 * * ? 2020)", "2026-11-21T00:00:00Z"), "never");
  EXPECT_EQ(next("cron(0 9 ? JAN,jul * 2027-2028)", "2026-11-21T00:00:00Z"), "2027-01-01T09:00:00Z");
  EXPECT_EQ(next("cron(0 9 ? * FRI-MON *)", "2026-11-17T09:00:00Z"), "2026-11-20T09:00:00Z");
}

TEST(ScheduleExpression, FollowsTheClockOnTheWall) {
  EXPECT_EQ(next("cron(0 10 * * ? *)", "2026-07-01T00:00:00Z", "Europe/Berlin"), "2026-07-01T08:00:00Z");
  EXPECT_EQ(next("cron(0 10 * * ? *)", "2026-12-01T00:00:00Z", "Europe/Berlin"), "2026-12-01T09:00:00Z");
  EXPECT_EQ(next("cron(30 23 * * ? *)", "2026-07-01T00:00:00Z", "Asia/Kolkata"), "2026-07-01T18:00:00Z");
  // Put forward on 29 March 2026: 02:30 doesn't happen, the next is a day later. Far ahead the zone's rule decides.
  EXPECT_EQ(next("cron(30 2 * * ? *)", "2026-03-28T12:00:00Z", "Europe/Berlin"), "2026-03-30T00:30:00Z");
  EXPECT_EQ(next("cron(30 2 * * ? *)", "2060-03-27T12:00:00Z", "Europe/Berlin"), "2060-03-29T00:30:00Z");
  // Put back on 25 October 2026: 02:30 happens once, the first time.
  EXPECT_EQ(next("cron(30 2 * * ? *)", "2026-10-24T12:00:00Z", "Europe/Berlin"), "2026-10-25T00:30:00Z");
  EXPECT_EQ(next("cron(30 2 * * ? *)", "2026-10-25T00:30:00Z", "Europe/Berlin"), "2026-10-26T01:30:00Z");
  EXPECT_EQ(next("cron(30 2 * * ? *)", "2026-10-25T01:15:00Z", "Europe/Berlin"), "2026-10-26T01:30:00Z");
  EXPECT_EQ(next("cron(0 1 * * ? *)", "2026-11-01T00:00:00Z", "America/New_York"), "2026-11-01T05:00:00Z");
  // South of the equator summer is over the new year: put forward at 02:00 on 4 October.
  EXPECT_EQ(next("cron(30 2 * * ? *)", "2026-10-03T00:00:00Z", "Australia/Sydney"), "2026-10-04T15:30:00Z");
  EXPECT_EQ(next("cron(0 10 * * ? *)", "2026-07-01T00:00:00Z", "Mars/Olympus"), "no zone");
  EXPECT_EQ(next("cron(0 10 * * ? *)", "2026-07-01T00:00:00Z", "../../etc/passwd"), "no zone");
}

TEST(ScheduleExpression, OnceOnly) {
  EXPECT_EQ(next("at(2026-11-21T10:00:00)", "2026-11-21T09:00:00Z"), "2026-11-21T10:00:00Z");
  EXPECT_EQ(next("at(2026-11-21T10:00:00)", "2026-11-21T10:00:00Z"), "never");
  EXPECT_EQ(next("at(2026-07-21T10:00:00)", "2026-01-01T00:00:00Z", "America/New_York"), "2026-07-21T14:00:00Z");
  EXPECT_EQ(next("at(2026-03-29T02:30:00)", "2026-01-01T00:00:00Z", "Europe/Berlin"), "2026-03-29T01:30:00Z");
}

TEST(ScheduleExpression, EveryMinuteOfAYearFollowsTheOneBefore) {
  const auto every = ScheduleExpression::parse("cron(0 * * * ? *)");
  TimeZones zones;
  const auto zone = zones.find("America/New_York");
  ASSERT_TRUE(zone);
  Time t = at("2026-01-01T00:00:00Z");
  int count = 0;
  while (t < at("2027-01-01T00:00:00Z")) {
    const auto n = every->next(t, *zone, {});
    ASSERT_TRUE(n && *n > t);
    t = *n;
    ++count;
  }
  EXPECT_EQ(count, 365 * 24 - 1);  // an hour that comes twice counts once
}

}  // namespace
}  // namespace virga::kernel
