#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "app/command.h"
#include "base/error.h"
#include "base/str.h"
#include "sandbox/sandbox.h"

namespace {

using virga::app::Command;

int run_command(const Command& command, const std::vector<std::string>& words) {
  if (std::ranges::find(words, "--help") != words.end() || std::ranges::find(words, "-h") != words.end()) {
    virga::app::print(command.help());
    return 0;
  }
  return command.run(command.parse(words));
}

int complain(const char* what, int status) {
  std::fprintf(stderr, "virga: %s\n", what);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  // The sandbox's launcher is this binary under another name; it must not do anything else first.
  if (argc > 1 && std::string_view(argv[1]) == "launcher") return virga::sandbox::launcher_main(argc, argv);

  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty() || words[0] == "help" || words[0] == "--help" || words[0] == "-h") {
    if (words.size() > 1)
      std::swap(words[0], words[1]), words[1] = "--help";
    else
      return virga::app::print(virga::app::overview()), 0;
  }
  if (words[0] == "--version") words[0] = "version";
  const auto& commands = virga::app::commands();
  const auto command = std::ranges::find(commands, words[0], &Command::name);
  if (command == commands.end()) {
    return complain(virga::cat("no command '", words[0], "'; virga help lists them").c_str(), 2);
  }
  try {
    return run_command(*command, {words.begin() + 1, words.end()});
  } catch (const virga::app::UsageError& error) {
    return complain(error.what(), 2);
  } catch (const virga::Error& error) {
    return complain(error.message.c_str(), 1);
  } catch (const std::exception& error) {
    return complain(error.what(), 1);
  }
}
