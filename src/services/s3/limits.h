// What S3 promises and refuses:
// docs.aws.amazon.com/AmazonS3/latest/userguide/{qfacts,bucketnamingrules,object-tagging}.html
#pragma once

#include <cstddef>
#include <cstdint>

namespace virga::s3 {

inline constexpr uint64_t kMaxPut = 5ull << 30;      // of one PutObject, UploadPart or copy
inline constexpr uint64_t kMaxObject = 50ull << 40;  // of a multipart upload
inline constexpr uint64_t kMinPart = 5ull << 20;     // of every part but the last
inline constexpr int32_t kMaxPartNumber = 10'000;
inline constexpr size_t kMaxKeyBytes = 1024;
inline constexpr size_t kMaxMetadataBytes = 2048;  // names and values of x-amz-meta-*, together
inline constexpr int32_t kMaxPage = 1000;          // of every list of objects, parts and uploads
inline constexpr int32_t kMaxBucketPage = 10'000;
inline constexpr size_t kMaxBuckets = 10'000;  // of one account
inline constexpr size_t kMaxDeletes = 1000;    // of one DeleteObjects
inline constexpr size_t kMaxObjectTags = 10;
inline constexpr size_t kMaxBucketTags = 50;
inline constexpr size_t kMaxTagKey = 128;  // characters
inline constexpr size_t kMaxTagValue = 256;
inline constexpr size_t kMaxPolicyBytes = 20 * 1024;
inline constexpr int kCopyAttempts = 16;       // of a copy whose source keeps changing
inline constexpr size_t kScanBytes = 4 << 20;  // read from the store at a time by lists

}  // namespace virga::s3
