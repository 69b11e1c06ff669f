// How an instance starts: what is ordered of the launcher, and what its program is told.
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/str.h"
#include "sandbox/frames.h"
#include "sandbox/jail/error.h"
#include "sandbox/pool.h"

namespace virga::sandbox {

using jail::Assign;
using jail::Kind;
using jail::Message;

namespace {

constexpr size_t kMostFirstFrame = 32 * 1024;  // the kernel takes it whole, whatever the launcher says meanwhile

bool is_directory(const std::string& path) {
  struct stat s;
  return ::stat(path.c_str(), &s) == 0 && S_ISDIR(s.st_mode);
}

// What a function may reach, by its own variable: all (as without it), virga, outside or none.
struct Reach {
  bool door, outside;
};
Reach reach_of(const Spec& spec) {
  for (const auto& [name, value] : spec.environment) {
    if (name == "VIRGA_NETWORK") return {value == "all" || value == "virga", value == "all" || value == "outside"};
  }
  return {true, true};
}

// Files for the loader that are looked for only where the program started with the folder in view.
bool brings_libraries(const Spec& spec) {
  return is_directory(cat(spec.code_directory, "/lib")) ||
         std::ranges::any_of(spec.layer_directories, [](const std::string& l) { return is_directory(cat(l, "/lib")); });
}

// Adds the names of what is no directory in `folder` of `root`. A link in it leads nowhere but into `root`.
void add_programs(const std::string& root, const char* folder, std::set<std::string>& to) {
  const Fd top(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  open_how how{.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  const auto fd = static_cast<int>(::syscall(SYS_openat2, top.get(), folder, &how, sizeof how));
  DIR* const listing = fd < 0 ? nullptr : ::fdopendir(fd);
  if (!listing) return;
  while (const dirent* entry = ::readdir(listing)) {
    if (entry->d_type == DT_DIR) continue;
    to.insert(entry->d_name);
    if (to.size() > Extensions::kMost) break;
  }
  ::closedir(listing);
}

// External extensions by name, in the order they are started. Where layers have the same, the later one's is seen.
std::vector<std::string> external_extensions(const Spec& spec) {
  std::set<std::string> names;
  if (spec.image) add_programs(spec.image->root, "opt/extensions", names);
  for (const std::string& layer : spec.layer_directories) add_programs(layer, "extensions", names);
  return {names.begin(), names.end()};
}

// Variables that AWS gives to the runtime's process alone.
bool is_the_runtimes(std::string_view variable) {
  static constexpr std::array<std::string_view, 9> kOnly = {
      "AWS_EXECUTION_ENV",        "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
      "AWS_XRAY_CONTEXT_MISSING", "AWS_XRAY_DAEMON_ADDRESS",   "LAMBDA_RUNTIME_DIR",
      "LAMBDA_TASK_ROOT",         "_AWS_XRAY_DAEMON_ADDRESS",  "_HANDLER"};
  return std::ranges::count(kOnly, variable) > 0;
}

std::string sized(std::string frame) {
  if (frame.size() > kMostFirstFrame) throw std::runtime_error("the function's environment is too large");
  return frame;
}

}  // namespace

// External extensions run first. What starts the runtime then follows when they have registered.
void Pool::start_extensions(Core& core, const Spec& spec, const Environment& environment,
                            std::vector<std::string> names, std::function<void()> start_runtime) {
  std::vector<Attendant> attendants;
  std::vector<Message> orders;
  for (std::string& name : names) {
    int output[2];
    jail::must(::pipe2(output, O_CLOEXEC), "pipe");
    ::fcntl(output[0], F_SETFL, O_NONBLOCK);
    const uint64_t program = attendants.size() + 1;
    Message run{.kind = Kind::kRun, .id = core.id(), .numbers = std::vector<uint64_t>(jail::Run::kNumbers)};
    run.numbers[jail::Run::kProgram] = program;
    run.numbers[jail::Run::kArguments] = 1;
    run.numbers[jail::Run::kMemoryMb] = spec.limits.memory_mb;
    run.numbers[jail::Run::kOpenFiles] = spec.limits.open_files;
    run.strings.push_back(cat("/opt/extensions/", name));
    for (const auto& [variable, value] : environment) {
      if (!is_the_runtimes(variable)) run.strings.push_back(cat(variable, "=", value));
    }
    run.fds.emplace_back(output[1]);
    orders.push_back(std::move(run));
    attendants.push_back({.name = std::move(name), .program = program, .output = Fd(output[0])});
  }
  core.attend(std::move(attendants), std::move(start_runtime));
  for (const Message& order : orders) {
    if (core.alive()) keeper_.order(order);
  }
}

// What the sandbox is to see, and its limits. Nothing of the function runs by this alone.
void Pool::assign(Core& core, const Spec& spec, const Toolchain& toolchain, bool own_start) {
  Message order{.kind = Kind::kAssign, .id = core.id(), .numbers = std::vector<uint64_t>(Assign::kNumbers)};
  order.numbers[Assign::kMemoryMb] = spec.limits.memory_mb;
  order.numbers[Assign::kTmpMb] = spec.limits.tmp_mb;
  order.numbers[Assign::kProcesses] = spec.limits.processes;
  order.numbers[Assign::kOpenFiles] = spec.limits.open_files;
  order.numbers[Assign::kOutside] = options_.outside && reach_of(spec).outside;
  order.strings = {spec.code_directory,
                   toolchain.family == Family::kCustom ? std::string() : frame(ToRuntime::kMounted, {}),
                   own_start ? toolchain.prefix : std::string(), spec.image ? spec.image->root : std::string()};
  order.strings.insert(order.strings.end(), spec.layer_directories.begin(), spec.layer_directories.end());
  keeper_.order(order);
}

// What runs the program of an own start.
Message Pool::run_order(const Core& core, const Spec& spec, const Toolchain& toolchain,
                        const Environment& environment) const {
  std::vector<std::string> arguments;
  if (spec.image) {
    arguments = spec.image->arguments;
  } else if (toolchain.family == Family::kCustom) {
    arguments = {is_directory(spec.code_directory) &&
                         ::access(cat(spec.code_directory, "/bootstrap").c_str(), F_OK) == 0
                     ? "/var/task/bootstrap"
                     : "/opt/bootstrap"};
  } else {
    arguments = bootstrap_arguments(toolchain, spec.limits.memory_mb);
  }
  if (std::string wrapper = wrapper_of(spec); !wrapper.empty()) arguments.insert(arguments.begin(), std::move(wrapper));
  Message run{.kind = Kind::kRun, .id = core.id(), .numbers = std::vector<uint64_t>(jail::Run::kNumbers)};
  run.numbers[jail::Run::kProgram] = jail::kMainProgram;
  run.numbers[jail::Run::kArguments] = arguments.size();
  run.numbers[jail::Run::kMemoryMb] = spec.limits.memory_mb;
  run.numbers[jail::Run::kOpenFiles] = spec.limits.open_files;
  run.numbers[jail::Run::kDirectories] = spec.image ? 1 : 0;
  run.strings = std::move(arguments);
  for (const auto& [name, value] : environment) run.strings.push_back(cat(name, "=", value));
  if (spec.image) run.strings.push_back(spec.image->working_directory);
  return run;
}

// Starts the program of a sandbox that is assigned; its environment is whole.
void Pool::run(Core& core, const Spec& spec, const Toolchain& toolchain, bool own_start,
               const Environment& environment) {
  std::string first_frame = toolchain.family == Family::kCustom
                                ? std::string()
                                : sized(init_frame(spec, own_start ? Environment() : environment, false));
  std::optional<Message> order;
  if (own_start) order = run_order(core, spec, toolchain, environment);
  std::vector<std::string> extensions = external_extensions(spec);
  if (extensions.empty()) {
    if (order) keeper_.order(*order);
    return core.greet(std::move(first_frame));
  }
  // The core holds this until it is called, and never calls it afterwards.
  start_extensions(core, spec, environment, std::move(extensions),
                   [this, &core, order = std::make_shared<std::optional<Message>>(std::move(order)),
                    frame = std::move(first_frame)] {
                     if (*order) keeper_.order(**order);
                     core.greet(frame);
                   });
}

Task<std::unique_ptr<Instance>> Pool::start(Spec spec, LogSink log) {
  const auto toolchain = spec.image ? nothing_ : toolchains_.find(spec.runtime);
  const bool custom = toolchain->family == Family::kCustom;
  if (toolchain->family == Family::kJava) {
    const auto preparing = preparation(toolchain);
    co_await preparing->done.wait();
    if (preparing->failure) throw std::runtime_error(*preparing->failure);
  }
  {
    std::lock_guard lock(mutex_);
    if (stopped_) throw std::runtime_error("sandboxes are stopped");
    if (live_ >= options_.most_instances) {
      throw Full(cat("the limit of ", options_.most_instances, " instances on this machine is reached"));
    }
    ++live_;
  }
  const bool own_start = custom || needs_own_start(spec.environment) || brings_libraries(spec);
  const uint32_t memory_mb = spec.limits.memory_mb;
  Result<Slot> slot = co_await as_result(take(own_start ? nothing_ : toolchain, memory_mb, spec.runtime));
  if (!slot) {
    {
      std::lock_guard lock(mutex_);
      --live_;
    }
    co_await fail_with(std::move(slot.error()));
  }
  const uint32_t id = slot->id;
  if (!reach_of(spec).door) {
    if (slot->leave_door) slot->leave_door();
    slot->leave_door = nullptr;
    slot->door_listener.reset();
  }
  std::shared_ptr<Core> core = custom
                                   ? make_custom(backstage_, std::move(*slot), spec, spec.runtime, std::move(log))
                                   : make_managed(backstage_, std::move(*slot), spec, toolchain->name, std::move(log));
  {
    std::lock_guard lock(mutex_);
    if (!stopped_) cores_.emplace(id, core);
  }
  auto instance = instance_of(core);  // from here on its end is this object's
  Executor* const caller = Executor::current();
  co_await move_to(core->home());
  Environment environment = complete_environment(
      spec, toolchain->family, options_.adopt_listener ? cat("http://127.0.0.1:", options_.api_port) : "");
  // A prepared interpreter makes itself ready with what is known.
  const bool early = spec.held && !own_start && spec.concurrency <= 1 && takes_more(toolchain->family) &&
                     external_extensions(spec).empty();
  if (early) core->greet(sized(init_frame(spec, environment, true)));
  assign(*core, spec, *toolchain, own_start);
  core->open();
  if (early) {
    core->hold([&core = *core](Environment rest) { core.greet(sized(environment_frame(rest))); });
  } else if (spec.held) {
    core->hold([this, &core = *core, spec = std::move(spec), toolchain, own_start,
                environment = std::move(environment)](Environment rest) mutable {
      std::ranges::move(rest, std::back_inserter(environment));
      run(core, spec, *toolchain, own_start, environment);
    });
  } else {
    run(*core, spec, *toolchain, own_start, environment);
  }
  core->home().post([this, taken = own_start ? nothing_ : toolchain, memory_mb] { replace(taken, memory_mb); });
  if (caller && caller != &core->home()) co_await move_to(*caller);
  co_return std::move(instance);
}

}  // namespace virga::sandbox
