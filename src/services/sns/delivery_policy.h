// Delivery policies: how often and when a failed delivery is tried again, how many a second an endpoint is sent, and
// with which content type. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/time.h"

namespace virga::sns {

// Attempts after the first: at once, then at the least delay, then growing to the most, then at the most.
struct RetrySchedule {
  enum class Growth : uint8_t { kLinear, kArithmetic, kGeometric, kExponential };
  int64_t retries = 3, at_once = 0, at_least = 0, at_most = 0;
  std::chrono::milliseconds least{20'000}, most{20'000};
  Growth growth = Growth::kLinear;

  // How long to wait after `failed` failed attempts (1: after the first); nothing: give up.
  std::optional<std::chrono::milliseconds> wait_after(int64_t failed) const;
};
RetrySchedule managed_schedule();  // of SQS and Lambda endpoints
RetrySchedule person_schedule();   // of mobile push, e-mail and text messages

struct HttpDelivery {
  RetrySchedule retry;
  int64_t per_second = 0;  // 0: not throttled
  std::string content_type = "text/plain; charset=UTF-8";
};

// Checks a topic's ({"http":{…}}) or a subscription's policy and gives it back as AWS shows it. Empty stays empty.
// Throws std::invalid_argument with what AWS says behind "DeliveryPolicy: ".
std::string normal_topic_policy(std::string_view text);
std::string normal_subscription_policy(std::string_view text);
// What is in force, as AWS shows it.
std::string effective_topic_policy(std::string_view topic_policy);
std::string effective_subscription_policy(std::string_view topic_policy, std::string_view subscription_policy);
HttpDelivery http_delivery(std::string_view topic_policy, std::string_view subscription_policy);

}  // namespace virga::sns
