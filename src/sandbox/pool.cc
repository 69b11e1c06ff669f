#include "sandbox/pool.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "base/log.h"
#include "base/str.h"
#include "sandbox/frames.h"

namespace virga::sandbox {

using jail::Kind;
using jail::Message;

namespace {

// A call that has just taken a prepared sandbox has the machine to itself for this long.
constexpr Micros kFillDelay = std::chrono::milliseconds(40);
// Calls that follow one another within this time are a burst: the next sandboxes are made meanwhile, not afterwards.
constexpr auto kBurst = std::chrono::milliseconds(100);
constexpr auto kUnusedFor = std::chrono::minutes(15);
constexpr int kMostLaunchers = 4;  // that somebody waits for
constexpr Micros kSweepEvery = std::chrono::minutes(1);
// Longer than extensions have for their end.
constexpr Micros kSettleTime = std::chrono::milliseconds(2500);

std::string runtime_directory(const Options& options) { return cat(options.state_directory, "/runtime"); }

void discard(Slot& slot) {
  if (slot.process) ::syscall(SYS_pidfd_send_signal, slot.process.get(), SIGKILL, nullptr, 0);
  if (slot.leave_door) slot.leave_door();
  slot.leave_door = nullptr;
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
    if (toolchain->family == Family::kCustom) return {true, "the program in the function's own package", true, name};
    return {true, cat(toolchain->program, " ", toolchain->version), is_exact(name, *toolchain), toolchain->name};
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
  s.runtime = name;
  s.used = std::chrono::steady_clock::now();
  plan_fill(s, Micros(0));
}

void Pool::rouse(const std::string& name) {
  static const std::string kFrame = frame(ToRuntime::kRouse, {});
  // With the lock held, so that nothing else is said to a sandbox before.
  std::lock_guard lock(mutex_);
  for (const auto& [key, s] : shelves_) {
    if (s.runtime != name || s.ready.empty() || !takes_more(s.toolchain->family)) continue;
    ::send(s.ready.front().channel.get(), kFrame.data(), kFrame.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    break;
  }
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
    for (std::string& entry : bootstrap_environment(s.toolchain->family, s.runtime))
      order.strings.push_back(std::move(entry));
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

Task<Slot> Pool::take(std::shared_ptr<const Toolchain> toolchain, uint32_t memory_mb, std::string runtime) {
  Waiter waiter;
  bool taken = false;
  {
    std::lock_guard lock(mutex_);
    begin();
    Shelf& s = shelf(toolchain, memory_mb);
    s.kept = true;
    s.runtime = std::move(runtime);
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

Task<void> Pool::settle() { co_await left_.wait_for(kSettleTime); }

Task<void> Pool::stop() {
  co_await settle();
  lose_all({.kind = Event::Kind::kExited, .text = "Virga is stopping"}, false);
}

std::unique_ptr<Sandboxes> open(Options options) { return std::make_unique<Pool>(std::move(options)); }

}  // namespace virga::sandbox
