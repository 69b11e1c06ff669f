#include "services/lambda/report.h"

#include <gtest/gtest.h>

#include "base/str.h"

namespace virga::lambda {
namespace {

using std::chrono::microseconds;

TEST(ReportTest, TellsWhatAnInvocationTookAndWhatIsBilled) {
  sandbox::Outcome outcome;
  outcome.status = sandbox::Status::kOk;
  outcome.duration = microseconds(1234);
  outcome.max_memory_mb = 40;
  EXPECT_EQ(report_line("id", 128, outcome),
            "REPORT RequestId: id\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t"
            "Max Memory Used: 40 MB\t\n");
  outcome.init_duration = microseconds(100'045);
  EXPECT_EQ(report_line("id", 128, outcome),
            "REPORT RequestId: id\tDuration: 1.23 ms\tBilled Duration: 102 ms\tMemory Size: 128 MB\t"
            "Max Memory Used: 40 MB\tInit Duration: 100.05 ms\t\n");
}

TEST(ReportTest, TellsHowAnInvocationFailed) {
  sandbox::Outcome outcome;
  outcome.status = sandbox::Status::kTimedOut;
  outcome.duration = microseconds(3'000'000);
  EXPECT_TRUE(report_line("id", 128, outcome).ends_with("\tStatus: timeout\n"));
  outcome.status = sandbox::Status::kInitError;
  outcome.fault = "Runtime.ImportModuleError";
  const std::string_view fault = "\tStatus: error\tError Type: Runtime.ImportModuleError\n";
  EXPECT_TRUE(report_line("id", 128, outcome).ends_with(fault));
  EXPECT_EQ(init_report_line(outcome, microseconds(80'494), sandbox::InitPhase::kInvoke),
            cat("INIT_REPORT Init Duration: 80.49 ms\tPhase: invoke", fault));
}

TEST(ReportTest, TellsOfSnapshots) {
  sandbox::Outcome outcome;
  outcome.status = sandbox::Status::kOk;
  outcome.init_duration = microseconds(2000);
  outcome.duration = microseconds(5);
  EXPECT_EQ(init_report_line(outcome, outcome.init_duration, sandbox::InitPhase::kInit),
            "INIT_REPORT Init Duration: 2.00 ms\tPhase: init\n");
  EXPECT_EQ(phase_start_line("INIT", "python3.11.2", "a"),
            "INIT_START Runtime Version: python:3.11.2\tRuntime Version ARN: a\n");
  EXPECT_EQ(phase_start_line("INIT", "provided.al2", "a"),
            "INIT_START Runtime Version: provided:al2\tRuntime Version ARN: a\n");
  EXPECT_EQ(restore_report_line(outcome), "RESTORE_REPORT Restore Duration: 0.01 ms\n");
  outcome.status = sandbox::Status::kTimedOut;
  EXPECT_EQ(init_report_line(outcome, outcome.init_duration, sandbox::InitPhase::kInit),
            "INIT_REPORT Init Duration: 2.00 ms\tPhase: init\tStatus: timeout\n");
  outcome.status = sandbox::Status::kExited;
  EXPECT_EQ(restore_report_line(outcome),
            "RESTORE_REPORT Restore Duration: 0.01 ms\tStatus: error\tError Type: Runtime.ExitError\n");
}

}  // namespace
}  // namespace virga::lambda
