// What EventBridge Scheduler promises and refuses: docs.aws.amazon.com/scheduler/latest/UserGuide/scheduler-quotas.html
#pragma once

#include <cstddef>
#include <cstdint>

namespace virga::scheduler {

inline constexpr size_t kMaxGroups = 500;
inline constexpr size_t kMaxTags = 50;  // of a group
inline constexpr size_t kDefaultList = 100;
inline constexpr int64_t kMaxRetries = 185, kMaxAge = 86'400;
inline constexpr size_t kMaxInput = 262'144;

}  // namespace virga::scheduler
