#include "base/time.h"

#include <gtest/gtest.h>

namespace virga {
namespace {

constexpr Time kNoon{1714564800'123456};

TEST(Time, WritesTheFormsOfAws) {
  EXPECT_EQ(iso8601(kNoon), "2024-05-01T12:00:00.123Z");
  EXPECT_EQ(iso8601(Time::from_seconds(1714564800)), "2024-05-01T12:00:00Z");
  EXPECT_EQ(iso8601_millis(Time::from_seconds(1714564800)), "2024-05-01T12:00:00.000Z");
  EXPECT_EQ(iso8601_lambda(kNoon), "2024-05-01T12:00:00.123+0000");
  EXPECT_EQ(http_date(kNoon), "Wed, 01 May 2024 12:00:00 GMT");
  EXPECT_EQ(amz_date(kNoon), "20240501T120000Z");
  EXPECT_EQ(epoch_seconds(kNoon), "1714564800.123");
  EXPECT_EQ(epoch_seconds(Time{1'500'000}), "1.5");
  EXPECT_EQ(epoch_seconds(Time{-1'500'000}), "-1.5");
  EXPECT_EQ(epoch_seconds(Time{}), "0");
  EXPECT_EQ(iso8601(Time{-1'000'000}), "1969-12-31T23:59:59Z");
}

TEST(Time, ReadsIso8601) {
  EXPECT_EQ(parse_iso8601("2024-05-01T12:00:00.123456Z"), kNoon);
  EXPECT_EQ(parse_iso8601("2024-05-01T14:00:00.123456789+02:00"), kNoon);
  EXPECT_EQ(parse_iso8601("2024-05-01T08:00:00.123456-0400"), kNoon);
  EXPECT_EQ(parse_iso8601("2024-05-01"), Time::from_seconds(1714521600));
  EXPECT_EQ(parse_iso8601("2024-05-01T12:00Z"), Time::from_seconds(1714564800));
  for (const auto text : {"", "2024", "2024-13-01", "2024-02-30", "2024-05-01T25:00:00Z", "2024-05-01T12:00:00Zx",
                          "2024-05-01T12:00:00.Z", "2024-05-01T12", "1714564800"}) {
    EXPECT_FALSE(parse_iso8601(text)) << text;
  }
}

TEST(Time, ReadsOtherForms) {
  EXPECT_EQ(parse_http_date("Wed, 01 May 2024 12:00:00 GMT"), Time::from_seconds(1714564800));
  EXPECT_EQ(parse_http_date("Wednesday, 01-May-24 12:00:00 GMT"), Time::from_seconds(1714564800));
  EXPECT_FALSE(parse_http_date("Wed, 01 Foo 2024 12:00:00 GMT"));
  EXPECT_FALSE(parse_http_date("01 May 2024"));
  EXPECT_EQ(parse_amz_date("20240501T120000Z"), Time::from_seconds(1714564800));
  EXPECT_FALSE(parse_amz_date("20240501T120000"));
}

TEST(Clock, CanBeMoved) {
  ManualClock manual;
  manual.advance(std::chrono::seconds(5));
  EXPECT_EQ(manual.now().seconds(), 1'700'000'005);
}

}  // namespace
}  // namespace virga
