#include "sandbox/jail/launcher.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "base/str.h"
#include "sandbox/jail/error.h"
#include "sandbox/jail/files.h"
#include "sandbox/jail/reports.h"
#include "sandbox/jail/seccomp.h"
#include "sandbox/sandbox.h"

namespace virga::sandbox::jail {
namespace {

constexpr uint64_t kFromVirga = 0;  // sandboxes' ids start at 1
constexpr uint64_t kSignals = UINT64_MAX;
constexpr uint64_t kOutsideEnded = UINT64_MAX - 1;

void watch(int poll, int fd, uint64_t data) {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = data}};
  must(::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event), "epoll");
}

// True too where the kernel does not tell.
bool is_mount_point(const char* path) {
  struct statx info{};
  if (::statx(AT_FDCWD, path, 0, 0, &info) != 0) return true;
  return !(info.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) || (info.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

}  // namespace

Launcher::Launcher(LauncherOptions options) : options_(std::move(options)) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  if (options_.outside) outside_ = std::make_unique<Outside>(options_.control_port);
  poll_.reset(must(::epoll_create1(EPOLL_CLOEXEC), "epoll"));
  sigset_t children;
  ::sigemptyset(&children);
  ::sigaddset(&children, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &children, nullptr);
  signals_.reset(must(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
  watch(poll_.get(), kLauncherSocket, kFromVirga);
  if (outside_) watch(poll_.get(), outside_->leash(), kOutsideEnded);
  watch(poll_.get(), signals_.get(), kSignals);
  prepare_namespaces();
  filter_ = compile_filter();
  template_ = build_template(options_.root);
  say_hello();
}

Launcher::~Launcher() {
  for (auto& [id, sandbox] : sandboxes_) ::kill(sandbox->first, SIGKILL);
  for (auto& [id, sandbox] : sandboxes_) ::waitpid(sandbox->first, nullptr, 0);
}

void Launcher::prepare_namespaces() {
  if (!is_mount_point("/"))
    throw std::runtime_error(
        "the root directory is no mount point (a plain chroot), and the kernel lets no sandbox have another then; "
        "make it one before entering it: mount --bind DIRECTORY DIRECTORY");
  root_ = ::geteuid() == 0;
  // Before the launcher leaves the host's view: groups are named by the host's paths.
  cgroups_ = std::make_unique<Cgroups>(options_.owner);
  if (root_) {
    must(::unshare(CLONE_NEWNS), "make a mount namespace");
  } else {
    const uid_t uid = ::getuid();
    const gid_t gid = ::getgid();
    // A network of its own as well: without privilege over the host's there is no way back to it.
    must(::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET),
         "make a user namespace (is kernel.unprivileged_userns_clone on?)");
    if (!write_text("/proc/self/setgroups", "deny") || !write_text("/proc/self/uid_map", cat(uid, " ", uid, " 1")) ||
        !write_text("/proc/self/gid_map", cat(gid, " ", gid, " 1"))) {
      throw SystemError("map this user", errno);
    }
  }
  follow_host_mounts();
  host_mounts_.reset(must(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC), "open the mount namespace"));
  host_network_.reset(must(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), "open the network namespace"));
}

void Launcher::say_hello() {
  Message hello{.kind = Kind::kHello, .numbers = {uint64_t(::getpid())}};
  const auto add = [&](std::string name, bool enforced, std::string how) {
    hello.strings.push_back(std::move(name));
    hello.strings.push_back(enforced ? "1" : "0");
    hello.strings.push_back(std::move(how));
  };
  add("namespaces", true, root_ ? "user, pid, mount, ipc, uts, cgroup, net" : "the same, made as an ordinary user");
  add("file system", true, "read-only root of its own, nothing of the host but /usr and public files of /etc");
  add("system calls", true, cat("allow-list, ", filter_.size(), " instructions"));
  add("capabilities", true, "none, and no way to gain any");
  add("user per instance", root_,
      root_ ? "a host user id of its own for each"
            : "all run as this user, apart only by namespaces; start Virga as root for a user each");
  const char* version = cgroups_->version() == CgroupVersion::kV2 ? "cgroup v2" : "cgroup v1";
  const std::string without = cat("no: ", cgroups_->why_not(), "; start Virga as root or delegate a control group");
  add("memory limit", cgroups_->limits_memory(),
      cgroups_->limits_memory() ? cat(version, " memory") : cat("only for each process, by RLIMIT_DATA; ", without));
  add("process limit", true, cgroups_->limits_processes() ? cat(version, " pids") : std::string("RLIMIT_NPROC"));
  add("processor share", cgroups_->limits_processor(), cgroups_->limits_processor() ? cat(version, " cpu") : without);
  add("network", true,
      cat("a loopback of its own with the Runtime API and Virga's door; ",
          outside_ ? "TCP and name look-ups lead out through a relay" : "no way out"));
  send(kLauncherSocket, hello, true);
}

void Launcher::report_failure(uint32_t id, Stage stage, int error, const std::string& sentence, uint64_t program) {
  send(kLauncherSocket,
       {.kind = Kind::kFailed, .id = id, .numbers = {uint64_t(stage), uint64_t(error), program}, .strings = {sentence}},
       true);
}

void Launcher::handle(Message message) {
  if (message.kind == Kind::kCreate) return create(message);
  const auto found = sandboxes_.find(message.id);
  if (found == sandboxes_.end()) {
    // Gone meanwhile. Whoever has just been given it may have missed the news.
    if (message.kind == Kind::kAssign) {
      send(kLauncherSocket,
           {.kind = Kind::kExited, .id = message.id, .numbers = std::vector<uint64_t>(Exited::kNumbers)}, true);
    }
    return;
  }
  Sandbox& sandbox = *found->second;
  if (!sandbox.ready && (message.kind == Kind::kAssign || message.kind == Kind::kRun)) {
    sandbox.waiting.push_back(std::move(message));
    return;
  }
  switch (message.kind) {
    case Kind::kAssign:
      return assign(sandbox, message);
    case Kind::kRun:
      return run(sandbox, std::move(message));
    case Kind::kSignal:
      send(sandbox.control.get(), message, true);
      return;
    case Kind::kSocket:
      return give_socket(sandbox);
    case Kind::kThrottle:
      return cgroups_->set_processor(sandbox.id, message.number(0));
    case Kind::kMemory:
      return enforce_memory(sandbox);
    case Kind::kKill:
      ::kill(sandbox.first, SIGKILL);
      return;
    default:
      return;
  }
}

void Launcher::hear(Sandbox& sandbox) {
  bool closed = false;
  while (auto message = receive(sandbox.control.get(), false, closed)) {
    switch (message->kind) {
      case Kind::kReady:
        sandbox.ready = true;
        if (outside_ && !message->fds.empty())
          outside_->add(sandbox.id, static_cast<size_t>(sandbox.slot), !sandbox.execute, std::move(message->fds[0]),
                        std::move(sandbox.relay), std::move(sandbox.names));
        sandbox.relay.reset();
        sandbox.names.reset();
        if (sandbox.execute) send(sandbox.control.get(), *std::exchange(sandbox.execute, std::nullopt), true);
        for (Message& order : std::exchange(sandbox.waiting, {})) handle(std::move(order));
        break;
      case Kind::kEnded:
        if (message->number(Ended::kProgram) == kMainProgram) {
          sandbox.status = message->number(Ended::kWaitStatus);
          sandbox.peak_kb = message->number(Ended::kPeakKb);
        }
        if (message->number(Ended::kGoesOn)) {
          message->id = sandbox.id;
          message->numbers[Ended::kOutOfMemory] = cgroups_->out_of_memory_kills(sandbox.id);
          send(kLauncherSocket, *message, true);
        }
        break;
      case Kind::kFailed:
        report_failure(sandbox.id, static_cast<Stage>(message->number(0)), static_cast<int>(message->number(1)),
                       message->string(0), message->number(2));
        // A sandbox that could not build its jail, or whose program does not run, is of no use.
        ::kill(sandbox.first, SIGKILL);
        break;
      default:
        break;
    }
  }
  if (closed) {
    ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, sandbox.control.get(), nullptr);
    ::kill(sandbox.first, SIGKILL);
  }
}

void Launcher::reap() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) > 0) {
  }
  siginfo_t child{};
  while (::waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0 && child.si_pid != 0) {
    const pid_t pid = std::exchange(child.si_pid, 0);
    if (zygotes_.ended(pid)) continue;
    ::waitpid(pid, nullptr, 0);
    const auto it = std::ranges::find_if(sandboxes_, [&](const auto& entry) { return entry.second->first == pid; });
    if (it == sandboxes_.end()) continue;
    Sandbox& sandbox = *it->second;
    hear(sandbox);  // what it said before it ended
    Message exited{.kind = Kind::kExited, .id = sandbox.id, .numbers = std::vector<uint64_t>(Exited::kNumbers)};
    exited.numbers[Exited::kWaitStatus] = sandbox.status.value_or(0);
    exited.numbers[Exited::kHasStatus] = sandbox.status ? 1 : 0;
    exited.numbers[Exited::kOutOfMemory] = cgroups_->out_of_memory_kills(sandbox.id) + (sandbox.outgrown > 0 ? 1 : 0);
    const uint64_t peak = cgroups_->peak_bytes(sandbox.id);
    exited.numbers[Exited::kPeakBytes] = peak ? peak : sandbox.peak_kb << 10;
    cgroups_->remove(sandbox.id);
    slots_[static_cast<size_t>(sandbox.slot)] = false;
    sandboxes_.erase(it);
    send(kLauncherSocket, exited, true);
  }
}

void Launcher::run() {
  std::vector<Message> creations;  // done after everything that somebody waits for
  while (true) {
    epoll_event events[64];
    const int wait = !creations.empty() ? 0 : zygotes_.empty() ? -1 : 60'000;
    const int count = ::epoll_wait(poll_.get(), events, 64, wait);
    if (count == 0 && creations.empty()) zygotes_.expire();
    for (int i = 0; i < count; ++i) {
      const uint64_t from = events[i].data.u64;
      if (from == kFromVirga) {
        bool closed = false;
        while (auto message = receive(kLauncherSocket, false, closed)) {
          if (message->kind == Kind::kCreate) {
            creations.push_back(std::move(*message));
          } else {
            handle(std::move(*message));
          }
        }
        if (closed) return;
      } else if (from == kSignals) {
        reap();
      } else if (from == kOutsideEnded) {
        return;  // no sandbox has a way out any more: they go, and Virga starts another launcher
      } else if (const auto found = sandboxes_.find(static_cast<uint32_t>(from)); found != sandboxes_.end()) {
        hear(*found->second);
      }
    }
    if (count <= 0 && !creations.empty()) {
      create(creations.front());
      creations.erase(creations.begin());
    }
  }
}

}  // namespace virga::sandbox::jail

namespace virga::sandbox {

// virga launcher <state directory> <runtime directory> <outside 0/1> <control port> [<host directory> <where it
// appears>]…, with descriptor kLauncherSocket.
int launcher_main(int argc, char** argv) {
  if (argc < 6) return 2;
  jail::LauncherOptions options;
  options.owner = ::getppid();
  options.state_directory = argv[2];
  options.root.root = cat(options.state_directory, "/root");
  options.root.runtime_directory = argv[3];
  options.outside = argv[4][0] == '1';
  options.control_port = static_cast<uint16_t>(std::atoi(argv[5]));
  for (int i = 6; i + 1 < argc; i += 2) options.root.extra.emplace_back(argv[i], argv[i + 1]);
  jail::keep_reports();
  ::fcntl(jail::kLauncherSocket, F_SETFD, FD_CLOEXEC);
  ::close_range(jail::kLauncherSocket + 1, ~0u, 0);
  ::prctl(PR_SET_NAME, "virga-launcher", 0, 0, 0);
  // A terminal's interrupt is Virga's to handle; the launcher ends when Virga's end of the socket does.
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGTERM, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  try {
    for (const char* name : {"", "/root", "/scratch"}) ::mkdir(cat(options.state_directory, name).c_str(), 0700);
    jail::Launcher launcher(std::move(options));
    launcher.run();
    return 0;
  } catch (const std::exception& e) {
    jail::send(jail::kLauncherSocket, {.kind = jail::Kind::kFailed, .strings = {e.what()}}, false);
    return 1;
  }
}

}  // namespace virga::sandbox
