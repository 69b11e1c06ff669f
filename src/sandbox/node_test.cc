// Node.js functions through the whole of it.
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/str.h"
#include "sandbox/testing.h"

namespace virga::sandbox {
namespace {

using namespace testing;

TEST(Node, AnswersWithWhatTheHandlerReturns) {
  Folder code;
  code.write("app.js", "exports.handler = async (event, context) => ({ got: event, id: context.awsRequestId });");
  Log log;
  std::vector<Invocation> calls;
  calls.push_back(call(R"({"a":[1,2.5,"é"]})"));
  const std::string id = calls[0].request_id;
  const Outcome out = invoke(node(code.path()), log, std::move(calls));
  EXPECT_EQ(out.status, Status::kOk) << out.payload << log.text();
  EXPECT_EQ(out.payload, cat(R"({"got":{"a":[1,2.5,"é"]},"id":")", id, "\"}"));
  EXPECT_TRUE(out.reusable);
}

TEST(Node, ModulesAreAsRequiringMakesThem) {
  Folder code;
  code.write("other.js", "module.exports = require('/var/task/app.js');")
      .write("app.js",
             "exports.handler = async () => [module.loaded, module.filename, module.id, module.paths[0], "
             "require('./other') === exports, require.cache[__filename] === module, typeof module.parent, "
             "(await import('/var/task/app.js')).default === exports];");
  Log log;
  EXPECT_EQ(invoke(node(code.path()), log).payload,
            R"([true,"/var/task/app.js","/var/task/app.js","/var/task/node_modules",true,true,"object",true])")
      << log.text();
}

TEST(Node, KnowsModulesAndFolders) {
  Folder modules, typed, nested;
  modules.write("app.mjs",
                "import fs from 'node:fs'; const x = await Promise.resolve(7); export const handler = async () => x;");
  typed.write("package.json", R"({"type":"module"})").write("app.js", "export const handler = () => 8;");
  nested.write("a/b/app.js", "exports.deep = { handler: (e, c, callback) => callback(null, 9) };");
  Log log;
  EXPECT_EQ(invoke(node(modules.path()), log).payload, "7") << log.text();
  EXPECT_EQ(invoke(node(nested.path(), "a/b/app.deep.handler"), log).payload, "9") << log.text();
  EXPECT_EQ(invoke(node(typed.path()), log).payload, "null")
      << log.text();  // what it returns at once is not the answer
}

TEST(Node, WaitsForAnEmptyEventLoopWhenAskedTo) {
  Folder code;
  code.write("app.js",
             "exports.handler = (event, context, callback) => {\n"
             "  context.callbackWaitsForEmptyEventLoop = event.wait;\n"
             "  setTimeout(() => console.log('later'), 150);\n  callback(null, 'done');\n};");
  for (const bool wait : {true, false}) {
    Log log;
    const Outcome out = invoke(node(code.path()), log, wait ? R"({"wait":true})" : R"({"wait":false})");
    EXPECT_EQ(out.payload, "\"done\"");
    EXPECT_EQ(log.lines.size(), wait ? 1u : 0u) << log.text();
  }
}

TEST(Node, AnswersNullWhenNothingIsLeftToAnswer) {
  Folder code;
  code.write("app.js", "exports.handler = async () => { await new Promise(() => {}); };");
  Log log;
  const Outcome out = invoke(node(code.path()), log);
  EXPECT_EQ(out.status, Status::kOk);
  EXPECT_EQ(out.payload, "null");
}

TEST(Node, TellsErrors) {
  Folder code;
  code.write("app.js",
             "class Sad extends Error { constructor(m) { super(m); this.name = 'Sad'; } }\n"
             "exports.handler = async (event) => { throw event.plain ? 'text' : new Sad('no luck'); };");
  Log log;
  Outcome out = invoke(node(code.path()), log);
  EXPECT_EQ(out.status, Status::kError);
  Json document = Json::parse(out.payload);
  EXPECT_EQ(document.string_or("errorType"), "Sad");
  EXPECT_EQ(document.string_or("errorMessage"), "no luck");
  EXPECT_EQ(document.find("trace")->as_array().at(0).as_string(), "Sad: no luck");
  ASSERT_EQ(log.lines.size(), 1u);
  EXPECT_NE(
      log.lines[0].find(
          "\tERROR\tInvoke Error \t{\"errorType\":\"Sad\",\"errorMessage\":\"no luck\",\"name\":\"Sad\",\"stack\":["),
      std::string::npos)
      << log.lines[0];
  EXPECT_TRUE(out.reusable);
  out = invoke(node(code.path()), log, R"({"plain":1})");
  EXPECT_EQ(out.payload, R"({"errorType":"string","errorMessage":"text","trace":[]})");
}

TEST(Node, EndsAfterAnErrorThatNobodyHandles) {
  Folder code;
  code.write("app.js",
             "exports.handler = async (event) => {\n"
             "  if (event.reject) Promise.reject(new Error('lost'));\n"
             "  else setTimeout(() => { throw new Error('thrown'); }, 1);\n"
             "  await new Promise((r) => setTimeout(r, 2000));\n};");
  Log log;
  Outcome out = invoke(node(code.path()), log, R"({"reject":true})");
  EXPECT_EQ(out.status, Status::kError);
  EXPECT_EQ(Json::parse(out.payload).string_or("errorType"), "Runtime.UnhandledPromiseRejection");
  EXPECT_EQ(Json::parse(out.payload).string_or("errorMessage"), "Error: lost");
  EXPECT_FALSE(out.reusable);
  out = invoke(node(code.path()), log);
  EXPECT_EQ(out.status, Status::kError);
  EXPECT_EQ(Json::parse(out.payload).string_or("errorMessage"), "thrown");
  EXPECT_FALSE(out.reusable);  // the process is about to exit: a next call must not meet it
}

TEST(Node, TellsWhyItCannotStart) {
  struct Case {
    std::string code, handler, type, message;
  };
  const Case cases[] = {
      {"require('nothing-like-it');", "app.handler", "Runtime.ImportModuleError",
       "Error: Cannot find module 'nothing-like-it'"},
      {"exports.other = 1;", "app.handler", "Runtime.HandlerNotFound", "app.handler is undefined or not exported"},
      {"exports.handler = 1;", "app.handler", "Runtime.HandlerNotFound", "app.handler is not a function"},
      {"const = ;", "app.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: "},
      {"", "app", "Runtime.MalformedHandlerName", "Bad handler"},
      {"", "none.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'none'"},
      {"throw new TypeError('at once');", "app.handler", "TypeError", "at once"},
  };
  for (const Case& c : cases) {
    Folder code;
    code.write("app.js", c.code);
    Log log;
    const Outcome out = invoke(node(code.path(), c.handler), log);
    EXPECT_EQ(out.status, Status::kInitError);
    const Json document = Json::parse(out.payload.empty() ? "{}" : out.payload);
    EXPECT_EQ(document.string_or("errorType"), c.type);
    EXPECT_TRUE(document.string_or("errorMessage").starts_with(c.message)) << out.payload;
  }
}

TEST(Node, WritesTheLogAsAwsDoes) {
  Folder code;
  code.write("app.js",
             "exports.handler = async () => { console.log('a %s', 'b', { c: 1 }); console.error('two\\nlines');\n"
             "  process.stdout.write('raw\\n'); console.debug('d'); };");
  Log log;
  std::vector<Invocation> calls;
  calls.push_back(call("{}"));
  const std::string id = calls[0].request_id;
  invoke(node(code.path()), log, std::move(calls));
  ASSERT_EQ(log.lines.size(), 4u) << log.text();
  EXPECT_EQ(log.lines[0].substr(24), cat("\t", id, "\tINFO\ta b { c: 1 }\n"));
  EXPECT_EQ(log.lines[1].substr(24), cat("\t", id, "\tERROR\ttwo\nlines\n"));
  EXPECT_EQ(log.lines[2], "raw\n");
  EXPECT_EQ(log.lines[3].substr(24), cat("\t", id, "\tDEBUG\td\n"));
}

TEST(Node, GivesTheContextAwsGives) {
  Folder code;
  code.write("app.js",
             "exports.handler = async (event, c) => { const r = c.getRemainingTimeInMillis();\n"
             "  return [c.functionName, c.functionVersion, c.memoryLimitInMB, c.logGroupName, c.logStreamName, "
             "c.invokedFunctionArn,\n"
             "    c.clientContext.custom, c.identity.cognitoIdentityId, r > 5000 && r <= 10000, "
             "process.env._X_AMZN_TRACE_ID,\n"
             "    process.cwd(), process.env.AWS_EXECUTION_ENV]; };");
  Log log;
  std::vector<Invocation> calls;
  calls.push_back(call("{}"));
  calls[0].client_context = R"({"custom":{"k":"v"}})";
  calls[0].cognito_identity = R"({"cognitoIdentityId":"me"})";
  calls[0].trace = "Root=1-2-3";
  EXPECT_EQ(
      invoke(node(code.path()), log, std::move(calls)).payload,
      R"(["f","$LATEST","128","/aws/lambda/f","2024/05/01/[$LATEST]x","arn:aws:lambda:us-east-1:000000000000:function:f",)"
      R"({"k":"v"},"me",true,"Root=1-2-3","/var/task","AWS_Lambda_nodejs20.x"])")
      << log.text();
}

TEST(Node, FindsPackagesOfLayers) {
  Folder code, layer;
  code.write("app.js", "const p = require('pack'); exports.handler = async () => p;");
  layer.write("nodejs/node_modules/pack/index.js", "module.exports = 'from the layer';");
  Spec spec = node(code.path());
  spec.layer_directories = {layer.path()};
  Log log;
  EXPECT_EQ(invoke(spec, log).payload, "\"from the layer\"") << log.text();
}

TEST(Node, StreamsItsAnswer) {
  Folder code;
  code.write("app.mjs",
             "export const handler = awslambda.streamifyResponse(async (event, stream, context) => {\n"
             "  if (event.http) stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201 });\n"
             "  else stream.setContentType('text/plain');\n"
             "  for (let i = 0; i < event.chunks; i++) {\n"
             "    if (!stream.write('x'.repeat(event.size))) await new Promise((r) => stream.once('drain', r));\n"
             "    if (event.failAt === i) throw new Error('midway');\n  }\n  stream.end();\n});");
  auto streamed = [&](const std::string& payload, Log& log) {
    auto result =
        run([](Spec spec, std::string payload, Log& log) -> Task<std::tuple<Outcome, std::string, std::string>> {
          auto instance = co_await sandboxes().start(std::move(spec), log.sink());
          Invocation in = call(payload);
          in.stream = true;
          Outcome out = co_await instance->invoke(std::move(in));
          std::string text, failure;
          while (out.stream) {
            auto chunk = co_await as_result(out.stream->next());
            if (!chunk) failure = describe(chunk.error());
            if (!chunk || !*chunk) break;
            text += **chunk;
          }
          out.stream = nullptr;  // it belongs to this executor
          co_return std::tuple(std::move(out), std::move(text), std::move(failure));
        }(node(code.path()), payload, log));
    EXPECT_TRUE(result);
    return std::move(*result);
  };
  Log log;
  auto [small, small_text, none] = streamed(R"({"chunks":3,"size":2})", log);
  EXPECT_EQ(small.content_type, "text/plain") << small.payload << log.text();
  EXPECT_EQ(small_text, "xxxxxx");
  EXPECT_EQ(small.ending->status, Status::kOk);
  EXPECT_TRUE(small.ending->reusable);
  auto [large, large_text, none2] = streamed(R"({"chunks":200,"size":100000})", log);
  EXPECT_EQ(large_text.size(), 20'000'000u);
  auto [http, http_text, none3] = streamed(R"({"http":true,"chunks":1,"size":1})", log);
  EXPECT_EQ(http.content_type, "application/vnd.awslambda.http-integration-response");
  EXPECT_EQ(http_text, std::string("{\"statusCode\":201}\0\0\0\0\0\0\0\0x", 27));
  auto [failed, failed_text, failure] = streamed(R"({"chunks":3,"size":2,"failAt":1})", log);
  EXPECT_FALSE(failure.empty());
  EXPECT_EQ(failed.ending->status, Status::kError);
  EXPECT_EQ(Json::parse(failed.ending->payload).string_or("errorMessage"), "midway");
}

TEST(Node, CollectsAStreamForWhoWantsItWhole) {
  Folder code;
  code.write("app.mjs",
             "export const handler = awslambda.streamifyResponse(async (event, stream) => {\n"
             "  for (let i = 0; i < event.chunks; i++) {\n"
             "    if (!stream.write('x'.repeat(100000))) await new Promise((r) => stream.once('drain', r));\n  }\n"
             "  if (event.fail) throw new Error('at the end');\n  stream.end();\n});");
  Log log;
  std::vector<Invocation> calls;
  for (const char* event : {R"({"chunks":100})", R"({"chunks":1,"fail":1})", R"({"chunks":20})"})
    calls.push_back(call(event));
  Outcome out = invoke(node(code.path()), log, {calls[0]});
  EXPECT_EQ(Json::parse(out.payload).string_or("errorType"), "Function.ResponseSizeTooLarge");
  EXPECT_TRUE(out.reusable);
  out = invoke(node(code.path()), log, {calls[0], calls[1]});
  EXPECT_EQ(out.status, Status::kError);
  EXPECT_EQ(Json::parse(out.payload).string_or("errorMessage"), "at the end");
  out = invoke(node(code.path()), log, {calls[0], calls[1], calls[2]});
  EXPECT_EQ(out.payload.size(), 2'000'000u);
}

TEST(Node, EndsAtItsTimeOut) {
  Folder code;
  code.write("app.js", "exports.handler = async () => { for (;;) {} };");
  Log log;
  std::vector<Invocation> calls;
  calls.push_back(call("{}", Millis{300}));
  EXPECT_EQ(invoke(node(code.path()), log, std::move(calls)).status, Status::kTimedOut);
}

}  // namespace
}  // namespace virga::sandbox
