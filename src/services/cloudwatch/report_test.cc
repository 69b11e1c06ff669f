#include "services/cloudwatch/report.h"

#include <gtest/gtest.h>

namespace virga::cloudwatch {
namespace {

Time minute(int64_t number) { return Time::from_seconds(number * 60); }

kernel::Contributors counted(std::initializer_list<std::pair<const char*, double>> all) {
  kernel::Contributors out;
  for (const auto& [key, amount] : all) out.add(key, amount);
  return out;
}

TEST(Report, PeriodsAddUpTheirMinutes) {
  Report report(300);
  report.add(minute(100), counted({{"a", 1}, {"b", 4}}));
  report.add(minute(104), counted({{"a", 2}}));
  report.add(minute(105), counted({{"c", 5}, {"a", 1}}));
  report.finish();
  ASSERT_EQ(report.points().size(), 2u);
  EXPECT_EQ(report.points()[0].at, minute(100));
  EXPECT_EQ(report.points()[0].unique, 2);
  EXPECT_EQ(report.points()[0].most, 4);
  EXPECT_EQ(report.points()[0].sum, 7);
  EXPECT_EQ(report.points()[1].at, minute(105));
  EXPECT_EQ(report.total().sum(), 13);
  EXPECT_EQ(report.total().unique(), 3);

  const auto by_maximum = report.top(10, true);
  ASSERT_EQ(by_maximum.size(), 3u);
  EXPECT_EQ(by_maximum[0].key, "c");
  const auto by_sum = report.top(2, false);
  ASSERT_EQ(by_sum.size(), 2u);
  EXPECT_EQ(by_sum[0].key, "c");
  EXPECT_EQ(by_sum[1].key, "a");
  EXPECT_EQ(by_sum[1].values, (std::map<Time, double>{{minute(100), 3}, {minute(105), 1}}));
}

TEST(Report, IsBoundedAndKeepsTheHeavy) {
  Report report(60);
  for (int64_t m = 0; m < 1000; ++m) {
    kernel::Contributors one = counted({{"heavy", 3}});
    for (int i = 0; i < 50; ++i) one.add(std::to_string(m * 50 + i), 1);
    report.add(minute(m), one);
  }
  report.finish();
  EXPECT_LE(report.top(SIZE_MAX, false).size(), 10'100u);
  EXPECT_EQ(report.top(1, false)[0].key, "heavy");
  EXPECT_EQ(report.top(1, false)[0].sum, 3000);
  EXPECT_NEAR(report.total().unique(), 50'001, 7500);
}

}  // namespace
}  // namespace virga::cloudwatch
