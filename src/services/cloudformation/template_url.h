// Where a TemplateURL lies in S3. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace virga::cloudformation {

struct ObjectAddress {
  std::string bucket, key, version;
};

// Path and virtual-host addresses of S3, of AWS or of this Virga (`base_url`: "http://localhost:4566"), and
// s3://bucket/key. Nothing for anything else.
std::optional<ObjectAddress> template_address(std::string_view url, std::string_view base_url);

}  // namespace virga::cloudformation
