#pragma once

#include <memory>

#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::logs {

std::unique_ptr<kernel::Service> make_logs(kernel::Deps& deps);

}  // namespace virga::logs
