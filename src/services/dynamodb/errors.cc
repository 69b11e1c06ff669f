#include "services/dynamodb/errors.h"

#include "base/str.h"

namespace virga::dynamodb {

namespace {
constexpr ErrorShape kValidation{"ValidationException", 400, Fault::kSender, ""};
}

Error validation(std::string message) { return Error{&kValidation, std::move(message), nullptr, {}}; }

Error invalid_parameter(std::string_view what) {
  return validation(cat("One or more parameter values were invalid: ", what));
}

}  // namespace virga::dynamodb
