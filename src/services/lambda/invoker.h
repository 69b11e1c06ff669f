// The one way a function runs: counts concurrency, finds a warm instance or starts one, and reports as AWS reports.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/async.h"
#include "base/executor.h"
#include "base/metrics.h"
#include "kernel/deps.h"
#include "sandbox/sandbox.h"
#include "services/lambda/admission.h"
#include "services/lambda/api.h"
#include "services/lambda/call.h"
#include "services/lambda/code_cache.h"
#include "services/lambda/fleet.h"
#include "services/lambda/limits.h"
#include "services/lambda/measures.h"
#include "services/lambda/model.h"
#include "services/lambda/provisions.h"
#include "services/lambda/role_sessions.h"
#include "services/lambda/snapshots.h"
#include "services/lambda/warm.h"

namespace virga::lambda {

struct StreamEnd;

struct Answer {
  std::string payload;         // the answer, or the error document
  std::string function_error;  // "Unhandled", "Handled"; empty: success
  std::string log_tail;        // the last kLogTail bytes of this invocation's log
  // Of a streamed answer: bytes as they come, which end with a failure when the function does; and how it ended, known
  // by the time the stream has ended.
  Body stream;
  std::string content_type;
  std::shared_ptr<StreamEnd> end;
};

struct StreamEnd {
  virga::Event done;
  Answer answer;  // complete once done is set; no stream in it
};

class Invoker {
 public:
  Invoker(kernel::Deps& deps, sandbox::Sandboxes& sandboxes, CodeCache& code, Options options);
  ~Invoker();

  // Fails with TooManyRequestsException over the concurrency, and with what AWS says when the role can't be assumed.
  Task<Answer> invoke(Ctx& ctx, Call call);

  // Fails with InvalidParameterValueException unless Lambda can assume the role for this function.
  Task<void> check_role(FunctionId id, std::string role);

  // Keeps so many instances of each call's version initialised, from now on, and none of the function's other
  // versions. Returns at once.
  void provision(const FunctionId& id, std::vector<std::pair<Call, int32_t>> wanted);
  Provision provision_of(const FunctionId& id, const VersionRecord& version) const;

  // Makes the snapshot of a version that is being published, and keeps it; how its initialisation went.
  Task<sandbox::Outcome> publish(Snapshots::Of of);
  // Of a version that was published before: prepares a snapshot, or waits for its first call with that.
  void expect(Snapshots::Of of, bool now);
  // Versions that nobody called for that long, whose snapshots are given up.
  std::vector<Snapshots::Of> take_unused(std::chrono::seconds life) {
    return snapshots_.take_unused(std::chrono::steady_clock::now() - life);
  }
  // Ends the snapshots of a version that is no more; of all of a function's (0).
  void forget_snapshots(const FunctionId& id, uint64_t version);

  // Keeps fleets for these versions of a function, and none for its others. Returns at once.
  void keep_fleets(const FunctionId& id, std::vector<std::pair<Call, FleetSize>> wanted);

  // Drops the idle instances of a function whose code, configuration or existence changed.
  void retire(const FunctionId& id);
  bool stopped() const { return stopped_; }
  Task<void> give_measured(kernel::KeepMeasured keep) { return measured_.give(std::move(keep)); }
  // Ends idle instances; what is idle later ends by itself.
  Task<void> stop();

 private:
  struct Meter;
  enum class Kind : uint8_t { kOnDemand, kProvisioned, kSnapshot };
  Task<WarmPtr> obtain(Ctx& ctx, const Call& call, const std::string& key, bool provisioned);
  Task<WarmPtr> start(Ctx& ctx, const Call& call, Kind kind, const Warm* failed = nullptr);
  Task<sandbox::Outcome> run(Ctx& ctx, const Call& call, WarmPtr& warm, sandbox::Invocation invocation);
  static void say_init_failed(const Warm& warm, const sandbox::Outcome& outcome, sandbox::InitPhase phase);
  static const char* initialization_type(Kind kind);
  Task<std::pair<WarmPtr, sandbox::Outcome>> initialise(Snapshots::Of of);
  Task<WarmPtr> make_snapshot(Snapshots::Of of);
  Task<void> restore(const Ctx& ctx, Warm& warm, const VersionRecord& version);
  Task<std::unique_ptr<sandbox::Instance>> start_instance(sandbox::Spec spec, sandbox::LogSink log);
  Answer conclude(const Call& call, Warm& warm, sandbox::Outcome outcome, Meter& meter);
  Task<void> finish_late(Call call, WarmPtr warm, std::optional<Admission::Ticket> ticket, sandbox::Outcome begun,
                         std::shared_ptr<StreamEnd> end);
  void give_back(WarmPtr warm, bool reusable);
  Task<WarmPtr> start_ahead(Call call, Kind kind);
  void renew_role(const Call& call, const Warm& warm, std::string principal);
  Meter& meter_of(const FunctionId& id, const std::string& arn);
  void reap();
  void schedule_reaper();

  kernel::Deps& deps_;
  sandbox::Sandboxes& sandboxes_;
  CodeCache& code_;
  const Options options_;

  Admission admission_;
  ScalingRate scaling_;
  WarmSet idle_;
  const std::shared_ptr<RoleSessions> roles_;
  Provisions provisions_;
  Snapshots snapshots_;
  Fleets fleets_;
  mutable std::mutex mutex_;
  MeasuredFunctions measured_;
  std::unordered_map<std::string, std::unique_ptr<Meter>> meters_;  // by unqualified ARN
  size_t late_ = 0;                                                 // invocations whose answer came before their end
  virga::Event none_late_;
  std::vector<std::shared_ptr<LogWriter>> last_logs_;  // of instances that the stop found at work
  std::atomic<bool> stopped_ = false;
  bool reaping_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace virga::lambda
