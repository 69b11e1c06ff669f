// What Lambda promises and refuses: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace virga::lambda {

inline constexpr uint64_t kMaxZipBytes = 50ull << 20;        // of a direct upload
inline constexpr uint64_t kMaxUnzippedBytes = 250ull << 20;  // function and layers
inline constexpr size_t kMaxSyncPayload = 6'291'556;         // 6 MB and the envelope, as the service's message says
inline constexpr uint64_t kMaxStreamedPayload = 200ull << 20;
inline constexpr size_t kMaxAsyncPayload = 1'048'576;
inline constexpr size_t kMaxLayers = 5;
inline constexpr size_t kMaxName = 64;
inline constexpr size_t kMaxTags = 50;
inline constexpr int32_t kMaxMemory = 10'240;           // MB, but on a capacity provider
inline constexpr int32_t kLeastManagedMemory = 2048;    // MB, on one, where it is also the default
inline constexpr size_t kMaxEnvironment = 4096;         // bytes of them all as JSON
inline constexpr size_t kMaxImageSettings = 65'536;     // bytes of a container image's words and variables
inline constexpr int32_t kUnreservedConcurrency = 100;  // that reservations must leave
inline constexpr size_t kLogTail = 4096;                // bytes in X-Amz-Log-Result
inline constexpr size_t kListPage = 50;
// Asynchronous events that run at a time: of all functions before each gets but one, and of one function.
inline constexpr size_t kMostAsync = 896;
inline constexpr size_t kMostAsyncOfOne = 128;
inline constexpr auto kInstanceLife = std::chrono::minutes(50);  // its credentials live an hour
inline constexpr auto kSnapshotLife = std::chrono::minutes(30);  // then another takes its place, for the same reason
inline constexpr auto kInitAhead = std::chrono::seconds(130);  // of an initialisation for no call, or a longer time-out
inline constexpr size_t kMostIdle = 64;                        // idle instances kept, all functions together

}  // namespace virga::lambda
