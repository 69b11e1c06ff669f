#include "base/json.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/str.h"

namespace virga {
namespace {

std::string round(std::string_view text) { return Json::parse(text).dump(); }

TEST(Json, RoundTrips) {
  for (const std::string_view text :
       {"null", "true", "false", "0", "-1", "9223372036854775807", "1.5", "\"\"", "[]", "{}", "[1,[2,{}],\"x\"]",
        R"({"b":1,"a":{"c":[null,true]}})", R"("\"\\\n\u0001é😀")"}) {
    EXPECT_EQ(round(text), text);
  }
  EXPECT_EQ(round(" { \"a\" : [ 1 , 2 ] } "), R"({"a":[1,2]})");
  EXPECT_EQ(round(R"("\u00e9\ud83d\ude00\/\b\f\r\t")"), R"("é😀/\b\f\r\t")");
  EXPECT_EQ(round(R"("\ud83d")"), "\"\xEF\xBF\xBD\"");
  EXPECT_EQ(round("1.0"), "1.0");
  EXPECT_EQ(round("1e3"), "1000.0");
  EXPECT_EQ(round("9223372036854775808"), "9223372036854775808.0");
  EXPECT_TRUE(std::isinf(Json::parse("1e999").as_double()));
}

TEST(Json, RefusesWhatIsNoJson) {
  for (const std::string_view text : {"",
                                      " ",
                                      "nul",
                                      "tru",
                                      "01",
                                      "1.",
                                      ".5",
                                      "+1",
                                      "1e",
                                      "-",
                                      "[1,]",
                                      "[,1]",
                                      "[1 2]",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{\"a\" 1}",
                                      "{\"a\":}",
                                      "[",
                                      "{",
                                      "\"abc",
                                      "\"\\x\"",
                                      "\"\\u12g4\"",
                                      "\"\n\"",
                                      "1 1",
                                      "{} x",
                                      "\"\xC3\"",
                                      "\"\xED\xA0\x80\"",
                                      "\"\xC0\x80\"",
                                      "]",
                                      "}",
                                      "'a'"}) {
    EXPECT_THROW(Json::parse(text), JsonError) << text;
  }
}

TEST(Json, FindsEveryCharacterThatNeedsCare) {
  // At every place of an eight-byte word, alone and beside characters one above or below.
  for (int c = 0; c < 256; ++c) {
    for (size_t at = 0; at < 20; ++at) {
      std::string text(20, 'x');
      text[at] = static_cast<char>(c);
      if (at > 0) text[at - 1] = '!';
      if (at > 1) text[at - 2] = ' ';
      std::string written;
      append_json_string(written, text);
      if (c < 0x80) {
        EXPECT_EQ(Json::parse(written).as_string(), text) << c;
      } else {
        EXPECT_THROW(Json::parse(written), JsonError) << c;
      }
      if (c < 0x20 || c == '"') EXPECT_THROW(Json::parse("\"" + text + "\""), JsonError) << c;
    }
  }
}

TEST(JsonReader, EndsAStringWhereALookAtEveryByteDoes) {
  // Blocks are looked at together: every length and beginning among them, with each kind of byte at each place.
  using namespace std::string_view_literals;
  constexpr auto kInteresting = "\"\\\0\x1f\x20!#[]^\x7f\x80\xc3\xff"sv;
  for (size_t size = 0; size < 36; ++size) {
    for (size_t at = 0; at < size; ++at) {
      for (const char c : kInteresting) {
        for (const size_t after : {0, 1, 7, 8, 15, 16, 33}) {
          std::string text(size, 'x');
          text[at] = c;
          const std::string document = cat(std::string((size + at) % 17, ' '), '"', text, '"', std::string(after, ' '));
          const bool fine = c != '\\' && static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x80;
          JsonReader in(document);
          std::string out = "former";
          if (c == '"') {
            in.read_string(out);
            EXPECT_EQ(out, text.substr(0, at));
          } else if (fine) {
            in.read_string(out);
            EXPECT_EQ(out, text);
            EXPECT_NO_THROW(in.end());
          } else {
            EXPECT_THROW(in.read_string(out), JsonError) << size << ' ' << at << ' ' << int{c};
          }
        }
      }
      // A character of several bytes wherever it begins, and half of it.
      if (at + 1 == size) continue;
      std::string text(size, 'x');
      text.replace(at, 2, "\xC3\xA9");
      EXPECT_EQ(Json::parse(cat('"', text, '"')).as_string(), text);
      text[at + 1] = 'x';
      EXPECT_THROW(Json::parse(cat('"', text, '"')), JsonError);
    }
  }
}

TEST(Json, LimitsDepth) {
  EXPECT_NO_THROW(Json::parse(std::string(128, '[') + std::string(128, ']')));
  EXPECT_THROW(Json::parse(std::string(129, '[') + std::string(129, ']')), JsonError);
  EXPECT_THROW(JsonReader(std::string(100'000, '[')).skip_value(), JsonError);
}

TEST(Json, SkipsAnyDepth) {
  std::string deep = "1";
  for (int i = 0; i < 10'000; ++i) deep = i % 2 ? "[" + deep + ",{}]" : R"({"a":{},"b":)" + deep + "}";
  const std::string text = "[" + deep + ",\"next\"]";
  JsonReader in(text);
  in.begin_array();
  ASSERT_TRUE(in.next_element());
  in.skip_value();
  ASSERT_TRUE(in.next_element());
  std::string next;
  in.read_string(next);
  EXPECT_EQ(next, "next");
  EXPECT_FALSE(in.next_element());
  in.end();
  for (const std::string_view wrong : {"[1,]", R"({"a"})", "[1}", R"({"a":[})"})
    EXPECT_THROW(JsonReader(wrong).skip_value(), JsonError) << wrong;
}

TEST(Json, DuplicateKeysKeepTheLast) {
  EXPECT_EQ(round(R"({"a":1,"b":2,"a":3})"), R"({"a":3,"b":2})");
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i % 50) + "\":" + std::to_string(i) + ",";
  many += "\"z\":0}";
  const Json value = Json::parse(many);
  EXPECT_EQ(value.as_object().size(), 51u);
  EXPECT_EQ(value.find("k3")->as_int(), 53);
  EXPECT_EQ(value.as_object()[3].first, "k3");
}

TEST(Json, ComparesObjectsWithoutOrder) {
  EXPECT_EQ(Json::parse(R"({"a":1,"b":[2]})"), Json::parse(R"({"b":[2.0],"a":1})"));
  EXPECT_FALSE(Json::parse(R"({"a":1})") == Json::parse(R"({"a":1,"b":1})"));
  EXPECT_FALSE(Json(1) == Json("1"));
}

TEST(Json, EditsObjects) {
  Json value;
  value["a"]["b"] = 1;
  value["c"].push_back("x");
  EXPECT_EQ(value.dump(), R"({"a":{"b":1},"c":["x"]})");
  EXPECT_TRUE(value.erase("a"));
  EXPECT_FALSE(value.erase("a"));
  EXPECT_EQ(Json::object({{"n", "v"}}).string_or("n"), "v");
  EXPECT_EQ(Json(1).string_or("n", "none"), "none");
}

TEST(JsonReader, PullsTokens) {
  JsonReader in(R"({"a":[1,-2.5e3],"skip":{"x":[{}]},"s":"t"})");
  std::string key, text;
  in.begin_object();
  ASSERT_TRUE(in.next_key(key));
  EXPECT_EQ(key, "a");
  in.begin_array();
  ASSERT_TRUE(in.next_element());
  EXPECT_EQ(in.read_number(), "1");
  ASSERT_TRUE(in.next_element());
  EXPECT_EQ(in.read_number(), "-2.5e3");
  EXPECT_FALSE(in.next_element());
  ASSERT_TRUE(in.next_key(key));
  in.skip_value();
  ASSERT_TRUE(in.next_key(key));
  EXPECT_EQ(in.peek(), JsonReader::Token::kString);
  in.read_string(text);
  EXPECT_EQ(text, "t");
  EXPECT_FALSE(in.next_key(key));
  in.end();
}

TEST(JsonWriter, WritesNumbersAsAwsDoes) {
  std::string out;
  JsonWriter w(out);
  w.begin_array();
  w.real(NAN);
  w.real(-INFINITY);
  w.real(0.1);
  w.real(1e300);
  w.integer(INT64_MIN);
  w.raw("{}");
  w.end_array();
  EXPECT_EQ(out, R"(["NaN","-Infinity",0.1,1e+300,-9223372036854775808,{}])");
}

}  // namespace
}  // namespace virga
