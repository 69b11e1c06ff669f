#include "services/lambda/report.h"

#include "base/str.h"

namespace virga::lambda {

namespace {

std::string milliseconds(std::chrono::microseconds time) {
  const int64_t hundredths = (time.count() + 5) / 10;
  const int64_t rest = hundredths % 100;
  return cat(hundredths / 100, ".", rest < 10 ? "0" : "", rest, " ms");
}

// How it ended, when that was badly.
std::string ending(const sandbox::Outcome& outcome) {
  if (outcome.status == sandbox::Status::kTimedOut) return "Status: timeout";
  const std::string_view type = outcome.error_type();
  return type.empty() ? std::string() : cat("Status: error\tError Type: ", type);
}

std::string phase_end(const sandbox::Outcome& outcome) {
  const std::string how = ending(outcome);
  return cat(how.empty() ? "" : "\t", how, "\n");
}

}  // namespace

std::string report_line(std::string_view request_id, int64_t memory, const sandbox::Outcome& outcome) {
  int64_t billed = sandbox::billed_milliseconds(outcome.duration + outcome.init_duration);
  if (outcome.restore_duration) billed += sandbox::billed_milliseconds(*outcome.restore_duration);
  std::string line = cat("REPORT RequestId: ", request_id, "\tDuration: ", milliseconds(outcome.duration),
                         "\tBilled Duration: ", billed, " ms\tMemory Size: ", memory,
                         " MB\tMax Memory Used: ", outcome.max_memory_mb, " MB\t");
  if (outcome.restore_duration) {
    append(line, "Restore Duration: ", milliseconds(*outcome.restore_duration),
           "\tBilled Restore Duration: ", sandbox::billed_milliseconds(*outcome.restore_duration), " ms\t");
  }
  if (outcome.init_duration.count() > 0) append(line, "Init Duration: ", milliseconds(outcome.init_duration), "\t");
  return cat(line, ending(outcome), "\n");
}

std::string phase_start_line(std::string_view phase, std::string_view version, std::string_view arn) {
  return cat(phase, "_START Runtime Version: ", sandbox::runtime_in_words(version), "\tRuntime Version ARN: ", arn,
             "\n");
}

std::string init_report_line(const sandbox::Outcome& outcome, std::chrono::microseconds duration,
                             sandbox::InitPhase phase) {
  return cat("INIT_REPORT Init Duration: ", milliseconds(duration),
             "\tPhase: ", phase == sandbox::InitPhase::kInit ? "init" : "invoke", phase_end(outcome));
}

std::string restore_report_line(const sandbox::Outcome& outcome) {
  return cat("RESTORE_REPORT Restore Duration: ", milliseconds(outcome.duration), phase_end(outcome));
}

}  // namespace virga::lambda
