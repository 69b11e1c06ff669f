#pragma once

#include <memory>

#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::events {

std::unique_ptr<kernel::Service> make_events(kernel::Deps& deps);

}  // namespace virga::events
