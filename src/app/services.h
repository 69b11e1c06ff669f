#pragma once

#include <chrono>
#include <vector>

#include "kernel/deps.h"
#include "sandbox/sandbox.h"
#include "services/iam/api.h"
#include "wire/shape.h"

namespace virga::app {

struct ServiceOptions {
  iam::Options iam;
  std::chrono::seconds function_idle{300};
  uint64_t image_mb = 10'240;
  int32_t function_concurrency = 1000;
  uint16_t function_api_port = 4566;  // where functions find Virga on their own loopback
};

// Registers every service with deps.cloud, and the identities with the authoriser.
void add_services(kernel::Deps& deps, sandbox::Sandboxes& sandboxes, const ServiceOptions& options);

// Their models, for listing what is served without starting anything.
std::vector<const wire::ServiceModel*> service_models();

}  // namespace virga::app
