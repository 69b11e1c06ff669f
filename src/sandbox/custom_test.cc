// Functions that bring their own runtime, and the HTTP they speak.
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/str.h"
#include "sandbox/runtime_api.h"
#include "sandbox/testing.h"

namespace virga::sandbox {
namespace {

using namespace testing;

Spec custom(const std::string& code) {
  Spec out = python(code);
  out.runtime = "provided.al2023";
  return out;
}

// A runtime in a few lines of Python: calls f(request id, event bytes, headers) for each invocation.
std::string runtime_of(const std::string& body) {
  return cat(
      "#!/usr/bin/python3 -u\nimport os, http.client, sys, json, time, base64\n"
      "c = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])\n"
      "P = '/2018-06-01/runtime/'\n"
      "def post(path, data, headers={}):\n  c.request('POST', P + path, data, headers)\n  r = c.getresponse()\n"
      "  return r.status, r.read().decode()\n",
      "def next():\n  c.request('GET', P + 'invocation/next')\n  r = c.getresponse()\n  return r.headers, r.read()\n",
      body);
}

TEST(Custom, AnswersOverTheRuntimeApi) {
  Folder code;
  code.write(
      "bootstrap",
      runtime_of(
          "n = 0\nwhile True:\n  h, e = next()\n  n += 1\n  print('call', n)\n"
          "  post('invocation/' + h['Lambda-Runtime-Aws-Request-Id'] + '/response',\n"
          "    json.dumps([n, json.loads(e), h['Lambda-Runtime-Invoked-Function-Arn'], h['Lambda-Runtime-Trace-Id'],\n"
          "      json.loads(h['Lambda-Runtime-Client-Context']), int(h['Lambda-Runtime-Deadline-Ms']) > time.time() * "
          "1000,\n"
          "      os.environ['_HANDLER'], os.getcwd()]))\n"),
      0755);
  Log log;
  std::vector<Invocation> calls;
  for (int i = 0; i < 3; ++i) {
    calls.push_back(call("{\"k\":1}"));
    calls.back().trace = "Root=1";
    calls.back().client_context = "{\n\"custom\":{}}";
  }
  const Outcome out = invoke(custom(code.path()), log, std::move(calls));
  EXPECT_EQ(out.status, Status::kOk) << out.payload;
  EXPECT_EQ(out.payload,
            R"([3, {"k": 1}, "arn:aws:lambda:us-east-1:000000000000:function:f", "Root=1", {"custom": {}}, true, )"
            R"("app.handler", "/var/task"])");
  EXPECT_TRUE(out.reusable);
}

// Requests sent on and on without taking an answer must stop in the sockets, not fill Virga's memory; and a flood on
// one connection leaves the others served.
TEST(Custom, HoldsBackAFlood) {
  Folder code;
  code.write(
      "bootstrap",
      runtime_of("import socket, threading\n"
                 "host, port = os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')\n"
                 "def connect():\n  s = socket.create_connection((host, int(port)))\n  s.settimeout(0.5)\n  return s\n"
                 "def pour(s, head, piece):\n"
                 "  sent = 0\n"
                 "  try:\n"
                 "    s.sendall(head)\n"
                 "    while sent < 60_000_000: sent += s.send(piece)\n"
                 "  except OSError: pass\n"
                 "  return sent\n"
                 "def endless():\n"
                 "  while True: pour(connect(), b'POST /x HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n', "
                 "b'8000\\r\\n' + b'x' * 32768 + b'\\r\\n')\n"
                 "h, e = next()\n"
                 "threading.Thread(target=endless, daemon=True).start()\n"
                 "sent = pour(connect(), b'', b'GET /x HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n' * 1000)\n"
                 "post('invocation/' + h['Lambda-Runtime-Aws-Request-Id'] + '/response', json.dumps(sent))\nnext()\n"),
      0755);
  Log log;
  const Outcome out = invoke(custom(code.path()), log, {call("{}")});
  ASSERT_EQ(out.status, Status::kOk) << out.payload << log.text();
  EXPECT_LT(std::stoll(out.payload), 20'000'000);
}

TEST(Custom, RunsAShellScript) {
  Folder code;
  code.write("bootstrap",
             "#!/bin/sh\nset -e\nwhile true; do\n  H=/tmp/headers\n"
             "  E=$(curl -sS -D $H http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next)\n"
             "  ID=$(grep -i Lambda-Runtime-Aws-Request-Id $H | tr -d '\\r' | cut -d: -f2 | tr -d ' ')\n"
             "  curl -sS -X POST -d \"{\\\"echo\\\":$E}\" "
             "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$ID/response >/dev/null\n"
             "done\n",
             0755);
  Log log;
  std::vector<Invocation> calls;
  calls.push_back(call("1"));
  calls.push_back(call("{\"a\":2}"));
  EXPECT_EQ(invoke(custom(code.path()), log, std::move(calls)).payload, "{\"echo\":{\"a\":2}}") << log.text();
}

TEST(Custom, TellsErrorsOfTheRuntime) {
  Folder failing, init, quits, twice;
  failing.write(
      "bootstrap",
      runtime_of("h, e = next()\nprint(post('invocation/wrong/response', 'x'))\n"
                 "post('invocation/' + h['Lambda-Runtime-Aws-Request-Id'] + '/error',\n"
                 "  '{\"errorType\":\"Sad\",\"errorMessage\":\"no\"}', {'Lambda-Runtime-Function-Error-Type': 'Sad'})\n"
                 "print(post('invocation/' + h['Lambda-Runtime-Aws-Request-Id'] + '/response', 'x')[0])\n"
                 "next()\n"),
      0755);
  Log log;
  std::vector<Invocation> calls;
  calls.push_back(call("{}"));
  Outcome out = invoke(custom(failing.path()), log, std::move(calls));
  EXPECT_EQ(out.status, Status::kError);
  EXPECT_EQ(out.payload, R"({"errorType":"Sad","errorMessage":"no"})");
  EXPECT_NE(log.text().find("400"), std::string::npos) << log.text();
  EXPECT_NE(log.text().find("InvalidRequestID"), std::string::npos);

  init.write(
      "bootstrap",
      runtime_of("post('init/error', '{\"errorType\":\"Runtime.Bad\",\"errorMessage\":\"cannot\"}')\nsys.exit(1)\n"),
      0755);
  out = invoke(custom(init.path()), log);
  EXPECT_EQ(out.status, Status::kInitError);
  EXPECT_EQ(out.payload, R"({"errorType":"Runtime.Bad","errorMessage":"cannot"})");

  quits.write("bootstrap", "#!/bin/sh\nexit 1\n", 0755);
  calls.clear();
  calls.push_back(call("{}"));
  const std::string id = calls[0].request_id;
  out = invoke(custom(quits.path()), log, std::move(calls));
  EXPECT_EQ(out.status, Status::kExited);
  EXPECT_EQ(out.payload, cat(R"({"errorType":"Runtime.ExitError","errorMessage":"RequestId: )", id,
                             R"( Error: Runtime exited with error: exit status 1"})"));
}

TEST(Custom, TellsAnEntryPointThatCannotRun) {
  struct Case {
    const char* text;
    int mode;
    std::string message;
  };
  const Case cases[] = {{nullptr, 0, "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"},
                        {"#!/bin/sh\n", 0644, "fork/exec /var/task/bootstrap: permission denied"},
                        {"nonsense", 0755, "fork/exec /var/task/bootstrap: exec format error"}};
  for (const Case& c : cases) {
    Folder code;
    if (c.text) code.write("bootstrap", c.text, c.mode);
    Log log;
    std::vector<Invocation> calls;
    calls.push_back(call("{}"));
    const std::string id = calls[0].request_id;
    const Outcome out = invoke(custom(code.path()), log, std::move(calls));
    EXPECT_EQ(out.status, Status::kInitError);
    const Json document = Json::parse(out.payload.empty() ? "{}" : out.payload);
    EXPECT_EQ(document.string_or("errorType"), "Runtime.InvalidEntrypoint");
    EXPECT_EQ(document.string_or("errorMessage"), cat("RequestId: ", id, " Error: ", c.message));
  }
}

TEST(Custom, LimitsTheAnswerAndStreamsIt) {
  Folder code;
  code.write(
      "bootstrap",
      runtime_of(
          "while True:\n  h, e = next()\n  p = 'invocation/' + h['Lambda-Runtime-Aws-Request-Id'] + '/response'\n"
          "  e = json.loads(e)\n"
          "  if 'size' in e: print(post(p, b'x' * e['size'])[0]); continue\n"
          "  c.putrequest('POST', P + p)\n  c.putheader('Lambda-Runtime-Function-Response-Mode', 'streaming')\n"
          "  c.putheader('Transfer-Encoding', 'chunked')\n  c.putheader('Content-Type', 'text/plain')\n  "
          "c.endheaders()\n"
          "  for i in range(e['chunks']): c.send(b'10000\\r\\n' + b'y' * 65536 + b'\\r\\n')\n"
          "  c.send(b'0\\r\\nLambda-Runtime-Function-Error-Type: Late\\r\\n\\r\\n' if e.get('fail') else "
          "b'0\\r\\n\\r\\n')\n"
          "  c.getresponse().read()\n"),
      0755);
  Log log;
  Outcome out = invoke(custom(code.path()), log, R"({"size":7000000})");
  EXPECT_EQ(out.status, Status::kError);
  EXPECT_EQ(Json::parse(out.payload).string_or("errorType"), "Function.ResponseSizeTooLarge");
  auto done = run([](Spec spec, Log& log) -> Task<void> {
    auto instance = co_await sandboxes().start(std::move(spec), log.sink());
    for (const bool fail : {false, true, false}) {
      Invocation in = call(fail ? R"({"chunks":100,"fail":1})" : R"({"chunks":100})");
      in.stream = true;
      Outcome out = co_await instance->invoke(std::move(in));
      EXPECT_EQ(out.content_type, "text/plain") << out.payload << out.exit << log.text();
      size_t size = 0;
      std::string failure;
      while (out.stream) {
        auto chunk = co_await as_result(out.stream->next());
        if (!chunk) failure = describe(chunk.error());
        if (!chunk || !*chunk) break;
        size += (*chunk)->size();
      }
      EXPECT_EQ(size, 6553600u);
      EXPECT_EQ(!failure.empty(), fail);
      if (out.ending) EXPECT_EQ(out.ending->status, fail ? Status::kError : Status::kOk);
    }
  }(custom(code.path()), log));
  EXPECT_TRUE(done);
}

TEST(Custom, EndsAtItsTimeOut) {
  Folder code;
  code.write("bootstrap", runtime_of("next()\ntime.sleep(30)\n"), 0755);
  Log log;
  std::vector<Invocation> calls;
  calls.push_back(call("{}", Millis{400}));
  EXPECT_EQ(invoke(custom(code.path()), log, std::move(calls)).status, Status::kTimedOut);
}

TEST(RuntimeApi, ParsesByteByByteAsWellAsAtOnce) {
  const std::string text =
      "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrail: "
      "er\r\n\r\n"
      "GET /y HTTP/1.0\r\n\r\n";
  for (const size_t step : {size_t{1}, size_t{7}, text.size()}) {
    ApiParser parser;
    std::string body;
    parser.on_body = [&](std::string_view part) { body += part; };
    size_t at = 0;
    while (at < text.size() && parser.state() != ApiParser::State::kDone) {
      const size_t used = parser.feed(std::string_view(text).substr(at, step));
      ASSERT_TRUE(used > 0 && parser.state() != ApiParser::State::kBad);
      at += used;
    }
    EXPECT_EQ(body, "abcde");
    EXPECT_EQ(parser.request().path, "/x");
    EXPECT_EQ(parser.request().header("trail"), "er");
    parser.next();
    while (at < text.size()) at += parser.feed(std::string_view(text).substr(at, step));
    EXPECT_EQ(parser.state(), ApiParser::State::kDone);
    EXPECT_FALSE(parser.keep_alive());
  }
}

TEST(RuntimeApi, RefusesWhatIsNotStrict) {
  for (const char* text : {"GET\r\n\r\n", "GET /x HTTP/2.0\r\n\r\n", "GET x HTTP/1.1\r\n\r\n",
                           "GET /x HTTP/1.1\r\nbad header\r\n\r\n", "GET /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                           "GET /x HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                           "GET /x HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "G(T /x HTTP/1.1\r\n\r\n"}) {
    ApiParser parser;
    parser.feed(text);
    EXPECT_EQ(parser.state(), ApiParser::State::kBad) << text;
  }
  ApiParser chunks;
  std::string_view bad = "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n";
  bad.remove_prefix(chunks.feed(bad));
  chunks.feed(bad);
  EXPECT_EQ(chunks.state(), ApiParser::State::kBad);
}

}  // namespace
}  // namespace virga::sandbox
