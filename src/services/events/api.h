#pragma once

#include <memory>

#include "kernel/audit.h"
#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::events {

std::unique_ptr<kernel::Service> make_events(kernel::Deps& deps);
// Who is to be told of management calls, so that rules can have them. Of what make_events made.
kernel::AuditListener& trail_of(kernel::Service& events);

}  // namespace virga::events
