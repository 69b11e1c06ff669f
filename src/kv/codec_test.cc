// Keys and records.
#include <gtest/gtest.h>

#include <algorithm>

#include "kv/conflict.h"
#include "kv/key.h"
#include "kv/record.h"
#include "kv/write_set.h"

namespace virga::kv {
namespace {

TEST(Key, OrderOfBytesIsOrderOfParts) {
  const std::string zero("a\0", 2), zero_b("a\0b", 3);
  const std::vector<std::string> parts = {"", std::string("\0", 1), "a", zero, zero_b, "a\1", "ab", "b", "\xff"};
  std::vector<std::string> keys;
  for (const auto& part : parts) keys.push_back(KeyWriter("t").text(part).text("z"));
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  for (size_t i = 0; i < parts.size(); ++i) {
    KeyReader reader(keys[i]);
    EXPECT_EQ(reader.text(), "t");
    EXPECT_EQ(reader.text(), parts[i]);
    EXPECT_EQ(reader.text(), "z");
    EXPECT_TRUE(reader.rest().empty());
    for (size_t j = 0; j < parts.size(); ++j) {
      if (i != j) EXPECT_FALSE(std::string_view(keys[j]).starts_with(std::string(KeyWriter("t").text(parts[i]))));
    }
  }
}

TEST(Key, NumbersAndTimes) {
  EXPECT_LT(std::string(KeyWriter("t").time({-5})), std::string(KeyWriter("t").time({3})));
  const std::string key = KeyWriter("t").u8(7).u32(1u << 30).u64(1ull << 60).time({-1}).raw("rest");
  KeyReader reader(key);
  EXPECT_EQ(reader.text(), "t");
  EXPECT_EQ(reader.u8(), 7);
  EXPECT_EQ(reader.u32(), 1u << 30);
  EXPECT_EQ(reader.u64(), 1ull << 60);
  EXPECT_EQ(reader.time().micros, -1);
  EXPECT_EQ(reader.rest(), "rest");
  EXPECT_THROW(reader.u64(), std::runtime_error);
  EXPECT_THROW(KeyReader("no end").text(), std::runtime_error);
  EXPECT_THROW(KeyReader(std::string_view("a\0\2", 3)).text(), std::runtime_error);
}

TEST(Key, PrefixEnds) {
  EXPECT_EQ(prefix_end("a"), "b");
  EXPECT_EQ(prefix_end("a\xff\xff"), "b");
  EXPECT_EQ(prefix_end("\xff"), "");
  EXPECT_EQ(prefix_end(""), "");
}

enum class Kind : uint8_t { kOne = 1, kTwo };
struct Inner {
  int a = 0;
  std::optional<std::string> note;
  template <class A>
  void fields(A& f) {
    f(1, a);
    f(2, note);
  }
};
struct Outer {
  std::string name;
  bool flag = false;
  int64_t number = 0;
  double ratio = 0;
  Kind kind = Kind::kOne;
  Time at;
  Inner inner;
  std::vector<Inner> list;
  std::map<std::string, std::vector<int>> map;
  std::pair<std::string, int> pair;
  std::optional<Inner> maybe;
  template <class A>
  void fields(A& f) {
    f(1, name);
    f(2, flag);
    f(3, number);
    f(4, ratio);
    f(5, kind);
    f(6, at);
    f(7, inner);
    f(8, list);
    f(9, map);
    f(10, pair);
    f(11, maybe);
  }
};
struct OldOuter {  // an earlier build's idea of Outer
  std::string name;
  int64_t number = 0;
  template <class A>
  void fields(A& f) {
    f(1, name);
    f(3, number);
  }
};

TEST(Record, RoundTripsAndEvolves) {
  const Outer outer{.name = std::string("n\0m", 3),
                    .flag = true,
                    .number = INT64_MIN,
                    .ratio = -0.5,
                    .kind = Kind::kTwo,
                    .at = {-7},
                    .inner = {.a = -1, .note = ""},
                    .list = {{.a = 1}, {.a = 2, .note = "x"}},
                    .map = {{"k", {1, -2}}, {"", {}}},
                    .pair = {"p", 9},
                    .maybe = {}};
  const std::string bytes = encode(outer);
  const auto back = decode<Outer>(bytes);
  EXPECT_EQ(back.name, outer.name);
  EXPECT_TRUE(back.flag);
  EXPECT_EQ(back.number, INT64_MIN);
  EXPECT_EQ(back.ratio, -0.5);
  EXPECT_EQ(back.kind, Kind::kTwo);
  EXPECT_EQ(back.at.micros, -7);
  EXPECT_EQ(back.inner.note, "");
  ASSERT_EQ(back.list.size(), 2u);
  EXPECT_EQ(back.list[0].note, std::nullopt);
  EXPECT_EQ(back.list[1].note, "x");
  EXPECT_EQ(back.map, outer.map);
  EXPECT_EQ(back.pair, outer.pair);
  EXPECT_FALSE(back.maybe);

  EXPECT_EQ(decode<OldOuter>(bytes).number, INT64_MIN);
  const auto newer = decode<Outer>(encode(OldOuter{.name = "old", .number = 3}));
  EXPECT_EQ(newer.name, "old");
  EXPECT_EQ(newer.kind, Kind::kOne);
  for (size_t cut = 1; cut < bytes.size(); ++cut) {
    try {
      (void)decode<Outer>(std::string_view(bytes).substr(0, cut));
    } catch (const std::runtime_error&) {
    }
  }
  EXPECT_THROW(decode<Outer>("\x01\x7f"), std::runtime_error);
}

TEST(RangeSet, MergesAndFinds) {
  RangeSet set;
  set.add({"c", "e"});
  set.add({"g", "i"});
  EXPECT_EQ(set.all().size(), 2u);
  EXPECT_TRUE(set.find("c"));
  EXPECT_FALSE(set.find("e"));
  set.add({"e", "g"});
  ASSERT_EQ(set.all().size(), 1u);
  EXPECT_EQ(set.find("h")->second, "i");
  set.add({"a", "z"});
  EXPECT_EQ(set.all().size(), 1u);
  EXPECT_EQ(set.find("y")->first, "a");
  set.add({"z", "a"});
  EXPECT_EQ(set.all().size(), 1u);
}

TEST(ConflictWindow, ForgetsOnlyWhatNobodyNeeds) {
  ConflictWindow window(4, 1 << 20);
  window.add("a", 1);
  window.add("b", 2);
  window.add("a", 3);
  EXPECT_TRUE(window.conflicts({.keys = {"a"}, .ranges = {}}, 2));
  EXPECT_FALSE(window.conflicts({.keys = {"a"}, .ranges = {}}, 3));
  EXPECT_FALSE(window.conflicts({.keys = {}, .ranges = {{"b", "c"}}}, 2));
  window.prune(2);
  EXPECT_TRUE(window.conflicts({.keys = {"a"}, .ranges = {}}, 2));
  EXPECT_TRUE(window.conflicts({.keys = {"zzz"}, .ranges = {}}, 1));  // older than what is remembered
  EXPECT_FALSE(window.conflicts({}, 0));
  window.add_range({"m", "p"}, 4);
  EXPECT_TRUE(window.conflicts({.keys = {"n"}, .ranges = {}}, 3));
  EXPECT_TRUE(window.conflicts({.keys = {}, .ranges = {{"o", "q"}}}, 3));
  EXPECT_FALSE(window.conflicts({.keys = {"p"}, .ranges = {{"a", "m"}}}, 3));
  for (Version v = 5; v < 20; ++v) window.add(std::string(1, static_cast<char>('A' + v)), v);
  EXPECT_LE(window.size(), 5u);
  EXPECT_TRUE(window.conflicts({.keys = {"quiet"}, .ranges = {}}, 10));
  EXPECT_FALSE(window.conflicts({.keys = {"quiet"}, .ranges = {}}, 19));
}

}  // namespace
}  // namespace virga::kv
