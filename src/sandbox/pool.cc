#include "sandbox/pool.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <set>

#include "base/log.h"
#include "base/str.h"
#include "sandbox/frames.h"
#include "sandbox/jail/error.h"

namespace virga::sandbox {

using jail::Assign;
using jail::Kind;
using jail::Message;

namespace {

// A call that has just taken a prepared sandbox has the machine to itself for this long.
constexpr Micros kFillDelay = std::chrono::milliseconds(40);
// Calls that follow one another within this time are a burst: the next sandboxes are made meanwhile, not afterwards.
constexpr auto kBurst = std::chrono::milliseconds(100);
constexpr auto kUnusedFor = std::chrono::minutes(15);
constexpr size_t kMostFirstFrame = 32 * 1024;  // the kernel takes it whole, whatever the launcher says meanwhile
constexpr int kMostLaunchers = 4;              // that somebody waits for
constexpr Micros kSweepEvery = std::chrono::minutes(1);
// Longer than extensions have for their end.
constexpr Micros kSettleTime = std::chrono::milliseconds(2500);

std::string runtime_directory(const Options& options) { return cat(options.state_directory, "/runtime"); }

bool is_directory(const std::string& path) {
  struct stat s;
  return ::stat(path.c_str(), &s) == 0 && S_ISDIR(s.st_mode);
}

void discard(Slot& slot) {
  if (slot.process) ::syscall(SYS_pidfd_send_signal, slot.process.get(), SIGKILL, nullptr, 0);
  if (slot.leave_door) slot.leave_door();
  slot.leave_door = nullptr;
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

// What of the host every sandbox sees beside the system: host directory, where it appears.
std::vector<std::pair<std::string, std::string>> extra_mounts(const Options& options) {
  if (options.node_modules.empty()) return {};
  return {{options.node_modules, "/var/runtime/node_modules"}};
}

Options prepared(Options options) {
  // What an earlier run left: its mounts ended with it.
  std::error_code ignored;
  std::filesystem::remove_all(options.state_directory, ignored);
  std::filesystem::create_directories(options.state_directory);
  ::chmod(options.state_directory.c_str(), 0700);
  lay_out_runtimes(runtime_directory(options));
  return options;
}

}  // namespace

struct Pool::Waiter {
  std::optional<Slot> slot;
  std::string failure;
  int launchers = 1;  // that it was ordered of, one after the other's end
  std::optional<Resume> resume;
};

Pool::Pool(Options options)
    : options_(prepared(std::move(options))),
      toolchains_(options_.runtimes, options_.node_modules),
      keeper_(options_, runtime_directory(options_), extra_mounts(options_)),
      backstage_{.loop = loop_,
                 .keeper = keeper_,
                 .clock = options_.clock ? *options_.clock : machine_clock_,
                 .processor_share = options_.processor_share} {
  left_.set();
  backstage_.leaving = [this](uint32_t id) {
    std::lock_guard lock(mutex_);
    if (!cores_.contains(id) || !leaving_.insert(id).second) return;
    --live_;
    left_.reset();
  };
  backstage_.forget = [this](uint32_t id) {
    std::lock_guard lock(mutex_);
    if (leaving_.erase(id)) {
      cores_.erase(id);
      if (leaving_.empty()) left_.set();
    } else if (cores_.erase(id) && live_ > 0) {
      --live_;
    }
  };
}

Pool::~Pool() {
  keeper_.stop();
  lose_all({.kind = Event::Kind::kExited, .text = "Virga is stopping"}, false);
}

void Pool::begin() {
  if (begun_) return;
  begun_ = true;
  keeper_.listen(loop_,
                 [this](uint32_t id, Event event, Slot slot) { on_event(id, std::move(event), std::move(slot)); });
  loop_.post_after(kSweepEvery, [this] { sweep(); });
}

Sandboxes::Runtime Pool::runtime(const std::string& name) const {
  try {
    const auto toolchain = toolchains_.find(name);
    if (toolchain->family == Family::kCustom) return {true, "the program in the function's own package", true};
    return {true, cat(toolchain->program, " ", toolchain->version), is_exact(name, *toolchain)};
  } catch (const std::exception& e) {
    return {false, e.what()};
  }
}

std::vector<Capability> Pool::capabilities() const { return const_cast<Keeper&>(keeper_).capabilities(); }

void Pool::expect(const std::string& name, uint32_t memory_mb) {
  std::shared_ptr<const Toolchain> toolchain;
  try {
    toolchain = toolchains_.find(name);
  } catch (const std::exception&) {
    return;  // told when it is called
  }
  if (const auto warning = toolchains_.first_warning(name, *toolchain)) log_warning("sandbox", *warning);
  const auto preparing = preparation(toolchain);
  std::lock_guard lock(mutex_);
  if (stopped_ || !preparing->done.is_set()) return;  // else the first call starts what later ones find
  begin();
  Shelf& s = shelf(toolchain, memory_mb);
  s.kept = true;
  s.used = std::chrono::steady_clock::now();
  plan_fill(s, Micros(0));
}

std::shared_ptr<Pool::Preparation> Pool::preparation(const std::shared_ptr<const Toolchain>& toolchain) {
  std::shared_ptr<Preparation> made;
  {
    std::lock_guard lock(mutex_);
    auto& known = preparations_[toolchain->name];
    if (known) return known;
    made = known = std::make_shared<Preparation>();
  }
  if (toolchain->family != Family::kJava) {
    made->done.set();
    return made;
  }
  workers_.post([made, toolchain, directory = runtime_directory(options_)] {
    try {
      prepare_toolchain(*toolchain, directory);
    } catch (const std::exception& e) {
      made->failure = e.what();
    }
    made->done.set();
  });
  return made;
}

Pool::Shelf& Pool::shelf(const std::shared_ptr<const Toolchain>& toolchain, uint32_t memory_mb) {
  const uint32_t memory = toolchain->family == Family::kJava ? memory_mb : 0;
  Shelf& s = shelves_[{toolchain->name, memory}];
  if (!s.toolchain) {
    s.toolchain = toolchain;
    s.memory_mb = memory;
  }
  return s;
}

// A started Java is large: one is kept for each size that is in use.
size_t Pool::kept_ready(const Shelf& s) const {
  return s.toolchain->family == Family::kJava ? std::min<size_t>(options_.warm_pool, 1) : options_.warm_pool;
}

void Pool::order_one(Shelf& s) {
  Message order{.kind = Kind::kCreate, .id = keeper_.next_id()};
  const uint16_t door = options_.adopt_listener ? options_.api_port : 0;
  const bool custom = s.toolchain->family == Family::kCustom;
  // A Python below /usr can be a zygote: the launcher's template shows it.
  const bool zygote = s.toolchain->family == Family::kPython && s.toolchain->prefix.empty();
  order.numbers = {door, kRuntimeApiPort, 0, zygote};
  order.strings = {s.toolchain->prefix};
  if (!custom) {
    const auto arguments = bootstrap_arguments(*s.toolchain, s.memory_mb);
    order.numbers[2] = arguments.size();
    order.strings.insert(order.strings.end(), arguments.begin(), arguments.end());
    for (std::string& entry : bootstrap_environment()) order.strings.push_back(std::move(entry));
  }
  keeper_.order(order);
  ordered_.emplace(order.id, &s);
  ++s.coming;
}

void Pool::order_ahead(Shelf& s) {
  if (s.ready.size() + s.coming < s.waiters.size() + options_.warm_pool) order_one(s);
}

void Pool::plan_fill(Shelf& s, Micros delay) {
  if (s.fill_planned || stopped_ || s.ready.size() + s.coming >= kept_ready(s)) return;
  s.fill_planned = true;
  loop_.post_after(delay, [this, &s] { fill(s); });
}

void Pool::fill(Shelf& s) {
  std::lock_guard lock(mutex_);
  s.fill_planned = false;
  if (stopped_ || !s.kept || s.ready.size() + s.coming >= kept_ready(s)) return;
  const auto quiet = std::chrono::steady_clock::now() - s.used;
  if (quiet < kFillDelay && !s.ready.empty()) {
    return plan_fill(s, kFillDelay);  // calls keep coming and there is still one for the next
  }
  try {
    order_one(s);
  } catch (const std::exception& e) {
    log_warning("sandbox", "a sandbox could not be prepared", {{"why", e.what()}});
  }
}

void Pool::sweep() {
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  const auto now = std::chrono::steady_clock::now();
  for (auto& [key, s] : shelves_) {
    if (!s.kept || now - s.used < kUnusedFor) continue;
    s.kept = false;
    for (Slot& slot : s.ready) discard(slot);
    s.ready.clear();
  }
  loop_.post_after(kSweepEvery, [this] { sweep(); });
}

Task<Slot> Pool::take(std::shared_ptr<const Toolchain> toolchain, uint32_t memory_mb) {
  Waiter waiter;
  bool taken = false;
  {
    std::lock_guard lock(mutex_);
    begin();
    Shelf& s = shelf(toolchain, memory_mb);
    s.kept = true;
    const auto now = std::chrono::steady_clock::now();
    s.burst = now - s.used < kBurst;
    s.used = now;
    if (!s.ready.empty()) {
      waiter.slot = std::move(s.ready.front());
      s.ready.pop_front();
      taken = true;
    } else {
      if (s.coming <= s.waiters.size()) order_one(s);
      s.waiters.push_back(&waiter);
      if (s.burst) order_ahead(s);
    }
  }
  if (!taken) {
    // Once it is queued, the waiter is looked at only with the lock held: it may be served at any time.
    co_await suspend_until([&, this](Resume resume) {
      std::lock_guard lock(mutex_);
      if (waiter.slot || !waiter.failure.empty()) return false;
      waiter.resume.emplace(resume);
      return true;
    });
  }
  if (!waiter.slot) throw std::runtime_error(waiter.failure);
  co_return std::move(*waiter.slot);
}

// A prepared one was taken and its function is on its way: time to think of the next.
void Pool::replace(const std::shared_ptr<const Toolchain>& toolchain, uint32_t memory_mb) {
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  Shelf& s = shelf(toolchain, memory_mb);
  try {
    s.burst ? order_ahead(s) : plan_fill(s, kFillDelay);
  } catch (const std::exception& e) {
    log_warning("sandbox", "a sandbox could not be prepared", {{"why", e.what()}});
  }
}

void Pool::on_created(uint32_t id, Slot slot) {
  std::optional<Resume> resume;
  {
    std::lock_guard lock(mutex_);
    const auto found = ordered_.find(id);
    if (found == ordered_.end() || stopped_) return discard(slot);
    // Never after the stop: the door ends before this pool does.
    if (slot.door_listener && options_.adopt_listener)
      slot.leave_door = options_.adopt_listener(slot.door_listener.get());
    Shelf& s = *found->second;
    ordered_.erase(found);
    --s.coming;
    if (!s.waiters.empty()) {
      Waiter* waiter = s.waiters.front();
      s.waiters.pop_front();
      waiter->slot = std::move(slot);
      resume = waiter->resume;
    } else {
      s.ready.push_back(std::move(slot));
    }
    if (s.kept) plan_fill(s, Micros(0));
  }
  if (resume) (*resume)();
}

void Pool::on_event(uint32_t id, Event event, Slot slot) {
  if (event.kind == Event::Kind::kCreated) return on_created(id, std::move(slot));
  if (id == 0) {
    const bool another = event.kind == Event::Kind::kLost;
    event.kind = Event::Kind::kLost;
    return lose_all(std::move(event), another);
  }
  std::shared_ptr<Core> core;
  std::optional<Resume> resume;
  {
    std::lock_guard lock(mutex_);
    if (const auto found = cores_.find(id); found != cores_.end()) {
      core = found->second.lock();
    } else if (const auto ordered = ordered_.find(id); ordered != ordered_.end()) {
      Shelf& s = *ordered->second;
      ordered_.erase(ordered);
      --s.coming;
      if (!s.waiters.empty()) {
        Waiter* waiter = s.waiters.front();
        s.waiters.pop_front();
        waiter->failure = cat("no sandbox could be made: ", event.text);
        resume = waiter->resume;
      }
      log_warning("sandbox", "a sandbox could not be made", {{"why", event.text}});
    } else {
      // A prepared one ended, or could not build its jail.
      for (auto& [key, s] : shelves_) {
        const auto gone = std::ranges::find(s.ready, id, &Slot::id);
        if (gone == s.ready.end()) continue;
        log_warning("sandbox", "a prepared sandbox ended", {{"why", event.text}});
        discard(*gone);
        s.ready.erase(gone);
        s.kept = false;  // until the next use, so that a broken interpreter is not started over and over
        break;
      }
    }
  }
  if (resume) (*resume)();
  if (core) {
    core->home().post([core, event = std::move(event)] { core->on_event(event); });
  }
}

// Every sandbox is gone. `another`: sandboxes can be ordered again, and those who wait for one are given one.
void Pool::lose_all(Event event, bool another) {
  std::vector<Resume> resumes;
  std::vector<std::shared_ptr<Core>> cores;
  {
    std::lock_guard lock(mutex_);
    stopped_ = stopped_ || !another;
    ordered_.clear();
    for (auto& [key, s] : shelves_) {
      for (Slot& slot : s.ready) discard(slot);
      s.ready.clear();
      s.coming = 0;
      for (Waiter* waiter : std::exchange(s.waiters, {})) {
        std::string why = event.text;
        if (why.empty() && ++waiter->launchers > kMostLaunchers) why = "the launcher keeps ending";
        try {
          if (why.empty()) order_one(s);
        } catch (const std::exception& e) {
          why = e.what();
        }
        if (why.empty()) {
          s.waiters.push_back(waiter);
          continue;
        }
        waiter->failure = cat("no sandbox could be made: ", why);
        if (waiter->resume) resumes.push_back(*waiter->resume);
      }
      if (s.kept) plan_fill(s, kFillDelay);
    }
    for (auto& [id, weak] : cores_) {
      if (auto core = weak.lock()) cores.push_back(std::move(core));
    }
    live_ -= std::min(live_, cores_.size() - leaving_.size());
    cores_.clear();  // they hear no more: their executors may end before this pool does
    leaving_.clear();
    left_.set();
  }
  for (const Resume& resume : resumes) resume();
  for (const auto& core : cores) {
    Executor& home = core->home();
    home.post([core, event] { core->on_event(event); });
  }
}

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

void Pool::assign(Core& core, const Spec& spec, const Toolchain& toolchain, bool own_start) {
  const Family family = toolchain.family;
  const std::string door = options_.adopt_listener ? cat("http://127.0.0.1:", options_.api_port) : "";
  const Environment environment = complete_environment(spec, family, door);
  Message order{.kind = Kind::kAssign, .id = core.id(), .numbers = std::vector<uint64_t>(Assign::kNumbers)};
  order.numbers[Assign::kMemoryMb] = spec.limits.memory_mb;
  order.numbers[Assign::kTmpMb] = spec.limits.tmp_mb;
  order.numbers[Assign::kProcesses] = spec.limits.processes;
  order.numbers[Assign::kOpenFiles] = spec.limits.open_files;
  order.numbers[Assign::kOutside] = options_.outside && reach_of(spec).outside;
  order.numbers[Assign::kLayers] = spec.layer_directories.size();
  std::string first_frame = family == Family::kCustom ? std::string() : init_frame(spec, environment);
  if (first_frame.size() > kMostFirstFrame) throw std::runtime_error("the function's environment is too large");
  std::vector<std::string> arguments;
  if (own_start) {
    if (spec.image) {
      arguments = spec.image->arguments;
    } else if (family == Family::kCustom) {
      arguments = {is_directory(spec.code_directory) &&
                           ::access(cat(spec.code_directory, "/bootstrap").c_str(), F_OK) == 0
                       ? "/var/task/bootstrap"
                       : "/opt/bootstrap"};
    } else {
      arguments = bootstrap_arguments(toolchain, spec.limits.memory_mb);
    }
    for (const auto& [name, value] : environment) {
      if (name == "AWS_LAMBDA_EXEC_WRAPPER" && !value.empty() && !spec.image)
        arguments.insert(arguments.begin(), value);
    }
  }
  const size_t argc = arguments.size();
  if (own_start) {
    for (const auto& [name, value] : environment) arguments.push_back(cat(name, "=", value));
  }
  if (spec.image) arguments.push_back(spec.image->working_directory);
  std::vector<std::string> extensions = external_extensions(spec);
  const bool attended = !extensions.empty();
  order.strings = {spec.code_directory, first_frame.empty() ? std::string() : frame(ToRuntime::kMounted, {}),
                   own_start ? toolchain.prefix : std::string(), spec.image ? spec.image->root : std::string()};
  for (const std::string& layer : spec.layer_directories) order.strings.push_back(layer);
  if (!attended) {
    order.numbers[Assign::kArguments] = argc;
    order.numbers[Assign::kDirectories] = spec.image ? 1 : 0;
    order.strings.insert(order.strings.end(), arguments.begin(), arguments.end());
    keeper_.order(order);
    return core.greet(std::move(first_frame));
  }
  keeper_.order(order);
  Message run{.kind = Kind::kRun, .id = core.id(), .numbers = std::vector<uint64_t>(jail::Run::kNumbers)};
  run.numbers[jail::Run::kProgram] = jail::kMainProgram;
  run.numbers[jail::Run::kArguments] = argc;
  run.numbers[jail::Run::kMemoryMb] = spec.limits.memory_mb;
  run.numbers[jail::Run::kOpenFiles] = spec.limits.open_files;
  run.numbers[jail::Run::kDirectories] = spec.image ? 1 : 0;
  run.strings = std::move(arguments);
  // The core holds this until it is called, and never calls it afterwards.
  start_extensions(
      core, spec, environment, std::move(extensions),
      [this, &core, run = std::make_shared<Message>(std::move(run)), argc, frame = std::move(first_frame)] {
        if (argc) keeper_.order(*run);
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
  Result<Slot> slot = co_await as_result(take(own_start ? nothing_ : toolchain, spec.limits.memory_mb));
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
  std::shared_ptr<Core> core = custom ? make_custom(backstage_, std::move(*slot), spec, std::move(log))
                                      : make_managed(backstage_, std::move(*slot), spec, std::move(log));
  {
    std::lock_guard lock(mutex_);
    if (!stopped_) cores_.emplace(id, core);
  }
  auto instance = instance_of(core);  // from here on its end is this object's
  Executor* const caller = Executor::current();
  co_await move_to(core->home());
  core->open();
  assign(*core, spec, *toolchain, own_start);
  core->home().post([this, taken = own_start ? nothing_ : toolchain, memory_mb = spec.limits.memory_mb] {
    replace(taken, memory_mb);
  });
  if (caller && caller != &core->home()) co_await move_to(*caller);
  co_return std::move(instance);
}

Task<void> Pool::settle() { co_await left_.wait_for(kSettleTime); }

Task<void> Pool::stop() {
  co_await settle();
  lose_all({.kind = Event::Kind::kExited, .text = "Virga is stopping"}, false);
}

std::unique_ptr<Sandboxes> open(Options options) { return std::make_unique<Pool>(std::move(options)); }

}  // namespace virga::sandbox
