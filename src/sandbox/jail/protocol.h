// What Virga, its launcher and the first process of each sandbox say to each other over SOCK_SEQPACKET sockets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/jail/fd.h"

namespace virga::sandbox::jail {

enum class Kind : uint8_t {
  // Virga to launcher
  kCreate = 1,  // numbers: door port or 0, API port or 0, argc, 1 when the program can be a zygote (zygote.h);
                // strings: what to show at /var/lang or empty, argv, environment. argc 0: stays empty
  kAssign,      // see Assign
  kThrottle,    // numbers: memory in MB that decides the share of the processor; 0 lifts the limit
  kMemory,      // more memory than the function's was in use at some time: what isn't in its /tmp must fit
  kKill,
  kRun,     // after kAssign: a program. numbers: see Run; strings and fds: as kExecute
  kSignal,  // numbers: a program, a signal; passed on to the first process
  kSocket,  // asks for a TCP socket in the sandbox's network; answered in kind, with no descriptor when there is none
  // Launcher to Virga
  kHello,    // numbers: launcher's pid; strings: name, "1"/"0", how — for each capability
  kCreated,  // fds: see CreatedFd; numbers: one bit for each that is there, its first process
  kFailed,   // numbers: a Stage, errno, a program; strings: a sentence. After kCreate the sandbox does not exist
  kExited,   // numbers: see Exited. Everything of the sandbox is gone
  // Launcher to a zygote
  kFork,  // numbers: 1 when the launcher is root, most processes or 0, 1 when there is a control group's folder;
          // strings: the filter; fds: control, channel, output, network, then the folder, then groups to join
  // A zygote to the launcher, besides kReady and kFailed
  kForked,  // numbers: the process
  // Launcher to the first process
  kGo,       // its ids are mapped; it may build the rest of its jail
  kExecute,  // numbers: argc, open files, bytes of data (0: unchanged), program, directories (0 or 1); strings: argv,
  // environment, then the directory it runs in, when that is not /var/task; fds: what it writes to, when that
  // is not the sandbox's log. argc 0: a copy of the first process
  // First process to launcher
  kReady,  // jailed and waiting for kExecute; fds: where its connects are told, when the kernel can
  kEnded,  // numbers: see Ended. To Virga as well, when the sandbox goes on without that program
};

// The program that the sandbox is for. While it is the only one, the sandbox ends with it; others have other numbers.
inline constexpr uint64_t kMainProgram = 0;

enum class Stage : uint64_t { kCreate, kAssign, kExecute, kEnter };  // kEnter: the directory it runs in

enum CreatedFd : int { kProcess, kChannel, kOutput, kApiListener, kDoorListener, kMemory, kCreatedFds };

struct Assign {
  enum Number : int { kMemoryMb, kTmpMb, kProcesses, kOpenFiles, kOutside, kNumbers };
  // kFirstFrame: what the channel is told once all is in place. kRoot: a directory that becomes its root. Then the
  // layers.
  enum String : int { kCode, kFirstFrame, kLanguage, kRoot, kStrings };
};

struct Run {
  enum Number : int { kProgram, kArguments, kMemoryMb, kOpenFiles, kDirectories, kNumbers };
};

struct Ended {
  enum Number : int { kWaitStatus, kPeakKb, kProgram, kGoesOn, kOutOfMemory, kNumbers };
};

struct Exited {
  enum Number : int { kWaitStatus, kHasStatus, kOutOfMemory, kPeakBytes, kNumbers };
};

struct Message {
  Kind kind{};
  uint32_t id = 0;
  std::vector<uint64_t> numbers;
  std::vector<std::string> strings;
  std::vector<Fd> fds;

  uint64_t number(size_t i) const { return i < numbers.size() ? numbers[i] : 0; }
  std::string string(size_t i) const { return i < strings.size() ? strings[i] : std::string(); }
};

inline constexpr int kLauncherSocket = 3;           // to Virga, in the launcher
inline constexpr size_t kMostMessage = 192 * 1024;  // below the kernel's default send buffer
inline constexpr size_t kMostFds = 16;

// Returns 0 or an errno: EMSGSIZE when the message is too big, EAGAIN when `wait` is false and the queue is full.
int send(int socket, const Message& message, bool wait);
// The next message; nothing when there is none yet (`wait` false). `closed` is set at the end and on garbage.
std::optional<Message> receive(int socket, bool wait, bool& closed);

}  // namespace virga::sandbox::jail
