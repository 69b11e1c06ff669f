// Making a sandbox, and giving one away.
#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/str.h"
#include "sandbox/jail/error.h"
#include "sandbox/jail/files.h"
#include "sandbox/jail/init.h"
#include "sandbox/jail/launcher.h"

namespace virga::sandbox::jail {
namespace {

#if __has_feature(thread_sanitizer)
constexpr int kSharedMemory = 0;  // the sanitizer's clone() knows processes with a memory of their own only
#else
constexpr int kSharedMemory = CLONE_VM;
#endif

// Looks at a sandbox that holds more than its memory, without asking for yet more: then the kernel would have ended the
// largest of its processes only.
constexpr int kMostOutgrown = 20;

constexpr uint64_t kFirstHostUser = 1'879'048'192;  // far above people, services and container engines' ranges

// Back in the launcher's own namespaces, however the scope ends.
class Return {
 public:
  Return(const Fd& mounts, const Fd& network) : mounts_(mounts), network_(network) {}
  ~Return() {
    // Going on in a sandbox's namespace would be worse than ending.
    if (::setns(network_.get(), CLONE_NEWNET) != 0 || ::setns(mounts_.get(), CLONE_NEWNS) != 0) ::abort();
  }

 private:
  const Fd& mounts_;
  const Fd& network_;
};

std::pair<Fd, Fd> socket_pair(int type) {
  int pair[2];
  must(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), "socketpair");
  return {Fd(pair[0]), Fd(pair[1])};
}

void set_non_blocking(const Fd& fd) { ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK); }

}  // namespace

int Launcher::take_slot() {
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i]) {
      slots_[i] = true;
      return static_cast<int>(i);
    }
  }
  slots_.push_back(true);
  id_maps_.emplace_back();
  return static_cast<int>(slots_.size()) - 1;
}

void Launcher::map_users(pid_t pid, int slot) {
  const uint64_t uid = root_ ? kFirstHostUser + slot : ::getuid();
  const uint64_t gid = root_ ? kFirstHostUser + slot : ::getgid();
  const std::string proc = cat("/proc/", pid);
  if (!root_ && !write_text(cat(proc, "/setgroups"), "deny")) throw SystemError("deny setgroups", errno);
  if (!write_text(cat(proc, "/uid_map"), cat(kInsideUid, " ", uid, " 1"))) throw SystemError("map the user", errno);
  if (!write_text(cat(proc, "/gid_map"), cat(kInsideGid, " ", gid, " 1"))) throw SystemError("map the group", errno);
}

// A user namespace that shows root's files as the sandbox's own; -1 where there is no need.
int Launcher::id_map(int slot) {
  if (!root_) return -1;
  Fd& kept = id_maps_[static_cast<size_t>(slot)];
  if (kept) return kept.get();
  // It shares the launcher's memory: nothing is copied for a process that only waits to be looked at.
  alignas(16) static char stack[4096];
  pid_t launcher = ::getpid();
  const auto wait = [](void* launcher) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    return ::getppid() == *static_cast<pid_t*>(launcher) ? ::pause() : 0;
  };
  const pid_t pid = must(::clone(wait, stack + sizeof stack, CLONE_NEWUSER | kSharedMemory | SIGCHLD, &launcher),
                         "clone for a map of users");
  const std::string map = cat("0 ", kFirstHostUser + slot, " 1");
  const bool mapped =
      write_text(cat("/proc/", pid, "/uid_map"), map) && write_text(cat("/proc/", pid, "/gid_map"), map);
  kept.reset(::open(cat("/proc/", pid, "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  if (!mapped) kept.reset();
  return kept.get();
}

// In a new network and the template's view of files; of a zygote when there is one for the program (`copy`).
pid_t Launcher::first_process(const Message& order, const InitOptions& init, Network& network, bool& copy) {
  const std::vector<std::string> program(order.strings.begin() + 1, order.strings.end());
  const size_t arguments = order.number(2);
  Zygote* const zygote = order.number(3) ? zygotes_.find(program, arguments) : nullptr;
  const Fd group = cgroups_->directory(order.id);
  const Return back(host_mounts_, host_network_);
  network = enter_new_network(static_cast<uint16_t>(order.number(1)), static_cast<uint16_t>(order.number(0)));
  if (zygote) {
    try {
      const pid_t pid = zygote->fork(init, network.space, group);
      copy = true;
      return pid;
    } catch (const std::exception&) {
      zygotes_.lose(*zygote);
    }
  }
  must(::setns(template_.get(), CLONE_NEWNS), "enter the template");
  return clone_first(init, group.get(), Parent::kCaller);
}

void Launcher::create(const Message& order) {
  auto sandbox = std::make_unique<Sandbox>();
  sandbox->id = order.id;
  sandbox->slot = take_slot();
  Message created{.kind = Kind::kCreated, .id = order.id, .numbers = std::vector<uint64_t>(kCreatedFds + 1)};
  pid_t pid = 0;
  try {
    id_map(sandbox->slot);
    cgroups_->make(order.id);
    auto [control, far_control] = socket_pair(SOCK_SEQPACKET);
    auto [channel, far_channel] = socket_pair(SOCK_STREAM);
    int output[2];
    must(::pipe2(output, O_CLOEXEC), "pipe");
    Fd output_in(output[0]);
    Fd output_out(output[1]);
    set_non_blocking(channel);
    set_non_blocking(output_in);
    const std::vector<Fd> join = cgroups_->join_descriptors(order.id);
    InitOptions init{.control = far_control.get(), .channel = far_channel.get(), .output = output_out.get()};
    for (const Fd& fd : join) init.join.push_back(fd.get());
    init.filter = &filter_;
    init.many_users = root_;
    init.processes = cgroups_->limits_processes() ? 0 : 1025;  // one is the sandbox's first
    init.rehearse = order.number(2) == 0;
    Network network;
    bool copy = false;
    pid = first_process(order, init, network, copy);
    Fd process(static_cast<int>(must(::syscall(SYS_pidfd_open, pid, 0), "open a sandbox's process")));
    map_users(pid, sandbox->slot);
    sandbox->first = pid;
    sandbox->control = std::move(control);
    sandbox->channel.reset(must(::fcntl(channel.get(), F_DUPFD_CLOEXEC, 0), "dup"));
    sandbox->mounts.reset(must(::open(cat("/proc/", pid, "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC), "open its mounts"));
    Fd memory = cgroups_->peak_file(order.id);
    if (!memory) memory.reset(::open(cat("/proc/", pid, "/status").c_str(), O_RDONLY | O_CLOEXEC));
    if (const std::string language = order.string(0); !language.empty()) {
      const Fd tree = detached_tree(language, -1);
      const Return back(host_mounts_, host_network_);
      must(::setns(sandbox->mounts.get(), CLONE_NEWNS), "enter a sandbox's mounts");
      attach_tree(tree.get(), "/var/lang");
    }
    sandbox->network = std::move(network.space);
    sandbox->relay = std::move(network.relay);
    sandbox->names = std::move(network.names);
    send(sandbox->control.get(), {.kind = Kind::kGo}, true);
    Fd* const given[kCreatedFds] = {&process, &channel, &output_in, &network.api_listener, &network.door_listener,
                                    &memory};
    for (int i = 0; i < kCreatedFds; ++i) {
      created.numbers[i] = *given[i] ? 1 : 0;
      if (*given[i]) created.fds.push_back(std::move(*given[i]));
    }
    created.numbers[kCreatedFds] = static_cast<uint64_t>(pid);
    if (copy) {
      sandbox->execute = Message{.kind = Kind::kExecute};
    } else if (const size_t argc = order.number(2)) {
      sandbox->execute = Message{
          .kind = Kind::kExecute, .numbers = {argc, 0}, .strings = {order.strings.begin() + 1, order.strings.end()}};
    }
    epoll_event event{.events = EPOLLIN, .data = {.u64 = order.id}};
    must(::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, sandbox->control.get(), &event), "watch a sandbox");
  } catch (const std::exception& e) {
    if (pid > 0) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    slots_[static_cast<size_t>(sandbox->slot)] = false;
    cgroups_->remove(order.id);
    report_failure(order.id, Stage::kCreate, 0, e.what());
    return;
  }
  sandboxes_.emplace(order.id, std::move(sandbox));
  send(kLauncherSocket, created, true);
  if (order.number(3)) zygotes_.want({order.strings.begin() + 1, order.strings.end()}, order.number(2));
}

// Without a control group for memory each process is limited for itself. Node.js does not start with less than this.
uint64_t Launcher::data_limit(uint64_t memory_mb) const {
  if (cgroups_->limits_memory()) return 0;
  return std::max<uint64_t>(memory_mb, 256) << 20;
}

// Limits of a program that runs already: its descriptors, and what control groups don't limit here.
void Launcher::limit_program(const Sandbox& sandbox, const Message& order) {
  const uint64_t open_files = order.number(Assign::kOpenFiles);
  if (open_files == 1024 && cgroups_->limits_memory() && cgroups_->limits_processes()) return;
  const std::string children = read_text(cat("/proc/", sandbox.first, "/task/", sandbox.first, "/children"));
  const auto program = parse_int(trim(split_once(children, ' ').first));
  if (!program) return;
  const auto limit = [&](enum __rlimit_resource resource, uint64_t value) {
    const rlimit both{value, value};
    if (::prlimit(static_cast<pid_t>(*program), resource, &both, nullptr) != 0)
      throw SystemError("limit a program", errno);
  };
  if (open_files && open_files < 1024) limit(RLIMIT_NOFILE, open_files);
  if (!cgroups_->limits_processes())
    limit(RLIMIT_NPROC, std::min<uint64_t>(order.number(Assign::kProcesses), 1024) + 1);
  if (const uint64_t bytes = data_limit(order.number(Assign::kMemoryMb))) limit(RLIMIT_DATA, bytes);
}

void Launcher::assign(Sandbox& sandbox, const Message& order) {
  try {
    if (order.strings.size() < Assign::kStrings) throw std::runtime_error("an order is incomplete");
    const std::vector<std::string> layers(order.strings.begin() + Assign::kStrings, order.strings.end());
    const int map = id_map(sandbox.slot);
    Fd code, merged, language, root;
    const std::string directory = order.string(Assign::kCode);
    if (!directory.empty()) code = detached_tree(directory, map);
    if (const std::string prefix = order.string(Assign::kLanguage); !prefix.empty())
      language = detached_tree(prefix, -1);
    if (const std::string image = order.string(Assign::kRoot); !image.empty()) root = detached_tree(image, map);
    if (!layers.empty()) merged = detached_layers(layers, map, cat(options_.state_directory, "/scratch"));
    sandbox.memory_mb = order.number(Assign::kMemoryMb);
    sandbox.tmp_mb = order.number(Assign::kTmpMb);
    {
      const Return back(host_mounts_, host_network_);
      must(::setns(sandbox.mounts.get(), CLONE_NEWNS), "enter a sandbox's mounts");
      if (code) attach_tree(code.get(), "/var/task");
      if (merged) attach_tree(merged.get(), "/opt");
      if (language) attach_tree(language.get(), "/var/lang");
      if (sandbox.tmp_mb != 512) resize_tmp(sandbox.tmp_mb);
      if (root) become_root(root.get());
    }
    cgroups_->set_limits(sandbox.id, sandbox.memory_mb, sandbox.tmp_mb, order.number(Assign::kProcesses));
    if (outside_ && order.number(Assign::kOutside)) outside_->allow(static_cast<size_t>(sandbox.slot));
    limit_program(sandbox, order);
    const std::string& frame = order.strings.at(Assign::kFirstFrame);
    if (!frame.empty() &&
        ::send(sandbox.channel.get(), frame.data(), frame.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(frame.size())) {
      throw SystemError("hand over the first frame", errno);
    }
    sandbox.channel.reset();
  } catch (const std::exception& e) {
    const auto* system = dynamic_cast<const SystemError*>(&e);
    report_failure(sandbox.id, Stage::kAssign, system ? system->code : 0, e.what());
    ::kill(sandbox.first, SIGKILL);  // no program is to run in what is half made
  }
}

void Launcher::run(Sandbox& sandbox, Message order) {
  order.kind = Kind::kExecute;
  order.numbers = {order.number(Run::kArguments), order.number(Run::kOpenFiles),
                   data_limit(order.number(Run::kMemoryMb)), order.number(Run::kProgram),
                   order.number(Run::kDirectories)};
  send(sandbox.control.get(), order, true);
}

void Launcher::enforce_memory(Sandbox& sandbox) {
  uint64_t tmp_bytes = 0;
  {
    const Return back(host_mounts_, host_network_);
    if (::setns(sandbox.mounts.get(), CLONE_NEWNS) == 0) tmp_bytes = bytes_in("/tmp");
  }
  const bool fits = cgroups_->enforce_memory(sandbox.id, sandbox.memory_mb, sandbox.tmp_mb, tmp_bytes);
  sandbox.outgrown = fits ? 0 : sandbox.outgrown + 1;
  if (sandbox.outgrown > kMostOutgrown) ::kill(sandbox.first, SIGKILL);
}

void Launcher::give_socket(const Sandbox& sandbox) {
  Message answer{.kind = Kind::kSocket, .id = sandbox.id};
  {
    const Return back(host_mounts_, host_network_);
    if (::setns(sandbox.network.get(), CLONE_NEWNET) == 0) {
      Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (socket) answer.fds.push_back(std::move(socket));
    }
  }
  send(kLauncherSocket, answer, true);
}

}  // namespace virga::sandbox::jail
