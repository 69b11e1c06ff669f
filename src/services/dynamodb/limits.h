// The numbers DynamoDB promises, each from the page "Service, account, and table quotas in Amazon DynamoDB" of the
// developer guide unless another is named.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace virga::dynamodb {

// Values and items.
inline constexpr size_t kMaxItemSize = 400 * 1024;
inline constexpr int kMaxNesting = 32;
inline constexpr size_t kMaxAttributeName = 65535;
inline constexpr std::string_view kNameEmpty = "Empty attribute name";
inline constexpr std::string_view kNameTooLarge = "Attribute name is too large, must be less than 65536 bytes";
inline constexpr size_t kMaxPartitionKey = 2048;
inline constexpr size_t kMaxSortKey = 1024;
// Older times of expiry are taken for mistakes: "Using time to live (TTL) in DynamoDB".
inline constexpr std::chrono::seconds kOldestExpiry = std::chrono::hours{24 * 365 * 5};

// Expressions.
inline constexpr size_t kMaxExpression = 4096;
inline constexpr size_t kMaxPlaceholder = 255;
inline constexpr size_t kMaxPlaceholderBytes = 2 * 1024 * 1024;  // names and values, with what they stand for
inline constexpr size_t kMaxOperators = 300;
inline constexpr size_t kMaxInOperands = 100;
inline constexpr size_t kMaxPathDepth = 32;
// Parentheses and NOTs within each other: our own bound, far above what 300 operators can need.
inline constexpr int kMaxExpressionDepth = 350;

// Tables.
inline constexpr size_t kMaxLocalIndexes = 5;
inline constexpr size_t kMaxGlobalIndexes = 20;
inline constexpr size_t kMaxIndexKeys = 4;  // of a global index, of each kind: "Multi-attribute keys pattern"
inline constexpr size_t kMostKeyConditions = 2 * kMaxIndexKeys;
inline constexpr size_t kMaxProjectedAttributes = 100;  // over all indexes of a table
inline constexpr size_t kMaxTags = 50;
inline constexpr size_t kMaxTables = 2500;
inline constexpr size_t kMaxInsightRules = 100;  // "CloudWatch service quotas"
inline constexpr int64_t kMaxCapacityUnits = 1'000'000'000'000;

// Requests.
inline constexpr size_t kPageBytes = 1024 * 1024;  // Query, Scan
inline constexpr size_t kBatchGetItems = 100;
inline constexpr size_t kBatchGetBytes = 16 * 1024 * 1024;
inline constexpr size_t kBatchWriteItems = 25;
inline constexpr size_t kTransactBytes = 4 * 1024 * 1024;
inline constexpr size_t kIdempotencyMinutes = 10;  // of a ClientRequestToken: TransactWriteItems API page

}  // namespace virga::dynamodb
