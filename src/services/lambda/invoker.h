// The one way a function runs: counts concurrency, finds a warm instance or starts one, and reports as AWS reports.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/executor.h"
#include "kernel/deps.h"
#include "sandbox/sandbox.h"
#include "services/lambda/api.h"
#include "services/lambda/code_cache.h"
#include "services/lambda/log_writer.h"
#include "services/lambda/model.h"

namespace virga::lambda {

// One call of one version, after authorisation and routing.
struct Call {
  FunctionId id;
  std::shared_ptr<const VersionRecord> version;
  std::optional<int32_t> reserved;  // the function's reserved concurrency
  std::string invoked_arn;          // with the qualifier the caller used
  std::string request_id, payload, client_context, trace;
};

struct Answer {
  std::string payload;
  std::string function_error;  // "Unhandled", "Handled"; empty: success
  std::string log_tail;        // the last kLogTail bytes of this invocation's log
};

class Invoker {
 public:
  Invoker(kernel::Deps& deps, sandbox::Sandboxes& sandboxes, CodeCache& code, Options options);
  ~Invoker();

  // Fails with TooManyRequestsException over the concurrency, and with what AWS says when the role can't be assumed.
  Task<Answer> invoke(Ctx& ctx, Call call);

  // Fails with InvalidParameterValueException unless Lambda can assume `role` in ctx's account.
  Task<void> check_role(Ctx& ctx, std::string role);

  // Drops the idle instances of a function whose code, configuration or existence changed.
  void retire(const FunctionId& id);
  // Ends idle instances that nobody called for a while; runs by itself until stop.
  Task<void> stop();

 private:
  struct Warm;
  struct Slot;
  Task<std::unique_ptr<Warm>> obtain(Ctx& ctx, const Call& call);
  Task<std::unique_ptr<Warm>> start(Ctx& ctx, const Call& call);
  std::unique_ptr<Warm> take_idle(const Call& call);
  void give_back(std::unique_ptr<Warm> warm);
  Task<kernel::Principal> assume_role(const Call& call, std::vector<std::pair<std::string, std::string>>& environment);
  void reap();
  void schedule_reaper();

  kernel::Deps& deps_;
  sandbox::Sandboxes& sandboxes_;
  CodeCache& code_;
  const Options options_;

  std::mutex mutex_;
  std::map<std::string, std::vector<std::unique_ptr<Warm>>, std::less<>> idle_;  // by instance key, most recent last
  size_t idle_count_ = 0;
  std::map<std::string, int32_t, std::less<>> running_;             // by unqualified ARN
  std::map<std::string, int32_t, std::less<>> reserved_running_;    // by account and region
  std::map<std::string, int32_t, std::less<>> unreserved_running_;  // by account and region
  bool stopped_ = false;
  bool reaping_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace virga::lambda
