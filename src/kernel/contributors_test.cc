#include "kernel/contributors.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "kv/record.h"

namespace virga::kernel {
namespace {

using Truth = std::map<std::string, double>;

// Keys of which few are very frequent and most are rare.
std::string skewed(std::mt19937& random, int keys) {
  const double u = std::uniform_real_distribution<double>(0.0001, 1)(random);
  return std::to_string(static_cast<int>(std::min<double>(keys, 1 / u)));
}

// What a summary says must hold of what was added.
void expect_true(const Contributors& summary, const Truth& truth) {
  double sum = 0;
  std::map<std::string, const Contributor*> kept;
  for (const Contributor& c : summary.kept()) {
    kept[c.key] = &c;
    ASSERT_TRUE(truth.contains(c.key));
    EXPECT_LE(c.least, truth.at(c.key) + 1e-6) << c.key;
    EXPECT_GE(c.most, truth.at(c.key) - 1e-6) << c.key;
  }
  EXPECT_EQ(kept.size(), std::min(truth.size(), kept.size()));
  EXPECT_LE(kept.size(), Contributors::kKept);
  for (const auto& [key, amount] : truth) {
    sum += amount;
    if (!kept.contains(key)) EXPECT_LE(amount, summary.unseen() + 1e-6) << key;
  }
  EXPECT_NEAR(summary.sum(), sum, 1e-6 * sum);
  if (truth.size() <= Contributors::kKept) return;
  EXPECT_NEAR(summary.unique(), static_cast<double>(truth.size()), 0.15 * static_cast<double>(truth.size()));
}

TEST(Contributors, FewAreExact) {
  Contributors c;
  c.add("a", 1), c.add("b", 0.5), c.add("a", 2);
  ASSERT_EQ(c.kept().size(), 2u);
  EXPECT_EQ(c.kept()[0].most, 3);
  EXPECT_EQ(c.kept()[0].least, 3);
  EXPECT_EQ(c.unseen(), 0);
  EXPECT_EQ(c.unique(), 2);
  EXPECT_EQ(c.samples(), 3);
  EXPECT_EQ(c.smallest(), 0.5);
  EXPECT_EQ(c.largest(), 2);
}

TEST(Contributors, BoundsHoldForAnyStreamMergedInAnyWay) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    const int keys = std::uniform_int_distribution<int>(1, 5000)(random);
    const bool even = random() % 3 == 0;
    std::vector<Contributors> parts(1 + random() % 4);
    Truth truth;
    for (int i = 0; i < 4000; ++i) {
      const std::string key = even ? std::to_string(random() % static_cast<unsigned>(keys)) : skewed(random, keys);
      const double amount = 0.5 * static_cast<double>(1 + random() % 8);
      parts[random() % parts.size()].add(key, amount);
      truth[key] += amount;
    }
    Contributors all;
    for (const Contributors& part : parts) all.merge(kv::decode<Contributors>(kv::encode(part)));
    expect_true(all, truth);
    // A merged summary goes on.
    for (int i = 0; i < 500; ++i) {
      const std::string key = skewed(random, keys);
      all.add(key, 1);
      truth[key] += 1;
    }
    expect_true(all, truth);
  }
}

TEST(Contributors, TheHeavyAreAlwaysKept) {
  std::mt19937 random(1);
  Contributors c;
  for (int i = 0; i < 100'000; ++i) c.add(i % 20 ? std::to_string(random()) : "heavy", 1);
  const auto heavy =
      std::find_if(c.kept().begin(), c.kept().end(), [](const Contributor& k) { return k.key == "heavy"; });
  ASSERT_NE(heavy, c.kept().end());
  EXPECT_GE(heavy->least, 3000);
  EXPECT_LE(c.unseen(), 1000);
}

TEST(Contributors, KeysAreOfAnyTexts) {
  const std::vector<std::string> parts = {"", std::string("a\0b", 3), std::string(3000, 'x')};
  EXPECT_EQ(contributor_parts(contributor_key(parts)), parts);
}

}  // namespace
}  // namespace virga::kernel
