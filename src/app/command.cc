#include "app/command.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "base/str.h"

namespace virga::app {

const Option kEndpointOption{"--endpoint", "URL",
                             "The Virga to talk to (AWS_ENDPOINT_URL, else http://127.0.0.1:4566)"};
const Option kRegionOption{"--region", "NAME", "Region (AWS_REGION, AWS_DEFAULT_REGION, else us-east-1)"};
const Option kOutputOption{"--output", "FORMAT", "text, for people, or json, for programs"};

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void print(const Arguments& arguments, const Json& json, const std::string& text) {
  print(arguments.json() ? cat(json.dump(), "\n") : text);
}

std::string column(std::string text, size_t width) {
  text.resize(std::max(text.size() + 2, width), ' ');
  return text;
}

std::string environment(std::initializer_list<const char*> names, std::string_view otherwise) {
  for (const char* name : names) {
    if (const char* value = std::getenv(name); value && *value) return value;
  }
  return std::string(otherwise);
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw CommandError(cat("can't read ", path));
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string Arguments::get(std::string_view option, std::string_view otherwise) const {
  const auto found = options_.find(option);
  return found == options_.end() ? std::string(otherwise) : found->second;
}

std::vector<std::string> Arguments::all(std::string_view option) const {
  std::vector<std::string> values;
  for (auto [at, end] = options_.equal_range(option); at != end; ++at) values.push_back(at->second);
  return values;
}

int64_t Arguments::number(std::string_view option, int64_t otherwise, int64_t least, int64_t most) const {
  if (!has(option)) return otherwise;
  const std::string text = get(option);
  const std::optional<int64_t> value = parse_int(text);
  if (!value || *value < least || *value > most) {
    throw UsageError(cat(option, " takes a whole number from ", least, " to ", most, ", not '", text, "'"));
  }
  return *value;
}

const std::string& Arguments::required(size_t n, std::string_view what) const {
  if (n >= positional_.size()) throw UsageError(cat("which ", what, "? Give it after the command's name"));
  return positional_[n];
}

Arguments Command::parse(const std::vector<std::string>& words) const {
  Arguments arguments;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!word.starts_with("--") || word == "--") {
      arguments.positional_.push_back(word);
      continue;
    }
    const auto [name, inline_value] = split_once(word, '=');
    const auto option = std::ranges::find(options, name, &Option::name);
    if (option == options.end())
      throw UsageError(cat("virga ", this->name, " has no option ", name, "; see virga ", this->name, " --help"));
    if (option->value.empty()) {
      arguments.options_.emplace(name, "");
    } else if (name.size() < word.size()) {
      arguments.options_.emplace(name, inline_value);
    } else if (i + 1 < words.size()) {
      arguments.options_.emplace(name, words[++i]);
    } else {
      throw UsageError(cat(name, " needs a value: ", name, " ", option->value));
    }
  }
  if (positional.empty() && !arguments.positional_.empty()) {
    throw UsageError(cat("virga ", name, " takes no argument '", arguments.positional_[0], "'"));
  }
  const std::string output = arguments.get("--output", "text");
  if (output != "text" && output != "json") throw UsageError(cat("--output is text or json, not '", output, "'"));
  return arguments;
}

std::string Command::help() const {
  std::string out = cat(summary, "\n\nUsage: virga ", name, positional.empty() ? "" : " ", positional,
                        options.empty() ? "" : " [options]", "\n");
  if (!options.empty()) out += "\nOptions:\n";
  for (const Option& option : options) {
    append(out, column(cat("  ", option.name, option.value.empty() ? "" : " ", option.value), 24), option.help, "\n");
  }
  if (!examples.empty()) out += "\nExamples:\n";
  for (const std::string_view example : examples) append(out, "  ", example, "\n");
  return out;
}

std::string overview() {
  std::string out = "Virga: a serverless cloud in one binary.\n\nUsage: virga COMMAND [options]\n\nCommands:\n";
  for (const Command& command : commands()) {
    append(out, column(cat("  ", command.name), 14), command.summary, "\n");
  }
  out +=
      "\nExamples:\n"
      "  virga up --detach               start in the background\n"
      "  eval \"$(virga env)\"             point this shell's aws cli and SDKs at it\n"
      "  virga deploy examples/guestbook deploy a SAM application\n"
      "\nvirga COMMAND --help tells more about each.\n";
  return out;
}

std::string completion_script(std::string_view shell) {
  std::string names;
  for (const Command& command : commands()) append(names, names.empty() ? "" : " ", command.name);
  std::string cases;
  for (const Command& command : commands()) {
    std::string options = "--help";
    for (const Option& option : command.options) append(options, " ", option.name);
    append(cases, "    ", command.name, ") words='", options, "' ;;\n");
  }
  const std::string body =
      cat("  local words='", names, " help'\n  case \"${COMP_WORDS[1]}\" in\n", cases, "  esac\n",
          "  if [ \"$COMP_CWORD\" -eq 1 ]; then words='", names, " help'; fi\n",
          "  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n",
          "  if [ ${#COMPREPLY[@]} -eq 0 ]; then COMPREPLY=($(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\")); fi\n");
  if (shell == "bash") return cat("_virga() {\n", body, "}\ncomplete -F _virga virga\n");
  if (shell == "zsh")
    return cat("autoload -U +X bashcompinit && bashcompinit\n_virga() {\n", body, "}\ncomplete -F _virga virga\n");
  throw UsageError(cat("completion is written for bash and zsh, not '", shell, "'"));
}

}  // namespace virga::app
