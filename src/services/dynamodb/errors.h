// Refusals that DynamoDB's model does not list but every client meets.
#pragma once

#include <string>

#include "base/error.h"

namespace virga::dynamodb {

Error validation(std::string message);
// "One or more parameter values were invalid: " + what.
Error invalid_parameter(std::string_view what);

}  // namespace virga::dynamodb
