// Java functions through the whole of it: launcher, jail, bootstrap, channel.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <set>

#include "base/async.h"
#include "base/json.h"
#include "base/str.h"
#include "sandbox/testing.h"

namespace virga::sandbox {
namespace {

using namespace testing;

// The names that handlers are compiled against; the runtime brings its own.
constexpr std::string_view kSource = R"(
package example;
import com.amazonaws.services.lambda.runtime.*;
import java.io.*;
import java.util.*;
public class App implements RequestHandler<Map<String, Object>, List<Object>> {
  public static class Order {
    private String name; private int count; private List<Double> prices; public Order() {}
    public void setName(String n) { name = n; } public String getName() { return name; }
    public void setCount(int c) { count = c; } public int getCount() { return count; }
    public void setPrices(List<Double> p) { prices = p; } public List<Double> getPrices() { return prices; }
  }
  public List<Object> handleRequest(Map<String, Object> in, Context context) {
    System.out.println("printed");
    context.getLogger().log("logged\nin two lines");
    return Arrays.asList(in.get("a"), context.getFunctionName(), System.getenv("COLOUR"));
  }
  public int log(Map<String, Object> in, Context context) {
    context.getLogger().log("bare");
    context.getLogger().log("quiet", com.amazonaws.services.lambda.runtime.logging.LogLevel.DEBUG);
    LambdaRuntime.getLogger().log("loud \"ü\"", com.amazonaws.services.lambda.runtime.logging.LogLevel.WARN);
    return 1;
  }
  public Order twice(Order in, Context context) { in.setCount(in.getCount() * 2); return in; }
  public void copy(InputStream in, OutputStream out) throws IOException { in.transferTo(out); }
  public String fail(Object in) { throw new IllegalStateException("no luck"); }
  public String greedy(Object in) { List<byte[]> all = new ArrayList<>(); while (true) all.add(new byte[1 << 20]); }
  private static final java.util.concurrent.CyclicBarrier MEETING = new java.util.concurrent.CyclicBarrier(3);
  public String meet(Object in, Context context) throws Exception {
    MEETING.await(20, java.util.concurrent.TimeUnit.SECONDS);
    context.getLogger().log("met");
    if (in != null) throw new IllegalArgumentException(in.toString());
    return context.getAwsRequestId();
  }
  public String large(Object in) { return "x".repeat(7 << 20); }
}
)";

class Java : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!testing::sandboxes().runtime("java17").available) return;
    code_ = std::make_unique<Folder>();
    code_->write("App.java", std::string(kSource));
    const std::string compile = cat("cd ", code_->path(), " && javac -d . -cp ", VIRGA_SOURCE,
                                    "/src/sandbox/runtimes/java/source -implicit:none -proc:none App.java");
    ASSERT_EQ(std::system(compile.c_str()), 0);
  }
  static void TearDownTestSuite() { code_.reset(); }
  void SetUp() override {
    if (!code_) GTEST_SKIP() << "this machine has no JDK 17 or later";
  }
  Spec java(const std::string& handler) {
    Spec spec = testing::python(code_->path(), handler);
    spec.runtime = "java17";
    spec.limits.memory_mb = 256;
    spec.environment.emplace_back("COLOUR", "grün");
    spec.environment.emplace_back("AWS_LAMBDA_FUNCTION_NAME", "app");
    return spec;
  }
  static inline std::unique_ptr<Folder> code_;
  Log log_;
};

TEST_F(Java, RunsAClassThatImplementsTheInterface) {
  const Outcome out = invoke(java("example.App"), log_, R"({"a":"é"})");
  EXPECT_EQ(out.status, Status::kOk) << out.payload << log_.text();
  EXPECT_EQ(out.payload, R"(["é","app","grün"])");
  EXPECT_EQ(log_.lines, (std::vector<std::string>{"printed\n", "logged\nin two lines"}));
}

TEST_F(Java, LogsObjectsOfALevel) {
  Spec spec = java("example.App::log");
  spec.json_log.emplace().system = LogLevel::kFatal;
  spec.environment.emplace_back("AWS_LAMBDA_LOG_FORMAT", "JSON");
  spec.environment.emplace_back("AWS_LAMBDA_LOG_LEVEL", "INFO");
  EXPECT_EQ(invoke(spec, log_, {call("{}")}).payload, "1") << log_.text();
  ASSERT_EQ(log_.lines.size(), 2u) << log_.text();
  const Json bare = Json::parse(log_.lines[0]), loud = Json::parse(log_.lines[1]);
  EXPECT_EQ(bare.string_or("message"), "bare");
  EXPECT_EQ(bare.string_or("level"), "UNDEFINED");
  EXPECT_EQ(loud.string_or("message"), "loud \"ü\"");
  EXPECT_EQ(loud.string_or("level"), "WARN");
  EXPECT_FALSE(loud.string_or("AWSRequestId").empty() || loud.string_or("timestamp").empty());
}

TEST_F(Java, BindsBeansByTheirSettersAndGetters) {
  const Outcome out = invoke(java("example.App::twice"), log_, R"({"name":"tea","count":2,"prices":[1,2.5],"more":1})");
  const Json order = Json::parse(out.payload);
  EXPECT_EQ(order.string_or("name"), "tea") << out.payload << log_.text();
  EXPECT_EQ(order.find("count")->as_int(), 4);
  EXPECT_EQ(order.find("prices")->dump(), "[1.0,2.5]");
}

TEST_F(Java, GivesStreams) {
  EXPECT_EQ(invoke(java("example.App::copy"), log_, R"({"x": 1})").payload, R"({"x": 1})") << log_.text();
}

TEST_F(Java, TellsAnExceptionAndGoesOn) {
  const Outcome out = invoke(java("example.App::fail"), log_);
  EXPECT_EQ(out.status, Status::kError);
  const Json document = Json::parse(out.payload);
  EXPECT_EQ(document.string_or("errorType"), "java.lang.IllegalStateException");
  EXPECT_EQ(document.string_or("errorMessage"), "no luck");
  EXPECT_EQ(document.find("stackTrace")->as_array().at(0).as_string(), "example.App.fail(App.java:26)");
  EXPECT_TRUE(out.reusable);
}

TEST_F(Java, TellsAMissingClassAndMethod) {
  const Outcome missing = invoke(java("example.Nothing"), log_);
  EXPECT_EQ(missing.status, Status::kInitError);
  EXPECT_EQ(Json::parse(missing.payload).string_or("errorMessage"), "Class not found: example.Nothing");
  EXPECT_EQ(Json::parse(invoke(java("example.App::nothing"), log_).payload).string_or("errorType"),
            "java.lang.NoSuchMethodException");
}

// As AWS's managed instances do: the calls of one instance wait for each other here, and each is answered for itself.
TEST_F(Java, ThreadsTakeSeveralCallsAtATime) {
  Spec spec = java("example.App::meet");
  spec.concurrency = 3;
  spec.environment.emplace_back("AWS_LAMBDA_LOG_FORMAT", "JSON");
  std::vector<Invocation> calls = {call("null"), call(R"("no luck")"), call("null")};
  std::set<std::string> ids;
  for (const Invocation& one : calls) ids.insert(one.request_id);
  auto answers = run([](Spec spec, Log& log, std::vector<Invocation> calls) -> Task<std::vector<Outcome>> {
    auto instance = co_await sandboxes().start(std::move(spec), log.sink());
    std::vector<Task<Outcome>> running;
    for (Invocation& one : calls) running.push_back(instance->invoke(std::move(one)));
    co_return co_await when_all(std::move(running));
  }(spec, log_, calls));
  ASSERT_TRUE(answers) << describe(answers.error());
  EXPECT_EQ((*answers)[0].payload, cat('"', calls[0].request_id, '"')) << log_.text();
  EXPECT_EQ((*answers)[2].payload, cat('"', calls[2].request_id, '"'));
  EXPECT_EQ((*answers)[1].status, Status::kError);
  EXPECT_EQ(Json::parse((*answers)[1].payload).string_or("errorMessage"), "no luck");
  std::set<std::string> seen;
  for (const std::string& line : log_.lines) {
    const Json said = Json::parse(line);
    if (said.string_or("message") == "met") seen.insert(std::string(said.string_or("AWSRequestId")));
  }
  EXPECT_EQ(seen, ids);
}

TEST_F(Java, AnAnswerOfSeveralMayNotBeTooLarge) {
  Spec spec = java("example.App::large");
  spec.concurrency = 2;
  const Outcome out = invoke(spec, log_);
  EXPECT_EQ(out.status, Status::kError);
  EXPECT_EQ(Json::parse(out.payload).string_or("errorType"), "Function.ResponseSizeTooLarge") << log_.text();
}

TEST_F(Java, EndsAHeapThatIsFullWithAnError) {
  const Outcome out = invoke(java("example.App::greedy"), log_);
  EXPECT_EQ(out.status, Status::kError);
  EXPECT_EQ(Json::parse(out.payload).string_or("errorType"), "java.lang.OutOfMemoryError");
}

}  // namespace
}  // namespace virga::sandbox
