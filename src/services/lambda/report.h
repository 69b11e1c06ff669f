// The events of a function's log that tell what its instances took, as Lambda's developer guide shows them. Times are
// milliseconds with two digits; billed times are whole milliseconds, rounded up.
#pragma once

#include <string>
#include <string_view>

#include "sandbox/sandbox.h"

namespace virga::lambda {

// After an invocation; `memory`: the version's size in MB; `error_type`: empty unless the invocation failed.
std::string report_line(std::string_view request_id, int64_t memory, const sandbox::Outcome& outcome,
                        std::string_view error_type);

// An instance's first, and that of its restoration; `phase`: "INIT" or "RESTORE"; `version`: "python3.11.2".
std::string phase_start_line(std::string_view phase, std::string_view version, std::string_view arn);
// After the initialisation of a snapshot, and after its restoration.
std::string init_report_line(const sandbox::Outcome& outcome);
std::string restore_report_line(const sandbox::Outcome& outcome);

}  // namespace virga::lambda
