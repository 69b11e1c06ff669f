// Reads event sources for functions: one Runner a mapping, which holds the mapping's lease, starts and ends its poller,
// and brings its state to what the user wants. Woken by the store; all of it runs on the executor that start() ran on.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/async.h"
#include "kernel/deps.h"
#include "kernel/event_source.h"
#include "kernel/target_delivery.h"
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

// Records of a stream that are given up.
struct Discarded {
  std::string condition;  // "RetryAttemptsExhausted", "RecordAgeExceeded"
  int64_t attempts = 0;
  std::string request_id, version, function_error;  // of the last call; empty: it was not called
  std::string shard, first_sequence, last_sequence;
  Time first_arrived, last_arrived;
  size_t count = 0;
  std::string payload;  // the event, for destinations that take it
};

// What the engine needs of its owner: Lambda, or a service that reads sources as Lambda does.
class Functions {
 public:
  virtual ~Functions() = default;
  // `trace`: the trace header of what caused the event; a loop that has come round too often is not run.
  virtual Task<Ran> run_for_mapping(Mapping mapping, std::string event, std::string trace = {}) = 0;
  // The execution role of the mapping's function. Fails with ResourceNotFoundException.
  virtual Task<std::string> role_for_mapping(Mapping mapping) = 0;
  // The role's session, as which the source is read. Fails when it can't be assumed.
  virtual Task<kernel::Principal> session_for_mapping(Mapping mapping) = 0;
  // Where the records go that a reader of a stream gives up, when the mapping has an on-failure destination.
  virtual Task<kernel::TargetDelivery> letter_for_mapping(Mapping mapping, Discarded discarded) = 0;
  // Part of the transaction that ends a deleted mapping.
  virtual Task<void> mapping_gone(kv::Txn&, Mapping) { co_return; }
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
  virga::Event event_;
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

// Where each shard of the stream begins to be read, seen with ctx.principal's eyes: fails when it may not, or when the
// stream is not there.
Task<std::map<std::string, std::string>> stream_starts(Ctx& ctx, kernel::StreamSource& source, Mapping mapping);

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
  // Reads the mappings of `owner` (Mapping::owner).
  Engine(kernel::Deps& deps, Functions& functions, std::string owner = {})
      : deps_(deps), functions_(functions), owner_(std::move(owner)) {}
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
  const std::string owner_;
  std::map<std::string, std::shared_ptr<class Runner>> runners_;  // by uuid
  bool stopping_ = false;
  int watching_ = 0;
  mutable std::mutex mutex_;
  std::map<std::string, std::string, std::less<>> results_;
};

}  // namespace virga::lambda::esm
