// The refusals that the API model does not list: every request the service finds wrong is a ValidationError.
#pragma once

#include <string>

#include "base/error.h"

namespace virga::cloudformation {

// Code ValidationError, status 400. Pure code throws it; coroutines co_return it.
Error validation_error(std::string message);
// "Template format error: " before the text.
Error format_error(std::string_view message);
// "Template error: " before the text.
Error template_error(std::string_view message);
// What isn't built says so: a ValidationError that names it.
Error not_served(std::string_view what);

}  // namespace virga::cloudformation
