#include "kv/recent.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/str.h"

namespace virga::kv {
namespace {

std::vector<std::string> keys_after(const RecentChanges& recent, Version since) {
  std::vector<std::string> keys;
  recent.any_after(since, [&](const Change& change) {
    keys.push_back(change.range ? cat(change.key, "-", change.end) : std::string(change.key));
    return false;
  });
  return keys;
}

TEST(RecentChanges, TellsWhatCameAfter) {
  RecentChanges recent;
  recent.start_at(3);
  EXPECT_TRUE(recent.knows(3));
  EXPECT_FALSE(recent.knows(2));
  recent.add({4, "a"});
  recent.add({5, "b", true, "c"});
  recent.add({5, "d"});
  EXPECT_EQ(keys_after(recent, 3), (std::vector<std::string>{"a", "b-c", "d"}));
  EXPECT_EQ(keys_after(recent, 4), (std::vector<std::string>{"b-c", "d"}));
  EXPECT_EQ(keys_after(recent, 5), std::vector<std::string>());
  EXPECT_TRUE(recent.any_after(4, [](const Change& change) { return change.key == "b"; }));
}

TEST(RecentChanges, ForgetsTheOldestAndKeepsTheRestWhole) {
  RecentChanges recent;
  const auto key_of = [](Version version) { return cat(version, std::string(version % 700, 'k')); };
  constexpr Version kLast = 30'000;
  for (Version version = 1; version <= kLast; ++version) recent.add({version, key_of(version)});
  Version oldest = kLast;
  while (oldest > 0 && recent.knows(oldest - 1)) --oldest;
  EXPECT_GT(oldest, kLast - (8 << 10));
  EXPECT_LT(oldest, kLast - 1000);
  const auto kept = keys_after(recent, oldest);
  ASSERT_EQ(kept.size(), kLast - oldest);
  for (size_t i = 0; i < kept.size(); ++i) EXPECT_EQ(kept[i], key_of(oldest + 1 + i));
}

}  // namespace
}  // namespace virga::kv
