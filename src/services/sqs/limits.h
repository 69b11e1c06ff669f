// What SQS promises and refuses: docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-quotas.html
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace virga::sqs {

inline constexpr size_t kMaxMessageBytes = 1'048'576;  // body, attribute names, types and values; also of a batch
inline constexpr size_t kMaxBatch = 10;
inline constexpr size_t kMaxReceive = 10;
inline constexpr size_t kMaxAttributes = 10;      // of a message
inline constexpr size_t kMaxAttributeName = 256;  // also of a type
inline constexpr size_t kMaxEntryId = 80;
inline constexpr size_t kMaxQueueName = 80;
inline constexpr size_t kMaxIdLength = 128;  // group, deduplication and receive attempt ids
inline constexpr size_t kMaxTags = 50;
inline constexpr int64_t kMaxInFlight = 120'000;
inline constexpr int64_t kMaxInFlightFifo = 20'000;
inline constexpr int64_t kMaxVisibility = 43'200;  // seconds
inline constexpr int64_t kMaxDelay = 900;
inline constexpr int64_t kMaxWait = 20;
inline constexpr int64_t kMinRetention = 60, kMaxRetention = 1'209'600;
inline constexpr int64_t kMaxReceiveCount = 1000;  // of a redrive policy
inline constexpr size_t kMaxStatements = 20;       // of a queue policy
inline constexpr size_t kMaxAllowedSources = 10;   // of a redrive allow policy by queue
inline constexpr size_t kDefaultList = 1000;       // ListQueues, ListDeadLetterSourceQueues
inline constexpr auto kDeduplication = std::chrono::minutes(5);
inline constexpr auto kPurgeInterval = std::chrono::seconds(60);
inline constexpr auto kNameRest = std::chrono::seconds(60);  // after DeleteQueue

// Ours.
inline constexpr size_t kMostJobs = 20'000;        // waiting on one queue for their turn; more are throttled
inline constexpr size_t kMostKnown = 10'000;       // queues whose settings are kept in memory
inline constexpr size_t kMostPolls = 200'000;      // long polls waiting on one queue
inline constexpr size_t kLaneJobs = 128;           // worked on in one transaction
inline constexpr size_t kLaneBytes = 4 << 20;      // written by one transaction
inline constexpr size_t kHandOut = 640;            // messages handed out in one transaction
inline constexpr size_t kHandOutBytes = 12 << 20;  // of their bodies
inline constexpr size_t kCountScan = 130'000;      // rows looked at for an approximate number
inline constexpr size_t kLookAhead = 1000;         // messages of noisy groups set aside by one transaction
inline constexpr size_t kMostGroups = 20'000;      // whose load is known, in one queue
inline constexpr size_t kMostLoads = 256;          // queues whose groups' load is known while nobody waits there
inline constexpr int64_t kQuietGroup = 10;         // messages in flight that make no group noisy
inline constexpr size_t kSweep = 1000;             // messages past their retention dropped by one transaction

}  // namespace virga::sqs
