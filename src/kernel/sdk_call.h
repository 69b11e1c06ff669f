// Any served operation by its name in the SDKs, with an input of JSON: what universal targets of schedules (and SDK
// integrations of state machines) call. Authorised, metered and audited as every other call.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "kernel/cloud.h"

namespace virga::kernel {

// The operation that `service` ("sqs", "eventbridge", "cloudwatchlogs") and `action` ("sendMessage") name; null when
// none of that name is served.
const Operation* find_sdk_operation(const Cloud& cloud, std::string_view service, std::string_view action);

// Calls it as ctx.principal and answers its output as JSON. Text for binary members is taken as it is. Fails with
// ValidationException when the input doesn't fit.
Task<Json> sdk_call(Cloud& cloud, Ctx& ctx, const Operation& operation, Json input);

}  // namespace virga::kernel
