#pragma once

#include <memory>

#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::s3 {

std::unique_ptr<kernel::Service> make_s3(kernel::Deps& deps);

}  // namespace virga::s3
