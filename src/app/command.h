// The command line as data: verbs with their options and examples, from which parsing, help and completion follow.
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace virga::app {

// The user asked for something that can't be done as asked: printed as one line, exit status 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// It was asked rightly and failed: printed as one line, exit status 1.
struct CommandError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Arguments {
 public:
  bool has(std::string_view option) const { return options_.contains(option); }
  std::string get(std::string_view option, std::string_view otherwise = "") const;
  std::vector<std::string> all(std::string_view option) const;  // of an option given several times
  int64_t number(std::string_view option, int64_t otherwise, int64_t least, int64_t most) const;  // throws UsageError
  // The nth positional argument; throws UsageError naming `what` when it is missing.
  const std::string& required(size_t n, std::string_view what) const;
  const std::vector<std::string>& positional() const { return positional_; }
  bool json() const { return get("--output") == "json"; }

 private:
  friend struct Command;
  std::multimap<std::string, std::string, std::less<>> options_;
  std::vector<std::string> positional_;
};

struct Option {
  std::string_view name;   // "--port"
  std::string_view value;  // what stands for its value in help: "N"; empty: a switch
  std::string_view help;
};

struct Command {
  std::string_view name;
  std::string_view positional;  // in help: "FOLDER"; empty: takes none
  std::string_view summary;     // one line
  std::vector<Option> options;
  std::vector<std::string_view> examples;
  int (*run)(const Arguments& arguments);

  Arguments parse(const std::vector<std::string>& words) const;  // throws UsageError
  std::string help() const;
};

void print(const std::string& text);
// What a command found, in the form that was asked for: `text` as it is, or `json` on a line.
void print(const Arguments& arguments, const Json& json, const std::string& text);

// `text` with blanks after it up to `width`, two at the least.
std::string column(std::string text, size_t width);

// The first of these environment variables that is set and not empty.
std::string environment(std::initializer_list<const char*> names, std::string_view otherwise = "");
std::string read_file(const std::string& path);  // throws CommandError

// Options that every command which talks to a running Virga takes.
extern const Option kEndpointOption, kRegionOption, kOutputOption;

const std::vector<Command>& commands();
std::string completion_script(std::string_view shell);  // throws UsageError for an unknown shell
std::string overview();

}  // namespace virga::app
