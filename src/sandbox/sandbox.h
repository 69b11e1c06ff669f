// Running somebody's code. A Sandboxes starts instances; an Instance runs an invocation at a time inside its jail, or
// several where its function allows it. What a function is, who may call it and what its logs mean is the Lambda
// service's business.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/async.h"
#include "base/executor.h"
#include "base/source.h"
#include "base/task.h"
#include "base/time.h"

namespace virga::sandbox {

struct Limits {
  uint32_t memory_mb = 128;  // the whole instance but for /tmp; a process of one that holds more is killed
  uint32_t tmp_mb = 512;     // size of /tmp, which is memory of the machine and not of the instance's
  uint32_t processes = 1024;
  uint32_t open_files = 1024;
};

// An unpacked container image: the program runs in its file system, which is read-only but for /tmp.
struct Image {
  std::string root;                    // on the host; its /proc, /dev, /tmp and /etc/hosts are plain and are covered
  std::vector<std::string> arguments;  // the program, looked for in PATH, and what it is started with
  std::string working_directory;       // in the image
};

enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarn, kError, kFatal };
std::optional<LogLevel> log_level(std::string_view name);

// The least level of what is kept in a log that is JSON: of what is told of the instance, and of the function's lines.
struct JsonLog {
  LogLevel system = LogLevel::kInfo, application = LogLevel::kInfo;
};

using Environment = std::vector<std::pair<std::string, std::string>>;

// When an instance is initialised: before its first invocation, or as a part of one because that failed.
enum class InitPhase : uint8_t { kInit, kInvoke };

// What an instance is made of. Everything here is fixed for its life.
struct Spec {
  std::string runtime;  // "python3.12", "nodejs22.x", "provided.al2023"
  std::string handler;
  std::string code_directory;                  // on the host; appears read-only at /var/task
  std::vector<std::string> layer_directories;  // on the host, first to last; appear merged, read-only, at /opt
  std::optional<Image> image;  // instead of code and layers; speaks the Runtime API, and `runtime` says nothing
  std::string account;         // that the function belongs to
  std::string runtime_arns;    // what ARNs of runtimes begin with
  Environment environment;     // all of it, reserved variables too, but for what comes with Instance::begin
  bool held = false;           // made ready, but nothing of the function runs before Instance::begin
  Limits limits;
  uint32_t concurrency = 1;  // invocations that it takes at a time
  Millis init_timeout{10'000};
  InitPhase phase = InitPhase::kInit;  // kInvoke: what the initialisation takes is the first invocation's time
  bool init_again = false;  // should its initialisation fail, another instance takes over the invocation that waits for
                            // it, of which nothing is told until then
  std::optional<JsonLog>
      json_log;           // the log also has the events of the instance; otherwise they are the caller's to tell
  bool snapshot = false;  // initialised ahead and kept: runs its hooks before a snapshot; restore comes before invoke
};

struct Invocation {
  std::string request_id;
  std::string payload;  // JSON
  Millis timeout{3000};
  Time deadline;  // the same, as the wall clock the function sees
  std::string function_arn;
  std::string client_context;    // JSON; empty: none
  std::string cognito_identity;  // JSON; empty: none
  std::string trace;             // _X_AMZN_TRACE_ID
  std::string tenant;            // whose call it is; empty: nobody's in particular
  bool stream = false;           // the caller takes a streamed answer as it comes; otherwise it is collected first
  std::function<void()> begun;   // called at the instance's home when the function has it: lines before that are of the
                                 // initialisation. May be empty
};

// Of an instance that failed before it was ready: how long that took, and what it has not run.
struct FailedInit {
  std::chrono::microseconds duration;
  Invocation invocation;
};

enum class Status : uint8_t {
  kOk,
  kError,        // the handler raised, or the runtime reported an error: payload is AWS's error document
  kTimedOut,     // the instance is gone, unless it takes several at a time: the others go on
  kOutOfMemory,  // killed for memory; the instance is gone
  kExited,       // the runtime process ended by itself; the instance is gone; exit says how
  kInitError,    // it never became ready: bad handler, import error; payload is the error document
  kExtension,    // an extension ended or gave up; the instance is gone; payload is the error document
  kLost,         // what ran it is gone, through no fault of its own; so is the instance
};

struct Outcome {
  Status status = Status::kOk;
  std::string payload;                  // the answer, or the error document of kError and kInitError
  Body stream;                          // instead of payload, when the function streams its answer
  std::string content_type;             // of a streamed answer
  std::shared_ptr<Outcome> ending;      // of an answer that comes before the invocation's end (it is streamed, or
                                        // extensions still work): complete, without payload, at the end. A stream that
                                        // fails midway ends with a failure, and this says why
  std::shared_ptr<virga::Event> ended;  // set when `ending` is complete
  std::string exit;                     // kExited: "exit status 1", "signal: killed"
  std::chrono::microseconds duration{0};
  std::chrono::microseconds init_duration{0};  // of the start that this invocation caused; zero when warm
  std::optional<std::chrono::microseconds> restore_duration;  // of the restore that came before it
  uint32_t max_memory_mb = 0;                                 // files in /tmp left out
  bool reusable = false;                                      // the instance can take another invocation
  std::shared_ptr<FailedInit> failed_init;                    // null: it was ready, or what ran it is lost
  std::string fault;  // kInitError and kExtension: as AWS names what it knows of the kind
  // As REPORT lines name how it ended, when that was by no answer of the runtime.
  std::string_view error_type() const {
    if (status == Status::kOutOfMemory) return "Runtime.OutOfMemory";
    return status == Status::kExited ? std::string_view("Runtime.ExitError") : fault;
  }
};

// As AWS rounds.
inline int64_t billed_milliseconds(std::chrono::microseconds time) {
  return std::chrono::ceil<std::chrono::milliseconds>(time).count();
}

// Lines the function wrote, and the runtime's own, in order. Called on the instance's executor. `request_id` is the
// running invocation's, or empty during initialisation and when there may be several.
using LogSink = std::function<void(std::string_view request_id, std::string_view line)>;

class Instance {
 public:
  // Ends it: kills every process of it; returns its resources to the pool's keeper. One with extensions goes on in the
  // background while they have their time to end by themselves.
  virtual ~Instance() = default;
  // Of one that is held, once, before all else: it has the rest of its environment and may go on.
  virtual Task<void> begin(Environment rest) = 0;
  // At most Spec::concurrency at a time, with different ids. The time spent starting counts as the outcome's
  // init_duration on the first call.
  virtual Task<Outcome> invoke(Invocation invocation) = 0;
  // Waits until it is initialised, before its first invocation; how long that took is the outcome's init_duration, and
  // no invocation's. Anything but kOk: it failed, or took longer than allowed, and the instance is of no use.
  virtual Task<Outcome> initialised() = 0;
  // Of an initialised snapshot, once: runs its hooks after a restore, so that it takes invocations. Anything but kOk:
  // the instance is of no use.
  virtual Task<Outcome> restore() = 0;
  virtual bool alive() const = 0;
  // What runs it, as Sandboxes::Runtime::version; of one that was just started.
  virtual std::string_view runtime() const { return {}; }
};

// What of the jail holds on this machine; `virga doctor` prints it.
struct Capability {
  std::string name;  // "memory limit", "process namespace"
  bool enforced = false;
  std::string how;  // "cgroup v1 memory", or why not and what would enable it
};

struct Options {
  std::string state_directory;  // for roots, sockets, embedded runtime files; emptied at start
  std::string
      node_modules;      // packages every Node function finds (the AWS SDK), as AWS's runtimes carry them; may be empty
  std::string runtimes;  // a folder with runtimes that were added, one folder each; may be empty
  uint32_t warm_pool = 2;  // prepared sandboxes kept per runtime in use
  uint32_t most_instances = 1000;
  bool outside = true;          // functions may connect to the outside, unless their VIRGA_NETWORK says otherwise
  uint16_t control_port = 0;    // Virga's own port on this machine's addresses, which they never reach from there
  uint16_t api_port = 4566;     // where functions find Virga, on their own loopback
  bool processor_share = true;  // an instance's share of the processor follows its memory, as on AWS
  // Called with each listening socket made inside a sandbox's network for api_port: the door accepts from it until the
  // returned function is called. The descriptor stays the sandbox's, so a door that owns what it accepts from
  // duplicates it. May be empty: then functions can't reach Virga.
  std::function<std::function<void()>(int listening_fd)> adopt_listener;
  const Clock* clock = nullptr;  // what functions are told of the time by; null: the machine's
};

// What start fails with when Options::most_instances run: ending one makes room, soon after.
struct Full : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// As logs and events write what serves a runtime: "python:3.11.2".
inline std::string runtime_in_words(std::string_view version) {
  const std::string_view name = version.substr(0, version.find_first_of(".0123456789"));
  std::string_view number = version.substr(name.size());
  if (number.starts_with('.')) number.remove_prefix(1);
  return std::string(name).append(":").append(number);
}

class Sandboxes {
 public:
  virtual ~Sandboxes() = default;
  // Tells that functions of this runtime and memory exist, so that prepared sandboxes are kept for them.
  virtual void expect(const std::string& runtime, uint32_t memory_mb) = 0;
  // Somebody is about to start an instance: what is prepared for it wakes up meanwhile. Changes nothing else.
  virtual void rouse(const std::string& runtime) {}
  // An instance for `spec`. Returns at once when one is prepared; initialisation goes on and the first invoke waits for
  // it. Fails with an exception, in a sentence, when the runtime's interpreter is missing; with Full at the limit.
  virtual Task<std::unique_ptr<Instance>> start(Spec spec, LogSink log) = 0;
  // The interpreter that serves `runtime` here ("/usr/bin/python3 3.11.2"), or why there is none.
  struct Runtime {
    bool available = false;
    std::string text;
    bool exact = false;   // of the version that the name promises
    std::string version;  // what serves it, as one word: "python3.11.2"
  };
  virtual Runtime runtime(const std::string& name) const = 0;
  virtual std::vector<Capability> capabilities() const = 0;
  // Waits until the instances that were let go have ended, extensions and all.
  virtual Task<void> settle() = 0;
  virtual Task<void> stop() = 0;
};

// Starts the launcher process.
std::unique_ptr<Sandboxes> open(Options options);
// The launcher's own entry: app/main.cc calls it for `virga launcher`, before anything else.
int launcher_main(int argc, char** argv);

}  // namespace virga::sandbox
