// What SNS promises and refuses: docs.aws.amazon.com/general/latest/gr/sns.html and the API reference of each
// operation.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace virga::sns {

inline constexpr size_t kMaxMessage = 262'144;    // bytes of a message with its attributes; of a batch's all together
inline constexpr size_t kMaxBatch = 10;           // entries of PublishBatch
inline constexpr size_t kMaxBatchId = 80;         // characters of an entry's id
inline constexpr size_t kMaxName = 256;           // characters of a topic's or platform application's name
inline constexpr size_t kMaxSubject = 100;        // characters
inline constexpr size_t kMaxSms = 1600;           // characters of a text message
inline constexpr size_t kMaxTags = 50;            // of a topic
inline constexpr size_t kMaxAttributeName = 256;  // bytes of a message attribute's name
inline constexpr size_t kMaxUserData = 2048;      // bytes of an endpoint's CustomUserData
inline constexpr size_t kMaxPolicy = 30'720;      // bytes of a topic's access policy
inline constexpr size_t kMaxDedupId = 128;        // characters of MessageDeduplicationId and MessageGroupId
inline constexpr size_t kPage = 100;              // entries of every list operation
inline constexpr size_t kMaxFifoSubscriptions = 100;     // of one FIFO topic
inline constexpr size_t kMaxSubscriptions = 12'500'000;  // of one standard topic
inline constexpr size_t kMaxFilterKeys = 5;              // of a filter policy
inline constexpr size_t kMaxFilterCombinations = 150;
inline constexpr size_t kMaxFilterPolicies = 200;  // of one topic
inline constexpr size_t kMaxFilterBytes = 256 * 1024;
inline constexpr int kMaxRetentionDays = 365;  // of an archive
inline constexpr auto kDeduplicated = std::chrono::minutes(5);
inline constexpr auto kTokenLife = std::chrono::hours(48);  // of a confirmation's token

// Of the delivery retries that AWS documents by kind of endpoint
// (docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html).
inline constexpr int64_t kManagedAttempts = 100'015;  // SQS, Lambda
inline constexpr int64_t kPersonAttempts = 50;        // mobile push, e-mail, text messages

// Of this implementation.
inline constexpr size_t kFanOutPage = 2000;      // subscriptions that a publish itself looks at; the rest follow it
inline constexpr size_t kTogether = 8;           // queues from which on they are written to together
inline constexpr size_t kChunk = 100;            // queues that one delivery writes to in one commit
inline constexpr size_t kChunkBytes = 4 << 20;   // and copies of the message in it
inline constexpr size_t kKnownFilters = 4096;    // compiled filter policies kept
inline constexpr size_t kKnownSignatures = 256;  // signatures of recent messages kept
inline constexpr size_t kExpiredAtOnce = 20;     // deduplication records that a publish clears away
inline constexpr size_t kReplayPage = 100;       // archived messages that one step of a replay delivers
inline constexpr uint64_t kTrimAfter = 512;      // items in the outbox after which it is trimmed
inline constexpr size_t kThrottles = 4096;       // throttled endpoints remembered

inline constexpr size_t kMostResponse = 1024;  // bytes of an endpoint's answer in a status log

}  // namespace virga::sns
