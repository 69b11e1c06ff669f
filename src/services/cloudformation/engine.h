// Stack operations as durable state machines. Every step is recorded before and after it is taken; an operation that a
// crash interrupted goes on where it was.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/executor.h"
#include "base/task.h"
#include "kernel/cloud.h"
#include "kernel/deps.h"
#include "kernel/target_delivery.h"
#include "services/cloudformation/intrinsics.h"
#include "services/cloudformation/prepare.h"
#include "services/cloudformation/resources/provider.h"
#include "services/cloudformation/store.h"

namespace virga::cloudformation {

PseudoParameters pseudo_parameters(const StackRecord& stack);

class Engine {
 public:
  explicit Engine(kernel::Deps& deps) : db_(deps.db), clock_(deps.clock), cloud_(deps.cloud), targets_(deps.targets) {}

  // Takes up the operations that were under way.
  Task<void> start();
  // Completes when no step runs any more; operations go on after the next start.
  Task<void> stop();
  // Works on the stack's operation, which the store says is running. Returns at once.
  void run(std::string account, std::string region, std::string stack_id);
  // Completes when the stack has no running operation, or after `timeout`.
  Task<void> wait(std::string stack_id, Micros timeout);

  // The stack's status as of now, with its event, of which the account's default event bus is told. Call within the
  // transaction that puts the stack.
  void set_status(Store& store, StackRecord& stack, std::string status, std::string reason) const;
  void add_event(Store& store, StackRecord& stack, EventRecord event) const;

 private:
  // What one run through the resources works with.
  struct Work {
    StackRecord stack;
    kernel::Principal actor;  // the caller, or the session of the stack's role; nobody until set
    std::map<std::string, ResourceRecord> resources;
    std::map<std::string, std::string> exports;
    Prepared prepared;
    Resolver resolver;
  };

  Task<void> operate(std::string account, std::string region, std::string stack_id);
  Task<void> load(Work& work, std::string account, std::string region, std::string stack_id);
  Task<void> prepare_work(Work& work);
  Task<void> step(Work& work);
  // engine_apply.cc
  Task<void> apply(Work& work);
  Task<void> apply_resource(Work& work, const LiveResource& live);
  Task<void> make(Work& work, const LiveResource& live, Json properties, bool replacement);
  Task<void> change(Work& work, const LiveResource& live, Json properties);
  Task<void> finish_apply(Work& work);
  Task<void> turn_back(Work& work, std::string reason);
  // engine_remove.cc
  Task<void> roll_back_creation(Work& work);
  Task<void> roll_back_update(Work& work);
  Task<void> restore(Work& work, std::string logical_id);
  Task<void> clean_up(Work& work);
  Task<void> remove_stack(Work& work);
  // Removes every resource, what depends on others first. The logical ids that would not go.
  Task<std::vector<std::string>> remove_all(Work& work, bool deletion);
  // False when it would not go; the record and an event say why.
  Task<bool> remove_resource(Work& work, std::string logical_id, bool retain);

  Call call_for(Work& work, kernel::Ctx& ctx, const std::string& logical_id, const MadeRecord& made) const;
  kernel::Ctx context_for(const Work& work) const;
  Task<void> set_actor(Work& work);
  // Writes the record and its event.
  Task<void> record(Work& work, ResourceRecord resource, std::string status, std::string reason,
                    std::string physical_id);
  Task<void> end(Work& work, std::string status, std::string reason);

  kv::Db& db_;
  const Clock& clock_;
  kernel::Cloud& cloud_;
  kernel::Targets& targets_;
  bool stopping_ = false;
  int active_ = 0;
};

// A session of `role_arn` for CloudFormation; fails when the role does not exist or does not trust it.
Task<kernel::Principal> assume(kernel::Cloud& cloud, std::string role_arn, std::string account, std::string region);

// JSON that a record keeps as text; empty text is an object without members.
Json object_of(const std::string& text);
// The name in a stack's or a change set's id: arn:aws:cloudformation:<region>:<account>:stack/<name>/<uuid>.
std::string name_in(const std::string& id);

// A refusal as the reason of a resource's failure.
std::string reason_of(const Failure& failure, const std::string& token);

}  // namespace virga::cloudformation
