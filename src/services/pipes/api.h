#pragma once

#include <memory>

#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::pipes {

std::unique_ptr<kernel::Service> make_pipes(kernel::Deps& deps);

}  // namespace virga::pipes
