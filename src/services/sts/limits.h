// What AWS promises of STS (API Reference, AssumeRole and GetSessionToken).
#pragma once

#include <cstddef>
#include <cstdint>

namespace virga::sts {

inline constexpr int64_t kDefaultSession = 3600;  // seconds
inline constexpr int64_t kMostChainedSession = 3600;
inline constexpr int64_t kDefaultSessionToken = 43'200;
inline constexpr int64_t kMostRootSessionToken = 3600;
// Ours: a token travels in a header, and holds its session policies whole.
inline constexpr size_t kMostSessionPolicy = 6144;
inline constexpr size_t kSessionTags = 50;

}  // namespace virga::sts
