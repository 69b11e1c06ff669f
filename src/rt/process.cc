#include "rt/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/str.h"
#include "rt/reactor.h"
#include "rt/watch.h"

extern char** environ;

namespace virga::rt {
namespace {

// Both ends of a pipe; closes what was not taken.
struct Pipe {
  int ends[2] = {-1, -1};
  ~Pipe() {
    for (const int fd : ends) {
      if (fd >= 0) ::close(fd);
    }
  }
  bool open() { return pipe2(ends, O_CLOEXEC) == 0; }
  int take(int end) { return std::exchange(ends[end], -1); }
};

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

namespace err {
Error cannot_start(std::string message) {
  static constexpr ErrorShape kShape{"ProcessNotStarted", 500, Fault::kReceiver, {}};
  return {&kShape, std::move(message), nullptr, {}};
}
}  // namespace err

std::unique_ptr<Process> Process::start(Reactor& reactor, const ProcessOptions& options) {
  const std::string& program = options.arguments.at(0);
  std::unique_ptr<Process> process(new Process(reactor));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  struct Cleanup {
    posix_spawn_file_actions_t* actions;
    posix_spawnattr_t* attributes;
    ~Cleanup() {
      posix_spawn_file_actions_destroy(actions);
      posix_spawnattr_destroy(attributes);
    }
  } cleanup{&actions, &attributes};

  std::array<Pipe, 3> pipes;
  const std::array<Channel, 3> channels{options.in, options.out, options.err};
  for (int fd = 0; fd < 3; ++fd) {
    if (channels[fd] == Channel::kNull) {
      posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", fd == 0 ? O_RDONLY : O_WRONLY, 0);
    } else if (channels[fd] == Channel::kPipe) {
      if (!pipes[fd].open()) throw err::cannot_start(cat("Cannot start ", program, ": ", strerror(errno)));
      posix_spawn_file_actions_adddup2(&actions, pipes[fd].ends[fd == 0 ? 0 : 1], fd);
    }
  }
  if (!options.directory.empty()) posix_spawn_file_actions_addchdir_np(&actions, options.directory.c_str());

  // The child starts with signals as a program expects them, whatever we block or ignore.
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (options.own_group) {
    posix_spawnattr_setpgroup(&attributes, 0);
    flags |= POSIX_SPAWN_SETPGROUP;
  }
  posix_spawnattr_setflags(&attributes, flags);

  auto arguments = pointers(options.arguments);
  std::vector<char*> environment;
  if (options.environment) environment = pointers(*options.environment);
  const int error = posix_spawnp(&process->pid_, program.c_str(), &actions, &attributes, arguments.data(),
                                 options.environment ? environment.data() : environ);
  if (error != 0) {
    process->pid_ = -1;
    throw err::cannot_start(cat("Cannot start ", program, ": ", strerror(error)));
  }
  process->pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, process->pid_, 0));
  if (process->pidfd_ < 0) throw err::cannot_start(cat("Cannot follow ", program, ": ", strerror(errno)));
  if (pipes[0].ends[1] >= 0) process->in_ = adopt_pipe(reactor, pipes[0].take(1));
  if (pipes[1].ends[0] >= 0) process->out_ = adopt_pipe(reactor, pipes[1].take(0));
  if (pipes[2].ends[0] >= 0) process->err_ = adopt_pipe(reactor, pipes[2].take(0));
  return process;
}

Process::~Process() {
  if (pid_ > 0 && !ended_) {
    ::kill(pid_, SIGKILL);
    int status;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  if (pidfd_ >= 0) ::close(pidfd_);
}

Task<ExitStatus> Process::wait() {
  while (!ended_) {
    int status = 0;
    const pid_t got = waitpid(pid_, &status, WNOHANG);
    if (got == pid_) {
      ended_ = WIFSIGNALED(status) ? ExitStatus{0, WTERMSIG(status)} : ExitStatus{WEXITSTATUS(status), 0};
    } else if (got < 0 && errno != EINTR) {
      ended_ = ExitStatus{-1, 0};  // somebody else reaped it
    } else {
      Watch watch(reactor_, pidfd_);
      co_await watch.readable();
    }
  }
  co_return *ended_;
}

void Process::kill(int signal) {
  if (!ended_) ::kill(pid_, signal);
}

void Process::kill_group(int signal) {
  if (!ended_) ::kill(-pid_, signal);
}

Task<std::string> read_to_end(Stream& stream, size_t most) {
  std::string out;
  std::string buffer(16 * 1024, '\0');
  while (true) {
    const Io io = co_await stream.read_some(buffer.data(), buffer.size());
    if (io.bytes == 0) co_return out;
    out.append(buffer, 0, std::min(io.bytes, most - std::min(most, out.size())));
  }
}

}  // namespace virga::rt
