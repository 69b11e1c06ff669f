// The launcher process as Virga sees it: orders go out, prepared sandboxes and their ends come in.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "sandbox/jail/protocol.h"
#include "sandbox/loop.h"
#include "sandbox/sandbox.h"

namespace virga::sandbox {

// A sandbox that nobody has yet, or that an instance owns: its descriptors. Closing them does not end it; kill does.
struct Slot {
  uint32_t id = 0;
  Fd process;  // its first process, as a pidfd
  pid_t first = 0;
  Fd channel;  // to the program's descriptor 3
  Fd output;   // what it writes to 1 and 2
  Fd api_listener;
  Fd door_listener;
  Fd memory;  // its text is the most memory used
  std::function<void()> leave_door;
};

// What happened to a sandbox.
struct Event {
  enum class Kind {
    kCreated,
    kFailed,  // of no sandbox (0): the launcher is gone, and there will be no other
    kEnded,   // one of its programs: the sandbox goes on
    kSocket,  // that was asked for
    kExited,
    kLost,  // of all sandboxes: their launcher is gone; orders are kept for the next one. `text` says why the launcher
            // that is gone never made any, when it didn't
  } kind;
  jail::Stage stage{};        // kFailed
  int error = 0;              // kFailed: an errno, when there is one
  std::string text;           // kFailed
  uint64_t program = 0;       // kFailed, kEnded
  std::optional<int> status;  // kEnded, kExited: its program's wait status, when it ended by itself
  uint64_t out_of_memory = 0;
  uint64_t peak_bytes = 0;
  std::shared_ptr<Fd> socket;  // kSocket
};

class Keeper {
 public:
  using Listener = std::function<void(uint32_t id, Event event, Slot slot)>;

  // Starts the launcher. When it ends by itself another is started, later each time while they don't last.
  Keeper(const Options& options, const std::string& runtime_directory,
         const std::vector<std::pair<std::string, std::string>>& extra);
  ~Keeper();

  // Begins to hear the launcher; `listener` is called on the loop's thread. Once.
  void listen(Loop& loop, Listener listener);
  // What the launcher enforces. Waits for its first word.
  std::vector<Capability> capabilities();
  // Sends an order; throws, in a sentence, when it cannot be sent. One to a launcher that has just ended goes nowhere:
  // the news of that follows.
  void order(const jail::Message& message);
  uint32_t next_id() { return next_id_++; }
  // Ends the launcher and with it every sandbox; waits for it. No listener call afterwards.
  void stop();

 private:
  void connect();
  int spawn();
  void start_another();
  void hear();
  void lose();
  void take_hello(const jail::Message& message);

  std::vector<std::string> arguments_;  // the launcher's
  pid_t launcher_ = 0;
  std::chrono::steady_clock::time_point launched_;
  Micros pause_{0};  // before the next one
  Fd theirs_;        // the launcher's end of the socket, until it has it
  std::atomic<uint32_t> next_id_ = 1;
  std::mutex mutex_;
  Fd socket_;
  bool stopped_ = false;
  bool ever_ready_ = false;  // so this machine can make sandboxes
  bool heard_hello_ = false;
  std::string failure_;
  std::vector<Capability> capabilities_;
  Listener listener_;
  std::unique_ptr<Readiness> readiness_;
  std::atomic<Loop*> loop_ = nullptr;
};

}  // namespace virga::sandbox
