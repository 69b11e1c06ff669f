#include "services/lambda/esm/batch.h"

#include <gtest/gtest.h>

#include "services/lambda/esm/failure.h"
#include "services/lambda/esm/filter.h"

namespace virga::lambda::esm {
namespace {

TEST(Batch, EventsHoldTheirRecords) {
  const std::string a = R"({"a":1})", b = R"({"b":2})";
  EXPECT_EQ(event_of({}), R"({"Records":[]})");
  EXPECT_EQ(event_of({&a, &b}), R"({"Records":[{"a":1},{"b":2}]})");
  const WindowView window{Time::from_seconds(0), Time::from_seconds(60), R"({"n":3})", "shard", "arn", true, false};
  EXPECT_EQ(event_of({&a}, &window),
            R"({"Records":[{"a":1}],"window":{"start":"1970-01-01T00:00:00Z","end":"1970-01-01T00:01:00Z"},)"
            R"("state":{"n":3},"shardId":"shard","eventSourceARN":"arn","isFinalInvokeForWindow":true,)"
            R"("isWindowTerminatedEarly":false})");
}

TEST(Batch, AnswersAreJudgedAsDocumented) {
  const auto known = [](const std::string& id) { return id == "1" || id == "2"; };
  for (const char* success : {"", "null", "{}", "[]", R"({"batchItemFailures":[]})", R"({"batchItemFailures":null})"}) {
    const Verdict verdict = judge(success, known);
    EXPECT_FALSE(verdict.all_failed) << success;
    EXPECT_TRUE(verdict.failed.empty()) << success;
  }
  for (const char* failure :
       {"not json", "\"OK\"", "[1]", R"({"batchItemFailures":"1"})", R"({"batchItemFailures":[{"itemIdentifier":""}]})",
        R"({"batchItemFailures":[{"itemIdentifier":null}]})", R"({"batchItemFailures":[{"wrong":"1"}]})",
        R"({"batchItemFailures":[{"itemIdentifier":"1"},{"itemIdentifier":"9"}]})"}) {
    EXPECT_TRUE(judge(failure, known).all_failed) << failure;
  }
  const Verdict some = judge(R"({"batchItemFailures":[{"itemIdentifier":"2"}]})", known);
  EXPECT_FALSE(some.all_failed);
  EXPECT_EQ(some.failed, std::vector<std::string>{"2"});
}

TEST(Batch, WindowStateIsWhatWasAnswered) {
  EXPECT_EQ(window_state_of(R"({"state":{"a":[1]}})"), R"({"a":[1]})");
  EXPECT_EQ(window_state_of("{}"), "{}");
  EXPECT_EQ(window_state_of("null"), "{}");
  EXPECT_EQ(window_state_of("no json"), "{}");
}

TEST(Filters, AnyOfThemIsEnough) {
  const Filters filters({R"({"a":["x"]})", R"({"b":[{"numeric":[">",5]}]})"});
  EXPECT_TRUE(filters.passes(R"({"a":"x"})"));
  EXPECT_TRUE(filters.passes(R"({"b":6})"));
  EXPECT_FALSE(filters.passes(R"({"a":"y","b":5})"));
  EXPECT_TRUE(Filters({}).passes("{}"));
  EXPECT_TRUE(Filters({"{}"}).passes("{}"));
  EXPECT_ANY_THROW(check_filters({"{"}));
}

}  // namespace
}  // namespace virga::lambda::esm
