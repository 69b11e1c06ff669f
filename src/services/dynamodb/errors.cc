#include "services/dynamodb/errors.h"

#include "base/str.h"

namespace virga::dynamodb {

namespace {
constexpr ErrorShape kValidation{"ValidationException", 400, Fault::kSender, ""};
constexpr ErrorShape kUncounted = kValidation;
}  // namespace

Error validation(std::string message) { return Error{&kValidation, std::move(message), nullptr, {}}; }

Error invalid_parameter(std::string_view what) {
  return validation(cat("One or more parameter values were invalid: ", what));
}

Error invalid_request(std::string_view what) { return validation(cat("Invalid Request: ", what)); }

Error uncounted(std::string message) { return Error{&kUncounted, std::move(message), nullptr, {}}; }

Error out_of_bounds(std::string_view place, std::string_view constraint) {
  return counted(validation(cat("Value at '", place, "' failed to satisfy constraint: ", constraint)));
}

Error counted(Error error) {
  if (error.shape == &kValidation) error.message.insert(0, "1 validation error detected: ");
  return error;
}

}  // namespace virga::dynamodb
