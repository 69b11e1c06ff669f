// The numbers of CloudFormation. Sources: "Understand CloudFormation quotas" and the API reference.
#pragma once

#include <cstddef>

namespace virga::cloudformation {

inline constexpr size_t kTemplateBodyMost = 51'200;    // bytes in a request
inline constexpr size_t kTemplateUrlMost = 1'048'576;  // bytes in an S3 object
inline constexpr size_t kResourcesMost = 500;
inline constexpr size_t kParametersMost = 200;
inline constexpr size_t kOutputsMost = 200;
inline constexpr size_t kMappingsMost = 200;
inline constexpr size_t kParameterValueMost = 4'096;  // characters
inline constexpr size_t kStackNameMost = 128;         // characters
inline constexpr size_t kPageMost = 100;              // stacks, resources, events or exports in one answer
inline constexpr size_t kTagsMost = 50;

// Ours: what reading a template may cost whatever its text says. A YAML alias counts as often as it is used.
inline constexpr size_t kNodesMost = 200'000;
inline constexpr int kDepthMost = 64;
inline constexpr size_t kExpandedMost = 8 << 20;  // bytes of scalars
inline constexpr size_t kEventsMost = 5'000;      // kept for each stack; older ones are dropped

}  // namespace virga::cloudformation
