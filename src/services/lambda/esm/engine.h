// Reads event sources for functions: one Runner a mapping, which holds the mapping's lease, starts and ends its poller,
// and brings its state to what the user wants. Woken by the store; all of it runs on the executor that start() ran on.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/async.h"
#include "kernel/deps.h"
#include "kv/lease.h"
#include "services/lambda/esm/mapping.h"
#include "services/lambda/invoker.h"

namespace virga::lambda::esm {

// What became of one call of a mapping's function.
struct Ran {
  enum class Kind : uint8_t { kAnswered, kThrottled, kRecursive, kUnavailable } kind = Kind::kUnavailable;
  Answer answer;
  std::string request_id, version;
  std::string problem;  // why it did not run
};

// What the engine needs of Lambda.
class Functions {
 public:
  virtual ~Functions() = default;
  // `trace`: the trace header of what caused the event; a loop that has come round too often is not run.
  virtual Task<Ran> run_for_mapping(Mapping mapping, std::string event, std::string trace = {}) = 0;
  // The execution role of the mapping's function. Fails with ResourceNotFoundException.
  virtual Task<std::string> role_for_mapping(Mapping mapping) = 0;
};

// Told to a poller's tasks: to end soon. Lives as long as the last of them.
class Stop {
 public:
  void ask() {
    asked_ = true;
    event_.set();
  }
  bool asked() const { return asked_; }
  // Until `time` is over or it is asked; false when asked.
  Task<bool> sleep(Micros time) {
    if (asked_) co_return false;
    co_await event_.wait_for(time);
    co_return !asked_;
  }

 private:
  std::atomic<bool> asked_ = false;
  Event event_;
};

class Engine;

// What a poller works with.
struct Work {
  kernel::Deps& deps;
  Functions& functions;
  Engine& engine;
  Mapping mapping;
  kv::Lease lease;
  std::shared_ptr<Stop> stop;
};

// Sessions of the execution role, as which a source is read.
class RoleSession {
 public:
  explicit RoleSession(Work& work) : work_(work) {}
  // A context to call the source with. Fails when Lambda can't assume the role.
  Task<Ctx> context();
  void forget() { principal_.reset(); }

 private:
  Work& work_;
  std::optional<kernel::Principal> principal_;
  std::chrono::steady_clock::time_point until_;
};

// The role's session as a principal. Fails when Lambda can't assume it.
Task<kernel::Principal> session_of(kernel::Deps& deps, std::string role, std::string account, std::string region,
                                   std::string name);

class Poller {
 public:
  virtual ~Poller() = default;
  // Reads until work.stop is asked; then ends what runs.
  virtual Task<void> run() = 0;
  // Asked again and again once the stop was asked: ends waits.
  virtual Task<void> wake() = 0;
};
std::unique_ptr<Poller> make_stream_poller(Work& work);
std::unique_ptr<Poller> make_queue_poller(Work& work);

class Engine {
 public:
  Engine(kernel::Deps& deps, Functions& functions) : deps_(deps), functions_(functions) {}
  ~Engine();

  Task<void> start();
  Task<void> stop();

  // What the mapping's last batch came to; empty: nothing yet.
  std::string last_result(const std::string& uuid) const;
  void note(const std::string& uuid, std::string result);

 private:
  friend class Runner;
  Task<void> watch();

  kernel::Deps& deps_;
  Functions& functions_;
  std::map<std::string, std::shared_ptr<class Runner>> runners_;  // by uuid
  bool stopping_ = false;
  int watching_ = 0;
  mutable std::mutex mutex_;
  std::map<std::string, std::string, std::less<>> results_;
};

}  // namespace virga::lambda::esm
