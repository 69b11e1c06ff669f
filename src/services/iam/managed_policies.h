// The managed policies of AWS that serverless applications refer to. A policy not listed here does not exist.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace virga::iam {

struct AwsPolicy {
  std::string_view name, path, description;
  std::string_view statements;  // JSON list
  std::string arn() const;
  std::string document() const;
  std::string id() const;  // ANPA…, always the same for the same name
};

std::span<const AwsPolicy> aws_policies();  // by name
const AwsPolicy* find_aws_policy(std::string_view arn);

}  // namespace virga::iam
