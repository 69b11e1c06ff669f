// Every escape the jail claims to prevent, tried: the programs are in tests/jail. As root, the whole of it; otherwise
// what the machine lets an ordinary user enforce.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/json.h"
#include "base/str.h"
#include "sandbox/jail/fd.h"
#include "sandbox/testing.h"

namespace virga::sandbox {
namespace {

using testing::call;
using testing::Folder;
using testing::invoke;
using testing::Log;
using testing::python;
using testing::sandboxes;

std::string program(const std::string& name) {
  std::ifstream in(cat(VIRGA_SOURCE, "/tests/jail/", name));
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_FALSE(text.str().empty()) << "no tests/jail/" << name;
  return text.str();
}

// A function of tests/jail.
class Escape {
 public:
  explicit Escape(const std::string& name) {
    folder_.write(cat(name, ".py"), program(cat(name, ".py"))).write("attempts.py", program("attempts.py"));
    spec_ = python(folder_.path(), cat(name, ".handler"));
  }
  Spec& spec() { return spec_; }
  Outcome run(const std::string& event, Millis timeout = Millis{30'000}) {
    std::vector<Invocation> calls;
    calls.push_back(call(event, timeout));
    return invoke(spec_, log, std::move(calls));
  }
  Log log;

 private:
  Folder folder_;
  Spec spec_;
};

// The same as a container image: a file system of its own with the machine's Python in it.
class ImageEscape {
 public:
  explicit ImageEscape(const std::string& name) {
    const std::string libraries =
        "$(ldd /usr/bin/python3.11 /usr/lib/python3.11/lib-dynload/_ctypes*.so /bin/sh /usr/bin/id | "
        "grep -o '/[^ ]*' | grep -v ':$' | sort -u)";
    // Links where the machine lets us: copies take a while.
    const std::string made =
        cat("set -e; cd ", folder_.path(), "; mkdir -p usr/bin usr/lib usr/lib64 proc dev tmp etc var/task; ",
            "ln -s usr/bin usr/lib usr/lib64 .; touch etc/hosts etc/resolv.conf; cp /usr/bin/python3.11 /bin/sh "
            "/usr/bin/id usr/bin; ",
            "for f in ", libraries, "; do mkdir -p .$(dirname $f); cp -L $f .$f; done; ",
            "cp -al /usr/lib/python3.11 usr/lib 2>/dev/null || cp -a /usr/lib/python3.11 usr/lib");
    EXPECT_EQ(std::system(made.c_str()), 0);
    for (const std::string& file : {cat(name, ".py"), std::string("attempts.py"), std::string("image_runtime.py")})
      folder_.write(cat("var/task/", file), program(file));
    spec_.image = Image{folder_.path(), {"python3.11", "image_runtime.py", name}, "/var/task"};
    spec_.environment = {{"PATH", "/usr/bin"}};
    spec_.limits.memory_mb = 256;
  }
  Outcome run(const std::string& event) {
    std::vector<Invocation> calls;
    calls.push_back(call(event, Millis{30'000}));
    return invoke(spec_, log, std::move(calls));
  }
  Log log;

 private:
  Folder folder_;
  Spec spec_;
};

void expect_refused(const std::string& payload, size_t least) {
  const Json results = Json::parse(payload.empty() ? "{}" : payload);
  ASSERT_TRUE(results.is_object());
  EXPECT_GE(results.as_object().size(), least) << payload;
  for (const auto& [name, result] : results.as_object()) {
    EXPECT_TRUE(result.is_string() && result.as_string().starts_with("refused")) << name << ": " << result.dump();
  }
}

TEST(Jail, HidesOtherProcesses) {
  const pid_t victim = ::fork();
  if (victim == 0) {
    ::pause();
    ::_exit(0);
  }
  Escape escape("processes");
  const Outcome out = escape.run(cat("{\"host_pid\":", victim, "}"));
  EXPECT_EQ(out.status, Status::kOk) << out.payload << out.exit << escape.log.text();
  expect_refused(out.payload, 13);
  EXPECT_EQ(::waitpid(victim, nullptr, WNOHANG), 0) << "the host's process was killed";
  ::kill(victim, SIGKILL);
  ::waitpid(victim, nullptr, 0);
}

TEST(Jail, HidesTheHostsFiles) {
  Folder secret;
  secret.write("secret.txt", "secret", 0644);
  Escape escape("files");
  const Outcome out = escape.run(
      cat("{\"secret\":\"", secret.path(), "/secret.txt\",\"state\":\"/tmp/virga-sandbox-test-", ::getpid(), "\"}"));
  EXPECT_EQ(out.status, Status::kOk) << out.payload << out.exit;
  expect_refused(out.payload, 45);
}

TEST(Jail, RefusesSystemCalls) {
  Escape escape("kernel");
  const Outcome out = escape.run("{}");
  EXPECT_EQ(out.status, Status::kOk) << out.payload << out.exit;
  expect_refused(out.payload, 50);
}

TEST(Jail, HoldsForAnImageToo) {
  Folder secret;
  secret.write("secret.txt", "secret", 0644);
  const std::string event = cat("{\"secret\":\"", secret.path(), "/secret.txt\",\"state\":\"/tmp/virga-sandbox-test-",
                                ::getpid(), "\",\"host_pid\":", ::getppid(), "}");
  for (const auto& [name, least] : {std::pair("files", 45), std::pair("processes", 13), std::pair("kernel", 50)}) {
    ImageEscape escape(name);
    const Outcome out = escape.run(event);
    EXPECT_EQ(out.status, Status::kOk) << name << out.payload << out.exit << escape.log.text();
    expect_refused(out.payload, static_cast<size_t>(least));
  }
}

TEST(Jail, HasNoWayOutByTheNetwork) {
  Fd tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(tcp.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(tcp.get(), 1), 0);
  socklen_t size = sizeof address;
  ::getsockname(tcp.get(), reinterpret_cast<sockaddr*>(&address), &size);
  Fd abstract(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const std::string name = cat("virga-jail-test-", ::getpid());
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  name.copy(local.sun_path + 1, name.size());
  ASSERT_EQ(::bind(abstract.get(), reinterpret_cast<sockaddr*>(&local),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())),
            0);
  ASSERT_EQ(::listen(abstract.get(), 1), 0);
  Escape escape("network");
  escape.spec().environment.emplace_back("VIRGA_NETWORK", "virga");
  const Outcome out = escape.run(cat("{\"host\":\"", testing::own_address().value_or("192.0.2.1"),
                                     "\",\"host_port\":", ntohs(address.sin_port), ",\"abstract\":\"", name, "\"}"));
  EXPECT_EQ(out.status, Status::kOk) << out.payload << out.exit;
  expect_refused(out.payload, 13);
}

TEST(Jail, KeepsNeighboursApart) {
  Escape first("neighbours");
  Escape second("neighbours");
  auto done = run([](Spec a, Spec b) -> Task<std::string> {
    auto one = co_await sandboxes().start(std::move(a), [](std::string_view, std::string_view) {});
    auto two = co_await sandboxes().start(std::move(b), [](std::string_view, std::string_view) {});
    const Outcome left = co_await one->invoke(call("{\"role\":\"leave\"}"));
    const std::string uid = Json::parse(left.payload).string_or("uid");
    const Outcome found =
        co_await two->invoke(call(cat("{\"role\":\"look\",\"uid\":\"", ::geteuid() == 0 ? uid : "none", "\"}")));
    co_return found.payload;
  }(first.spec(), second.spec()));
  ASSERT_TRUE(done) << describe(done.error());
  expect_refused(*done, 5);
}

TEST(Jail, ContainsForkBombs) {
  Escape escape("limits");
  escape.spec().limits.processes = 100;
  const Outcome out = escape.run(R"({"what":"forks","most":5000})");
  EXPECT_EQ(out.status, Status::kOk) << out.payload << out.exit;
  EXPECT_EQ(out.payload, R"([99, "EAGAIN"])");
}

TEST(Jail, LimitsDescriptors) {
  Escape escape("limits");
  const Outcome out = escape.run(R"({"what":"files","most":5000})");
  const Json result = Json::parse(out.payload);
  EXPECT_LT(result.as_array().at(0).as_int(), 1024);
  EXPECT_EQ(result.as_array().at(1).as_string(), "EMFILE");
}

TEST(Jail, LimitsTmp) {
  Escape escape("limits");
  escape.spec().limits.memory_mb = 512;
  escape.spec().limits.tmp_mb = 64;
  EXPECT_EQ(escape.run(R"({"what":"tmp","most":200})").payload, R"([64, "ENOSPC"])");
  const Json made = Json::parse(escape.run(R"({"what":"inodes","most":50000})").payload);
  EXPECT_EQ(made.as_array().at(1).as_string(), "ENOSPC");
}

TEST(Jail, FillsATmpThatIsLargerThanItsMemory) {
  Escape escape("limits");
  escape.spec().limits.memory_mb = 128;
  escape.spec().limits.tmp_mb = 160;
  EXPECT_EQ(escape.run(R"({"what":"tmp","most":200})").payload, R"([160, "ENOSPC"])");
  const Outcome out = escape.run(R"({"what":"outgrow","tmp":150,"memory":40,"hold":0.3})");
  EXPECT_EQ(out.payload, "40") << out.exit;
  EXPECT_LT(out.max_memory_mb, 128u);
}

TEST(Jail, EndsWhatHoldsMoreThanItsMemoryWhateverItsTmp) {
  if (!testing::enforced("memory limit")) GTEST_SKIP() << "no control group for memory";
  for (const char* tmp : {"0", "200"}) {
    Escape escape("limits");
    escape.spec().limits.memory_mb = 128;
    const Outcome out = escape.run(cat(R"({"what":"outgrow","tmp":)", tmp, R"(,"memory":240,"hold":30})"));
    EXPECT_EQ(out.status, Status::kOutOfMemory) << tmp << out.payload << out.exit;
    EXPECT_EQ(out.max_memory_mb, 128u) << tmp;
  }
}

TEST(Jail, SurvivesAChildThatIsKilledForMemory) {
  if (!testing::enforced("memory limit")) GTEST_SKIP() << "no control group for memory";
  Escape escape("limits");
  const Outcome out = escape.run(R"({"what":"child memory"})");
  // The kernel takes the largest process; when that is not the runtime, the runtime goes on.
  EXPECT_EQ(out.status, Status::kOk) << out.payload << out.exit;
  EXPECT_EQ(out.payload, "9");
}

TEST(Jail, SharesTheProcessorByMemory) {
  if (!testing::enforced("processor share")) GTEST_SKIP() << "no control group for the processor";
  Escape escape("limits");
  escape.spec().limits.memory_mb = 177;  // a tenth of a processor
  const Outcome out = escape.run(R"({"what":"burn","seconds":1.0})");
  const double used = std::stod(out.payload.empty() ? "9" : out.payload);
  EXPECT_LT(used, 0.3);
  EXPECT_GT(used, 0.02);
}

TEST(Jail, TakesAFloodOfLog) {
  Escape escape("limits");
  escape.spec().limits.memory_mb = 1769;
  const Outcome out = escape.run(R"({"what":"flood","lines":200000})");
  EXPECT_EQ(out.payload, "\"done\"");
  EXPECT_EQ(escape.log.lines.size(), 200'000u);
}

// The value of a field of /proc/<process>/status; empty when there is no such process.
std::string status_of(const std::string& process, std::string_view field) {
  std::ifstream status(cat("/proc/", process, "/status"));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field)) return std::string(trim(line.substr(field.size())));
  }
  return {};
}

// Whether a process was made by a launcher that is not this test's: another test binary's sandboxes have the same
// users.
bool is_of_another(std::string process) {
  const std::string self = cat(::getpid());
  for (; !process.empty() && process != "0"; process = status_of(process, "PPid:")) {
    if (process == self) return false;
    if (status_of(process, "Name:") == "virga-launcher") return status_of(process, "PPid:") != self;
  }
  return false;
}

// In clock ticks since the machine did; 0 when there is no such process.
int64_t start_of(const std::string& process) {
  std::ifstream stat(cat("/proc/", process, "/stat"));
  const std::string text{std::istreambuf_iterator<char>(stat), {}};
  const auto name_end = text.rfind(") ");
  const auto fields = split(std::string_view(text).substr(name_end == std::string::npos ? text.size() : name_end), ' ');
  return fields.size() > 20 ? parse_int(fields[20]).value_or(0) : 0;
}

// How many processes of the host belong to `uid` and started no later than `start`.
size_t processes_of(const std::string& uid, int64_t start) {
  size_t found = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string process = entry.path().filename().string();
    if (status_of(process, "Uid:").find(uid) == std::string::npos || is_of_another(process)) continue;
    if (const int64_t started = start_of(process); started > 0 && started <= start) ++found;
  }
  return found;
}

TEST(Jail, LeavesNothingRunning) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root gives each instance a user of its own";
  Escape escape("limits");
  const Json answer = Json::parse(escape.run(R"({"what":"orphan"})").payload);
  ASSERT_TRUE(answer.is_array());
  const std::string uid = answer.as_array().at(0).as_string();
  const int64_t start = answer.as_array().at(1).as_int();
  for (int i = 0; i < 200 && processes_of(uid, start) > 0; ++i) ::usleep(10'000);
  EXPECT_EQ(processes_of(uid, start), 0u);
}

TEST(Jail, SaysWhatItEnforces) {
  size_t enforced = 0;
  for (const Capability& c : sandboxes().capabilities()) {
    EXPECT_FALSE(c.how.empty());
    enforced += c.enforced;
  }
  EXPECT_GE(enforced, 5u);
  EXPECT_TRUE(sandboxes().runtime("python3.12").available);
  EXPECT_FALSE(sandboxes().runtime("cobol").available);
}

}  // namespace
}  // namespace virga::sandbox
