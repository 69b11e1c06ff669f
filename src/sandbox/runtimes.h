// Which program serves a runtime here, and what an instance of it is started with.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/sandbox.h"

namespace virga::sandbox {

enum class Family { kPython, kNode, kRuby, kJava, kCustom };

inline constexpr uint16_t kRuntimeApiPort = 9001;

std::optional<Family> family_of(const std::string& runtime);
// Whose bootstrap is roused, and told more of its environment than kInit had.
constexpr bool takes_more(Family family) { return family == Family::kPython || family == Family::kNode; }

// A program of this machine that serves one or more runtimes.
struct Toolchain {
  Family family = Family::kCustom;
  std::string name;     // "python3.11", "nodejs22", "java17"; what prepared sandboxes are kept by
  std::string program;  // on the host; empty for kCustom
  std::string inside;   // the same within a sandbox
  std::string prefix;   // a host directory that must be visible at /var/lang; empty when the program is below /usr
  std::string version;  // what it says of itself: "3.11.2"
};

// The programs of this machine by runtime name. Any thread.
class Toolchains {
 public:
  // `installed`: a folder with one folder a runtime ("nodejs20.x/bin/node"), what `virga runtimes add` fills.
  // `node_modules` may carry a Node.js of its own.
  Toolchains(std::string installed, std::string node_modules);
  // Throws std::runtime_error with a sentence that says what to install.
  std::shared_ptr<const Toolchain> find(const std::string& runtime);
  // A sentence when what serves `runtime` is of another version than its name promises; once for each runtime.
  std::optional<std::string> first_warning(const std::string& runtime, const Toolchain& toolchain);

 private:
  std::string locate(Family family, const std::string& runtime) const;
  const std::string installed_, node_modules_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Toolchain>, std::less<>> by_program_;
  std::map<std::string, bool, std::less<>> warned_;
};
// True when the program's version is the one that the runtime's name promises.
bool is_exact(const std::string& runtime, const Toolchain& toolchain);

// Writes the bootstraps below `directory`.
void lay_out_runtimes(const std::string& directory);
// What must be made of them with the toolchain itself before it can start: the classes of Java's. Takes about a second
// the first time. Throws std::runtime_error with a sentence.
void prepare_toolchain(const Toolchain& toolchain, const std::string& runtime_directory);

// The program that turns an empty sandbox into a prepared one. `memory_mb` sizes a Java heap.
std::vector<std::string> bootstrap_arguments(const Toolchain& toolchain, uint32_t memory_mb);
// The environment it starts with, before its function is known; it is of `runtime`, most likely.
std::vector<std::string> bootstrap_environment(Family family, const std::string& runtime);

// The function's environment with everything a runtime promises that the caller left out.
Environment complete_environment(const Spec& spec, Family family, const std::string& door_url);
// True when something of it must be there before the program starts, so that a prepared interpreter is of no use.
bool needs_own_start(const Environment& environment);

}  // namespace virga::sandbox
