#include "services/events/transform.h"

#include <gtest/gtest.h>

namespace virga::events {
namespace {

const Json kEvent = Json::parse(
    R"({"id":"1","detail-type":"d","source":"s","detail":{"name":"A \"b\"","n":5,"ok":true,"none":null,"list":["x","y"],"o":{"k":"v"},)"
    R"("items":[{"p":1},{"p":2}],"a b":1}})");

std::string filled(std::string_view text) {
  return fill_template(text,
                       {{"name", "$.detail.name"},
                        {"n", "$.detail.n"},
                        {"ok", "$.detail.ok"},
                        {"none", "$.detail.none"},
                        {"list", "$.detail.list"},
                        {"o", "$.detail.o"},
                        {"gone", "$.detail.gone"}},
                       kEvent, kEvent.dump(), {"arn:rule", "rule", Time::from_seconds(0)})
      .value_or("too large or no JSON");
}

TEST(Transform, Paths) {
  EXPECT_EQ(at_path(kEvent, "$.detail.items[1].p")->dump(), "2");
  EXPECT_EQ(at_path(kEvent, "$.detail.items[*].p")->dump(), "[1,2]");
  EXPECT_EQ(at_path(kEvent, "$.detail['a b']")->dump(), "1");
  EXPECT_EQ(at_path(kEvent, "$")->dump(), kEvent.dump());
  EXPECT_FALSE(at_path(kEvent, "$.detail.items[2]"));
  EXPECT_FALSE(at_path(kEvent, "$.nothing.here"));
  for (std::string_view bad : {"detail", "$.", "$.a[", "$.a[x]", "$x", "$..a"}) EXPECT_FALSE(is_path(bad)) << bad;
}

TEST(Transform, ValuesOutsideAndInsideQuotes) {
  EXPECT_EQ(filled(R"({"a": <name>, "b": <n>, "c": <o>, "d": <list>, "e": <none>})"),
            R"({"a": "A \"b\"", "b": 5, "c": {"k":"v"}, "d": ["x","y"], "e": null})");
  EXPECT_EQ(filled(R"("<name> has <n>, <ok> and <o>, <list>")"), R"("A \"b\" has 5, true and {k:v}, [x,y]")");
  EXPECT_EQ(filled(R"({"a": <gone>, "b": "<gone>"})"), R"({"a": "", "b": ""})");
  EXPECT_EQ(filled(R"("a < b and <unknown> > c")"), R"("a < b and  > c")");
}

TEST(Transform, WhatSurroundsTheEvent) {
  EXPECT_EQ(filled(R"("<aws.events.rule-arn> <aws.events.rule-name> <aws.events.event.ingestion-time>")"),
            R"("arn:rule rule 1970-01-01T00:00:00Z")");
  EXPECT_EQ(filled("<aws.events.event.json>"), kEvent.dump());
  EXPECT_EQ(filled("<aws.events.event>"), R"({"id":"1","detailType":"d","source":"s"})");
}

TEST(Transform, UnknownNames) {
  EXPECT_EQ(unknown_name(R"({"a": <a>, "b": "<b> <aws.events.event>", "c": "<not a name> < >"})", {{"a", "$.a"}}), "b");
  EXPECT_FALSE(unknown_name(R"({"a": <a>})", {{"a", "$.a"}}));
}

// Inside the quotes of an object's template a value's own quotes would end them.
TEST(Transform, ObjectsInsideQuotesOfObjects) {
  EXPECT_EQ(filled(R"({"a": "x <o>"})"), "too large or no JSON");
  EXPECT_EQ(filled(R"({"a": "<list>"})"), "too large or no JSON");
  EXPECT_EQ(filled(R"({"a": "<n>"})"), R"({"a": "5"})");
}

// A template of 3 KB can ask for a large value a thousand times.
TEST(Transform, IsBounded) {
  const Json event = Json::object({{"a", std::string(100'000, 'x')}});
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "<a>";
  EXPECT_FALSE(fill_template(text, {{"a", "$.a"}}, event, event.dump(), {}));
  EXPECT_TRUE(fill_template(text.substr(0, 30), {{"a", "$.a"}}, event, event.dump(), {}));
}

TEST(Transform, Compact) {
  EXPECT_EQ(compact("{ \"a b\" : [1, 2.50 ,\"x \\\" y\" ]\n}"), R"({"a b":[1,2.50,"x \" y"]})");
}

}  // namespace
}  // namespace virga::events
