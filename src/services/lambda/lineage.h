// Which functions an event has been through, as the trace header carries it from call to call: how a loop of functions,
// queues and topics is noticed. docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
#pragma once

#include <string>
#include <string_view>

#include "base/time.h"

namespace virga::lambda {

// Runs of one function for one event after which the next is a loop.
inline constexpr int kMostRuns = 16;

// How often the event of `trace` has been through the function.
int runs_before(std::string_view trace, std::string_view function_arn);
// The trace header of an event that comes with none.
std::string begun_trace(Time now);
// The trace header that the function is given: `trace`, or a new one, having been through the function once more.
std::string trace_through(std::string_view trace, std::string_view function_arn, Time now);

}  // namespace virga::lambda
