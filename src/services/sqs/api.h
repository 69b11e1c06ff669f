#pragma once

#include <memory>

#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::sqs {

std::unique_ptr<kernel::Service> make_sqs(kernel::Deps& deps);

}  // namespace virga::sqs
