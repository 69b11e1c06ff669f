#include "services/cloudwatch/stat.h"

#include <gtest/gtest.h>

namespace virga::cloudwatch {
namespace {

TEST(Stat, IsWhatItsNameSays) {
  Summary summary;
  summary.add(1, 1), summary.add(4, 2);
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, double>>{
           {"SampleCount", 3}, {"Average", 3}, {"Sum", 9}, {"Minimum", 1}, {"Maximum", 4}, {"p0", 1}, {"p100", 4}}) {
    EXPECT_EQ(value_of(*stat_named(name), summary), value) << name;
  }
  EXPECT_EQ(stat_named("p99.95")->percent, 99.95);
}

TEST(Stat, IsRefusedByOtherNames) {
  for (const char* wrong : {"", "p", "p101", "p9x", "p-1", "sum", "tm99", "p99.12345678901"})
    EXPECT_FALSE(stat_named(wrong)) << wrong;
}

}  // namespace
}  // namespace virga::cloudwatch
