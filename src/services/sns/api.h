#pragma once

#include <memory>
#include <vector>

#include "base/executor.h"
#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::sqs {
class Post;
}

namespace virga::sns {

// A topic's queues are written to on all of `executors`; without any, where the message was published.
std::unique_ptr<kernel::Service> make_sns(kernel::Deps& deps, sqs::Post& post, std::vector<Executor*> executors = {});

}  // namespace virga::sns
