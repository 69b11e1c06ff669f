#include "app/commands.h"

#include <cstdio>

#include "base/str.h"

namespace virga::app {

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      {"up",
       "",
       "Start Virga and serve until stopped",
       {{"--data", "DIR", "Everything durable is here (default ~/.virga)"},
        {"--port", "N", "Port to listen on; 0 picks a free one (default 4566)"},
        {"--host", "ADDRESS", "Address to listen on (default 127.0.0.1); empty for every address"},
        {"--detach", "", "Go on in the background; returns when ready"},
        {"--iam", "MODE", "enforce (default), or audit: allow, and record what would have been denied"},
        {"--node-modules", "DIR", "Packages every Node function finds (default: the AWS SDK, where it is installed)"},
        {"--function-network", "MODE", "What functions reach: all (default), or virga: nothing outside this Virga"},
        {"--runtimes", "DIR", "Where added runtimes are (default ~/.local/share/virga/runtimes)"},
        {"--function-idle", "SECONDS", "Keep an instance of a function that nobody calls this long (default 300)"},
        {"--image-limit", "MB", "The largest container image of a function, packed and unpacked (default 10240)"},
        {"--code-storage", "MB", "Archives of an account's functions and layers (default 76800)"},
        {"--function-concurrency", "N", "Invocations of an account's functions at a time (default 1000)"},
        {"--function-scaling", "N", "New instances of a function in ten seconds (default 1000)"},
        {"--snapshot-idle", "SECONDS", "A version with SnapStart uncalled so long is Inactive (default 1209600)"},
        {"--threads", "N", "Reactor threads (default: one a core)"},
        {"--cache", "MB", "Memory for what is read often (default 16)"},
        {"--tls-certificate", "FILE", "Serve TLS with this certificate chain (PEM)"},
        {"--tls-key", "FILE", "… and this private key (PEM)"},
        {"--log", "LEVEL", "debug, info (default), warning or error"},
        {"--log-format", "FORMAT", "text (default) or json"},
#if VIRGA_FAULTS
        {"--fault", "NAME=ACTION", "Arm a fault point: NAME=kill or NAME=fail, with :SKIP passings first"},
#endif
        kOutputOption},
       {"virga up", "virga up --data ./cloud --port 0", "virga up --detach"},
       run_up},
      {"down",
       "",
       "Stop the Virga that runs here, finishing what it is doing",
       {kEndpointOption, kOutputOption},
       {"virga down"},
       run_down},
      {"status",
       "",
       "Tell whether Virga runs, where its data is and what it serves",
       {kEndpointOption, kOutputOption},
       {"virga status", "virga status --output json"},
       run_status},
      {"deploy",
       "FOLDER",
       "Package and deploy a SAM or CloudFormation application",
       {{"--stack", "NAME", "Name of the stack (default: the folder's name)"},
        {"--template", "FILE", "The template (default: template.yaml, template.yml or template.json)"},
        {"--parameter", "KEY=VALUE", "A parameter of the template; may be given several times"},
        kEndpointOption,
        kRegionOption,
        kOutputOption},
       {"virga deploy examples/guestbook", "virga deploy . --stack shop --parameter Stage=test"},
       run_deploy},
      {"delete",
       "STACK",
       "Delete a stack and everything it made",
       {kEndpointOption, kRegionOption, kOutputOption},
       {"virga delete guestbook"},
       run_delete},
      {"invoke",
       "FUNCTION",
       "Call a function and print its answer",
       {{"--payload", "JSON", "The event (default {}); - reads it from standard input"},
        {"--log", "", "Print the end of the function's log too"},
        kEndpointOption,
        kRegionOption,
        kOutputOption},
       {"virga invoke hello", "virga invoke hello --payload '{\"name\":\"Ada\"}' --log"},
       run_invoke},
      {"logs",
       "FUNCTION",
       "Print a function's log, or any log group's when the name starts with /",
       {{"--follow", "", "Go on as lines arrive"},
        {"--since", "TIME", "How far back: 90s, 10m (default), 2h, 1d"},
        {"--filter", "PATTERN", "Only lines that match this filter pattern"},
        kEndpointOption,
        kRegionOption,
        kOutputOption},
       {"virga logs hello --follow", "virga logs /aws/lambda/hello --since 1h --filter ERROR"},
       run_logs},
      {"outbox",
       "",
       "Print the mail, text messages and push notifications that would have left for people",
       {{"--to", "ADDRESS", "Only what was sent to this address, number or device token"},
        {"--limit", "N", "How many at the most (default 20)"},
        kEndpointOption,
        kOutputOption},
       {"virga outbox", "virga outbox --to ada@example.com"},
       run_outbox},
      {"services",
       "[SERVICE]",
       "List the operations that are served, by service",
       {kOutputOption},
       {"virga services", "virga services dynamodb"},
       run_services},
      {"runtimes",
       "[add|remove NAME]",
       "List what runs functions on this machine; get a version of Node.js from npm",
       {{"--runtimes", "DIR", "Where added runtimes are (default ~/.local/share/virga/runtimes)"}, kOutputOption},
       {"virga runtimes", "virga runtimes add nodejs24.x"},
       run_runtimes},
      {"doctor",
       "",
       "Tell what isolation and durability this machine gives",
       {{"--data", "DIR", "The data folder to look at (default ~/.virga)"}, kOutputOption},
       {"virga doctor"},
       run_doctor},
      {"env",
       "",
       "Print the settings that point a shell's AWS tools at Virga",
       {kEndpointOption, kRegionOption, kOutputOption},
       {"eval \"$(virga env)\""},
       run_env},
      {"version", "", "Print the version", {kOutputOption}, {"virga version"}, run_version},
      {"completion",
       "SHELL",
       "Print a completion script for bash or zsh",
       {},
       {"source <(virga completion bash)"},
       run_completion},
  };
  return all;
}

int run_version(const Arguments& arguments) {
  if (arguments.json()) {
    std::printf("{\"version\":\"%s\"}\n", VIRGA_VERSION);
  } else {
    std::printf("virga %s\n", VIRGA_VERSION);
  }
  return 0;
}

int run_completion(const Arguments& arguments) {
  const std::string script = completion_script(arguments.required(0, "shell"));
  std::fwrite(script.data(), 1, script.size(), stdout);
  return 0;
}

}  // namespace virga::app
