#pragma once

#include <vector>

#include "base/executor.h"
#include "kernel/deps.h"
#include "kernel/elapsed_clock.h"
#include "sandbox/sandbox.h"
#include "services/iam/api.h"
#include "services/lambda/api.h"
#include "wire/shape.h"

namespace virga::app {

struct ServiceOptions {
  iam::Options iam;
  lambda::Options functions;
  const kernel::ElapsedClock* elapsed = nullptr;  // null: nobody puts the clock forward or back
  std::vector<Executor*> executors;               // on which what is much at once may run
};

// Registers every service with deps.cloud, and the identities with the authoriser.
void add_services(kernel::Deps& deps, sandbox::Sandboxes& sandboxes, const ServiceOptions& options);

// Their models, for listing what is served without starting anything.
std::vector<const wire::ServiceModel*> service_models();

}  // namespace virga::app
