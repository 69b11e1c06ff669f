// Commands about this machine and the Virga that runs on it.
#include <signal.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>

#include "app/client.h"
#include "app/commands.h"
#include "app/services.h"
#include "base/encoding.h"
#include "base/str.h"
#include "sandbox/sandbox.h"

namespace virga::app {
namespace {

constexpr auto kStopPatience = std::chrono::seconds(20);

// Median time of a durable write of 1 KB into the data folder's file system, in microseconds; nothing when it can't be
// written.
std::optional<double> sync_cost(const std::string& folder) {
  const std::string path = cat(folder, "/.doctor-", ::getpid());
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return std::nullopt;
  const std::string block(1024, 'x');
  std::vector<double> times;
  for (int i = 0; i < 21; ++i) {
    const auto began = std::chrono::steady_clock::now();
    if (::write(fd, block.data(), block.size()) < 0 || ::fdatasync(fd) != 0) break;
    times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - began).count());
  }
  ::close(fd);
  ::unlink(path.c_str());
  if (times.empty()) return std::nullopt;
  std::ranges::nth_element(times, times.begin() + static_cast<long>(times.size() / 2));
  return times[times.size() / 2];
}

bool in_memory(const std::string& folder) {
  constexpr long kTmpfs = 0x01021994, kRamfs = static_cast<long>(0x858458f6);
  struct statfs info;
  return ::statfs(folder.c_str(), &info) == 0 && (info.f_type == kTmpfs || info.f_type == kRamfs);
}

}  // namespace

int run_status(const Arguments& arguments) {
  Client client(arguments);
  const Json health = client.get("/_virga/health");
  std::string services;
  if (const Json* list = health.find("services")) {
    for (const Json& service : list->as_array()) append(services, services.empty() ? "" : ", ", service.as_string());
  }
  std::string text = cat("Virga ", health.string_or("version"), " runs at ", client.endpoint());
  const Json* pid = health.find("pid");
  if (pid && pid->is_int()) {
    append(text, ", process ", pid->as_int(), "\nData      ", health.string_or("data"), "\nServices  ", services, "\n");
  } else {
    text += " on another machine, which tells no more\n";
  }
  print(arguments, health, text);
  return 0;
}

int run_down(const Arguments& arguments) {
  Client client(arguments);
  const Json health = client.get("/_virga/health");
  const Json* process = health.find("pid");
  const pid_t pid = process && process->is_int() ? static_cast<pid_t>(process->as_int()) : 0;
  // Only a process that holds the data folder it speaks of: who answers at the endpoint may be anyone.
  std::ifstream lock(cat(health.string_or("data"), "/lock"));
  std::string holder;
  if (pid <= 1 || !std::getline(lock, holder) || holder != cat(pid) || ::kill(pid, SIGTERM) != 0)
    throw CommandError(
        cat("process ", pid, " can't be stopped from here: it runs on another machine or as another user"));
  const auto end = std::chrono::steady_clock::now() + kStopPatience;
  while (::kill(pid, 0) == 0) {
    if (std::chrono::steady_clock::now() > end)
      throw CommandError(cat("process ", pid, " was told to stop and has not yet"));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  print(arguments, Json::object({{"stopped", pid}}), "Virga has stopped.\n");
  return 0;
}

// Newest last, as a log reads.
int run_outbox(const Arguments& arguments) {
  Client client(arguments);
  if (const std::string reply = arguments.get("--reply"); !reply.empty()) {
    const std::string to = arguments.get("--to");
    if (to.empty()) throw UsageError("--reply needs the number that answers: --to NUMBER");
    const Json done =
        client.get(cat("/_virga/outbox?to=", percent_encode(to), "&reply=", percent_encode(reply)), "POST");
    print(arguments, done, cat(to, " has answered: ", reply, "\n"));
    return 0;
  }
  const Json box = client.get(cat("/_virga/outbox?limit=", arguments.number("--limit", 20, 1, 10'000),
                                  "&to=", percent_encode(arguments.get("--to"))));
  const auto& items = box.find("Items")->as_array();
  std::string text;
  for (auto item = items.rbegin(); item != items.rend(); ++item) {
    append(text, item->string_or("Time"), "  ", item->string_or("Kind"), " to ", item->string_or("To"), "\n");
    if (const std::string subject = item->string_or("Subject"); !subject.empty()) append(text, "  ", subject, "\n");
    for (const std::string_view line : split(item->string_or("Body"), '\n')) append(text, "    ", line, "\n");
  }
  print(arguments, box, text.empty() ? "Nothing was sent to anybody.\n" : text);
  return 0;
}

int run_services(const Arguments& arguments) {
  const std::string only = arguments.positional().empty() ? "" : arguments.positional()[0];
  Json all = Json::object();
  std::string text;
  for (const wire::ServiceModel* model : service_models()) {
    if (!only.empty() && model->id != only) continue;
    Json served = Json::array(), known = Json::array();
    std::string names;
    for (const wire::OperationModel& operation : model->operations) {
      (operation.served ? served : known).push_back(operation.name);
      if (operation.served) append(names, "  ", operation.name, "\n");
    }
    append(text, model->id, ": ", served.as_array().size(), " of ", model->operations.size(), " operations of ",
           model->full_name, "\n");
    if (!only.empty()) text += names;
    all[model->id] = Json::object({{"served", std::move(served)}, {"not_served", std::move(known)}});
  }
  if (text.empty()) throw CommandError(cat("no service '", only, "' is built; virga services lists those that are"));
  print(arguments, all, text);
  return 0;
}

int run_doctor(const Arguments& arguments) {
  const std::string data = arguments.get("--data", default_data());
  const bool made = std::filesystem::create_directories(data);
  const std::string state = cat(data, "/doctor-", ::getpid());
  std::vector<sandbox::Capability> checks;
  {
    const auto sandboxes = sandbox::open({.state_directory = state,
                                          .node_modules = default_node_modules(),
                                          .runtimes = default_runtimes(),
                                          .warm_pool = 0});
    checks = sandboxes->capabilities();
    for (const std::string_view runtime : {"python3.11", "nodejs22.x", "ruby3.3", "java17", "provided.al2023"}) {
      const auto found = sandboxes->runtime(std::string(runtime));
      checks.push_back({cat("runtime ", runtime), found.available, found.text});
    }
  }
  std::error_code ignored;
  std::filesystem::remove_all(state, ignored);
  const auto cost = sync_cost(data);
  checks.push_back({"durable writes", cost && !in_memory(data),
                    !cost             ? cat(data, " can't be written")
                    : in_memory(data) ? cat(data, " is in memory: nothing survives a restart of the machine")
                                      : cat(data, " syncs 1 KB in ", static_cast<int64_t>(*cost), " µs (median)")});
  if (made) std::filesystem::remove(data, ignored);
  Json list = Json::array();
  std::string text;
  for (const auto& check : checks) {
    list.push_back(Json::object({{"name", check.name}, {"holds", check.enforced}, {"how", check.how}}));
    append(text, check.enforced ? "  ok   " : "  NO   ", column(check.name, 26), check.how, "\n");
  }
  print(arguments, list, text);
  return 0;
}

int run_env(const Arguments& arguments) {
  Client client(arguments);
  const std::pair<const char*, std::string> settings[] = {
      {"AWS_ENDPOINT_URL", client.endpoint()}, {"AWS_ACCESS_KEY_ID", "test"},
      {"AWS_SECRET_ACCESS_KEY", "test"},       {"AWS_REGION", client.region()},
      {"AWS_DEFAULT_REGION", client.region()}, {"AWS_PAGER", ""}};
  Json all = Json::object();
  std::string script;
  for (const auto& [name, value] : settings) {
    all[name] = value;
    append(script, "export ", name, "=", value, ";\n");
  }
  // It means the same with its lines run together, as an `eval` without quotation marks does.
  append(script, "unset AWS_SESSION_TOKEN;\n", "aws() { command aws --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"; };\n",
         "# The function is for versions of aws cli before 2.13 (Debian 12's), which don't know AWS_ENDPOINT_URL.\n");
  print(arguments, all, script);
  return 0;
}

}  // namespace virga::app
