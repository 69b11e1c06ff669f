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
  kCreate = 1,  // numbers: door port or 0, API port or 0, argc; strings: what to show at /var/lang or empty,
                // argv, environment. argc 0: stays empty
  kAssign,      // see Assign
  kThrottle,    // numbers: memory in MB that decides the share of the processor; 0 lifts the limit
  kFreeze,      // numbers: 1 freeze, 0 thaw
  kKill,
  // Launcher to Virga
  kHello,    // numbers: launcher's pid; strings: name, "1"/"0", how — for each capability
  kCreated,  // fds: see CreatedFd; numbers: one bit for each that is there
  kFailed,   // numbers: a Stage, errno; strings: a sentence. After kCreate the sandbox does not exist
  kExited,   // numbers: see Exited. Everything of the sandbox is gone
  // Launcher to the first process
  kGo,       // its ids are mapped; it may build the rest of its jail
  kExecute,  // numbers: argc, open files, bytes of data (0: unchanged); strings: argv, then environment
  // First process to launcher
  kReady,  // jailed and waiting for kExecute; fds: where its connects are told, when the kernel can
  kEnded,  // numbers: wait status, peak resident KB of the program
};

enum class Stage : uint64_t { kCreate, kAssign, kExecute };

enum CreatedFd : int { kProcess, kChannel, kOutput, kApiListener, kDoorListener, kMemory, kCreatedFds };

struct Assign {
  enum Number : int { kMemoryMb, kTmpMb, kProcesses, kOpenFiles, kLayers, kArguments, kOutside, kNumbers };
  enum String : int { kCode, kFirstFrame, kLanguage, kStrings };  // then the layers, the arguments and the environment
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

inline constexpr size_t kMostMessage = 192 * 1024;  // below the kernel's default send buffer
inline constexpr size_t kMostFds = 16;

// Returns 0 or an errno: EMSGSIZE when the message is too big, EAGAIN when `wait` is false and the queue is full.
int send(int socket, const Message& message, bool wait);
// The next message; nothing when there is none yet (`wait` false). `closed` is set at the end and on garbage.
std::optional<Message> receive(int socket, bool wait, bool& closed);

}  // namespace virga::sandbox::jail
