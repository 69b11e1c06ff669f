// The ARNs that policies and tags are asked for by.
#pragma once

#include <string>

#include "kernel/context.h"

namespace virga::dynamodb {

// Throws ValidationException unless it is the ARN of a table or stream, there or not, of any account and region.
kernel::Arn resource_named(const std::string& text);

}  // namespace virga::dynamodb
