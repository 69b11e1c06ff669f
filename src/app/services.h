#pragma once

#include <vector>

#include "kernel/deps.h"
#include "sandbox/sandbox.h"
#include "services/iam/api.h"
#include "services/lambda/api.h"
#include "wire/shape.h"

namespace virga::app {

struct ServiceOptions {
  iam::Options iam;
  lambda::Options functions;
};

// Registers every service with deps.cloud, and the identities with the authoriser.
void add_services(kernel::Deps& deps, sandbox::Sandboxes& sandboxes, const ServiceOptions& options);

// Their models, for listing what is served without starting anything.
std::vector<const wire::ServiceModel*> service_models();

}  // namespace virga::app
