#pragma once

#include <memory>

#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::organizations {

std::unique_ptr<kernel::Service> make_organizations(kernel::Deps& deps);

}  // namespace virga::organizations
