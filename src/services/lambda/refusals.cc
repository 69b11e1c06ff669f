#include "services/lambda/refusals.h"

#include "base/json.h"

namespace virga::lambda {

Error entity_too_large(std::string message) {
  static constexpr ErrorShape kShape{"RequestEntityTooLargeException", 413, Fault::kSender, {}};
  return Error{&kShape, std::move(message), nullptr, {}};
}

Error untyped(Error error) {
  error.members = std::make_shared<const Json>(Json::object({{"Type", Json()}}));
  return error;
}

}  // namespace virga::lambda
