#include "kernel/summary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "kv/record.h"

namespace virga::kernel {
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
    EXPECT_EQ(all.count, static_cast<double>(values.size()));
    EXPECT_NEAR(all.sum, sum, sum * 1e-9);
    EXPECT_EQ(all.smallest, values.front());
    EXPECT_EQ(all.largest, values.back());
    for (const double percent : {1., 50., 90.5, 99.9}) {
      const double exact = values[static_cast<size_t>(percent / 100 * static_cast<double>(values.size()))];
      EXPECT_NEAR(*all.percentile(percent), exact, exact * 0.011) << percent;
    }
    EXPECT_EQ(all.percentile(100), values.back());
  }
}

TEST(Summary, TellsNoPercentileThatItCantKnow) {
  Summary set;
  set.add_statistics(3, 6, 1, 3);
  EXPECT_EQ(set.sum, 6);
  EXPECT_EQ(set.percentile(50), std::nullopt);
  Summary same;
  same.add_statistics(3, 6, 2, 2);
  EXPECT_EQ(same.percentile(50), 2);
  Summary below;
  below.add(5, 1), below.add(-1, 1);
  EXPECT_EQ(below.percentile(50), std::nullopt);
  EXPECT_EQ(below.smallest, -1);
}

}  // namespace
}  // namespace virga::kernel
