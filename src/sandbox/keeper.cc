#include "sandbox/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <future>

#include "base/log.h"
#include "base/str.h"
#include "sandbox/jail/error.h"
#include "sandbox/jail/reports.h"

namespace virga::sandbox {

using jail::Kind;
using jail::Message;
using jail::must;

namespace {

constexpr auto kLasted = std::chrono::seconds(10);  // a launcher that lived so long is replaced at once
constexpr Micros kFirstPause = std::chrono::milliseconds(50);
constexpr Micros kLongestPause = std::chrono::seconds(5);

}  // namespace

Keeper::Keeper(const Options& options, const std::string& runtime_directory,
               const std::vector<std::pair<std::string, std::string>>& extra)
    : arguments_{"virga",
                 "launcher",
                 options.state_directory,
                 runtime_directory,
                 options.outside ? "1" : "0",
                 std::to_string(options.control_port)} {
  for (const auto& [from, to] : extra) {
    arguments_.push_back(from);
    arguments_.push_back(to);
  }
  connect();
  if (const int error = spawn()) throw jail::SystemError("start the launcher", error);
}

// The socket of a launcher to come: what is ordered meanwhile waits in it.
void Keeper::connect() {
  int pair[2];
  must(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "socketpair");
  theirs_.reset(pair[1]);
  std::lock_guard lock(mutex_);
  socket_.reset(pair[0]);
  heard_hello_ = false;
  failure_.clear();
}

// Runs this binary as the launcher, without a copy of this process in between: from any thread. Gives 0 or an errno.
int Keeper::spawn() {
  std::vector<char*> pointers;
  for (std::string& a : arguments_) pointers.push_back(a.data());
  pointers.push_back(nullptr);
  // None of Virga's, which may hold secrets; but what a sanitizer is told.
  char* nothing[] = {nullptr};
  char** const environment = jail::kSanitized ? environ : nothing;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, theirs_.get(), jail::kLauncherSocket);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  ::sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);  // programs in sandboxes begin with what it has
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int error = ::posix_spawn(&launcher_, "/proc/self/exe", &actions, &attributes, pointers.data(), environment);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) launcher_ = 0;
  theirs_.reset();
  launched_ = std::chrono::steady_clock::now();
  return error;
}

Keeper::~Keeper() { stop(); }

void Keeper::listen(Loop& loop, Listener listener) {
  loop_ = &loop;
  listener_ = std::move(listener);
  // Made on the loop's thread, where its callback runs.
  loop.post([this] {
    readiness_ = loop_.load()->watch(socket_.get(), nullptr, [this] { hear(); });
    hear();
  });
}

void Keeper::take_hello(const Message& message) {
  std::lock_guard lock(mutex_);
  heard_hello_ = true;
  capabilities_.clear();
  if (message.kind == Kind::kFailed) {
    failure_ = message.string(0);
    return;
  }
  ever_ready_ = true;
  for (size_t i = 0; i + 2 < message.strings.size(); i += 3) {
    capabilities_.push_back({message.strings[i], message.strings[i + 1] == "1", message.strings[i + 2]});
  }
}

std::vector<Capability> Keeper::capabilities() {
  std::unique_lock lock(mutex_);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!heard_hello_ && std::chrono::steady_clock::now() < until) {
    lock.unlock();
    bool closed = false;
    if (loop_) {
      // The loop's thread hears it.
      ::usleep(1000);
    } else {
      pollfd ready{socket_.get(), POLLIN, 0};
      if (::poll(&ready, 1, 100) > 0) {
        if (auto message = jail::receive(socket_.get(), false, closed)) take_hello(*message);
      }
    }
    lock.lock();
    if (closed) break;
  }
  if (!failure_.empty()) return {{"sandbox", false, failure_}};
  if (!heard_hello_) return {{"sandbox", false, "the launcher does not answer"}};
  return capabilities_;
}

void Keeper::order(const Message& message) {
  int error;
  std::string why;
  {
    std::lock_guard lock(mutex_);
    error = jail::send(socket_.get(), message, false);
    why = failure_;
  }
  if (error == 0) return;
  if (!why.empty()) throw std::runtime_error(cat("sandboxes cannot be made on this machine: ", why));
  if (error == EMSGSIZE) throw std::runtime_error("the function's environment is too large");
  if (error == EAGAIN) throw std::runtime_error("the launcher has too many orders waiting");
}

void Keeper::hear() {
  bool closed = false;
  while (auto message = jail::receive(socket_.get(), false, closed)) {
    Event event{};
    Slot slot;
    switch (message->kind) {
      case Kind::kHello:
        take_hello(*message);
        continue;
      case Kind::kFailed:
        if (message->id == 0) {
          take_hello(*message);
          log_error("sandbox", "the launcher cannot make sandboxes", {{"why", message->string(0)}});
        }
        event.kind = Event::Kind::kFailed;
        event.stage = static_cast<jail::Stage>(message->number(0));
        event.error = static_cast<int>(message->number(1));
        event.text = message->string(0);
        event.program = message->number(2);
        break;
      case Kind::kEnded:
        event.kind = Event::Kind::kEnded;
        event.program = message->number(jail::Ended::kProgram);
        event.status = static_cast<int>(message->number(jail::Ended::kWaitStatus));
        event.out_of_memory = message->number(jail::Ended::kOutOfMemory);
        event.peak_bytes = message->number(jail::Ended::kPeakKb) << 10;
        break;
      case Kind::kSocket:
        event.kind = Event::Kind::kSocket;
        event.socket = std::make_shared<Fd>(message->fds.empty() ? Fd() : std::move(message->fds[0]));
        break;
      case Kind::kExited:
        event.kind = Event::Kind::kExited;
        if (message->number(jail::Exited::kHasStatus)) {
          event.status = static_cast<int>(message->number(jail::Exited::kWaitStatus));
        }
        event.out_of_memory = message->number(jail::Exited::kOutOfMemory);
        event.peak_bytes = message->number(jail::Exited::kPeakBytes);
        break;
      case Kind::kCreated: {
        event.kind = Event::Kind::kCreated;
        slot.id = message->id;
        Fd* const places[jail::kCreatedFds] = {&slot.process,      &slot.channel,       &slot.output,
                                               &slot.api_listener, &slot.door_listener, &slot.memory};
        size_t next = 0;
        for (int i = 0; i < jail::kCreatedFds; ++i) {
          if (message->number(static_cast<size_t>(i)) && next < message->fds.size())
            *places[i] = std::move(message->fds[next++]);
        }
        slot.first = static_cast<pid_t>(message->number(jail::kCreatedFds));
        break;
      }
      default:
        continue;
    }
    listener_(message->id, std::move(event), std::move(slot));
  }
  if (closed) lose();
}

// The launcher has ended, or says what makes no sense. On the loop's thread.
void Keeper::lose() {
  readiness_.reset();
  if (launcher_ != 0) {
    ::kill(launcher_, SIGKILL);
    ::waitpid(launcher_, nullptr, 0);  // so that the next one sees that it is gone, and clears what it left
    launcher_ = 0;
  }
  Event event{.kind = Event::Kind::kLost};
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    if (!heard_hello_ || !failure_.empty()) event.text = failure_.empty() ? "the launcher does not start" : failure_;
    if (!failure_.empty() && !ever_ready_) event.kind = Event::Kind::kFailed;
  }
  if (event.kind == Event::Kind::kLost) {
    const bool lasted = std::chrono::steady_clock::now() - launched_ > kLasted;
    pause_ = lasted ? Micros(0) : std::clamp(pause_ * 2, kFirstPause, kLongestPause);
    log_warning("sandbox", "the launcher has ended; another is started", {{"why", event.text}});
    try {
      connect();
    } catch (const std::exception&) {
      theirs_.reset();  // tried again then
    }
    loop_.load()->post_after(pause_, [this] { start_another(); });
  }
  listener_(0, std::move(event), {});
}

void Keeper::start_another() {
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
  }
  try {
    if (!theirs_) connect();
    readiness_ = loop_.load()->watch(socket_.get(), nullptr, [this] { hear(); });
    if (const int error = spawn()) throw jail::SystemError("start the launcher", error);
  } catch (const std::exception& e) {
    log_error("sandbox", "no launcher can be started", {{"why", e.what()}});
    lose();
  }
}

void Keeper::stop() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true)) return;
  }
  if (loop_ && Executor::current() != loop_) {
    std::promise<void> done;
    loop_.load()->post([&] {
      readiness_.reset();
      done.set_value();
    });
    done.get_future().wait();
  }
  readiness_.reset();
  theirs_.reset();
  {
    std::lock_guard lock(mutex_);
    socket_.reset();
  }
  if (launcher_ != 0) ::waitpid(launcher_, nullptr, 0);
  launcher_ = 0;
}

}  // namespace virga::sandbox
