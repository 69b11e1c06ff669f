// Ruby functions through the whole of it: launcher, jail, bootstrap, channel.
#include <gtest/gtest.h>

#include "base/json.h"
#include "sandbox/testing.h"

namespace virga::sandbox {
namespace {

using namespace testing;

Spec ruby(const std::string& code, const std::string& handler = "app.handler") {
  Spec spec = testing::python(code, handler);
  spec.runtime = "ruby3.3";
  return spec;
}

class Ruby : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::sandboxes().runtime("ruby3.3").available) GTEST_SKIP() << "this machine has no Ruby";
  }
};

TEST_F(Ruby, AnswersWithWhatTheHandlerReturns) {
  Folder code;
  code.write(
      "app.rb",
      "def handler(event:, context:)\n  puts 'seen'\n"
      "  { got: event['a'], left: context.get_remaining_time_in_millis > 0, env: ENV['LAMBDA_TASK_ROOT'] }\nend\n");
  Log log;
  const Outcome out = invoke(ruby(code.path()), log, R"({"a":[1,"é"]})");
  EXPECT_EQ(out.status, Status::kOk) << out.payload << log.text();
  EXPECT_EQ(out.payload, R"({"got":[1,"é"],"left":true,"env":"/var/task"})");
  EXPECT_EQ(log.text(), "seen\n");
}

TEST_F(Ruby, LogsAsTextAndAsObjects) {
  Folder code;
  code.write("app.rb",
             "require 'logger'\n"
             "def handler(event:, context:)\n"
             "  log = Logger.new($stdout, progname: 'mine')\n"
             "  log.debug('quiet')\n"
             "  begin\n    raise ArgumentError, 'no luck'\n  rescue StandardError => e\n    log.error(e)\n  end\n"
             "  raise 'at last' if event['raise']\n  1\nend\n");
  Log text, objects;
  EXPECT_EQ(invoke(ruby(code.path()), text, "{}").payload, "1") << text.text();
  ASSERT_EQ(text.lines.size(), 2u) << text.text();
  EXPECT_TRUE(text.lines[0].starts_with("D, [") && text.lines[0].ends_with(" -- mine: quiet")) << text.text();
  Spec spec = ruby(code.path());
  spec.json_log.emplace().system = LogLevel::kFatal;
  spec.environment.emplace_back("AWS_LAMBDA_LOG_FORMAT", "JSON");
  EXPECT_EQ(invoke(spec, objects, R"({"raise":1})").status, Status::kError);
  ASSERT_EQ(objects.lines.size(), 2u) << objects.text();
  const Json error = Json::parse(objects.lines[0]), last = Json::parse(objects.lines[1]);
  EXPECT_EQ(error.string_or("level"), "ERROR");
  EXPECT_EQ(error.string_or("message"), "no luck");
  EXPECT_EQ(error.string_or("logger"), "mine");
  EXPECT_EQ(error.string_or("errorType"), "ArgumentError");
  EXPECT_EQ(error.string_or("location"), "/var/task/app.rb:handler:6");
  EXPECT_EQ(last.string_or("errorMessage"), "at last");
  EXPECT_EQ(last.string_or("level"), "ERROR");
}

TEST_F(Ruby, CallsAMethodOfAClass) {
  Folder code;
  code.write("app.rb", "module Work\n  def self.process(event:, context:)\n    event['n'] + 1\n  end\nend\n");
  Log log;
  EXPECT_EQ(invoke(ruby(code.path(), "app.Work.process"), log, R"({"n":41})").payload, "42") << log.text();
}

TEST_F(Ruby, TellsAnExceptionAndGoesOn) {
  Folder code;
  code.write("app.rb",
             "def handler(event:, context:)\n  raise ArgumentError, 'no luck' unless event['ok']\n  1\nend\n");
  Log log;
  const Outcome out = invoke(ruby(code.path()), log, "{}");
  EXPECT_EQ(out.status, Status::kError);
  const Json document = Json::parse(out.payload);
  EXPECT_EQ(document.string_or("errorType"), "Function<ArgumentError>");
  EXPECT_EQ(document.string_or("errorMessage"), "no luck");
  EXPECT_EQ(document.find("stackTrace")->as_array().at(0).as_string(), "/var/task/app.rb:2:in `handler'");
  EXPECT_TRUE(out.reusable);
}

TEST_F(Ruby, TellsAMissingFile) {
  Folder code;
  Log log;
  const Outcome out = invoke(ruby(code.path()), log);
  EXPECT_EQ(out.status, Status::kInitError);
  EXPECT_EQ(Json::parse(out.payload).string_or("errorType"), "Init<LoadError>");
}

}  // namespace
}  // namespace virga::sandbox
