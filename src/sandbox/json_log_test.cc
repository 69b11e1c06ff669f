// Which events and lines a log of a level keeps. The table is AWS's, of the pages about log levels.
#include "sandbox/json_log.h"

#include <gtest/gtest.h>

namespace virga::sandbox {
namespace {

TEST(JsonLog, EventsHaveAWSsLevels) {
  struct Case {
    std::string_view type, record;
    LogLevel level;
  };
  for (const Case& one : std::initializer_list<Case>{
           {"platform.initStart", R"({"runtimeVersion":"python:3.12"})", LogLevel::kInfo},
           {"platform.initStart", "{}", LogLevel::kDebug},
           {"platform.initRuntimeDone", R"({"status":"success"})", LogLevel::kDebug},
           {"platform.initRuntimeDone", R"({"status":"error"})", LogLevel::kWarn},
           {"platform.initReport", R"({"status":"success","initializationType":"on-demand"})", LogLevel::kDebug},
           {"platform.initReport", R"({"status":"success","initializationType":"snap-start"})", LogLevel::kInfo},
           {"platform.initReport", R"({"status":"timeout","initializationType":"on-demand"})", LogLevel::kWarn},
           {"platform.restoreStart", R"({"runtimeVersion":"java:21"})", LogLevel::kInfo},
           {"platform.restoreRuntimeDone", R"({"status":"success"})", LogLevel::kDebug},
           {"platform.restoreReport", R"({"status":"success"})", LogLevel::kInfo},
           {"platform.restoreReport", R"({"status":"error"})", LogLevel::kWarn},
           {"platform.start", "{}", LogLevel::kInfo},
           {"platform.runtimeDone", R"({"status":"success"})", LogLevel::kDebug},
           {"platform.runtimeDone", R"({"status":"timeout"})", LogLevel::kWarn},
           {"platform.report", R"({"status":"success"})", LogLevel::kInfo},
           {"platform.report", R"({"status":"error"})", LogLevel::kWarn},
           {"platform.extension", R"({"state":"Ready"})", LogLevel::kInfo},
           {"platform.extension", R"({"state":"LaunchError","errorType":"PermissionDenied"})", LogLevel::kWarn},
           {"platform.telemetrySubscription", "{}", LogLevel::kInfo},
           {"platform.logsDropped", "{}", LogLevel::kWarn}}) {
    EXPECT_EQ(level_of_event(one.type, Json::parse(one.record)), one.level) << one.type << one.record;
  }
}

TEST(JsonLog, LinesHaveTheLevelTheySay) {
  EXPECT_EQ(level_of_line(R"({"level":"debug","msg":"m"})"), LogLevel::kDebug);
  EXPECT_EQ(level_of_line(R"( {"msg":"m", "level": "ERROR"} )"), LogLevel::kError);
  EXPECT_EQ(level_of_line(R"({"level":"CRITICAL"})"), LogLevel::kFatal);
  for (const std::string_view other :
       {"", "plain", R"("level")", R"({"level":"loud"})", R"({"level":3})", R"({"level":"ERROR")",
        R"(["level","ERROR"])", R"({"inner":{"level":"ERROR"}})", "{\"level\":\"ERROR\",\"x\":\"\xff\"}"}) {
    EXPECT_EQ(level_of_line(other), LogLevel::kInfo) << other;
  }
}

}  // namespace
}  // namespace virga::sandbox
