// The events of a function's log that tell what its instances took, as Lambda's developer guide shows them. Times are
// milliseconds with two digits; billed times are whole milliseconds, rounded up.
#pragma once

#include <string>
#include <string_view>

#include "sandbox/sandbox.h"

namespace virga::lambda {

// After an invocation; `memory`: the version's size in MB.
std::string report_line(std::string_view request_id, int64_t memory, const sandbox::Outcome& outcome);

// An instance's first, and that of its restoration; `phase`: "INIT" or "RESTORE"; `version`: "python3.11.2".
std::string phase_start_line(std::string_view phase, std::string_view version, std::string_view arn);
// After an initialisation that failed, or was for no call; after the restoration of a snapshot.
std::string init_report_line(const sandbox::Outcome& outcome, std::chrono::microseconds duration,
                             sandbox::InitPhase phase);
std::string restore_report_line(const sandbox::Outcome& outcome);

}  // namespace virga::lambda
