#include "sandbox/jail/init.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <map>

#include "base/str.h"
#include "sandbox/jail/error.h"
#include "sandbox/jail/mounts.h"
#include "sandbox/jail/protocol.h"
#include "sandbox/jail/reports.h"

#if __has_feature(thread_sanitizer)
// The sanitizer's vfork() is a fork(), which shares no memory.
extern "C" __attribute__((returns_twice)) pid_t __vfork();
#define vfork __vfork
#endif

namespace virga::sandbox::jail {
namespace {

constexpr int kChannelFd = 3;
constexpr int kControlFd = 4;
constexpr uint32_t kPreparedTmpMb = 512;
constexpr uint64_t kNamespaces = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;

void limit(int resource, rlim_t value) {
  const rlimit both{value, value};
  // A limit below what is asked is the machine's own and stays.
  if (::setrlimit(static_cast<__rlimit_resource_t>(resource), &both) != 0 && errno != EPERM) {
    throw SystemError("setrlimit", errno);
  }
}

void become_user(const InitOptions& options) {
  if (options.many_users) must(::setgroups(0, nullptr), "drop groups");
  // No root is mapped into this user namespace, so the capabilities over it survive the change of user.
  must(::setresgid(kInsideGid, kInsideGid, kInsideGid), "change group");
  must(::setresuid(kInsideUid, kInsideUid, kInsideUid), "change user");
}

// /proc and /tmp.
void mount_private() {
  must(::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr), "mount /proc");
  must(::mount("tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV,
               cat("mode=0700,uid=", kInsideUid, ",gid=", kInsideGid, ",size=", kPreparedTmpMb,
                   "m,nr_inodes=", kPreparedTmpMb * 256)
                   .c_str()),
       "mount /tmp");
}

void arrange_descriptors(const InitOptions& options, int& control) {
  // Above everything that is to be placed, so that placing one does not close another.
  const int high_control = must(::fcntl(options.control, F_DUPFD_CLOEXEC, 64), "dup");
  const int high_channel = must(::fcntl(options.channel, F_DUPFD_CLOEXEC, 64), "dup");
  const int high_output = must(::fcntl(options.output, F_DUPFD_CLOEXEC, 64), "dup");
  const int null = must(::open("/dev/null", O_RDONLY | O_CLOEXEC), "open /dev/null");
  const int high_null = must(::fcntl(null, F_DUPFD_CLOEXEC, 64), "dup");
  must(::dup2(high_null, 0), "dup2");
  must(::dup2(high_output, 1), "dup2");
  if (!kSanitized) must(::dup2(high_output, 2), "dup2");
  must(::dup2(high_channel, kChannelFd), "dup2");
  must(::dup3(high_control, kControlFd, O_CLOEXEC), "dup3");
  must(::close_range(kControlFd + 1, ~0u, 0), "close what was inherited");
  control = kControlFd;
}

// From now on connect() asks the way out (outside.h) first: gives where it is told of calls; nothing where the kernel
// can't do that.
Fd ask_before_connect() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{sizeof filter / sizeof filter[0], filter};
  // A signal must not make a connect that is under way begin again, where the kernel can tell.
  constexpr unsigned long kListener = SECCOMP_FILTER_FLAG_NEW_LISTENER, kWaitKillable = 1UL << 5;
  for (const unsigned long flags : {kListener | kWaitKillable, kListener}) {
    Fd calls(static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program)));
    if (calls) return calls;
  }
  return {};
}

void load_filter(const std::vector<sock_filter>& filter) {
  sock_fprog program{static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
  must(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "load the system call filter");
}

void drop_privileges(const std::vector<sock_filter>& filter) {
  for (int capability = 0; capability < 64; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL)
      throw SystemError("drop capability", errno);
  }
  must(::prctl(PR_SET_SECUREBITS,
               SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
                   SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
               0, 0, 0),
       "lock the secure bits");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2]{};
  must(::syscall(SYS_capset, &header, none), "drop all capabilities");
  must(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
  must(::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "hide the first process");
  // Cleared by the changes of identity above, so set last.
  must(::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "end with the launcher");
  load_filter(filter);
}

// The launcher's other descriptors: its end of our own socket among them, which would hide its death from us.
void close_inherited(const InitOptions& options) {
  std::vector<unsigned> keep = {0, 1, 2};
  for (const int fd : {options.control, options.channel, options.output}) keep.push_back(static_cast<unsigned>(fd));
  for (const int fd : options.join) keep.push_back(static_cast<unsigned>(fd));
  std::ranges::sort(keep);
  unsigned from = 0;
  for (const unsigned fd : keep) {
    if (fd > from) ::close_range(from, fd - 1, 0);
    from = fd + 1;
  }
  ::close_range(from, ~0u, 0);
}

void build(const InitOptions& options, int& control, Fd& calls) {
  for (const int group : options.join) {
    if (::write(group, "0", 1) != 1) throw SystemError("join a control group", errno);
  }
  must(::unshare(CLONE_NEWCGROUP), "hide the control groups");
  become_user(options);
  mount_private();
  must(::sethostname("sandbox", 7), "set the host name");
  arrange_descriptors(options, control);
  must(::setsid(), "start a session");
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NOFILE, 1024);
  limit(RLIMIT_MEMLOCK, 64 << 10);
  limit(RLIMIT_MSGQUEUE, 0);
  if (options.processes) limit(RLIMIT_NPROC, options.processes);
  calls = ask_before_connect();
  drop_privileges(*options.filter);
}

// Whether the directory that the program runs in is told.
bool elsewhere(const Message& order) { return order.number(4) == 1 && !order.strings.empty(); }

// What a program begins with, whether it is executed or goes on as a copy of this process. Gives 0 or the errno of
// going where it runs.
int settle(const Message& order) {
  if (order.number(1)) limit(RLIMIT_NOFILE, order.number(1));
  if (order.number(2)) limit(RLIMIT_DATA, order.number(2));
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (elsewhere(order)) return ::chdir(order.strings.back().c_str()) == 0 ? 0 : errno;
  // A program of one's own runs where its files are; a prepared interpreter goes there once they are. An image may have
  // no such place.
  return ::chdir("/var/task") == 0 || ::chdir("/") == 0 ? 0 : errno;
}

// Where a program may lie: a name alone is looked for in the PATH that it will have.
std::vector<std::string> places_of(const std::string& program, const std::vector<char*>& environment) {
  if (program.find('/') != program.npos) return {program};
  std::vector<std::string> out;
  for (const char* entry : environment) {
    if (!entry || !std::string_view(entry).starts_with("PATH=")) continue;
    for (const std::string_view folder : split(std::string_view(entry).substr(5), ':'))
      out.push_back(cat(folder.empty() ? "." : folder, "/", program));
    break;
  }
  return out;
}

struct Program {
  explicit Program(const Message& order) {
    const size_t argc = order.number(0);
    for (size_t i = 0; i < order.strings.size() - elsewhere(order); ++i) {
      (i < argc ? arguments : environment).push_back(const_cast<char*>(order.strings[i].c_str()));
    }
    arguments.push_back(nullptr);
    environment.push_back(nullptr);
    places = places_of(arguments[0], environment);
  }
  std::vector<char*> arguments, environment;
  std::vector<std::string> places;
};

// Why a program does not run. Volatile, because a process that shares our memory writes it.
struct Failure {
  Stage stage = Stage::kEnter;
  int error = 0;
};

// In a process that shares the first one's memory and holds it up until the program runs: it must not return, nor
// unwind, into what the first one goes on with.
[[noreturn]] void execute(const Message& order, const Program& program, volatile Failure& failed) {
  try {
    failed.error = settle(order);
  } catch (const SystemError& e) {
    failed.error = e.code;
  }
  if (failed.error != 0) ::_exit(127);
  for (const int ignored : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(ignored, SIG_DFL);  // by the launcher
  if (order.number(3) != kMainProgram) ::close(kChannelFd);
  failed.stage = Stage::kExecute;
  int error = ENOENT;
  if (!order.fds.empty()) ::dup2(order.fds[0].get(), 1);
  if (!order.fds.empty() || kSanitized) ::dup2(1, 2);
  for (const std::string& place : program.places) {
    ::execve(place.c_str(), program.arguments.data(), program.environment.data());
    if (errno != ENOENT && errno != ENOTDIR) error = errno;
  }
  failed.error = error;
  ::_exit(127);
}

// Runs the program of `order`; gives its pid, or -1 after telling the launcher why it cannot run. Without arguments the
// program is a copy of this process: there it gives 0.
pid_t launch(int control, const Message& order) {
  if (order.number(0) == 0) {
    const pid_t child = must(::fork(), "fork");
    if (child != 0) return child;
    if (settle(order) != 0) ::_exit(127);
    for (const int ignored : {SIGTERM, SIGHUP}) ::signal(ignored, SIG_DFL);  // by the launcher
    // As executing a program would: nothing of ours stays open, and its /proc files are its own.
    ::close_range(kControlFd, ~0u, 0);
    must(::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "show the program to itself");
    return 0;
  }
  const Program program(order);
  volatile Failure failed{};
  const pid_t child = must(::vfork(), "fork");
  if (child == 0) execute(order, program, failed);
  if (failed.error == 0) return child;
  const Stage stage = failed.stage;
  const int error = failed.error;
  const std::string what = stage == Stage::kEnter ? cat("chdir ", order.strings.back()) : order.string(0);
  send(control,
       {.kind = Kind::kFailed,
        .numbers = {uint64_t(stage), uint64_t(error), order.number(3)},
        .strings = {cat(what, ": ", lower(std::strerror(error)))}},
       true);
  return -1;
}

// An order is followed once for nothing, so that what that touches is this process's own by the time the real one
// comes.
void rehearse() {
  int pair[2];
  must(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "socketpair");
  const Fd near(pair[0]), far(pair[1]);
  send(near.get(), {.kind = Kind::kExecute, .numbers = {1}, .strings = {"/dev/null", std::string(2048, 'x')}}, true);
  bool closed = false;
  if (const auto order = receive(far.get(), true, closed)) launch(far.get(), *order);
  ::waitpid(-1, nullptr, 0);
}

// Returns only in a program that is a copy of this process.
void serve(int control) {
  sigset_t children;
  ::sigemptyset(&children);
  ::sigaddset(&children, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &children, nullptr);
  const int signals = must(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd");
  std::map<pid_t, uint64_t> programs;
  bool several = false;  // at any time
  while (true) {
    pollfd ready[] = {{control, POLLIN, 0}, {signals, POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0 && errno != EINTR) ::_exit(1);
    if (ready[1].revents) {
      signalfd_siginfo info;
      while (::read(signals, &info, sizeof info) > 0) {
      }
      int status;
      rusage usage;
      pid_t pid;
      while ((pid = ::wait4(-1, &status, WNOHANG, &usage)) > 0) {
        const auto program = programs.find(pid);
        if (program == programs.end()) continue;
        Message ended{.kind = Kind::kEnded, .numbers = std::vector<uint64_t>(Ended::kNumbers)};
        ended.numbers[Ended::kWaitStatus] = uint32_t(status);
        ended.numbers[Ended::kPeakKb] = uint64_t(usage.ru_maxrss);
        ended.numbers[Ended::kProgram] = program->second;
        ended.numbers[Ended::kGoesOn] = several;
        programs.erase(program);
        send(control, ended, true);
        if (!several) ::_exit(0);
      }
    }
    if (ready[0].revents) {
      bool closed = false;
      const auto order = receive(control, true, closed);
      if (closed || !order) ::_exit(0);
      if (order->kind == Kind::kExecute) {
        several = several || order->number(3) != kMainProgram;
        const pid_t pid = launch(control, *order);
        if (pid == 0) return;
        if (pid > 0) programs.emplace(pid, order->number(3));
      } else if (order->kind == Kind::kSignal) {
        for (const auto& [pid, program] : programs) {
          if (program == order->number(0)) ::kill(pid, static_cast<int>(order->number(1)));
        }
      }
    }
  }
}

// Returns only in a program that is a copy of this process.
void run_init(const InitOptions& options) {
  int control = options.control;
  try {
    must(::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "end with the launcher");
    close_inherited(options);
    bool closed = false;
    const auto go = receive(control, true, closed);
    if (!go || go->kind != Kind::kGo) ::_exit(1);
    Message ready{.kind = Kind::kReady};
    Fd calls;
    build(options, control, calls);
    if (calls) ready.fds.push_back(std::move(calls));
    if (options.rehearse) rehearse();
    send(control, ready, true);
    ready.fds.clear();
    return serve(control);
  } catch (const std::exception& e) {
    send(control, {.kind = Kind::kFailed, .numbers = {uint64_t(Stage::kCreate), 0}, .strings = {e.what()}}, true);
  }
  ::_exit(1);
}

}  // namespace

pid_t clone_first(const InitOptions& options, int group, Parent parent) {
  clone_args arguments{};
  arguments.flags = kNamespaces;
  // A sibling's ending is told to the parent as this process's own is, which the kernel wants left open here.
  if (parent == Parent::kCallers) arguments.flags |= CLONE_PARENT;
  if (parent == Parent::kCaller) arguments.exit_signal = SIGCHLD;
  if (group >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<uint64_t>(group);
  }
  const auto pid = static_cast<pid_t>(must(::syscall(SYS_clone3, &arguments, sizeof arguments), "clone a sandbox"));
  if (pid == 0) run_init(options);
  return pid;
}

}  // namespace virga::sandbox::jail
