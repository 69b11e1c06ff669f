#include "services/dynamodb/number.h"

#include <gtest/gtest.h>

#include <random>

namespace virga::dynamodb {
namespace {

Number n(std::string_view text) { return *Number::parse(text); }
std::string key(std::string_view text) {
  std::string out;
  n(text).append_key(out);
  return out;
}

TEST(Number, NormalisesText) {
  EXPECT_EQ(n("1").text(), "1");
  EXPECT_EQ(n("+001.500").text(), "1.5");
  EXPECT_EQ(n("-0").text(), "0");
  EXPECT_EQ(n("0e125").text(), "0");
  EXPECT_EQ(n("0.00e-130").text(), "0");
  EXPECT_EQ(n("1E+2").text(), "100");
  EXPECT_EQ(n("12.5e-3").text(), "0.0125");
  EXPECT_EQ(n(".5").text(), "0.5");
  EXPECT_EQ(n("5.").text(), "5");
  EXPECT_EQ(n("-123456789012345678901234567890.12345678").text(), "-123456789012345678901234567890.12345678");
}

TEST(Number, RefusesWhatIsNone) {
  for (const char* bad : {"a", "1a", "", "-", ".", "1e", "1e+", "0x1", " 1", "1 ", "1.2.3", "NaN", "Infinity", "--1"}) {
    EXPECT_FALSE(Number::parse(bad)) << bad;
  }
}

TEST(Number, KnowsItsBounds) {
  EXPECT_TRUE(Number::parse("9.9999999999999999999999999999999999999E125"));
  EXPECT_EQ(Number::parse("1E126").error(), NumberFault::kOverflow);
  EXPECT_TRUE(Number::parse("-1E-130"));
  EXPECT_EQ(Number::parse("1E-131").error(), NumberFault::kUnderflow);
  EXPECT_TRUE(Number::parse("12345678901234567890123456789012345678"));
  EXPECT_TRUE(Number::parse("1234567890123456789012345678901234567800000"));
  EXPECT_EQ(Number::parse("123456789012345678901234567890123456789").error(), NumberFault::kTooManyDigits);
  EXPECT_EQ(Number::parse("1e9223372036854775807").error(), NumberFault::kOverflow);
  EXPECT_EQ(Number::parse("1e9223372036854775808").error(), NumberFault::kNotANumber);
  EXPECT_EQ(Number::parse("0e126").error(), NumberFault::kOverflow);
  EXPECT_EQ(Number::parse("0e-131").error(), NumberFault::kUnderflow);
}

TEST(Number, KeysSortAsNumbersAndComeBack) {
  const std::vector<std::string> ascending = {
      "-1e125", "-1001", "-1000", "-10.5", "-10", "-1.55", "-1.5", "-1", "-0.1", "-0.01", "-1e-130", "0",    "1e-130",
      "0.01",   "0.1",   "0.11",  "1",     "1.5", "1.55",  "9",    "10", "10.5", "99",    "100",     "1e125"};
  for (size_t i = 0; i < ascending.size(); ++i) {
    EXPECT_EQ(Number::from_key(key(ascending[i])), n(ascending[i]));
    for (size_t j = i + 1; j < ascending.size(); ++j) {
      EXPECT_LT(key(ascending[i]), key(ascending[j])) << ascending[i] << " " << ascending[j];
      EXPECT_LT(n(ascending[i]), n(ascending[j]));
    }
  }
}

TEST(Number, RandomRoundTripsAndOrder) {
  std::mt19937_64 random(7);
  const auto any = [&] {
    std::string text = random() % 2 ? "-" : "";
    const size_t digits = 1 + random() % 38;
    for (size_t i = 0; i < digits; ++i) text += static_cast<char>('0' + random() % 10);
    return text + "e" + std::to_string(static_cast<int>(random() % 120) - 100);
  };
  for (int i = 0; i < 3000; ++i) {
    const std::string a = any(), b = any();
    EXPECT_EQ(n(n(a).text()), n(a)) << a;
    EXPECT_EQ(Number::from_key(key(a)), n(a)) << a;
    EXPECT_EQ(n(a) < n(b), key(a) < key(b)) << a << " " << b;
  }
}

TEST(Number, AddsExactly) {
  const auto sum = [](std::string_view a, std::string_view b) { return Number::add(n(a), n(b))->text(); };
  EXPECT_EQ(sum("1", "2"), "3");
  EXPECT_EQ(sum("0.1", "0.2"), "0.3");
  EXPECT_EQ(sum("999", "1"), "1000");
  EXPECT_EQ(sum("1000", "-1"), "999");
  EXPECT_EQ(sum("1", "-1"), "0");
  EXPECT_EQ(sum("-5", "3"), "-2");
  EXPECT_EQ(sum("3", "-5"), "-2");
  EXPECT_EQ(sum("-3", "-5"), "-8");
  EXPECT_EQ(sum("0", "-5"), "-5");
  EXPECT_EQ(sum("99999999999999999999999999999999999999", "1"), "100000000000000000000000000000000000000");
  EXPECT_EQ(Number::add(n("1e50"), n("1")).error(), NumberFault::kTooManyDigits);
  EXPECT_EQ(Number::add(n("9e125"), n("9e125")).error(), NumberFault::kOverflow);
  std::mt19937_64 random(3);
  for (int i = 0; i < 2000; ++i) {
    const int64_t a = static_cast<int64_t>(random() >> 8) - (1ll << 55),
                  b = static_cast<int64_t>(random() >> 8) - (1ll << 55);
    EXPECT_EQ(*Number::add(Number(a), Number(b)), Number(a + b));
  }
}

TEST(Number, CountsStorage) {
  EXPECT_EQ(n("0").stored_size(), 1u);
  EXPECT_EQ(n("1").stored_size(), 2u);
  EXPECT_EQ(n("12").stored_size(), 2u);
  EXPECT_EQ(n("-12").stored_size(), 3u);
  EXPECT_EQ(n("123").stored_size(), 3u);
}

}  // namespace
}  // namespace virga::dynamodb
