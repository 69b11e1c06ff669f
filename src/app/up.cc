// virga up: starts, says when it is ready, serves until told to stop.
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "app/code_pages.h"
#include "app/commands.h"
#include "app/instance.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"

namespace virga::app {
namespace {

using SteadyClock = std::chrono::steady_clock;

Settings settings_of(const Arguments& arguments) {
  Settings settings;
  settings.data = arguments.get("--data", default_data());
  settings.host = arguments.get("--host", "127.0.0.1");
  settings.port = static_cast<uint16_t>(arguments.number("--port", 4566, 0, 65535));
  settings.threads = static_cast<int>(arguments.number("--threads", 0, 0, 256));
  settings.cache_bytes = static_cast<size_t>(arguments.number("--cache", 16, 1, 1 << 20)) << 20;
  settings.tls_certificate = arguments.get("--tls-certificate");
  settings.tls_key = arguments.get("--tls-key");
  settings.root_access_key = environment({"VIRGA_ROOT_ACCESS_KEY_ID"});
  settings.root_secret_key = environment({"VIRGA_ROOT_SECRET_ACCESS_KEY"});
  settings.node_modules = arguments.get("--node-modules", default_node_modules());
  const std::string network = arguments.get("--function-network", "all");
  if (network != "all" && network != "virga")
    throw UsageError(cat("--function-network is all or virga, not '", network, "'"));
  settings.functions_reach_outside = network == "all";
  settings.runtimes = arguments.get("--runtimes", default_runtimes());
  lambda::Options& functions = settings.functions;
  functions.image_bytes = static_cast<uint64_t>(arguments.number("--image-limit", 10'240, 1, 1 << 20)) << 20;
  functions.code_storage = static_cast<uint64_t>(arguments.number("--code-storage", 76'800, 1, 1 << 30)) << 20;
  functions.idle_life = std::chrono::seconds(arguments.number("--function-idle", 300, 1, 86'400));
  functions.snapshot_life = std::chrono::seconds(arguments.number("--snapshot-idle", 1'209'600, 1, 31'536'000));
  functions.concurrency = static_cast<int32_t>(arguments.number("--function-concurrency", 1000, 1, 1'000'000));
  functions.scaling = static_cast<int32_t>(arguments.number("--function-scaling", 1000, 1, 1'000'000));
  const std::string iam = arguments.get("--iam", "enforce");
  if (iam != "enforce" && iam != "audit") throw UsageError(cat("--iam is enforce or audit, not '", iam, "'"));
  settings.iam = iam == "audit" ? kernel::IamMode::kAudit : kernel::IamMode::kEnforce;
  return settings;
}

#if VIRGA_FAULTS
// NAME=kill, NAME=fail, either with :SKIP passings before it acts, and those with :TIMES that it does.
void arm(const std::string& text) {
  const auto [name, rest] = split_once(text, '=');
  const auto [action, counts] = split_once(rest, ':');
  const auto [skip, times] = split_once(counts, ':');
  if (name.empty() || (action != "kill" && action != "fail"))
    throw UsageError(cat("--fault takes NAME=kill or NAME=fail, not '", text, "'"));
  arm_fault(std::string(name), action == "kill" ? FaultAction::kKill : FaultAction::kFail,
            static_cast<uint64_t>(parse_int(skip).value_or(0)), static_cast<uint64_t>(parse_int(times).value_or(-1)));
}
#endif

void set_logging(const Arguments& arguments) {
  const std::string level = arguments.get("--log", "info"), format = arguments.get("--log-format", "text");
  const std::pair<std::string_view, LogLevel> levels[] = {{"debug", LogLevel::kDebug},
                                                          {"info", LogLevel::kInfo},
                                                          {"warning", LogLevel::kWarning},
                                                          {"error", LogLevel::kError}};
  for (const auto& [name, value] : levels) {
    if (level == name) return set_log(value, format == "json" ? LogFormat::kJson : LogFormat::kText);
  }
  throw UsageError(cat("--log is debug, info, warning or error, not '", level, "'"));
}

// Goes on in the background; the foreground process waits for the word that it is ready, prints it, and ends.
// Returns the descriptor that the background process says it on.
int detach(const std::string& data) {
  std::filesystem::create_directories(data);
  int ready[2];
  if (::pipe2(ready, O_CLOEXEC) != 0) throw CommandError("no pipe could be made");
  const pid_t child = ::fork();
  if (child < 0) throw CommandError("no background process could be started");
  if (child > 0) {
    ::close(ready[1]);
    std::string said;
    char buffer[1024];
    for (ssize_t n; (n = ::read(ready[0], buffer, sizeof buffer)) > 0;) said.append(buffer, static_cast<size_t>(n));
    if (said.empty()) {
      int status = 0;
      ::waitpid(child, &status, 0);
      throw CommandError(cat("Virga did not start; ", data, "/virga.log says why"));
    }
    std::fwrite(said.data(), 1, said.size(), stdout);
    std::fflush(stdout);
    ::_exit(said.starts_with("virga:") ? 1 : 0);
  }
  ::setsid();
  const int null = ::open("/dev/null", O_RDONLY);
  const int log = ::open(cat(data, "/virga.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ::dup2(null, 0);
  ::dup2(log, 1);
  ::dup2(log, 2);
  return ready[1];
}

void say(int fd, const std::string& line) {
  if (::write(fd, line.data(), line.size()) < 0) log_warning("app", "nobody hears that Virga is ready");
}

// Large bodies get pages of their own, which go back with them. Left alone, the C library learns from what it frees to
// take ever larger ones (up to 32 MB) from arenas, which a few small things that stay then hold open.
void give_back_large_memory() {
  ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
  ::mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

int serve(const Arguments& arguments, SteadyClock::time_point began, int say_to) {
  give_back_large_memory();
  // Blocked in every thread, so that only the wait below takes them.
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  ::signal(SIGPIPE, SIG_IGN);
  // Connections are limited by the door, not by the shell's default.
  rlimit files;
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }

  const Settings settings = settings_of(arguments);
  ::pthread_sigmask(SIG_BLOCK, &ending, nullptr);  // before the store's own threads; the launcher unblocks them
  Instance instance(settings);
  const uint16_t port = instance.start();
  const double took = std::chrono::duration<double, std::milli>(SteadyClock::now() - began).count();
  const std::string host =
      settings.host.empty() || settings.host == "0.0.0.0" || settings.host == "::" ? "localhost" : settings.host;
  const std::string url = cat(settings.tls_key.empty() ? "http" : "https", "://",
                              host.find(':') == host.npos ? host : cat("[", host, "]"), ":", port);
  const std::string time = cat(static_cast<int64_t>(took), ".", static_cast<int64_t>(took * 10) % 10);
  say(say_to,
      arguments.json()
          ? cat(Json::object({{"endpoint", url}, {"ready_ms", took}, {"data", settings.data}, {"pid", ::getpid()}})
                    .dump(),
                "\n")
          : cat("Virga ", VIRGA_VERSION, " is ready at ", url, " in ", time, " ms, data in ", settings.data, "\n"));
  if (say_to != 1) ::close(say_to);
  release_start_up_pages();
  gather_hot_code();

  int signal = 0;
  ::sigwait(&ending, &signal);
  return instance.stop() ? 0 : 1;
}

}  // namespace

std::string default_node_modules() {
  std::error_code none;
  const std::filesystem::path binary = std::filesystem::read_symlink("/proc/self/exe", none);
  for (const std::filesystem::path& folder :
       {std::filesystem::path("/usr/lib/virga/node_modules"), binary.parent_path() / "../../node_modules"}) {
    if (std::filesystem::exists(folder / "@aws-sdk", none)) return std::filesystem::canonical(folder).string();
  }
  return {};
}

std::string default_runtimes() {
  const std::string home = environment({"HOME"});
  return home.empty() ? "/var/lib/virga/runtimes" : cat(home, "/.local/share/virga/runtimes");
}

std::string default_data() {
  const std::string home = environment({"HOME"});
  return home.empty() ? ".virga" : cat(home, "/.virga");
}

int run_up(const Arguments& arguments) {
  const auto began = SteadyClock::now();
  set_logging(arguments);
#if VIRGA_FAULTS
  for (const std::string& fault : arguments.all("--fault")) arm(fault);
#endif
  if (!arguments.has("--detach")) return serve(arguments, began, 1);
  const int say_to = detach(arguments.get("--data", default_data()));
  try {
    return serve(arguments, began, say_to);
  } catch (const std::exception& error) {
    say(say_to, cat("virga: ", error.what(), "\n"));
    return 1;
  }
}

}  // namespace virga::app
