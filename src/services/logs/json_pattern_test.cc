#include "services/logs/json_pattern.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace virga::logs {
namespace {

constexpr std::string_view kMessage =
    R"({"type":"platform.report","record":{"status":"timeout","metrics":{"durationMs":1000.5}},"n":5,"ok":true,"no":null,
        "ip":"10.1.2.3","text":"a \"b\"?","list":[{"x":1},{"x":2}]})";

bool matches(std::string_view pattern) { return JsonPattern(pattern).matches(kMessage); }

TEST(JsonPattern, ComparesProperties) {
  for (const std::string_view holds :
       {R"({ $.type = "platform.report" })", "{$.type=platform.*}", R"({ $.type = "*report" })", R"({ $.ip = 10.*.3 })",
        R"({ $.text = "a \"b\"?" })", "{ $.n = 5 }", "{ $.n = 5.0 }", R"({ $.n = "5" })", "{ $.n != 6 }",
        "{ $.n >= 5 }", "{ $.n < 5.5 }", "{ $.record.metrics.durationMs > 1e3 }", "{ $.list[1].x = 2 }",
        "{ $.ok IS TRUE }", "{ $.no IS NULL }", "{ $.gone NOT EXISTS }", "{ $.list[2] NOT EXISTS }",
        R"({ $.type != "x" })", "{ $.ok = true }"})
    EXPECT_TRUE(matches(holds)) << holds;
  for (const std::string_view fails : {R"({ $.type = "platform" })", "{ $.n = 6 }", "{ $.n > 5 }", "{ $.gone = 1 }",
                                       "{ $.gone != 1 }", "{ $.ok IS FALSE }", "{ $.n IS NULL }", "{ $.n NOT EXISTS }",
                                       "{ $.ip > 5 }", "{ $.list = 1 }", R"({ $.text = "a \"b\"x" })"})
    EXPECT_FALSE(matches(fails)) << fails;
}

TEST(JsonPattern, JoinsConditions) {
  EXPECT_TRUE(matches("{ $.n = 6 || $.n = 5 && $.ok IS TRUE }"));
  EXPECT_FALSE(matches("{ ($.n = 6 || $.n = 5) && $.ok IS FALSE }"));
  EXPECT_TRUE(matches("{ (($.n = 5) && ($.ok IS TRUE)) || $.gone = 1 }"));
}

TEST(JsonPattern, MatchesObjectsAlone) {
  for (const std::string_view other : {"", "text", "{", "[1]", R"({"n":})"}) {
    EXPECT_FALSE(JsonPattern("{ $.n NOT EXISTS }").matches(other)) << other;
  }
}

TEST(JsonPattern, SaysWhatIsWrong) {
  for (const std::string_view wrong :
       {"{", "{}", "{ $.n }", "{ $.n = }", "{ n = 5 }", "{ $ = 5 }", "{ $. = 5 }", "{ $.n[x] = 5 }", "{ $.n[1 = 5 }",
        "{ ($.n = 5 }", "{ $.n = 5 } x", "{ $.n > abc }", R"({ $.n = "5 })", "{ $.n = 5 && }", "{ $.n = %5% }",
        "{ $.n IS 5 }"})
    EXPECT_THROW(JsonPattern{wrong}, std::invalid_argument) << wrong;
  EXPECT_THROW(JsonPattern("{ " + std::string(40, '(') + "$.n = 5" + std::string(40, ')') + " }"),
               std::invalid_argument);
}

}  // namespace
}  // namespace virga::logs
