#pragma once

#include <memory>

#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::sqs {
class Post;
}

namespace virga::sns {

std::unique_ptr<kernel::Service> make_sns(kernel::Deps& deps, sqs::Post& post);

}  // namespace virga::sns
