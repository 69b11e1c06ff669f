#include "services/cloudformation/refusal.h"

#include "base/str.h"

namespace virga::cloudformation {

namespace {
constexpr ErrorShape kValidationError{
    .code = "ValidationError", .status = 400, .fault = Fault::kSender, .query_code = ""};
}

Error validation_error(std::string message) { return Error{&kValidationError, std::move(message), nullptr, ""}; }
Error format_error(std::string_view message) { return validation_error(cat("Template format error: ", message)); }
Error template_error(std::string_view message) { return validation_error(cat("Template error: ", message)); }
Error not_served(std::string_view what) { return validation_error(cat(what, " is not served by Virga")); }

}  // namespace virga::cloudformation
