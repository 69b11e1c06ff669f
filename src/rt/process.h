// Child processes: started without copying our address space, talked to through pipes, awaited without a thread.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/task.h"
#include "rt/stream.h"

namespace virga::rt {

enum class Channel : uint8_t { kNull, kInherit, kPipe };

struct ProcessOptions {
  std::vector<std::string> arguments;  // the first is the program, looked up in PATH unless it has a slash
  std::optional<std::vector<std::string>> environment;  // NAME=value; nothing: ours
  std::string directory;                                // empty: ours
  Channel in = Channel::kNull, out = Channel::kInherit, err = Channel::kInherit;
  bool own_group = false;  // a process group of its own, for kill_group()
};

struct ExitStatus {
  int code = 0;    // when it exited
  int signal = 0;  // when a signal ended it
  bool success() const { return code == 0 && signal == 0; }
};

// A running child. On one reactor's thread; wait() must have ended before it is destroyed, and a child that was never
// waited for stays a zombie until its destructor reaps or kills it.
class Process {
 public:
  // Throws Error err::cannot_start (pure of suspension) when the program cannot be started.
  static std::unique_ptr<Process> start(Reactor& reactor, const ProcessOptions& options);
  ~Process();  // kills the child when it still runs
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  // Null unless the channel is a pipe. Closing `in` is how the child sees the end of its input.
  Stream* in() { return in_.get(); }
  Stream* out() { return out_.get(); }
  Stream* err() { return err_.get(); }
  Task<ExitStatus> wait();
  void kill(int signal);
  void kill_group(int signal);

 private:
  explicit Process(Reactor& reactor) : reactor_(reactor) {}
  Reactor& reactor_;
  pid_t pid_ = -1;
  int pidfd_ = -1;
  std::optional<ExitStatus> ended_;
  std::unique_ptr<Stream> in_, out_, err_;
};

namespace err {
Error cannot_start(std::string message);
}

// Reads a stream to its end; what exceeds `most` bytes is read and dropped.
Task<std::string> read_to_end(Stream& stream, size_t most);

}  // namespace virga::rt
