#include "sandbox/jail/zygote.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "sandbox/jail/error.h"
#include "sandbox/jail/protocol.h"

namespace virga::sandbox::jail {
namespace {

constexpr timeval kPatience{5, 0};
// What its sandboxes have in common, the layout of their memory and the seed of hashes, is common to so many only.
constexpr size_t kMostForks = 1000;
constexpr int kMostFailures = 3;
constexpr auto kUnusedFor = std::chrono::minutes(20);  // longer than prepared sandboxes are kept

std::vector<std::string> key_of(const std::vector<std::string>& strings, size_t arguments) {
  return {strings.begin(), strings.begin() + static_cast<long>(arguments)};
}

// An ordinary user's capabilities, which are over the launcher's own namespaces, would end with executing a program.
void keep_capabilities() {
  if (::geteuid() == 0) return;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2]{};
  must(::syscall(SYS_capget, &header, sets), "read the capabilities");
  for (auto& set : sets) set.inheritable = set.permitted;
  must(::syscall(SYS_capset, &header, sets), "let the capabilities be inherited");
  for (unsigned capability = 0; capability < 64; ++capability) {
    if (sets[capability / 32].permitted >> capability % 32 & 1)
      must(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0), "keep a capability");
  }
}

[[noreturn]] void start(const Fd& root, int control, int output, std::vector<char*> arguments,
                        std::vector<char*> environment) {
  try {
    must(::setsid(), "start a session");  // a terminal's signals are not for it
    // A sanitizer's thread must not share the view of files, which changes next.
    must(::unshare(CLONE_NEWNET | CLONE_FS), "make a network namespace");
    const int network = must(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), "open its network");
    must(::setns(root.get(), CLONE_NEWNS), "enter the template");
    const int null = must(::open("/dev/null", O_RDWR | O_CLOEXEC), "open /dev/null");
    // Above everything that is to be placed, so that placing one does not close another.
    int from[] = {null, output, output, control, network};
    for (int& fd : from) fd = must(::fcntl(fd, F_DUPFD_CLOEXEC, 64), "dup");
    for (const int to : {0, 1, 3, 4}) must(::dup2(from[to], to), "dup2");
    for (const int ignored : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(ignored, SIG_DFL);  // by the launcher
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    keep_capabilities();
    must(::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "end with the launcher");
    must(::dup2(from[2], 2), "dup2");
    must(::close_range(5, ~0u, 0), "close what was inherited");
    ::execve(arguments[0], arguments.data(), environment.data());
  } catch (const std::exception&) {
  }
  ::_exit(127);
}

}  // namespace

Zygote::Zygote(const Fd& root, const std::vector<std::string>& strings, size_t count) {
  int pair[2], pipe[2];
  must(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "socketpair");
  control_.reset(pair[0]);
  const Fd far_control(pair[1]);
  ::setsockopt(control_.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  must(::pipe2(pipe, O_CLOEXEC), "pipe");
  output_.reset(pipe[0]);  // kept so that its output is a pipe, as a sandbox's is
  const Fd far_output(pipe[1]);
  static constexpr char kWord[] = "zygote";
  std::vector<char*> arguments, environment;
  for (size_t i = 0; i < strings.size(); ++i)
    (i < count ? arguments : environment).push_back(const_cast<char*>(strings[i].c_str()));
  arguments.push_back(const_cast<char*>(kWord));
  arguments.push_back(nullptr);
  environment.push_back(nullptr);
  process_ = must(::fork(), "fork a zygote");
  if (process_ == 0) start(root, far_control.get(), far_output.get(), std::move(arguments), std::move(environment));
}

Zygote::~Zygote() {
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
}

bool Zygote::ready() {
  bool closed = false;
  if (!ready_) ready_ = receive(control_.get(), false, closed).has_value();
  return ready_;
}

pid_t Zygote::fork(const InitOptions& init, const Fd& network, const Fd& group) {
  Message order{.kind = Kind::kFork, .numbers = {init.many_users, init.processes, group ? 1u : 0u}};
  order.strings.emplace_back(reinterpret_cast<const char*>(init.filter->data()),
                             init.filter->size() * sizeof(sock_filter));
  std::vector<int> given = {init.control, init.channel, init.output, network.get()};
  if (group) given.push_back(group.get());
  given.insert(given.end(), init.join.begin(), init.join.end());
  for (const int fd : given) order.fds.emplace_back(must(::fcntl(fd, F_DUPFD_CLOEXEC, 0), "dup"));
  if (const int error = send(control_.get(), order, true)) throw SystemError("order a zygote to fork", error);
  bool closed = false;
  const auto answer = receive(control_.get(), true, closed);
  if (!answer) throw std::runtime_error("a zygote does not answer");
  if (answer->kind != Kind::kForked) throw std::runtime_error(answer->string(0));
  ++forks_;
  return static_cast<pid_t>(answer->number(0));
}

Zygote* Zygotes::find(const std::vector<std::string>& strings, size_t arguments) {
  const auto found = kinds_.find(key_of(strings, arguments));
  if (found == kinds_.end()) return nullptr;
  Kind& kind = found->second;
  if (kind.next && kind.next->ready()) kind.current = std::move(kind.next);
  return kind.current.get();
}

void Zygotes::want(const std::vector<std::string>& strings, size_t arguments) {
  Kind& kind = kinds_[key_of(strings, arguments)];
  kind.used = std::chrono::steady_clock::now();
  if (kind.next || kind.failures >= kMostFailures || (kind.current && kind.current->forks() < kMostForks)) return;
  try {
    kind.next = std::make_unique<Zygote>(root_, strings, arguments);
  } catch (const std::exception&) {
    ++kind.failures;  // sandboxes start the program themselves
  }
}

void Zygotes::lose(const Zygote& zygote) {
  for (auto& [key, kind] : kinds_) {
    for (std::unique_ptr<Zygote>* each : {&kind.current, &kind.next}) {
      if (each->get() != &zygote) continue;
      each->reset();
      ++kind.failures;
      return;
    }
  }
}

bool Zygotes::ended(pid_t process) {
  for (auto& [key, kind] : kinds_) {
    for (const auto* each : {&kind.current, &kind.next}) {
      if (!*each || (*each)->process() != process) continue;
      lose(**each);
      return true;
    }
  }
  return false;
}

void Zygotes::expire() {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(kinds_, [&](const auto& entry) { return now - entry.second.used > kUnusedFor; });
}

}  // namespace virga::sandbox::jail
