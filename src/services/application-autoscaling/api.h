#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/task.h"
#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::applicationautoscaling {

// The share of a function's provisioned concurrency that is in use now; nothing when it has none.
using ProvisionedUse = std::function<Task<std::optional<double>>(std::string account, std::string region,
                                                                 std::string function, std::string qualifier)>;

std::unique_ptr<kernel::Service> make_applicationautoscaling(kernel::Deps& deps, ProvisionedUse use);

}  // namespace virga::applicationautoscaling
