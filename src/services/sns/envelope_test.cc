#include "services/sns/envelope.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "services/sns/delivery_policy.h"

namespace virga::sns {
namespace {

Message sample() {
  Message m;
  m.id = "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324";
  m.topic_arn = "arn:aws:sns:us-west-2:123456789012:MyTopic";
  m.subject = "My First Message";
  m.body = "Hello \"world\"!\n";
  m.time = *parse_iso8601("2012-05-02T00:54:06.655Z");
  return m;
}

TEST(SnsEnvelope, WhatIsSignedHasItsNamesInOrder) {
  EXPECT_EQ(string_to_sign(sample(), sample().body),
            "Message\nHello \"world\"!\n\nMessageId\n22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324\nSubject\nMy First Message\n"
            "Timestamp\n2012-05-02T00:54:06.655Z\nTopicArn\narn:aws:sns:us-west-2:123456789012:MyTopic\n"
            "Type\nNotification\n");
  Message c = sample();
  c.type = "SubscriptionConfirmation";
  c.subject.reset();
  c.token = "t";
  c.subscribe_url = "http://x/";
  EXPECT_EQ(string_to_sign(c, "m"),
            "Message\nm\nMessageId\n22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324\nSubscribeURL\nhttp://x/\n"
            "Timestamp\n2012-05-02T00:54:06.655Z\nToken\nt\nTopicArn\narn:aws:sns:us-west-2:123456789012:MyTopic\n"
            "Type\nSubscriptionConfirmation\n");
}

TEST(SnsEnvelope, IsLaidOutAsAws) {
  Message m = sample();
  m.attributes["store"] = {"String", "example"};
  m.attributes["bin"] = {"Binary", std::string("\x02\x03\x04")};
  EXPECT_EQ(
      envelope(m, "hi", {"SIG", "http://c"}, "http://u"),
      "{\n  \"Type\" : \"Notification\",\n  \"MessageId\" : \"22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324\",\n"
      "  \"TopicArn\" : \"arn:aws:sns:us-west-2:123456789012:MyTopic\",\n  \"Subject\" : \"My First Message\",\n"
      "  \"Message\" : \"hi\",\n  \"Timestamp\" : \"2012-05-02T00:54:06.655Z\",\n  \"SignatureVersion\" : \"1\",\n"
      "  \"Signature\" : \"SIG\",\n  \"SigningCertURL\" : \"http://c\",\n  \"UnsubscribeURL\" : \"http://u\",\n"
      "  \"MessageAttributes\" : {\n    \"bin\" : {\"Type\":\"Binary\",\"Value\":\"AgME\"},\n"
      "    \"store\" : {\"Type\":\"String\",\"Value\":\"example\"}\n  }\n}");
}

TEST(SnsEnvelope, AFunctionGetsRecords) {
  Message m = sample();
  m.subject.reset();
  const Json event = Json::parse(lambda_event(m, "hi", {"S", "C"}, "U", "arn:sub"));
  const Json& record = event.find("Records")->as_array()[0];
  EXPECT_EQ(record.string_or("EventSource"), "aws:sns");
  EXPECT_EQ(record.string_or("EventSubscriptionArn"), "arn:sub");
  EXPECT_TRUE(record.find("Sns")->find("Subject")->is_null());
  EXPECT_EQ(record.find("Sns")->string_or("SigningCertUrl"), "C");
}

std::vector<int64_t> waits(const RetrySchedule& schedule) {
  std::vector<int64_t> out;
  for (int64_t failed = 1; const auto wait = schedule.wait_after(failed); ++failed) out.push_back(wait->count());
  return out;
}

TEST(SnsDeliveryPolicy, TheDefaultTriesThreeTimesMore) {
  EXPECT_EQ(waits(http_delivery("", "").retry), (std::vector<int64_t>{20'000, 20'000, 20'000}));
}

TEST(SnsDeliveryPolicy, PhasesFollowEachOther) {
  const std::string policy = normal_topic_policy(
      R"({"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":5,"numRetries":8,)"
      R"("numNoDelayRetries":1,"numMinDelayRetries":1,"numMaxDelayRetries":1,"backoffFunction":"linear"}}})");
  EXPECT_EQ(waits(http_delivery(policy, "").retry),
            (std::vector<int64_t>{0, 1000, 1000, 2000, 3000, 4000, 5000, 5000}));
}

TEST(SnsDeliveryPolicy, EveryGrowthEndsAtTheMost) {
  for (const char* growth : {"linear", "arithmetic", "geometric", "exponential"}) {
    const std::string policy = normal_subscription_policy(
        std::string(
            R"({"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":60,"numRetries":5,"backoffFunction":")") +
        growth + "\"}}");
    const auto all = waits(http_delivery("", policy).retry);
    ASSERT_EQ(all.size(), 5u);
    EXPECT_EQ(all.front(), 1000);
    EXPECT_EQ(all.back(), 60'000);
    EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  }
}

TEST(SnsDeliveryPolicy, ATopicCanOverrideItsSubscriptions) {
  const std::string own = normal_subscription_policy(R"({"throttlePolicy":{"maxReceivesPerSecond":7}})");
  EXPECT_EQ(http_delivery("", own).per_second, 7);
  EXPECT_EQ(http_delivery(normal_topic_policy(R"({"http":{"disableSubscriptionOverrides":true}})"), own).per_second, 0);
  EXPECT_EQ(own, R"({"healthyRetryPolicy":null,"sicklyRetryPolicy":null,"throttlePolicy":{"maxReceivesPerSecond":7},)"
                 R"("requestPolicy":null,"guaranteed":false})");
}

TEST(SnsDeliveryPolicy, RefusesNonsense) {
  for (const char* bad :
       {"x", "[]", R"({"http":{"a":1}})", R"({"http":{"defaultHealthyRetryPolicy":{"numRetries":3}}})",
        R"({"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":9,"maxDelayTarget":2}}})",
        R"({"http":{"defaultThrottlePolicy":{"maxReceivesPerSecond":0}}})",
        R"({"http":{"defaultRequestPolicy":{"headerContentType":"no/such"}}})"})
    EXPECT_THROW(normal_topic_policy(bad), std::invalid_argument) << bad;
}

}  // namespace
}  // namespace virga::sns
