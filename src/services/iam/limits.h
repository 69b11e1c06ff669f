// What AWS promises of IAM (User Guide, "IAM and AWS STS quotas"): default quotas.
#pragma once

#include <cstddef>
#include <cstdint>

namespace virga::iam {

inline constexpr size_t kAccessKeysPerUser = 2;
inline constexpr size_t kGroupsPerUser = 10;
inline constexpr size_t kAttachedPolicies = 10;  // per user, group or role
inline constexpr size_t kPolicyVersions = 5;
inline constexpr size_t kTags = 50;
inline constexpr size_t kManagedPolicySize = 6144;  // characters without white space
inline constexpr size_t kUserPolicySize = 2048;     // all inline policies together
inline constexpr size_t kGroupPolicySize = 5120;
inline constexpr size_t kRolePolicySize = 10240;
inline constexpr size_t kTrustPolicySize = 2048;
inline constexpr int32_t kDefaultPage = 100;
inline constexpr size_t kCached = 10'000;        // long-term credentials, and principals' policies, kept in memory
inline constexpr size_t kCachedSessions = 2048;  // opened session tokens kept in memory

}  // namespace virga::iam
