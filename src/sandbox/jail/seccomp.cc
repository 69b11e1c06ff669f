#include "sandbox/jail/seccomp.h"

#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <memory>

#include "sandbox/jail/error.h"
#include "sandbox/jail/fd.h"
#include "sandbox/jail/syscalls.h"

namespace virga::sandbox::jail {
namespace {

constexpr uint64_t kNamespaceFlags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                                     CLONE_NEWUTS | CLONE_NEWCGROUP | 0x80 /* CLONE_NEWTIME */;

void check(int result, std::string_view what) {
  if (result < 0) throw SystemError(what, -result);
}

void add(scmp_filter_ctx filter, uint32_t action, const char* name) {
  const int number = ::seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR) return;  // newer than this libseccomp: then the default, ENOSYS, holds
  const int result = ::seccomp_rule_add(filter, action, number, 0);
  if (result != -EDOM) check(result, name);  // EDOM: another architecture's call
}

void add_rules(scmp_filter_ctx filter) {
  for (const char* name : kAllowed) add(filter, SCMP_ACT_ALLOW, name);
  for (const char* name : kRefused) add(filter, SCMP_ACT_ERRNO(EPERM), name);

  // Processes and threads, but no new namespace.
  check(::seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, kNamespaceFlags, 0)),
        "clone");
  for (const int flag :
       {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP}) {
    const auto bit = static_cast<uint64_t>(flag);
    check(::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit)),
          "clone");
  }

  // The families that programs use. Netlink's route protocol lists interfaces; its others reach firewalls and audit.
  for (const int family : {AF_UNIX, AF_INET, AF_INET6}) {
    check(::seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, static_cast<uint64_t>(family))),
          "socket");
  }
  check(::seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
                           SCMP_A2(SCMP_CMP_EQ, NETLINK_ROUTE)),
        "socket");

  // But those that forbid_terminal_tricks takes out beforehand.
  add(filter, SCMP_ACT_ALLOW, "ioctl");

  // The native personality, and asking for it.
  for (const uint64_t persona : {uint64_t{0}, uint64_t{0xffffffff}}) {
    check(::seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1, SCMP_A0(SCMP_CMP_EQ, persona)),
          "personality");
  }
}

// Requests by which a terminal is made to type for somebody else. A library's rules can't say "all but these", so these
// instructions go before its own; the kernel looks at the low 32 bits of a request, and so do they.
std::vector<sock_filter> forbid_terminal_tricks() {
  constexpr uint32_t kRequest = offsetof(seccomp_data, args) + sizeof(uint64_t);  // of little-endian machines
  return {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kRequest),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCSTI, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCLINUX, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCSETD, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
  };
}

}  // namespace

std::vector<sock_filter> compile_filter() {
  const std::unique_ptr<void, void (*)(scmp_filter_ctx)> filter(::seccomp_init(SCMP_ACT_ERRNO(ENOSYS)),
                                                                &::seccomp_release);
  if (!filter) throw std::runtime_error("seccomp_init");
  // A search tree: the cost of a call grows with the logarithm of the list.
  check(::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "seccomp optimise");
  // Calls by the numbers of another architecture, 32-bit ones included, are refused like unknown ones.
  check(::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS)),
        "seccomp other architectures");
  add_rules(filter.get());
  Fd file(must(::memfd_create("filter", MFD_CLOEXEC), "memfd"));
  check(::seccomp_export_bpf(filter.get(), file.get()), "export the filter");
  const off_t size = must(::lseek(file.get(), 0, SEEK_END), "measure the filter");
  std::vector<sock_filter> out = forbid_terminal_tricks();
  const size_t before = out.size();
  out.resize(before + static_cast<size_t>(size) / sizeof(sock_filter));
  if (::pread(file.get(), out.data() + before, static_cast<size_t>(size), 0) != size) {
    throw SystemError("read the filter", errno);
  }
  return out;
}

}  // namespace virga::sandbox::jail
