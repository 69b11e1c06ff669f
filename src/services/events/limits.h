// What EventBridge promises and refuses: docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace virga::events {

inline constexpr size_t kMaxRequestBytes = 1'048'576;  // of PutEvents, all entries together
inline constexpr size_t kMaxInput = 1'048'576;         // of a target, made by a template
inline constexpr size_t kMaxBuses = 100;
inline constexpr size_t kMaxRules = 300;  // of a bus
inline constexpr size_t kMaxTargets = 5;  // of a rule
inline constexpr size_t kMaxTags = 50;
inline constexpr size_t kMaxPolicyBytes = 10'240;
inline constexpr size_t kMaxConnections = 3'000;
inline constexpr size_t kMaxDestinations = 3'000;
inline constexpr size_t kMaxReplays = 10;  // running at a time
inline constexpr size_t kDefaultList = 100;
inline constexpr int64_t kMaxRetries = 185, kMaxAge = 86'400;
inline constexpr int32_t kDefaultRate = 300;  // of an API destination, invocations a second
inline constexpr auto kMostRateWait = std::chrono::seconds(5);
inline constexpr int kMostHops = 10;        // from bus to bus
inline constexpr size_t kReplayPage = 100;  // events of a replay in one transaction
inline constexpr auto kExpiry = std::chrono::hours(1);
inline constexpr size_t kKeptBuses = 1'000;     // whose rules are kept compiled
inline constexpr size_t kMostCopies = 4 << 20;  // bytes of an event's copies for targets, in one transaction
inline constexpr int64_t kTokenRetries = 4;     // of asking for a connection's token, over 15 seconds at the most

}  // namespace virga::events
