#include "sandbox/jail/outside.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <map>
#include <thread>

#include "base/str.h"
#include "sandbox/jail/address.h"
#include "sandbox/jail/error.h"
#include "sandbox/jail/files.h"
#include "sandbox/jail/names.h"
#include "sandbox/jail/protocol.h"
#include "sandbox/jail/relay.h"

namespace virga::sandbox::jail {
namespace {

using Steady = std::chrono::steady_clock;

constexpr size_t kMostConnections = 512;   // of one sandbox
constexpr size_t kDescriptorsEach = 4;     // of a connection, name look-ups counted in
constexpr size_t kDescriptorsKept = 4096;  // for sandboxes to come
constexpr size_t kMostSlots = 1 << 16;     // sandboxes at a time; others have no way out

// Connections of all sandboxes: what the process's descriptors allow, so that none can take them all from the others.
std::atomic<size_t> all_connections = 0;

size_t most_connections_of_all() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return kMostConnections;
  const size_t kept = std::min<size_t>(kDescriptorsKept, files.rlim_cur / 2);
  return (files.rlim_cur - kept) / kDescriptorsEach;
}

// One of them, for as long as it lives.
class Share {
 public:
  Share() { all_connections.fetch_add(1); }
  Share(Share&& other) noexcept : held_(std::exchange(other.held_, false)) {}
  Share& operator=(Share&& other) noexcept {
    std::swap(held_, other.held_);
    return *this;
  }
  ~Share() {
    if (held_) all_connections.fetch_sub(1);
  }

 private:
  bool held_ = true;
};
// How long a program that does not want to block waits for an answer, so that near peers' refusals are exact.
constexpr auto kPatience = std::chrono::milliseconds(5);

// The one sandbox that a thread serves.
class Way {
 public:
  Way(Fd calls, Fd relay, Fd names, uint16_t control_port, const std::atomic<bool>& allowed)
      : calls_(std::move(calls)),
        relay_(std::move(relay)),
        names_(std::move(names)),
        control_port_(control_port),
        allowed_(allowed),
        poll_(must(::epoll_create1(EPOLL_CLOEXEC), "epoll")) {
    // Caller and answerer take turns, so that one processor serves both, where the kernel can say so (6.6).
    ::ioctl(calls_.get(), _IOW('!', 4, uint64_t), uint64_t{1});  // SECCOMP_IOCTL_NOTIF_SET_FLAGS: SYNC_WAKE_UP
    watch(calls_.get(), EPOLLIN, {What::kCalls, 0});
    watch(relay_.get(), EPOLLIN, {What::kRelay, 0});
    watch(names_.socket(), EPOLLIN, {What::kNames, 0});
    sockaddr_in6 at{};
    socklen_t size = sizeof at;
    ::getsockname(relay_.get(), reinterpret_cast<sockaddr*>(&at), &size);
    relay_port_ = Address::of(at).port();
  }

  // Until the sandbox has ended.
  void run();

 private:
  enum class What : uint32_t { kCalls, kRelay, kNames, kReply, kAttempt, kLink };
  // A program's connect() under way: `outer` is ours, `inner` the program's own socket.
  struct Attempt {
    uint64_t call = 0;
    Share share;
    Fd inner, outer;
    Steady::time_point patience = Steady::time_point::max();
  };
  // What the relay joins, by the port of the program's end.
  struct Link {
    Share share;
    Fd outer;
    bool connecting = false;
    bool failed = false;  // known before the relay had the program's end
    std::unique_ptr<Relay> relay;
  };

  void watch(int fd, uint32_t events, std::pair<What, uint32_t> tag) {
    epoll_event event{.events = events, .data = {.u64 = uint64_t(tag.first) << 32 | tag.second}};
    must(::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll");
  }
  // `go_on`: the kernel does what was called, and `error` is nothing.
  void answer(uint64_t call, int error, bool go_on = false) {
    seccomp_notif_resp response{};
    response.id = call;
    response.error = go_on ? 0 : -error;
    if (go_on) response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    ::ioctl(calls_.get(), SECCOMP_IOCTL_NOTIF_SEND, &response);  // fails when its caller is gone
  }
  void take_call();
  void begin(const seccomp_notif& call, Address to, bool names);
  void settle(uint32_t number, int error);
  int join(Attempt& attempt, bool connecting);
  void accept_all();
  void on_link(uint16_t port);
  int patience() const;

  Fd calls_, relay_;
  Names names_;
  const uint16_t control_port_;
  const std::atomic<bool>& allowed_;
  Fd poll_;
  uint16_t relay_port_ = 0;
  bool ended_ = false;
  uint32_t next_attempt_ = 0;
  std::map<uint32_t, Attempt> attempts_;
  std::map<uint16_t, Link> links_;
};

// The program's own descriptor, as one of ours.
Fd take_descriptor(pid_t thread, int number) {
  const std::string status = read_text(cat("/proc/", thread, "/status"));
  const auto at = status.find("\nTgid:");
  if (at == std::string::npos) return {};
  const auto process = parse_int(trim(std::string_view(status).substr(at + 6, status.find('\n', at + 6) - at - 6)));
  const Fd handle(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(process.value_or(0)), 0)));
  if (!handle) return {};
  return Fd(static_cast<int>(::syscall(SYS_pidfd_getfd, handle.get(), number, 0)));
}

int option(int socket, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  ::getsockopt(socket, SOL_SOCKET, name, &value, &size);
  return value;
}

void Way::take_call() {
  seccomp_notif call{};
  if (::ioctl(calls_.get(), SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) return;  // its caller is gone already
  Address to;
  const auto size = static_cast<size_t>(call.data.args[2]);
  const iovec from{reinterpret_cast<void*>(call.data.args[1]), std::min(size, to.room())};
  const iovec into{to.data(), to.room()};
  const ssize_t n = ::process_vm_readv(static_cast<pid_t>(call.pid), &into, 1, &from, 1, 0);
  // Only what the call's own thread holds still may be acted on.
  if (::ioctl(calls_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &call.id) != 0) return;
  // What is not for the outside is the kernel's to do, in a network where it can do no harm.
  if (n <= 0 || !to.complete(static_cast<size_t>(n))) return answer(call.id, 0, true);
  if (to.own_loopback()) {
    if (to.port() != kNamesPort) return answer(call.id, 0, true);
    return begin(call, names_.server(), true);
  }
  if (!allowed_.load() || to.out_of_bounds()) return answer(call.id, ENETUNREACH);
  if (to.port() == control_port_ && to.of_this_machine()) return answer(call.id, ECONNREFUSED);
  begin(call, to, false);
}

void Way::begin(const seccomp_notif& call, Address to, bool names) {
  Attempt attempt{.call = call.id};
  attempt.inner = take_descriptor(static_cast<pid_t>(call.pid), static_cast<int>(call.data.args[0]));
  // Had the caller ended meanwhile, its number could be another process's, and the descriptor one of that.
  if (::ioctl(calls_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &call.id) != 0) return;
  const int family = attempt.inner ? option(attempt.inner.get(), SO_DOMAIN) : -1;
  if (family != AF_INET && family != AF_INET6) return answer(call.id, 0, true);
  if (option(attempt.inner.get(), SO_TYPE) != SOCK_STREAM) {
    // Datagrams have no way out, which resolvers ask in this way, but to the name server on the loopback.
    return answer(call.id, ENETUNREACH, names);
  }
  if (names && !allowed_.load()) return answer(call.id, ENETUNREACH);
  static const size_t kMostOfAll = most_connections_of_all();
  if (attempts_.size() + links_.size() >= kMostConnections || all_connections.load() > kMostOfAll)
    return answer(call.id, EAGAIN);
  attempt.outer.reset(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!attempt.outer) return answer(call.id, errno);
  const int one = 1;
  ::setsockopt(attempt.outer.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (::connect(attempt.outer.get(), to.get(), to.size()) != 0 && errno != EINPROGRESS) return answer(call.id, errno);
  if (::fcntl(attempt.inner.get(), F_GETFL) & O_NONBLOCK) attempt.patience = Steady::now() + kPatience;
  const uint32_t number = next_attempt_++;
  watch(attempt.outer.get(), EPOLLOUT | EPOLLONESHOT, {What::kAttempt, number});
  attempts_.emplace(number, std::move(attempt));
}

// Connects the program's socket to the relay; 0 or an errno for the program.
int Way::join(Attempt& attempt, bool connecting) {
  const int inner = attempt.inner.get();
  const int flags = ::fcntl(inner, F_GETFL);
  if (!(flags & O_NONBLOCK)) ::fcntl(inner, F_SETFL, flags | O_NONBLOCK);
  const Address to = Address::loopback(option(inner, SO_DOMAIN), relay_port_);
  int error = ::connect(inner, to.get(), to.size()) == 0 ? 0 : errno;
  if (!(flags & O_NONBLOCK)) {
    ::fcntl(inner, F_SETFL, flags);
    if (error == EINPROGRESS) error = 0;
  }
  if (error != 0 && error != EINPROGRESS) return error;
  sockaddr_in6 own{};
  socklen_t size = sizeof own;
  ::getsockname(inner, reinterpret_cast<sockaddr*>(&own), &size);
  const uint16_t port = Address::of(own).port();
  ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, attempt.outer.get(), nullptr);
  Link& link = links_[port] =
      Link{.share = std::move(attempt.share), .outer = std::move(attempt.outer), .connecting = connecting};
  watch(link.outer.get(), EPOLLIN | EPOLLOUT | EPOLLET, {What::kLink, port});
  return error;
}

// Tells the program how its connect went: over, or (error < 0) still under way and no longer waited for.
void Way::settle(uint32_t number, int error) {
  const auto found = attempts_.find(number);
  if (found == attempts_.end()) return;
  Attempt attempt = std::move(found->second);
  attempts_.erase(found);
  if (error <= 0) error = join(attempt, error < 0);
  answer(attempt.call, error);
  accept_all();
}

void Way::accept_all() {
  while (true) {
    sockaddr_in6 peer{};
    socklen_t size = sizeof peer;
    Fd inner(::accept4(relay_.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!inner) return;
    const uint16_t port = Address::of(peer).port();
    const auto link = links_.find(port);
    if (link == links_.end() || link->second.relay) continue;  // nobody's: a program that found the relay's port
    const int one = 1;
    ::setsockopt(inner.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    watch(inner.get(), EPOLLIN | EPOLLOUT | EPOLLET, {What::kLink, port});
    link->second.relay = std::make_unique<Relay>(std::move(inner), std::move(link->second.outer));
    on_link(port);
  }
}

void Way::on_link(uint16_t port) {
  const auto found = links_.find(port);
  if (found == links_.end()) return;
  Link& link = found->second;
  const int outer = link.relay ? link.relay->fd(1) : link.outer.get();
  if (link.connecting) {
    link.failed = link.failed || option(outer, SO_ERROR) != 0;
    if (link.failed && link.relay) {
      link.relay->reset_inner();
      links_.erase(found);
    }
    if (link.failed) return;
    sockaddr_storage peer;
    socklen_t size = sizeof peer;
    if (::getpeername(outer, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return;
    link.connecting = false;
  }
  if (link.relay && !link.relay->pump()) links_.erase(found);
}

int Way::patience() const {
  auto first = names_.deadline();
  for (const auto& [number, attempt] : attempts_) first = std::min(first, attempt.patience);
  if (first == Steady::time_point::max()) return -1;
  return static_cast<int>(
      std::max<int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(first - Steady::now()).count()));
}

void Way::run() {
  while (!ended_) {
    epoll_event events[64];
    const int count = ::epoll_wait(poll_.get(), events, 64, patience());
    for (int i = 0; i < count; ++i) {
      const auto what = static_cast<What>(events[i].data.u64 >> 32);
      const auto number = static_cast<uint32_t>(events[i].data.u64);
      switch (what) {
        case What::kCalls:
          if (events[i].events & EPOLLIN)
            take_call();
          else
            ended_ = true;  // nobody is left who could connect
          break;
        case What::kRelay:
          accept_all();
          break;
        case What::kNames:
          for (const auto& [socket, query] : names_.take(allowed_.load()))
            watch(socket, EPOLLIN, {What::kReply, query});
          break;
        case What::kReply:
          names_.reply(number);
          break;
        case What::kAttempt:
          if (const auto found = attempts_.find(number); found != attempts_.end())
            settle(number, option(found->second.outer.get(), SO_ERROR));
          break;
        case What::kLink:
          on_link(static_cast<uint16_t>(number));
          break;
      }
    }
    const auto now = Steady::now();
    names_.expire(now);
    std::vector<uint32_t> impatient;
    for (const auto& [number, attempt] : attempts_) {
      if (attempt.patience <= now) impatient.push_back(number);
    }
    for (const uint32_t number : impatient) settle(number, -1);
  }
}

// The process: hears of sandboxes, and gives each one that connects a thread.
class Process {
 public:
  Process(int socket, uint16_t control_port, const std::atomic<bool>* allowed)
      : socket_(socket), control_port_(control_port), allowed_(allowed) {}
  void run() {
    poll_.reset(must(::epoll_create1(EPOLL_CLOEXEC), "epoll"));
    watch(socket_, 0);
    while (true) {
      epoll_event events[64];
      const int count = ::epoll_wait(poll_.get(), events, 64, -1);
      if (!hear()) return;
      for (int i = 0; i < count; ++i) {
        if (events[i].data.u32 != 0) begin(events[i].data.u32, (events[i].events & EPOLLIN) != 0);
      }
    }
  }

 private:
  // One without a thread.
  struct Sandbox {
    size_t slot;
    std::vector<Fd> fds;
  };

  void watch(int fd, uint32_t id) {
    epoll_event event{.events = EPOLLIN | (id ? EPOLLONESHOT : 0u), .data = {.u32 = id}};
    ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd, &event);
  }
  bool hear() {
    bool closed = false;
    while (auto message = receive(socket_, false, closed)) {
      if (message->kind == Kind::kCreate && message->fds.size() == 3) {
        Sandbox& sandbox = sandboxes_[message->id];
        sandbox = {message->number(0), std::move(message->fds)};
        for (const int i : {0, 2}) watch(sandbox.fds[i].get(), message->id);
        if (message->number(1)) begin(message->id, true);
      }
    }
    return !closed;
  }
  // A sandbox connects, looks up a name, or has ended.
  void begin(uint32_t id, bool alive) {
    const auto found = sandboxes_.find(id);
    if (found == sandboxes_.end()) return;
    Sandbox sandbox = std::move(found->second);
    sandboxes_.erase(found);
    for (const int i : {0, 2}) ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, sandbox.fds[i].get(), nullptr);
    if (!alive) return;
    try {
      const auto& allowed = allowed_[sandbox.slot];
      std::thread([fds = std::move(sandbox.fds), port = control_port_, &allowed]() mutable {
        try {
          Way(std::move(fds[0]), std::move(fds[1]), std::move(fds[2]), port, allowed).run();
        } catch (const std::exception&) {
          // Out of descriptors or memory: this sandbox's connects fail from now on.
        }
      }).detach();
    } catch (const std::exception&) {
      // Out of threads or memory: likewise. The other sandboxes keep their way out.
    }
  }

  const int socket_;
  const uint16_t control_port_;
  const std::atomic<bool>* const allowed_;  // by slot
  Fd poll_;
  std::map<uint32_t, Sandbox> sandboxes_;
};

// Of all that the launcher may do, only looking at the programs it made.
void keep_only_tracing() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return;
  for (auto& part : data) part.inheritable = 0;
  data[0].effective &= 1u << CAP_SYS_PTRACE;
  data[0].permitted &= 1u << CAP_SYS_PTRACE;
  data[1].effective = data[1].permitted = 0;
  must(::syscall(SYS_capset, &header, data), "drop capabilities");
}

}  // namespace

Outside::Outside(uint16_t control_port) {
  int pair[2];
  must(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "socketpair");
  void* const shared = ::mmap(nullptr, kMostSlots, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw SystemError("map memory", errno);
  allowed_ = static_cast<std::atomic<bool>*>(shared);
  const pid_t child = must(::fork(), "fork the process that connects");
  if (child != 0) {
    ::close(pair[1]);
    socket_.reset(pair[0]);
    must(::madvise(shared, kMostSlots, MADV_DONTFORK), "keep memory from sandboxes");
    return;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::prctl(PR_SET_NAME, "virga-outside", 0, 0, 0);
  must(::dup2(pair[1], 3), "dup2");
  ::fcntl(3, F_SETFD, FD_CLOEXEC);
  ::close_range(4, ~0u, 0);
  try {
    keep_only_tracing();
    Process(3, control_port, allowed_).run();
  } catch (const std::exception&) {
  }
  ::_exit(0);
}

Outside::~Outside() { ::munmap(allowed_, kMostSlots); }

void Outside::add(uint32_t id, size_t slot, bool soon, Fd calls, Fd relay, Fd names) {
  if (slot >= kMostSlots) return;
  allowed_[slot].store(false);
  Message message{.kind = Kind::kCreate, .id = id, .numbers = {slot, soon}};
  message.fds.push_back(std::move(calls));
  message.fds.push_back(std::move(relay));
  message.fds.push_back(std::move(names));
  send(socket_.get(), message, true);
}

void Outside::allow(size_t slot) {
  if (slot < kMostSlots) allowed_[slot].store(true);
}

}  // namespace virga::sandbox::jail
