#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/task.h"
#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::sandbox {
class Sandboxes;
}

namespace virga::lambda {

struct Options {
  std::chrono::seconds idle_life{300};         // of an instance that nobody calls
  uint16_t api_port = 4566;                    // where functions find Virga on their own loopback: AWS_ENDPOINT_URL
  uint64_t image_bytes = uint64_t{10} << 30;   // the most that a container image may have, packed and unpacked
  int32_t concurrency = 1000;                  // of an account in a region
  int32_t scaling = 1000;                      // new instances of a function in ten seconds
  uint64_t code_storage = uint64_t{75} << 30;  // bytes of all functions and layers of an account in a region
  std::chrono::seconds snapshot_life{14 * 86'400};  // of a version with SnapStart that nobody calls
};

// Of what make_lambda made: the share of a function's provisioned concurrency that is in use; nothing when it has none.
Task<std::optional<double>> provisioned_use(kernel::Service& lambda, std::string account, std::string region,
                                            std::string function, std::string qualifier);

std::unique_ptr<kernel::Service> make_lambda(kernel::Deps& deps, sandbox::Sandboxes& sandboxes, Options options);

}  // namespace virga::lambda
