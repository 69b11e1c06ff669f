// STS: temporary credentials. AssumeRole is how every service gets a role's session, by the typed call, as itself.
#pragma once

#include <memory>

#include "kernel/deps.h"
#include "kernel/service.h"
#include "services/iam/api.h"

namespace virga::sts {

std::unique_ptr<kernel::Service> make_sts(kernel::Deps& deps, iam::Directory& directory);

}  // namespace virga::sts
