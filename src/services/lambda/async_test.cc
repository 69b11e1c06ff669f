#include "services/lambda/async.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "services/lambda/lineage.h"

namespace virga::lambda {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using How = Attempted::How;

constexpr std::string_view kFunction = "arn:aws:lambda:us-east-1:000000000000:function:f";

Next after(How how, int64_t failures, Micros age, EventInvokeRecord config = {}) {
  return next_step(Attempted{how, "", "", ""}, failures, age, config);
}

TEST(Async, AFunctionsErrorsAreRetriedTwiceAfterOneAndTwoMinutes) {
  EXPECT_EQ(after(How::kFunctionError, 0, seconds(1)).wait, minutes(1));
  EXPECT_EQ(after(How::kFunctionError, 1, minutes(1)).wait, minutes(2));
  EXPECT_EQ(after(How::kFunctionError, 2, minutes(3)).condition, "RetriesExhausted");
  EventInvokeRecord none;
  none.retries = 0;
  EXPECT_EQ(after(How::kFunctionError, 0, seconds(1), none).condition, "RetriesExhausted");
  EventInvokeRecord young;
  young.max_age = 60;
  EXPECT_EQ(after(How::kFunctionError, 0, seconds(1), young).condition, "EventAgeExceeded");
  EXPECT_EQ(after(How::kSuccess, 0, seconds(1), young).condition, "Success");
}

TEST(Async, ThrottlesBackOffUpToTheAge) {
  EXPECT_EQ(after(How::kThrottled, 0, seconds(0)).wait, seconds(1));
  EXPECT_FALSE(after(How::kThrottled, 0, seconds(0)).counted);
  EXPECT_EQ(after(How::kThrottled, 2, seconds(40)).wait, seconds(40));
  EXPECT_EQ(after(How::kSystemError, 0, hours(5)).wait, seconds(300));
  EXPECT_EQ(after(How::kThrottled, 0, hours(6)).condition, "EventAgeExceeded");
  EXPECT_EQ(after(How::kSwitchedOff, 0, seconds(1)).condition, "ZeroReservedConcurrency");
  EXPECT_EQ(after(How::kTooOld, 0, hours(7)).condition, "EventAgeExceeded");
}

AsyncEvent event() {
  AsyncEvent e;
  e.function = "f";
  e.payload = R"({"n": 1})";
  e.invokes = 3;
  return e;
}

TEST(Async, RecordsTellWhatHappened) {
  const Attempted failed{How::kFunctionError, "Unhandled", R"({"errorMessage":"no","errorType":"E"})", "$LATEST"};
  const Json record = Json::parse(destination_record(event(), failed, "RetriesExhausted", "id-1", "arn:f:$LATEST",
                                                     Time::from_seconds(1'700'000'000), true));
  EXPECT_EQ(record, Json::parse(R"({"version":"1.0","timestamp":"2023-11-14T22:13:20.000Z",
    "requestContext":{"requestId":"id-1","functionArn":"arn:f:$LATEST","condition":"RetriesExhausted",
                      "approximateInvokeCount":3},
    "requestPayload":{"n":1},
    "responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},
    "responsePayload":{"errorMessage":"no","errorType":"E"}})"));
  const Attempted off{How::kSwitchedOff, "", "", "1"};
  const Json unrun = Json::parse(destination_record(event(), off, "ZeroReservedConcurrency", "id", "arn", {}, true));
  EXPECT_FALSE(unrun.find("responseContext"));
  EXPECT_FALSE(unrun.find("responsePayload"));
}

TEST(Async, InputsFitTheirDestination) {
  const Attempted done{How::kSuccess, "", "5", "2"};
  const Time now = Time::from_seconds(1'700'000'000);
  auto bus =
      destination_input("arn:aws:events:us-east-1:0:event-bus/b", event(), done, "Success", "id", "arn:f:2", now);
  EXPECT_EQ(bus.parameters["Source"], "lambda");
  EXPECT_EQ(bus.parameters["DetailType"], "Lambda Function Invocation Result - Success");
  EXPECT_EQ(bus.parameters["Resources"], R"(["arn:aws:events:us-east-1:0:event-bus/b","arn:f:2"])");
  auto bucket = destination_input("arn:aws:s3:::b", event(), done, "Success", "id", "arn:f:2", now);
  EXPECT_TRUE(bucket.parameters["Key"].starts_with("aws/lambda/async/f/2023/11/14/2023-11-14T22.13.20-"));
  AsyncEvent large = event();
  large.payload = "\"" + std::string(300'000, 'x') + "\"";
  EXPECT_LT(destination_input("arn:aws:sns:us-east-1:0:t", large, done, "Success", "id", "f", now).body.size(), 1000u);
  EXPECT_GT(destination_input("arn:aws:sqs:us-east-1:0:q", large, done, "Success", "id", "f", now).body.size(),
            300'000u);
}

TEST(Async, DeadLettersAreTheEventWithThreeAttributes) {
  Attempted failed{How::kFunctionError, "Unhandled", R"({"errorMessage":"no"})", "$LATEST"};
  auto letter = dead_letter_input(event(), failed, "id-1");
  EXPECT_EQ(letter.body, R"({"n": 1})");
  EXPECT_EQ(letter.attributes["RequestID"].value, "id-1");
  EXPECT_EQ(letter.attributes["ErrorCode"].value, "200");
  EXPECT_EQ(letter.attributes["ErrorCode"].type, "Number");
  EXPECT_EQ(letter.attributes["ErrorMessage"].value, "no");
  std::string umlauts = "x";
  for (int i = 0; i < 1000; ++i) umlauts += "ä";
  failed.payload = umlauts;  // no JSON
  EXPECT_EQ(dead_letter_input(event(), failed, "id").attributes["ErrorMessage"].value.size(), 1023u);
}

TEST(Lineage, CountsTheRunsOfEachFunction) {
  const Time now = Time::from_seconds(1'700'000'000);
  EXPECT_EQ(runs_before("", kFunction), 0);
  std::string trace = trace_through("", kFunction, now);
  EXPECT_TRUE(trace.starts_with("Root=1-6553f100-"));
  EXPECT_EQ(runs_before(trace, kFunction), 1);
  trace = trace_through(trace, "arn:other", now);
  trace = trace_through(trace, kFunction, now);
  EXPECT_EQ(runs_before(trace, kFunction), 2);
  EXPECT_EQ(runs_before(trace, "arn:other"), 1);
  EXPECT_EQ(runs_before(trace, "arn:third"), 0);
  // As some SDKs pass it on.
  std::string escaped = trace;
  escaped.replace(escaped.find('|'), 1, "%7C");
  EXPECT_EQ(runs_before(escaped, "arn:other"), 1);
  const std::string kept = trace_through("Root=1-2-3;Sampled=1", kFunction, now);
  EXPECT_TRUE(kept.starts_with("Root=1-2-3;Sampled=1;Lineage="));
}

TEST(Lineage, StaysShort) {
  std::string trace;
  for (int i = 0; i < 100; ++i) trace = trace_through(trace, "arn:" + std::to_string(i), {});
  EXPECT_LT(trace.size(), 500u);
  EXPECT_EQ(runs_before(trace, "arn:99"), 1);
  EXPECT_EQ(runs_before("Lineage=::|x:y|:3;;Lineage", kFunction), 0);
}

}  // namespace
}  // namespace virga::lambda
