#include "services/cloudwatch/summary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "kv/record.h"

namespace virga::cloudwatch {
namespace {

TEST(Summary, HasTheStatisticsOfItsValuesHoweverTheyCame) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    std::mt19937 random(seed);
    std::vector<double> values;
    std::vector<Summary> parts(3);
    for (int i = 0; i < 500; ++i) {
      const double value = random() % 10 ? std::exp(std::uniform_real_distribution<double>(-5, 10)(random)) : 0;
      const auto times = 1 + random() % 3;
      parts[random() % 3].add(value, static_cast<double>(times));
      for (size_t n = 0; n < times; ++n) values.push_back(value);
    }
    Summary all;
    for (const Summary& part : parts) all.merge(kv::decode<Summary>(kv::encode(part)));
    std::sort(values.begin(), values.end());
    double sum = 0;
    for (const double value : values) sum += value;
    EXPECT_EQ(value_of(*stat_named("SampleCount"), all), static_cast<double>(values.size()));
    EXPECT_NEAR(*value_of(*stat_named("Sum"), all), sum, sum * 1e-9);
    EXPECT_EQ(value_of(*stat_named("Minimum"), all), values.front());
    EXPECT_EQ(value_of(*stat_named("Maximum"), all), values.back());
    for (const char* name : {"p1", "p50", "p90.5", "p99.9"}) {
      const Stat stat = *stat_named(name);
      const double exact = values[static_cast<size_t>(stat.percent / 100 * static_cast<double>(values.size()))];
      EXPECT_NEAR(*value_of(stat, all), exact, exact * 0.011) << name;
    }
    EXPECT_EQ(value_of(*stat_named("p100"), all), values.back());
  }
}

TEST(Summary, TellsNoPercentileThatItCantKnow) {
  Summary set;
  set.add_statistics(3, 6, 1, 3);
  EXPECT_EQ(value_of(*stat_named("Average"), set), 2);
  EXPECT_EQ(value_of(*stat_named("p50"), set), std::nullopt);
  Summary same;
  same.add_statistics(3, 6, 2, 2);
  EXPECT_EQ(value_of(*stat_named("p50"), same), 2);
  Summary below;
  below.add(5, 1), below.add(-1, 1);
  EXPECT_EQ(value_of(*stat_named("p50"), below), std::nullopt);
  EXPECT_EQ(value_of(*stat_named("Minimum"), below), -1);
}

TEST(Summary, KnowsTheNamesOfStatistics) {
  for (const char* wrong : {"", "p", "p101", "p9x", "p-1", "sum", "tm99", "p99.12345678901"})
    EXPECT_FALSE(stat_named(wrong)) << wrong;
}

}  // namespace
}  // namespace virga::cloudwatch
