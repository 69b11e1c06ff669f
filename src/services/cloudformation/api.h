#pragma once

#include <memory>

#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::cloudformation {

std::unique_ptr<kernel::Service> make_cloudformation(kernel::Deps& deps);

}  // namespace virga::cloudformation
