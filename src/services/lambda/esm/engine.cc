#include "services/lambda/esm/engine.h"

#include <aws/lambda/errors.h>
#include <aws/sts/ops.h>

#include "base/log.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kv/record.h"

namespace virga::lambda::esm {
namespace {

constexpr auto kLeaseLife = std::chrono::seconds(60);
constexpr auto kLeaseRenewal = std::chrono::seconds(20);
constexpr auto kLeaseRetry = std::chrono::seconds(5);
constexpr auto kWakeAgain = std::chrono::milliseconds(50);
constexpr auto kWatch = std::chrono::minutes(5);
constexpr auto kStopPatience = std::chrono::seconds(3);
constexpr auto kSessionLife = std::chrono::minutes(15);
// A store on disk is one process's, so a process that starts again takes up its predecessor's leases at once.
constexpr std::string_view kHolder = "virga";

}  // namespace

Task<kernel::Principal> session_of(kernel::Deps& deps, std::string role, std::string account, std::string region,
                                   std::string name) {
  Ctx ctx = deps.cloud.internal_context(kernel::service_principal("lambda.amazonaws.com", account), account, region);
  sts::AssumeRoleRequest request;
  request.role_arn = std::move(role);
  request.role_session_name = std::move(name);
  const sts::AssumeRoleResponse session = co_await deps.cloud.call<sts::op::AssumeRole>(ctx, std::move(request));
  const auto credential = co_await deps.cloud.authorizer().find_credential(session.credentials->access_key_id,
                                                                           session.credentials->session_token);
  if (!credential) co_return err::ServiceException("The role's session is not known.");
  co_return credential->principal;
}

Task<Ctx> RoleSession::context() {
  const auto now = std::chrono::steady_clock::now();
  if (!principal_ || now > until_) {
    principal_ = co_await work_.functions.session_for_mapping(work_.mapping);
    until_ = now + kSessionLife;
  }
  co_return work_.deps.cloud.internal_context(*principal_, work_.mapping.account, work_.mapping.region);
}

// One mapping's life in this process.
class Runner : public std::enable_shared_from_this<Runner> {
 public:
  Runner(Engine& engine, Mapping mapping) : engine_(engine), wanted_(std::move(mapping)) {}

  void update(Mapping mapping) {
    wanted_ = std::move(mapping);
    changed_.set();
  }
  void gone() {
    gone_ = true;
    changed_.set();
  }
  bool ended() const { return ended_; }

  Task<void> run(std::shared_ptr<Runner>) {
    while (!engine_.stopping_ && !gone_) {
      changed_.reset();
      const Mapping mapping = wanted_;
      const Result<void> stepped = co_await as_result(step(mapping));
      if (!stepped) {
        log_warning("lambda", "an event source mapping could not be brought to its state",
                    {{"mapping", mapping.uuid}, {"failure", virga::describe(stepped.error())}});
        co_await changed_.wait_for(kLeaseRetry);
        continue;
      }
      if (gone_ || engine_.stopping_) break;
      co_await changed_.wait();
    }
    co_await end();
    ended_ = true;
  }

 private:
  Task<void> step(Mapping mapping) {
    switch (mapping.state) {
      case MappingState::kDeleting:
        co_await end();
        co_await engine_.deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
          tx.erase(mapping_key(mapping));
          tx.erase_range(checkpoints_of(mapping.uuid));
          co_await engine_.functions_.mapping_gone(tx, mapping);
        });
        gone_ = true;
        co_return;
      case MappingState::kDisabling:
        co_await end();
        co_await become(mapping, MappingState::kDisabled);
        co_return;
      case MappingState::kDisabled:
        co_await end();
        co_return;
      default:
        break;
    }
    if (running_ != mapping.revision) {
      co_await end();
      if (!co_await begin(mapping)) co_return;
    }
    if (mapping.state != MappingState::kEnabled) co_await become(mapping, MappingState::kEnabled);
  }

  Task<void> become(Mapping mapping, MappingState state) {
    co_await engine_.deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
      const std::string key = mapping_key(mapping);
      const auto row = co_await tx.get(key);
      if (!row) co_return;
      Mapping now = kv::decode<Mapping>(*row);
      if (now.revision != mapping.revision || now.state != mapping.state) co_return;
      now.state = state;
      tx.put(key, kv::encode(now));
    });
  }

  // Takes the lease and starts the poller. False when something else is wanted meanwhile.
  Task<bool> begin(Mapping mapping) {
    const std::string name = cat("esm/", mapping.uuid);
    std::optional<kv::Lease> lease;
    for (;;) {
      lease = co_await kv::acquire_lease(engine_.deps_.db, name, std::string(kHolder), engine_.deps_.clock.now(),
                                         kLeaseLife);
      if (lease) break;
      if (co_await changed_.wait_for(kLeaseRetry)) co_return false;
    }
    running_ = mapping.revision;
    stop_ = std::make_shared<Stop>();
    work_ = std::make_unique<Work>(
        Work{engine_.deps_, engine_.functions_, engine_, std::move(mapping), std::move(*lease), stop_});
    poller_ = work_->mapping.kind == SourceKind::kStream ? make_stream_poller(*work_) : make_queue_poller(*work_);
    tasks_ = 2;
    start_task(poller_->run());
    start_task(renew(*work_));
    co_return true;
  }

  void start_task(Task<void> task) {
    virga::start(std::move(task), [this, self = shared_from_this()](Result<void> result) {
      if (!result)
        log_error("lambda", "reading an event source failed", {{"failure", virga::describe(result.error())}});
      if (--tasks_ == 0) idle_.set();
    });
  }

  Task<void> renew(Work& work) {
    while (co_await work.stop->sleep(kLeaseRenewal)) {
      auto lease = co_await as_result(kv::acquire_lease(engine_.deps_.db, work.lease.name, work.lease.holder,
                                                        engine_.deps_.clock.now(), kLeaseLife));
      // A jump of the clock ends a lease that nobody took; it comes back with another fence.
      if (lease && *lease) work.lease = **lease;
    }
  }

  Task<void> end() {
    if (!poller_) co_return;
    stop_->ask();
    while (tasks_ > 0) {
      co_await as_result(poller_->wake());
      if (tasks_ > 0) co_await idle_.wait_for(kWakeAgain);
    }
    idle_.reset();
    co_await as_result(kv::release_lease(engine_.deps_.db, work_->lease));
    poller_.reset();
    work_.reset();
    running_.clear();
  }

  Engine& engine_;
  Mapping wanted_;
  virga::Event changed_, idle_;
  bool gone_ = false, ended_ = false;
  std::string running_;  // the revision that the poller works by; empty: none runs
  std::shared_ptr<Stop> stop_;
  std::unique_ptr<Work> work_;
  std::unique_ptr<Poller> poller_;
  int tasks_ = 0;
};

Engine::~Engine() = default;

Task<void> Engine::start() {
  ++watching_;
  start_background("lambda.esm", watch());
  co_return;
}

// Brings the runners in line with the mappings, whenever these change.
Task<void> Engine::watch() {
  while (!stopping_) {
    const auto reader = deps_.db.snapshot();
    const uint64_t version = reader->version();
    std::map<std::string, Mapping> mappings;
    for (const kv::Entry& row : co_await reader->scan(kv::prefix_range(mappings_prefix(owner_)))) {
      Mapping mapping = kv::decode<Mapping>(row.value);
      mappings.emplace(mapping.uuid, std::move(mapping));
    }
    for (auto& [uuid, mapping] : mappings) {
      auto& runner = runners_[uuid];
      if (runner && !runner->ended()) {
        runner->update(std::move(mapping));
        continue;
      }
      runner = std::make_shared<Runner>(*this, std::move(mapping));
      start_background("lambda.esm", runner->run(runner));
    }
    for (auto at = runners_.begin(); at != runners_.end();) {
      if (!mappings.contains(at->first)) at->second->gone();
      if (at->second->ended()) {
        const std::lock_guard lock(mutex_);
        results_.erase(at->first);
        at = runners_.erase(at);
      } else {
        ++at;
      }
    }
    if (stopping_) break;
    co_await deps_.db.wait_change(mappings_prefix(owner_), version, kWatch);
  }
  --watching_;
}

Task<void> Engine::stop() {
  stopping_ = true;
  // What a long call leaves unfinished is given again after the next start.
  const auto until = std::chrono::steady_clock::now() + kStopPatience;
  while (std::chrono::steady_clock::now() < until) {
    deps_.db.wake(mappings_prefix(owner_));
    bool busy = watching_ > 0;
    for (const auto& [uuid, runner] : runners_) {
      if (runner->ended()) continue;
      runner->gone();
      busy = true;
    }
    if (!busy) co_return;
    co_await sleep_for(std::chrono::milliseconds(2));
  }
}

std::string Engine::last_result(const std::string& uuid) const {
  const std::lock_guard lock(mutex_);
  const auto found = results_.find(uuid);
  return found == results_.end() ? "" : found->second;
}

void Engine::note(const std::string& uuid, std::string result) {
  const std::lock_guard lock(mutex_);
  results_[uuid] = std::move(result);
}

}  // namespace virga::lambda::esm
