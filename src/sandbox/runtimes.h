// Which interpreter serves a runtime here, and what an instance of it is started with.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/sandbox.h"

namespace virga::sandbox {

enum class Family { kPython, kNode, kCustom };
inline constexpr size_t kFamilies = 3;

inline constexpr uint16_t kRuntimeApiPort = 9001;

using Environment = std::vector<std::pair<std::string, std::string>>;

std::optional<Family> family_of(const std::string& runtime);

// A program of this machine, found once.
struct Interpreter {
  std::string path;    // on the host; empty: there is none
  std::string inside;  // the same within a sandbox
  std::string prefix;  // a host directory that must be visible at /var/lang; empty when it is below /usr
};
Interpreter find_python();
Interpreter find_node(const std::string& node_modules);
// What it says of itself ("3.11.2"). Runs it.
std::string version_of(const Interpreter& interpreter);

// Writes the bootstraps below `directory`.
void lay_out_runtimes(const std::string& directory);

// The program that turns an empty sandbox into a prepared one of this family.
std::vector<std::string> bootstrap_arguments(Family family, const Interpreter& interpreter);
// The environment it starts with, before its function is known.
std::vector<std::string> bootstrap_environment();

// The function's environment with everything a runtime promises that the caller left out.
Environment complete_environment(const Spec& spec, Family family, const std::string& door_url);
// True when something of it must be there before the program starts, so that a prepared interpreter is of no use.
bool needs_own_start(const Environment& environment);

}  // namespace virga::sandbox
