#pragma once

#include <memory>

#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::scheduler {

std::unique_ptr<kernel::Service> make_scheduler(kernel::Deps& deps);

}  // namespace virga::scheduler
