// Identifiers in the forms AWS uses, from the system's random source.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace virga {

std::string uuid();  // 8-4-4-4-12 lower-case hex, version 4
std::string random_id(size_t length, std::string_view alphabet);
std::string random_lower_alnum(size_t length);  // a-z0-9: API ids, bucket suffixes
std::string random_upper_alnum(size_t length);  // A-Z2-7: access keys, unique ids, request ids of S3
uint64_t random_u64();                          // fast, not for secrets

}  // namespace virga
