// Instances that are made ready while their function's role is assumed: nothing of the function runs before.
#include <gtest/gtest.h>

#include "base/async.h"
#include "base/str.h"
#include "sandbox/testing.h"

namespace virga::sandbox {
namespace {

using namespace testing;

// Rouses a sandbox for `spec`, starts it held, gives it time to do what it must not, then lets it go on; gives the
// answer to its first call.
std::string first_answer(Spec spec, Log& log, size_t& lines_before) {
  spec.held = true;
  sandboxes().rouse(spec.runtime);
  auto done = run([](Spec spec, Log& log, size_t& lines_before) -> Task<std::string> {
    auto instance = co_await sandboxes().start(std::move(spec), log.sink());
    co_await sleep_for(std::chrono::milliseconds(100));
    lines_before = log.lines.size();
    co_await instance->begin({{"LATE", "é\"\\"}});
    Outcome out = co_await instance->invoke(call("{}"));
    co_return std::move(out.payload);
  }(std::move(spec), log, lines_before));
  return done ? *done : describe(done.error());
}

TEST(Held, PythonBeginsWithItsWholeEnvironment) {
  Folder code;
  code.write("app.py",
             "import os\nprint('late', os.environ.get('LATE'))\nimport subprocess\n"
             "def handler(event, context):\n"
             "  warm = [name for name in os.environ if 'WARM' in name]\n"
             "  return [os.environ['LATE'], os.environ['_HANDLER'], warm, subprocess.run(['printenv', 'LATE'], "
             "capture_output=True, text=True).stdout]\n");
  Log log;
  size_t before = 0;
  EXPECT_EQ(first_answer(python(code.path()), log, before), R"(["\u00e9\"\\", "app.handler", [], "\u00e9\"\\\n"])");
  EXPECT_EQ(before, 0u);
  EXPECT_EQ(log.lines.at(0), "late é\"\\\n");
}

TEST(Held, NodeBeginsWithItsWholeEnvironment) {
  Folder code;
  code.write("app.js",
             "console.log('late ' + process.env.LATE);\n"
             "const warm = Object.keys(process.env).filter((name) => name.includes('WARM'));\n"
             "exports.handler = async () => [process.env.LATE, process.env._HANDLER, warm];");
  Log log;
  size_t before = 0;
  EXPECT_EQ(first_answer(node(code.path()), log, before), R"(["é\"\\","app.handler",[]])");
  EXPECT_EQ(before, 0u);
  EXPECT_TRUE(log.lines.at(0).ends_with("late é\"\\\n")) << log.text();
}

TEST(Held, AProgramOfItsOwnStartsWithItsWholeEnvironment) {
  Folder code;
  code.write("bootstrap",
             "#!/usr/bin/python3 -u\nimport os, http.client\nprint('late', os.environ.get('LATE'))\n"
             "c = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])\n"
             "c.request('GET', '/2018-06-01/runtime/invocation/next')\nr = c.getresponse(); r.read()\n"
             "c.request('POST', '/2018-06-01/runtime/invocation/' + r.headers['Lambda-Runtime-Aws-Request-Id'] + "
             "'/response', '1')\nc.getresponse().read()\n"
             "c.request('GET', '/2018-06-01/runtime/invocation/next')\nc.getresponse()\n",
             0755);
  Spec spec = python(code.path());
  spec.runtime = "provided.al2023";
  Log log;
  size_t before = 0;
  EXPECT_EQ(first_answer(spec, log, before), "1") << log.text();
  EXPECT_EQ(before, 0u);
  EXPECT_EQ(log.lines.at(0), "late é\"\\\n");
}

// It ends with nothing of its function having run.
TEST(Held, MayBeLetGoBeforeItBegins) {
  Folder code;
  code.write("app.py", "print('ran')\ndef handler(event, context): return 1\n");
  Log log;
  Spec spec = python(code.path());
  spec.held = true;
  const auto done = run([](Spec spec, Log& log) -> Task<void> {
    auto instance = co_await sandboxes().start(std::move(spec), log.sink());
    instance.reset();
    co_await sandboxes().settle();
  }(spec, log));
  EXPECT_TRUE(done);
  EXPECT_TRUE(log.lines.empty()) << log.text();
}

}  // namespace
}  // namespace virga::sandbox
