#pragma once

#include <memory>

#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::cloudwatch {

std::unique_ptr<kernel::Service> make_cloudwatch(kernel::Deps& deps);

}  // namespace virga::cloudwatch
