#include "sandbox/testing.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/id.h"
#include "base/str.h"

namespace virga::sandbox::testing {
namespace {

std::string state_directory() { return cat("/tmp/virga-sandbox-test-", ::getpid()); }

// The launcher is this very binary: gtest's main must not see its arguments.
__attribute__((constructor)) void become_launcher(int argc, char** argv, char**) {
  if (argc > 1 && std::strcmp(argv[1], "launcher") == 0) ::_exit(launcher_main(argc, argv));
}

std::unique_ptr<Sandboxes>& holder() {
  static std::unique_ptr<Sandboxes> kept;
  return kept;
}

class Shared : public ::testing::Environment {
 public:
  void TearDown() override {
    holder().reset();
    std::error_code ignored;
    std::filesystem::remove_all(state_directory(), ignored);
  }
};

const auto* const kShared = ::testing::AddGlobalTestEnvironment(new Shared);

}  // namespace

Sandboxes& sandboxes() {
  if (!holder()) {
    Options options;
    options.state_directory = state_directory();
    options.warm_pool = 1;
    holder() = sandbox::open(std::move(options));
  }
  return *holder();
}

std::optional<std::string> own_address() {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return std::nullopt;
  std::optional<std::string> found;
  for (const ifaddrs* i = all; i && !found; i = i->ifa_next) {
    if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK)) continue;
    char text[INET_ADDRSTRLEN];
    found = ::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(i->ifa_addr)->sin_addr, text, sizeof text);
  }
  ::freeifaddrs(all);
  return found;
}

bool enforced(const std::string& capability) {
  for (const Capability& c : sandboxes().capabilities()) {
    if (c.name == capability) return c.enforced;
  }
  return false;
}

Folder::Folder() : path_(cat("/tmp/virga-function-", random_lower_alnum(12))) { ::mkdir(path_.c_str(), 0700); }

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

const Folder& Folder::write(const std::string& name, const std::string& text, int mode) const {
  const std::filesystem::path file = std::filesystem::path(path_) / name;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
  ::chmod(file.c_str(), static_cast<mode_t>(mode));
  return *this;
}

std::string Log::text() const {
  std::string out;
  for (const std::string& line : lines) out += line;
  return out;
}

namespace {
Spec spec(const std::string& runtime, const std::string& code, const std::string& handler) {
  Spec out;
  out.runtime = runtime;
  out.handler = handler;
  out.code_directory = code;
  out.environment = {{"AWS_LAMBDA_FUNCTION_NAME", "f"},
                     {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"},
                     {"AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"},
                     {"AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/f"},
                     {"AWS_LAMBDA_LOG_STREAM_NAME", "2024/05/01/[$LATEST]x"}};
  return out;
}
}  // namespace

Spec python(const std::string& code, const std::string& handler) { return spec("python3.11", code, handler); }
Spec node(const std::string& code, const std::string& handler) { return spec("nodejs20.x", code, handler); }

Invocation call(const std::string& payload, Millis timeout) {
  Invocation out;
  out.request_id = uuid();
  out.payload = payload;
  out.timeout = timeout;
  out.deadline = SystemClock().now() + timeout;
  out.function_arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
  return out;
}

Outcome invoke(Spec spec, Log& log, std::vector<Invocation> calls) {
  auto result = run([](Spec spec, Log& log, std::vector<Invocation> calls) -> Task<Outcome> {
    auto instance = co_await sandboxes().start(std::move(spec), log.sink());
    Outcome out;
    for (Invocation& one : calls) out = co_await instance->invoke(std::move(one));
    co_return out;
  }(std::move(spec), log, std::move(calls)));
  if (!result) {
    ADD_FAILURE() << describe(result.error());
    return {};
  }
  return std::move(*result);
}

Outcome invoke(Spec spec, Log& log, const std::string& payload) {
  std::vector<Invocation> calls;
  calls.push_back(call(payload));
  return invoke(std::move(spec), log, std::move(calls));
}

}  // namespace virga::sandbox::testing
