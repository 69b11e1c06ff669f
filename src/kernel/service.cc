#include "kernel/service.h"

#include "base/str.h"

namespace virga::kernel {

namespace {

// Services whose permissions are spelled otherwise than their signatures' scope.
std::string_view action_prefix(const wire::ServiceModel& service) {
  if (service.signing_name == "monitoring") return "cloudwatch";
  if (service.signing_name == "email") return "ses";
  if (service.signing_name == "tagging") return "tag";
  return service.signing_name;
}

}  // namespace

std::string OpTable::default_action(const wire::OperationModel& model) {
  return cat(action_prefix(*model.service), ':', model.name);
}

}  // namespace virga::kernel
