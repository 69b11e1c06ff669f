// Extensions of an instance, external and internal, through the real jail; and the rules of subscribing, alone.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"
#include "base/str.h"
#include "sandbox/telemetry.h"
#include "sandbox/testing.h"

namespace virga::sandbox {
namespace {

using namespace testing;

// What every extension and internal one of these tests starts with.
constexpr std::string_view kApi =
    "import os, http.client, json, sys, time, threading, signal\n"
    "API = os.environ['AWS_LAMBDA_RUNTIME_API']\n"
    "def ask(method, path, headers={}, body=None):\n"
    "  c = http.client.HTTPConnection(API)\n"
    "  c.request(method, path, body, headers)\n"
    "  r = c.getresponse()\n"
    "  return r.status, dict(r.getheaders()), json.loads(r.read() or b'null')\n"
    "def register(name, events, **headers):\n"
    "  return ask('POST', '/2020-01-01/extension/register', {'Lambda-Extension-Name': name, **headers},\n"
    "    json.dumps({'events': events}))\n"
    "def next(me):\n"
    "  return ask('GET', '/2020-01-01/extension/event/next', {'Lambda-Extension-Identifier': me})\n";

std::string extension(const std::string& body, const std::string& events = "['INVOKE', 'SHUTDOWN']") {
  return cat("#!/usr/bin/python3 -u\n", kApi,
             "name = os.path.basename(sys.argv[0])\nstatus, headers, told = register(name, ", events,
             ")\nme = headers.get('Lambda-Extension-Identifier')\n", body);
}

// Runs `body` with an instance, then ends it and waits for its extensions.
template <class F>
void with_instance(Spec spec, Log& log, F body) {
  auto done = run([](Spec spec, Log& log, F body) -> Task<void> {
    auto instance = co_await sandboxes().start(std::move(spec), log.sink());
    co_await body(*instance);
    instance.reset();
    co_await sandboxes().settle();
  }(std::move(spec), log, std::move(body)));
  EXPECT_TRUE(done) << (done ? "" : describe(done.error()));
}

// The whole of an invocation, when extensions outlast its answer.
Task<Outcome> to_its_end(Instance& instance, Invocation in) {
  Outcome out = co_await instance.invoke(std::move(in));
  if (!out.ended) co_return out;
  co_await out.ended->wait();
  Outcome end = std::move(*out.ending);
  end.payload = out.payload;
  co_return end;
}

struct Attended {
  Folder code, layer;
  Spec spec;
  explicit Attended(const std::string& extension_text, const std::string& function = "def handler(e, c): return e\n") {
    code.write("app.py", function);
    if (!extension_text.empty()) layer.write("extensions/one", extension_text, 0755);
    spec = python(code.path());
    spec.layer_directories = {layer.path()};
    spec.account = "000000000000";
  }
};

TEST(Extensions, HearOfInvocationsAndTheEnd) {
  Attended with(extension("print('told', json.dumps(told), status)\n"
                          "while True:\n"
                          "  status, h, event = next(me)\n"
                          "  print('event', json.dumps(event))\n"
                          "  if event['eventType'] == 'SHUTDOWN': print('env', '_HANDLER' in os.environ, "
                          "os.environ['AWS_LAMBDA_FUNCTION_NAME']); break\n"),
                "import signal, sys\n"
                "def end(*a):\n  print('terminated')\n  sys.exit(0)\n"
                "signal.signal(signal.SIGTERM, end)\n"
                "def handler(e, c): return c.aws_request_id\n");
  Log log;
  std::vector<std::string> ids;
  with_instance(with.spec, log, [&](Instance& instance) -> Task<void> {
    for (int i = 0; i < 2; ++i) {
      Invocation in = call("{}");
      in.trace = "Root=1-2";
      ids.push_back(in.request_id);
      const Outcome out = co_await to_its_end(instance, std::move(in));
      EXPECT_EQ(out.status, Status::kOk) << out.payload << log.text();
      EXPECT_EQ(out.payload, cat("\"", ids.back(), "\""));
      EXPECT_TRUE(out.reusable);
    }
  });
  std::vector<Json> events;
  size_t terminated = 0, shutdown = 0, at = 0;
  for (const std::string& line : log.lines) {
    ++at;
    if (line == "terminated\n") terminated = at;
    if (!line.starts_with("event ")) continue;
    events.push_back(Json::parse(line.substr(6)));
    if (events.back().string_or("eventType") == "SHUTDOWN") shutdown = at;
  }
  ASSERT_EQ(events.size(), 3u) << log.text();
  EXPECT_EQ(events[0].string_or("eventType"), "INVOKE");
  EXPECT_EQ(events[0].string_or("requestId"), ids[0]);
  EXPECT_EQ(events[1].string_or("requestId"), ids[1]);
  EXPECT_EQ(events[0].string_or("invokedFunctionArn"), "arn:aws:lambda:us-east-1:000000000000:function:f");
  EXPECT_EQ(events[0].find("tracing")->string_or("value"), "Root=1-2");
  EXPECT_TRUE(events[0].find("deadlineMs")->is_int());
  EXPECT_EQ(events[2].string_or("shutdownReason"), "spindown");
  EXPECT_TRUE(terminated && terminated < shutdown) << log.text();
  const std::string text = log.text();
  EXPECT_NE(text.find(R"(told {"functionName": "f", "functionVersion": "$LATEST", "handler": "app.handler"} 200)"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("env False f"), std::string::npos) << text;
  EXPECT_NE(text.find("EXTENSION\tName: one\tState: Ready\tEvents: [INVOKE, SHUTDOWN]"), std::string::npos) << text;
}

// The answer does not wait for the extension; the next invocation does.
TEST(Extensions, OutlastTheAnswer) {
  Attended with(extension("next(me)\nwhile not os.path.exists('/tmp/go'): time.sleep(0.01)\nprint('done')\n"
                          "while next(me)[2]['eventType'] != 'SHUTDOWN': pass\n"),
                "def handler(e, c):\n  if e.get('go'): open('/tmp/go', 'w')\n  return 1\n");
  Log log;
  with_instance(with.spec, log, [&](Instance& instance) -> Task<void> {
    Outcome out = co_await instance.invoke(call("{\"go\":1}"));
    EXPECT_EQ(out.payload, "1") << log.text();
    if (out.ended) co_await out.ended->wait();
    EXPECT_NE(log.text().find("done"), std::string::npos);
    out = co_await instance.invoke(call("{}"));
    EXPECT_EQ(out.payload, "1");
  });
  Attended never(extension("next(me)\ntime.sleep(30)\n"));
  with_instance(never.spec, log, [&](Instance& instance) -> Task<void> {
    const Outcome out = co_await instance.invoke(call("{}", Millis{500}));
    EXPECT_EQ(out.status, Status::kOk) << out.payload;
    EXPECT_TRUE(out.ended);
    if (!out.ended) co_return;
    co_await out.ended->wait();
    EXPECT_EQ(out.ending->status, Status::kTimedOut);
    EXPECT_FALSE(out.ending->reusable);
  });
}

TEST(Extensions, TellWhyTheInstanceEnds) {
  const std::string tells = extension(
      "while True:\n  e = next(me)[2]\n  if e['eventType'] == 'SHUTDOWN': print('reason', e['shutdownReason']); "
      "break\n");
  struct Case {
    const char* function;
    Status status;
    const char* reason;
  };
  for (const Case& c : {Case{"import time\ndef handler(e, c): time.sleep(30)\n", Status::kTimedOut, "reason timeout"},
                        Case{"import os\ndef handler(e, c): os._exit(3)\n", Status::kExited, "reason failure"}}) {
    Attended with(tells, c.function);
    Log log;
    with_instance(with.spec, log, [&](Instance& instance) -> Task<void> {
      const Outcome out = co_await to_its_end(instance, call("{}", Millis{700}));
      EXPECT_EQ(out.status, c.status) << out.payload;
      EXPECT_FALSE(out.reusable);
    });
    EXPECT_NE(log.text().find(c.reason), std::string::npos) << log.text();
  }
}

TEST(Extensions, ThatFailFailTheInstance) {
  struct Case {
    std::string text;
    int mode;
    const char* type;
    const char* message;
    Status status = Status::kInitError;
  };
  const std::string report =
      "ask('POST', '/2020-01-01/extension/%s', {'Lambda-Extension-Identifier': me,\n"
      "  'Lambda-Extension-Function-Error-Type': 'Mine.Bad'}, '{}')\nsys.exit(5)\n";
  const auto reporting = [&](std::string_view path) { return replace_all(report, "%s", path); };
  for (const Case& c :
       {Case{"#!/bin/sh\nexit 3\n", 0755, "Extension.Crash", "exit status 3"},
        Case{extension("sys.exit(0)\n"), 0755, "Extension.Crash", "exit code 0"},
        Case{extension(reporting("init/error")), 0755, "Extension.InitError", "exit status 5"},
        Case{extension(reporting("exit/error")), 0755, "Extension.ExitError", "exit status 5"},
        Case{"#!/bin/sh\n", 0644, "Extension.LaunchError", "fork/exec /opt/extensions/one: permission denied"},
        Case{extension("next(me)\nsys.exit(4)\n"), 0755, "Extension.Crash", "exit status 4", Status::kExtension}}) {
    Attended with("", "import time\ndef handler(e, c): time.sleep(20)\n");
    with.layer.write("extensions/one", c.text, c.mode);
    Log log;
    with_instance(with.spec, log, [&](Instance& instance) -> Task<void> {
      Invocation in = call("{}");
      const std::string id = in.request_id;
      const Outcome out = co_await to_its_end(instance, std::move(in));
      EXPECT_EQ(out.status, c.status) << c.type << log.text();
      const Json document = Json::parse(out.payload);
      EXPECT_EQ(document.string_or("errorType"), c.type);
      EXPECT_EQ(document.string_or("errorMessage"), cat("RequestId: ", id, " Error: ", c.message));
      EXPECT_FALSE(instance.alive());
    });
  }
}

TEST(Extensions, AreTenAtMost) {
  Attended with("");
  for (int i = 0; i < 11; ++i) with.layer.write(cat("extensions/e", i), "#!/bin/sh\n", 0755);
  with.layer.write("extensions/folder/none", "");
  Log log;
  with_instance(with.spec, log, [&](Instance& instance) -> Task<void> {
    const Outcome out = co_await instance.invoke(call("{}"));
    EXPECT_EQ(out.status, Status::kInitError);
    EXPECT_EQ(Json::parse(out.payload).string_or("errorType"), "Extension.LaunchError");
  });
}

// What ignores every signal and event ends all the same, within its time.
TEST(Extensions, EndWhenTheirTimeIsOver) {
  Attended with(extension("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nnext(me)\nprint(next(me)[2]['eventType'])\n"
                          "while True: time.sleep(1)\n"),
                "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef handler(e, c): return 1\n");
  Log log;
  const auto begun = std::chrono::steady_clock::now();
  with_instance(with.spec, log, [&](Instance& instance) -> Task<void> {
    EXPECT_EQ((co_await to_its_end(instance, call("{}"))).payload, "1") << log.text();
  });
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(2000));
  EXPECT_NE(log.text().find("SHUTDOWN"), std::string::npos) << log.text();
}

TEST(Extensions, RegisterFromInsideTheRuntimeToo) {
  Folder code;
  // Each that registered asks for its first event, or the initialisation would not end.
  code.write("app.py",
             cat(kApi,
                 "seen = []\n"
                 "s, h, told = register('inner', ['INVOKE'], **{'Lambda-Extension-Accept-Feature': 'accountId'})\n"
                 "refused = [register('other', ['SHUTDOWN'])[2], register('inner', [])[2], register('', [])[2]]\n"
                 "mine = [h['Lambda-Extension-Identifier']]\n"
                 "for i in range(10):\n  s, h, last = register('n%d' % i, [])\n"
                 "  if s == 200: mine.append(h['Lambda-Extension-Identifier'])\n"
                 "refused.append(last)\n"
                 "def loop(me):\n  while True: seen.append(next(me)[2]['eventType'])\n"
                 "for me in mine: threading.Thread(target=loop, args=(me,), daemon=True).start()\n"
                 "signal.signal(signal.SIGTERM, lambda *a: (print('terminated', flush=True), os._exit(0)))\n"
                 "def handler(e, c):\n"
                 "  while not seen: time.sleep(0.01)\n"
                 "  late = register('late', ['INVOKE'])[2]\n"
                 "  return [told, seen, [r['errorType'] for r in refused + [late]]]\n"));
  Spec spec = python(code.path());
  spec.account = "000000000000";
  Log log;
  with_instance(spec, log, [&](Instance& instance) -> Task<void> {
    const Outcome out = co_await to_its_end(instance, call("{}"));
    EXPECT_EQ(out.payload,
              R"([{"functionName": "f", "functionVersion": "$LATEST", "handler": "app.handler", "accountId": )"
              R"("000000000000"}, ["INVOKE"], ["Extension.InvalidEventType", "Extension.InvalidExtensionState", )"
              R"("Extension.InvalidExtensionName", "Extension.TooManyExtensions", "Extension.RegistrationClosed"]])")
        << log.text();
  });
  EXPECT_NE(log.text().find("terminated"), std::string::npos) << log.text();
}

TEST(Extensions, GetAwsErrorsForWhatIsWrong) {
  Folder code;
  code.write(
      "app.py",
      cat(kApi,
          "N = '/2020-01-01/extension/event/next'\nI = 'Lambda-Extension-Identifier'\n"
          "U = '11111111-2222-3333-4444-555555555555'\n"
          "def handler(e, c):\n"
          "  T = '/2022-07-01/telemetry'\n"
          "  return [[s, (b or {}).get('errorType')] for s, h, b in [\n"
          "    ask('GET', N), ask('GET', N, {I: 'x'}), ask('GET', N, {I: U}), ask('PUT', T, {I: U}, '{}'),\n"
          "    ask('POST', '/2020-01-01/extension/init/error', {I: U}),\n"
          "    ask('POST', '/2020-01-01/extension/register', {'Lambda-Extension-Name': 'x'}, '{nonsense'),\n"
          "    ask('POST', '/2020-01-01/extension/register', {'Lambda-Extension-Name': 'x'}, 'x' * 300000)]]\n"));
  Log log;
  with_instance(python(code.path()), log, [&](Instance& instance) -> Task<void> {
    const Outcome out = co_await to_its_end(instance, call("{}"));
    EXPECT_EQ(out.payload,
              R"([[403, "Extension.MissingExtensionIdentifier"], [403, "Extension.InvalidExtensionIdentifier"], )"
              R"([403, "Extension.UnknownExtensionIdentifier"], [403, "Extension.UnknownExtensionIdentifier"], )"
              R"([403, "Extension.UnknownExtensionIdentifier"], [403, "InvalidRequestFormat"], )"
              R"([403, "InvalidRequestFormat"]])")
        << log.text();
    EXPECT_FALSE(out.ended);  // nothing has registered
  });
}

// A listener for telemetry in an extension: serves, subscribes, and prints every event it got.
std::string subscriber(const std::string& api, const std::string& schema, const std::string& destination,
                       const std::string& server) {
  return extension(cat(
      "import http.server, socketserver, socket\n"
      "def show(e):\n  if e['type'] != 'extension': sys.stderr.write('GOT ' + json.dumps(e) + '\\n')\n",
      server, "S = ask('PUT', '", api, "', {'Lambda-Extension-Identifier': me}, json.dumps({'schemaVersion': '", schema,
      "',\n  'types': ['platform', 'function', 'extension'], 'buffering': {'timeoutMs': 25},\n"
      "  'destination': ",
      destination, "}))\nprint('subscribed', S[0], S[2])\n",
      "while next(me)[2]['eventType'] != 'SHUTDOWN': pass\ntime.sleep(0.2)\n"));
}

const std::string kHttpServer =
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "  def do_POST(self):\n"
    "    for e in json.loads(self.rfile.read(int(self.headers['Content-Length']))): show(e)\n"
    "    self.send_response(200)\n    self.end_headers()\n"
    "  def log_message(self, *a): pass\n"
    "server = http.server.HTTPServer(('sandbox.localdomain', 8123), H)\n"
    "threading.Thread(target=server.serve_forever, daemon=True).start()\n";
const std::string kTcpServer =
    "L = socket.create_server(('', 8124))\n"
    "def take():\n  for line in L.accept()[0].makefile(): show(json.loads(line))\n"
    "threading.Thread(target=take, daemon=True).start()\n";

std::vector<Json> events_of(const Log& log) {
  std::vector<Json> out;
  for (const std::string& line : log.lines) {
    if (line.starts_with("GOT ")) out.push_back(Json::parse(line.substr(4)));
  }
  return out;
}

std::vector<std::string> types_of(const std::vector<Json>& events) {
  std::vector<std::string> out;
  for (const Json& event : events) out.push_back(event.string_or("type"));
  return out;
}

TEST(Telemetry, TellsOfEachStep) {
  Attended with(subscriber("/2022-07-01/telemetry", "2022-12-13",
                           "{'protocol': 'HTTP', 'URI': 'http://sandbox.localdomain:8123/x'}", kHttpServer),
                "import os\nprint('at start')\ndef handler(e, c):\n  os.write(1, b'in \\xffcall\\xc3\\xa9\\n')\n  "
                "return 12345\n");
  Log log;
  std::string id;
  with_instance(with.spec, log, [&](Instance& instance) -> Task<void> {
    Invocation in = call("{}");
    id = in.request_id;
    EXPECT_EQ((co_await to_its_end(instance, std::move(in))).payload, "12345") << log.text();
  });
  EXPECT_NE(log.text().find("subscribed 200 OK"), std::string::npos) << log.text();
  EXPECT_NE(log.text().find("TELEMETRY\tName: one\tState: Subscribed\tTypes: [platform, function, extension]"),
            std::string::npos);
  std::vector<Json> events = events_of(log);
  // Somewhere while the function initialises.
  const auto subscription = std::ranges::find(events, "platform.telemetrySubscription",
                                              [](const Json& event) { return event.string_or("type"); });
  ASSERT_NE(subscription, events.end()) << log.text();
  EXPECT_EQ(subscription->find("record")->dump(),
            R"({"name":"one","state":"Subscribed","types":["platform","function","extension"]})");
  events.erase(subscription);
  EXPECT_EQ(types_of(events), (std::vector<std::string>{"platform.initStart", "function", "platform.initRuntimeDone",
                                                        "platform.extension", "platform.initReport", "platform.start",
                                                        "function", "platform.runtimeDone", "platform.report"}))
      << log.text();
  if (events.size() != 9) return;
  const auto record = [&](size_t i) { return events[i].find("record")->dump(); };
  EXPECT_EQ(record(1), R"("at start\n")");
  EXPECT_EQ(record(2), R"({"initializationType":"on-demand","phase":"init","status":"success"})");
  EXPECT_EQ(record(3), R"({"name":"one","state":"Ready","events":["INVOKE","SHUTDOWN"]})");
  EXPECT_EQ(record(5), cat(R"({"requestId":")", id, R"(","version":"$LATEST"})"));
  EXPECT_EQ(record(6), "\"in \uFFFDcall\u00e9\\n\"");
  const Json* done = events[7].find("record");
  EXPECT_EQ(done->string_or("status"), "success");
  EXPECT_EQ(done->find("metrics")->find("producedBytes")->as_int(), 5);
  const Json* report = events[8].find("record");
  EXPECT_EQ(report->string_or("requestId"), id);
  EXPECT_GT(report->find("metrics")->find("initDurationMs")->as_double(), 0);
  EXPECT_EQ(report->find("metrics")->find("memorySizeMB")->as_int(), 128);
}

TEST(Telemetry, SpeaksTheLogsApiOverTcp) {
  Attended with(subscriber("/2020-08-15/logs", "2021-03-18", "{'protocol': 'TCP', 'port': 8124}", kTcpServer),
                "def handler(e, c):\n  print('in call')\n  return 1\n");
  Log log;
  with_instance(with.spec, log, [&](Instance& instance) -> Task<void> {
    EXPECT_EQ((co_await to_its_end(instance, call("{}"))).payload, "1") << log.text();
  });
  EXPECT_EQ(types_of(events_of(log)),
            (std::vector<std::string>{"platform.logsSubscription", "platform.extension", "platform.start", "function",
                                      "platform.runtimeDone", "platform.end", "platform.report"}))
      << log.text();
}

// One that never reads, and one that does not listen: the function runs as ever, and memory stays bounded.
TEST(Telemetry, WaitsForNobody) {
  for (const std::string& server : {std::string("L = socket.create_server(('', 8124))\n"), std::string("pass\n")}) {
    Attended with(subscriber("/2022-07-01/telemetry", "2022-07-01", "{'protocol': 'TCP', 'port': 8124}", server),
                  "def handler(e, c):\n  for i in range(3000): print('x' * 2000)\n  return 1\n");
    Log log;
    with_instance(with.spec, log, [&](Instance& instance) -> Task<void> {
      for (int i = 0; i < 3; ++i) EXPECT_EQ((co_await to_its_end(instance, call("{}"))).payload, "1");
    });
  }
}

TEST(Telemetry, JudgesSubscriptions) {
  const auto wrong = [](std::string_view body, bool logs = false) {
    std::string out;
    parse_subscription(body, logs, out);
    return out;
  };
  EXPECT_EQ(wrong(R"({"schemaVersion":"2022-07-01","types":["platform"],"destination":{"protocol":"HTTP","URI":)"
                  R"("http://sandbox.localdomain:8080"}})"),
            "");
  EXPECT_EQ(wrong(R"({"types":["function"],"destination":{"protocol":"HTTP","method":"PUT","URI":)"
                  R"("http://sandbox:8080/a"}})",
                  true),
            "");
  EXPECT_EQ(wrong(R"({"schemaVersion":"2022-07-01","types":[],"destination":{"protocol":"HTTP","URI":)"
                  R"("http://sandbox.localdomain"}})"),
            "URI port is not provided; types should not be empty");
  for (
      const char* body :
      {"", "[]", "{}", R"({"schemaVersion":"1","types":["platform"],"destination":{"protocol":"TCP","port":80}})",
       R"({"schemaVersion":"2022-07-01","types":["all"],"destination":{"protocol":"TCP","port":80}})",
       R"({"schemaVersion":"2022-07-01","types":["platform"],"destination":{"protocol":"TCP","port":9001}})",
       R"({"schemaVersion":"2022-07-01","types":["platform"],"destination":{"protocol":"TCP","port":70000}})",
       R"({"schemaVersion":"2022-07-01","types":["platform"],"destination":{"protocol":"UDP","port":80}})",
       R"({"schemaVersion":"2022-07-01","types":["platform"],"destination":{"protocol":"HTTP","URI":"http://10.0.0.1:8/"}})",
       R"({"schemaVersion":"2022-07-01","types":["platform"],"buffering":{"maxItems":1},)"
       R"("destination":{"protocol":"TCP","port":80}})"}) {
    EXPECT_NE(wrong(body), "") << body;
  }
}

}  // namespace
}  // namespace virga::sandbox
