// What CloudWatch Logs promises and refuses:
// docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
#pragma once

#include <chrono>
#include <cstddef>

namespace virga::logs {

inline constexpr size_t kMaxBatchBytes = 1'048'576;  // of PutLogEvents: UTF-8 bytes plus kEventOverhead each
inline constexpr size_t kEventOverhead = 26;
inline constexpr size_t kMaxEventBytes = 1'048'576;
inline constexpr auto kOldestEvent = std::chrono::hours(24 * 14);
inline constexpr auto kNewestEvent = std::chrono::hours(2);
inline constexpr auto kWidestBatch = std::chrono::hours(24);
inline constexpr size_t kMaxPageBytes = 1'048'576;  // of GetLogEvents and FilterLogEvents
inline constexpr size_t kMaxPageEvents = 10'000;
inline constexpr size_t kMaxSubscriptions = 2;         // of a log group
inline constexpr size_t kSubscriptionBytes = 131'072;  // of messages in one delivery to a subscriber
inline constexpr size_t kMaxTags = 50;                 // of a log group
inline constexpr size_t kMaxPolicies = 10;             // of an account; a log group has one
inline constexpr size_t kDefaultList = 50;             // of what is described
inline constexpr size_t kManyStreams = 1'000;          // a group with more is counted once in kCountedFor
inline constexpr auto kCountedFor = std::chrono::minutes(1);

}  // namespace virga::logs
