// The same on reactors, as in the server.
#include "rt/reactor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <thread>

#include "base/str.h"
#include "sandbox/testing.h"

namespace virga::sandbox {
namespace {

using namespace testing;

TEST(Reactor, StartsAndCalls) {
  rt::Reactors reactors(1);
  reactors.start();
  Folder python_code, node_code;
  python_code.write("app.py", "def handler(event, context):\n  return event\n");
  node_code.write("app.js", "exports.handler = async (event) => event;");
  for (const Spec& spec : {python(python_code.path()), node(node_code.path())}) {
    const auto done = rt::run_on(reactors[0], [](Spec own) -> Task<void> {
      const auto instance = co_await sandboxes().start(std::move(own), [](std::string_view, std::string_view) {});
      for (int i = 0; i < 50; ++i) {
        const Outcome outcome = co_await instance->invoke(call("{\"a\":1}"));
        EXPECT_EQ(outcome.status, Status::kOk) << outcome.payload;
      }
    }(spec));
    ASSERT_TRUE(done) << describe(done.error());
  }
}

TEST(Reactor, MovesBetweenReactors) {
  sandboxes();  // forks its launcher, so it comes before any thread
  rt::Reactors reactors(2);
  reactors.start();
  Folder code;
  code.write("app.py", "n = 0\ndef handler(event, context):\n  global n\n  n += 1\n  return n\n");
  std::unique_ptr<Instance> instance;
  auto started = rt::run_on(reactors[0], [](Spec spec, std::unique_ptr<Instance>& out) -> Task<void> {
    out = co_await sandboxes().start(std::move(spec), [](std::string_view, std::string_view) {});
  }(python(code.path()), instance));
  ASSERT_TRUE(started) << describe(started.error());
  for (int i = 1; i <= 6; ++i) {
    auto outcome = rt::run_on(reactors[i % 2], instance->invoke(call("{}")));
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->payload, cat(i));
  }
  instance.reset();  // from a thread that is nobody's
  // Its end reaches its home while that still runs.
  ASSERT_TRUE(
      rt::run_on(reactors[0], [](int ms) -> Task<void> { co_await sleep_for(std::chrono::milliseconds(ms)); }(50)));
}

TEST(Reactor, RunsManyAtOnce) {
  sandboxes();  // forks its launcher, so it comes before any thread
  rt::Reactors reactors(2);
  reactors.start();
  Folder code;
  code.write("app.py", "import time\ndef handler(event, context):\n  time.sleep(0.05)\n  return event\n");
  std::atomic<int> good = 0, left = 24;
  for (int i = 0; i < 24; ++i) {
    reactors[i % 2].post([&, i] {
      start(
          [](Spec spec, int i, std::atomic<int>& good) -> Task<void> {
            auto instance = co_await sandboxes().start(std::move(spec), [](std::string_view, std::string_view) {});
            for (int j = 0; j < 2; ++j) {
              Outcome out = co_await instance->invoke(call(cat(i)));
              if (out.payload == cat(i)) ++good;
            }
          }(python(code.path()), i, good),
          [&](Result<void> result) {
            EXPECT_TRUE(result) << describe(result.error());
            --left;
          });
    });
  }
  for (int i = 0; i < 1500 && left > 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(left, 0);
  EXPECT_EQ(good, 48);
}

// Which processes carry this command line part.
std::vector<pid_t> processes_with(const std::string& text) {
  std::vector<pid_t> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto pid = parse_int(entry.path().filename().string());
    if (!pid) continue;
    char line[4096];
    const int fd = ::open((entry.path() / "cmdline").c_str(), O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? 0 : ::read(fd, line, sizeof line);
    if (fd >= 0) ::close(fd);
    if (n > 0 && std::string_view(line, static_cast<size_t>(n)).find(text) != std::string_view::npos) {
      out.push_back(static_cast<pid_t>(*pid));
    }
  }
  return out;
}

TEST(Lifecycle, NothingOutlivesVirga) {
  const std::string state = cat("/tmp/virga-lifecycle-test-", ::getpid());
  const pid_t virga = ::fork();
  if (virga == 0) {
    // A Virga of its own, killed in the middle of its work.
    Options options;
    options.state_directory = state;
    auto own = open(std::move(options));
    Folder code;
    code.write("app.py", "import time\ndef handler(event, context):\n  time.sleep(60)\n");
    auto ran = run([](Sandboxes& own, Spec spec) -> Task<void> {
      auto instance = co_await own.start(std::move(spec), [](std::string_view, std::string_view) {});
      Outcome out = co_await instance->invoke(call("{}", Millis{60'000}));
    }(*own, python(code.path())));
    ::_exit(0);
  }
  for (int i = 0; i < 300 && processes_with(state).size() < 3; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_GE(processes_with(state).size(), 2u) << "the launcher and the first process of a sandbox";
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  ::kill(virga, SIGKILL);
  ::waitpid(virga, nullptr, 0);
  for (int i = 0; i < 300 && !processes_with(state).empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(processes_with(state).empty());
  std::filesystem::remove_all(state);
}

// Control groups of launchers that are no more. Those in other folders than our own are not ours to clear.
std::set<std::string> dead_groups() {
  std::set<std::string> out;
  const auto walk = std::filesystem::directory_options::skip_permission_denied;
  std::error_code none;
  for (auto at = std::filesystem::recursive_directory_iterator("/sys/fs/cgroup", walk, none);
       at != std::filesystem::recursive_directory_iterator(); at.increment(none)) {
    const std::string name = at->path().filename().string();
    const auto pid = name.starts_with("virga.") ? parse_int(name.substr(6)) : std::nullopt;
    if (pid && ::kill(static_cast<pid_t>(*pid), 0) != 0) out.insert(at->path().string());
  }
  return out;
}

TEST(Lifecycle, OutlivesItsLauncher) {
  const std::set<std::string> before = dead_groups();
  const std::string state = cat("/tmp/virga-lifecycle-test-", ::getpid());
  Options options;
  options.state_directory = state;
  auto own = open(std::move(options));
  Folder code;
  code.write("app.py", "import time\ndef handler(event, context):\n  time.sleep(60)\n");
  std::thread killer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    for (const pid_t pid : processes_with(state)) ::kill(pid, SIGKILL);
  });
  const auto begun = std::chrono::steady_clock::now();
  auto ran = run([](Sandboxes& own, Spec spec) -> Task<Status> {
    auto instance = co_await own.start(std::move(spec), [](std::string_view, std::string_view) {});
    Outcome out = co_await instance->invoke(call("{}", Millis{30'000}));
    co_return out.status;
  }(*own, python(code.path())));
  killer.join();
  ASSERT_TRUE(ran) << describe(ran.error());
  EXPECT_EQ(*ran, Status::kLost);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(25));  // the call's own time is 30
  auto again = run([](Sandboxes& own, Spec spec) -> Task<void> {
    auto instance = co_await own.start(std::move(spec), [](std::string_view, std::string_view) {});
  }(*own, python(code.path())));
  EXPECT_TRUE(again);
  own.reset();
  // What it left is cleared at the next start.
  Options next;
  next.state_directory = state;
  own = open(std::move(next));
  own->capabilities();
  for (const std::string& folder : dead_groups()) EXPECT_TRUE(before.contains(folder)) << folder;
  own.reset();
  std::filesystem::remove_all(state);
}

TEST(Door, IsReachedFromInside) {
  const std::string state = cat("/tmp/virga-door-test-", ::getpid());
  Options options;
  options.state_directory = state;
  options.api_port = 4599;
  std::atomic<int> opened = 0, left = 0;
  std::vector<std::thread> doors;
  options.adopt_listener = [&](int fd) -> std::function<void()> {
    ++opened;
    const int own = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    ::fcntl(own, F_SETFL, ::fcntl(own, F_GETFL) & ~O_NONBLOCK);
    doors.emplace_back([own] {
      const int peer = ::accept4(own, nullptr, nullptr, SOCK_CLOEXEC);
      char request[4096];
      if (peer >= 0 && ::read(peer, request, sizeof request) > 0) {
        const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nvirga";
        (void)!::write(peer, answer.data(), answer.size());
      }
      if (peer >= 0) ::close(peer);
      ::close(own);
    });
    return [&left, own] {
      ++left;
      ::shutdown(own, SHUT_RDWR);
    };
  };
  auto own = open(std::move(options));
  Folder code;
  code.write("app.py",
             "import os, urllib.request\ndef handler(event, context):\n"
             "  return [os.environ['AWS_ENDPOINT_URL'], "
             "urllib.request.urlopen(os.environ['AWS_ENDPOINT_URL']).read().decode()]\n");
  auto ran = run([](Sandboxes& own, Spec spec) -> Task<std::string> {
    auto instance = co_await own.start(std::move(spec), [](std::string_view, std::string_view) {});
    Outcome out = co_await instance->invoke(call("{}"));
    co_return out.payload;
  }(*own, python(code.path())));
  ASSERT_TRUE(ran);
  EXPECT_EQ(*ran, R"(["http://127.0.0.1:4599", "virga"])");
  own.reset();
  for (std::thread& door : doors) door.join();
  EXPECT_EQ(opened, left);
  std::filesystem::remove_all(state);
}

}  // namespace
}  // namespace virga::sandbox
