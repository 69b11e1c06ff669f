#pragma once

#include <memory>

#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::apigatewayv2 {

std::unique_ptr<kernel::Service> make_apigatewayv2(kernel::Deps& deps);

}  // namespace virga::apigatewayv2
