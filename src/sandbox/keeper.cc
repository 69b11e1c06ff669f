#include "sandbox/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <future>

#include "base/log.h"
#include "base/str.h"
#include "sandbox/jail/error.h"

namespace virga::sandbox {

using jail::Kind;
using jail::Message;
using jail::must;

Keeper::Keeper(const Options& options, const std::string& runtime_directory,
               const std::vector<std::pair<std::string, std::string>>& extra) {
  int pair[2];
  must(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "socketpair");
  socket_.reset(pair[0]);
  Fd theirs(pair[1]);
  std::vector<std::string> arguments = {"virga",
                                        "launcher",
                                        std::to_string(theirs.get()),
                                        options.state_directory,
                                        runtime_directory,
                                        options.outside ? "1" : "0",
                                        std::to_string(options.control_port)};
  for (const auto& [from, to] : extra) {
    arguments.push_back(from);
    arguments.push_back(to);
  }
  std::vector<char*> pointers;
  for (std::string& a : arguments) pointers.push_back(a.data());
  pointers.push_back(nullptr);
  char* environment[] = {nullptr};  // none of Virga's: it may hold secrets
  launcher_ = must(::fork(), "fork the launcher");
  if (launcher_ == 0) {
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);  // programs in sandboxes begin with what it has
    ::fcntl(theirs.get(), F_SETFD, 0);
    ::execve("/proc/self/exe", pointers.data(), environment);
    ::_exit(127);
  }
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
  if (message.kind == Kind::kFailed) {
    failure_ = message.string(0);
    return;
  }
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
  const int error = jail::send(socket_.get(), message, false);
  if (error == 0) return;
  std::string why;
  {
    std::lock_guard lock(mutex_);
    why = failure_;
  }
  if (!why.empty()) throw std::runtime_error(cat("sandboxes cannot be made on this machine: ", why));
  if (error == EMSGSIZE) throw std::runtime_error("the function's environment is too large");
  if (error == EAGAIN) throw std::runtime_error("the launcher has too many orders waiting");
  throw jail::SystemError("the launcher is gone", error);
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
        break;
      }
      default:
        continue;
    }
    listener_(message->id, std::move(event), std::move(slot));
  }
  if (closed) {
    readiness_.reset();
    Event event{.kind = Event::Kind::kFailed, .text = "the launcher is gone"};
    listener_(0, std::move(event), {});
  }
}

void Keeper::stop() {
  if (launcher_ == 0) return;
  if (loop_) {
    std::promise<void> done;
    loop_.load()->post([&] {
      readiness_.reset();
      done.set_value();
    });
    if (Executor::current() != loop_) done.get_future().wait();
  }
  socket_.reset();
  ::waitpid(launcher_, nullptr, 0);
  launcher_ = 0;
}

}  // namespace virga::sandbox
