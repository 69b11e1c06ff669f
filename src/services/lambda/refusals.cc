#include "services/lambda/refusals.h"

#include <aws/lambda/errors.h>

#include "base/json.h"
#include "base/str.h"

namespace virga::lambda {

void not_served(std::string_view what) {
  throw err::InvalidParameterValueException(cat(what, " is not served by Virga."));
}

Error entity_too_large(std::string message) {
  static constexpr ErrorShape kShape{"RequestEntityTooLargeException", 413, Fault::kSender, {}};
  return Error{&kShape, std::move(message), nullptr, {}};
}

Error untyped(Error error) {
  error.members = std::make_shared<const Json>(Json::object({{"Type", Json()}}));
  return error;
}

}  // namespace virga::lambda
