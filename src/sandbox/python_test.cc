// Python functions through the whole of it: launcher, jail, bootstrap, channel.
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/str.h"
#include "sandbox/testing.h"

namespace virga::sandbox {
namespace {

using namespace testing;

TEST(Python, AnswersWithWhatTheHandlerReturns) {
  Folder code;
  code.write("app.py", "def handler(event, context):\n  return {'got': event, 'id': context.aws_request_id}\n");
  Log log;
  std::vector<Invocation> calls;
  calls.push_back(call(R"({"a":[1,2.5,"é"]})"));
  const std::string id = calls[0].request_id;
  const Outcome out = invoke(python(code.path()), log, std::move(calls));
  EXPECT_EQ(out.status, Status::kOk) << out.payload << log.text();
  EXPECT_EQ(out.payload, cat(R"({"got": {"a": [1, 2.5, "\u00e9"]}, "id": ")", id, "\"}"));
  EXPECT_TRUE(out.reusable);
  EXPECT_GT(out.init_duration.count(), 0);
  EXPECT_GT(out.duration.count(), 0);
  EXPECT_GT(out.max_memory_mb, 2u);
}

// Whether it is imported or found by the bootstrap itself.
TEST(Python, ModulesAreAsImportingMakesThem) {
  constexpr std::string_view kProgram =
      "import sys\nme = sys.modules[__name__]\ndef handler(event, context):\n"
      "  s = __spec__\n  return [__name__, __package__, __file__, __cached__, s.name, s.origin, s.cached, s.parent,\n"
      "          s.has_location, type(__loader__).__name__, __loader__ is s.loader, me is sys.modules['app'], "
      "s._initializing]\n";
  Folder plain, beside, package;
  plain.write("app.py", std::string(kProgram));
  beside.write("app.py", std::string(kProgram)).write("app.txt", "");
  package.write("app.py", "raise Exception('a package comes first')\n")
      .write("app/__init__.py", "def handler(event, context): return __path__\n");
  Log log;
  const Outcome out = invoke(python(plain.path()), log);
  EXPECT_EQ(out.status, Status::kOk) << out.payload;
  EXPECT_EQ(invoke(python(beside.path()), log).payload, out.payload);
  EXPECT_EQ(invoke(python(package.path()), log).payload, R"(["/var/task/app"])");
}

TEST(Python, TellsOfImportsInACircle) {
  Folder code;
  code.write("app.py", "import other\nx = 1\n").write("other.py", "from app import x\n");
  Log log;
  const Outcome out = invoke(python(code.path()), log);
  EXPECT_EQ(out.status, Status::kInitError);
  EXPECT_NE(out.payload.find("partially initialized module 'app' (most likely due to a circular import)"),
            std::string::npos)
      << out.payload;
}

TEST(Python, KeepsItsStateBetweenCalls) {
  Folder code;
  code.write("app.py", "n = 0\ndef handler(event, context):\n  global n\n  n += 1\n  return n\n");
  Log log;
  std::vector<Invocation> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(call("{}"));
  const Outcome out = invoke(python(code.path()), log, std::move(calls));
  EXPECT_EQ(out.payload, "5");
  EXPECT_EQ(out.init_duration.count(), 0);
}

TEST(Python, TellsAnExceptionWithItsTrace) {
  Folder code;
  code.write("app.py", "class Sad(Exception): pass\ndef handler(event, context):\n  raise Sad('no luck')\n");
  Log log;
  const Outcome out = invoke(python(code.path()), log);
  EXPECT_EQ(out.status, Status::kError);
  const Json document = Json::parse(out.payload);
  EXPECT_EQ(document.string_or("errorType"), "Sad");
  EXPECT_EQ(document.string_or("errorMessage"), "no luck");
  EXPECT_EQ(document.find("stackTrace")->as_array().at(0).as_string(),
            "  File \"/var/task/app.py\", line 3, in handler\n    raise Sad('no luck')\n");
  EXPECT_EQ(document.find("stackTrace")->as_array().size(), 1u);
  EXPECT_EQ(log.lines.at(0),
            "[ERROR] Sad: no luck\nTraceback (most recent call last):\n\u00a0\u00a0File \"/var/task/app.py\", line 3, "
            "in handler\n\u00a0\u00a0\u00a0\u00a0raise Sad('no luck')");
  EXPECT_TRUE(out.reusable);
}

TEST(Python, TellsWhyItCannotStart) {
  struct Case {
    std::string code, handler, type, message;
  };
  const Case cases[] = {
      {"import nothing_like_it\n", "app.handler", "Runtime.ImportModuleError",
       "Unable to import module 'app': No module named 'nothing_like_it'"},
      {"x = 1\n", "app.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"},
      {"def f(:\n", "app.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app': "},
      {"x = 1\n", "app", "Runtime.MalformedHandlerName", "Bad handler 'app': "},
      {"1/0\n", "app.handler", "ZeroDivisionError", "division by zero"},
  };
  for (const Case& c : cases) {
    Folder code;
    code.write("app.py", c.code);
    Log log;
    const Outcome out = invoke(python(code.path(), c.handler), log);
    EXPECT_EQ(out.status, Status::kInitError);
    EXPECT_FALSE(out.reusable);
    const Json document = Json::parse(out.payload);
    EXPECT_EQ(document.string_or("errorType"), c.type);
    EXPECT_TRUE(document.string_or("errorMessage").starts_with(c.message)) << out.payload;
    EXPECT_EQ(document.string_or("requestId"), "");
  }
}

TEST(Python, TellsAnAnswerThatIsNoJson) {
  Folder code;
  code.write("app.py", "import datetime\ndef handler(event, context):\n  return datetime.datetime.now()\n");
  Log log;
  const Outcome out = invoke(python(code.path()), log);
  EXPECT_EQ(out.status, Status::kError);
  EXPECT_EQ(Json::parse(out.payload).string_or("errorType"), "Runtime.MarshalError");
  EXPECT_EQ(Json::parse(out.payload).string_or("errorMessage"),
            "Unable to marshal response: Object of type datetime is not JSON serializable");
}

TEST(Python, GoesOnAfterWhatIsNoJson) {
  Folder code;
  code.write("app.py",
             "def handler(event, context):\n  if event == 'circle':\n    event = []\n    event.append(event)\n"
             "  return event\n");
  constexpr std::string_view kCircle = "Unable to marshal response: Circular reference detected";
  const struct {
    std::string event, answer;
  } cases[] = {
      {"\"circle\"", std::string(kCircle)},
      {"\"circle\"", std::string(kCircle)},  // as the one before didn't leave it as that was
      {"\"\\ud800\"", R"("\ud800")"},
      {"", "Unable to unmarshal input: Expecting value: line 1 column 1 (char 0)"},
      {"\xff", "Unable to unmarshal input: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"},
      {" [1]\n", "[1]"},
      {cat("\"", std::string(3'000'000, 'x'), "\""), cat("\"", std::string(3'000'000, 'x'), "\"")}};
  Log log;
  auto done = run([](Spec spec, Log& log, const auto& cases) -> Task<void> {
    const auto instance = co_await sandboxes().start(std::move(spec), log.sink());
    for (const auto& [event, answer] : cases) {
      const Outcome out = co_await instance->invoke(call(event));
      EXPECT_EQ(out.status == Status::kOk ? out.payload : Json::parse(out.payload).string_or("errorMessage"), answer);
    }
  }(python(code.path()), log, cases));
  EXPECT_TRUE(done);
}

TEST(Python, WritesTheLogInOrder) {
  Folder code;
  code.write(
      "app.py",
      "import logging, sys, os\nlog = logging.getLogger()\nlog.setLevel('INFO')\nprint('starting')\n"
      "def handler(event, context):\n  print('one\\ntwo')\n  log.info('three\\nfour')\n  os.system('echo five')\n"
      "  print('six', file=sys.stderr)\n  sys.stdout.write('seven')\n");
  Log log;
  std::vector<std::string> ids;
  std::vector<Invocation> calls;
  calls.push_back(call("{}"));
  const std::string id = calls[0].request_id;
  const Outcome out = invoke(python(code.path()), log, std::move(calls));
  EXPECT_EQ(out.payload, "null");
  ASSERT_GE(log.lines.size(), 6u) << log.text();
  EXPECT_EQ(log.lines[0], "starting\n");
  EXPECT_EQ(log.lines[1], "one\n");
  EXPECT_EQ(log.lines[2], "two\n");
  EXPECT_TRUE(log.lines[3].starts_with("[INFO]\t")) << log.lines[3];
  EXPECT_TRUE(log.lines[3].ends_with(cat("Z\t", id, "\tthree\nfour\n"))) << log.lines[3];
  EXPECT_EQ(log.lines[4], "five\n");
  EXPECT_EQ(log.lines[5], "six\n");
}

TEST(Python, GivesTheContextAwsGives) {
  Folder code;
  code.write(
      "lib/deep/app.py",
      "import os\ndef handler(event, c):\n  r = c.get_remaining_time_in_millis()\n  assert 5000 < r <= 10000, r\n"
      "  return [c.function_name, c.function_version, c.memory_limit_in_mb, c.log_group_name, c.log_stream_name,\n"
      "    c.invoked_function_arn, c.client_context.custom, c.identity.cognito_identity_id, os.environ['_HANDLER'],\n"
      "    os.environ['AWS_EXECUTION_ENV'], os.getcwd(), os.environ.get('_X_AMZN_TRACE_ID'), os.getuid()]\n");
  Log log;
  std::vector<Invocation> calls;
  calls.push_back(call("{}"));
  calls[0].client_context = R"({"custom":{"k":"v"}})";
  calls[0].cognito_identity = R"({"cognitoIdentityId":"me","cognitoIdentityPoolId":"pool"})";
  calls[0].trace = "Root=1-2-3";
  const Outcome out = invoke(python(code.path(), "lib/deep/app.handler"), log, std::move(calls));
  EXPECT_EQ(out.payload,
            R"(["f", "$LATEST", "128", "/aws/lambda/f", "2024/05/01/[$LATEST]x", )"
            R"("arn:aws:lambda:us-east-1:000000000000:function:f", {"k": "v"}, "me", "lib/deep/app.handler", )"
            R"("AWS_Lambda_python3.11", "/var/task", "Root=1-2-3", 993])")
      << log.text();
}

// What it has set or removed itself, too.
TEST(Python, ProgramsOfACallSeeItsTrace) {
  Folder code;
  code.write(
      "app.py",
      "import os, subprocess\ndef handler(event, context):\n"
      "  child = subprocess.run(['printenv', '_X_AMZN_TRACE_ID'], capture_output=True, text=True).stdout.strip()\n"
      "  assert os.environ.get('_X_AMZN_TRACE_ID', '') == child, child\n"
      "  print(child or 'none')\n"
      "  if event == 'remove': del os.environ['_X_AMZN_TRACE_ID']\n"
      "  if event == 'set': os.environ['_X_AMZN_TRACE_ID'] = 'mine'\n");
  Log log;
  std::vector<Invocation> calls;
  std::string expected;
  for (const auto& [event, trace] : std::vector<std::pair<std::string, std::string>>{{"\"\"", "Root=1-2-3"},
                                                                                     {"\"remove\"", "Root=4"},
                                                                                     {"\"set\"", "Root=4"},
                                                                                     {"\"\"", std::string(3000, 'x')},
                                                                                     {"\"\"", ""},
                                                                                     {"\"\"", "Root=5"}}) {
    calls.push_back(call(event));
    calls.back().trace = trace;
    append(expected, trace.empty() ? "none" : trace, "\n");
  }
  EXPECT_EQ(invoke(python(code.path()), log, std::move(calls)).payload, "null");
  EXPECT_EQ(log.text(), expected);
}

TEST(Python, EndsAtItsTimeOut) {
  Folder code;
  code.write("app.py", "import time\ndef handler(event, context):\n  print('before')\n  time.sleep(30)\n");
  Log log;
  std::vector<Invocation> calls;
  calls.push_back(call("{}", Millis{300}));
  const auto begun = std::chrono::steady_clock::now();
  const Outcome out = invoke(python(code.path()), log, std::move(calls));
  EXPECT_EQ(out.status, Status::kTimedOut);
  EXPECT_FALSE(out.reusable);
  EXPECT_EQ(log.text(), "before\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(20));  // it sleeps for 30
}

TEST(Python, TellsOutOfMemoryFromAnExit) {
  Folder hog;
  hog.write("app.py", "def handler(event, context):\n  x = []\n  while True: x.append(bytearray(1 << 20))\n");
  Log log;
  Outcome out = invoke(python(hog.path()), log);
  if (testing::enforced("memory limit")) {
    EXPECT_EQ(out.status, Status::kOutOfMemory) << out.payload << out.exit;
    EXPECT_GE(out.max_memory_mb, 120u);
  } else {
    EXPECT_EQ(out.status, Status::kError);
    EXPECT_EQ(Json::parse(out.payload).string_or("errorType"), "MemoryError");
  }

  Folder quitter;
  quitter.write("app.py", "import sys\ndef handler(event, context):\n  sys.exit(3)\n");
  std::vector<Invocation> calls;
  calls.push_back(call("{}"));
  const std::string id = calls[0].request_id;
  out = invoke(python(quitter.path()), log, std::move(calls));
  EXPECT_EQ(out.status, Status::kExited);
  EXPECT_EQ(out.exit, "exit status 3");
  EXPECT_EQ(Json::parse(out.payload).string_or("errorMessage"),
            cat("RequestId: ", id, " Error: Runtime exited with error: exit status 3"));

  Folder crasher;
  crasher.write("app.py", "import os\ndef handler(event, context):\n  os.abort()\n");
  out = invoke(python(crasher.path()), log);
  EXPECT_EQ(out.status, Status::kExited);
  EXPECT_EQ(out.exit, "signal: aborted");
}

TEST(Python, RefusesAnAnswerThatIsTooLarge) {
  Folder code;
  code.write("app.py", "def handler(event, context):\n  return 'x' * event\n");
  Log log;
  std::vector<Invocation> calls;
  calls.push_back(call("6291554"));
  Outcome out = invoke(python(code.path()), log, std::move(calls));
  EXPECT_EQ(out.status, Status::kOk);
  EXPECT_EQ(out.payload.size(), 6291556u);
  for (const char* size : {"6291600", "20000000"}) {
    std::vector<Invocation> more;
    more.push_back(call(size));
    out = invoke(python(code.path()), log, std::move(more));
    EXPECT_EQ(out.status, Status::kError);
    EXPECT_EQ(Json::parse(out.payload).string_or("errorType"), "Function.ResponseSizeTooLarge");
    EXPECT_TRUE(out.reusable);
  }
}

TEST(Python, TakesALargeEvent) {
  Folder code;
  code.write("app.py", "def handler(event, context):\n  return len(event)\n");
  Log log;
  EXPECT_EQ(invoke(python(code.path()), log, cat("\"", std::string(6'000'000, 'x'), "\"")).payload, "6000000");
}

TEST(Python, FindsLayersInTheirOrder) {
  Folder code, first, second;
  code.write("app.py",
             "import shared, os\ndef handler(event, context):\n  return [shared.who, sorted(os.listdir('/opt'))]\n");
  first.write("python/shared.py", "who = 'first'\n").write("a.txt", "");
  second.write("python/shared.py", "who = 'second'\n").write("b.txt", "");
  Spec spec = python(code.path());
  spec.layer_directories = {first.path(), second.path()};
  Log log;
  EXPECT_EQ(invoke(spec, log).payload, R"(["second", ["a.txt", "b.txt", "python"]])") << log.text();
  spec.layer_directories = {first.path()};
  EXPECT_EQ(invoke(spec, log).payload, R"(["first", ["a.txt", "python"]])") << log.text();
}

TEST(Python, StartsAfreshWhenTheEnvironmentAsksForIt) {
  Folder code;
  code.write("app.py",
             "import os, sys\ndef handler(event, context):\n  return [sys.flags.optimize, os.environ['X']]\n");
  Spec spec = python(code.path());
  spec.environment.emplace_back("PYTHONOPTIMIZE", "1");
  spec.environment.emplace_back("X", "y");
  Log log;
  EXPECT_EQ(invoke(spec, log).payload, R"([1, "y"])") << log.text();
}

}  // namespace
}  // namespace virga::sandbox
