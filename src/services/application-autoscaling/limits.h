// What Application Auto Scaling promises:
// docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-limits.html
#pragma once

#include <chrono>
#include <cstddef>

namespace virga::applicationautoscaling {

inline constexpr size_t kMostTargets = 5000;  // of a namespace, account and region
inline constexpr size_t kMostActions = 200;   // of a target
inline constexpr size_t kMostPolicies = 50;   // of a target
inline constexpr size_t kMostTags = 50;
inline constexpr size_t kListPage = 50, kPoliciesPage = 10;
inline constexpr auto kActivityLife = std::chrono::hours(24 * 42);
inline constexpr auto kSampleEvery = std::chrono::seconds(10);  // of a policy's metric

}  // namespace virga::applicationautoscaling
