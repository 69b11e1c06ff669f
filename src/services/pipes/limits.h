// What EventBridge Pipes promises and refuses: docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes.html
#pragma once

#include <cstddef>

namespace virga::pipes {

inline constexpr size_t kMaxFilters = 5;
inline constexpr size_t kMaxTags = 50;
inline constexpr size_t kMaxPipes = 1000;  // of an account in a region
inline constexpr size_t kDefaultList = 100;
inline constexpr size_t kMaxEnriched = 6 * 1024 * 1024;
inline constexpr size_t kMaxTransformed = 6 * 1024 * 1024;  // of an event, by a template

}  // namespace virga::pipes
