// Durable executions: what starts them, invokes their functions, moves them on and ends them.
//
// An execution changes in transactions only, each of which reads and writes its record, so they are one after the
// other. What remains to be done is durable with the change that caused it:
//   * an invocation is a delivery (kernel/delivery.h), at most one of an execution at a time: Execution::planned. One
//   that
//     fails, or that ended with the process, is made again; the function replays from its checkpoints;
//   * a chained invoke of a function that isn't durable is a delivery too; of one that is, an execution of its own,
//   begun
//     in the transaction of the checkpoint, which ends the parent's operation in the transaction that ends itself;
//   * what time does (waits, retries, time-outs, retention) is one timer of each execution, set to the next moment.
#pragma once

#include <aws/lambda/ops.h>
#include <aws/lambda/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernel/delivery.h"
#include "kernel/deps.h"
#include "kernel/service.h"
#include "kernel/target_delivery.h"
#include "kernel/timers.h"
#include "services/lambda/async.h"
#include "services/lambda/durable/form.h"
#include "services/lambda/durable/store.h"
#include "services/lambda/invoker.h"

namespace virga::lambda::durable {

// What Lambda does for executions.
class Functions {
 public:
  virtual ~Functions() = default;
  // The version that a qualifier means. Fails with ResourceNotFoundException.
  virtual Task<Call> find_function(Ctx& ctx, FunctionId id) = 0;
  virtual Task<Answer> run_function(Ctx& ctx, Call call) = 0;
  // The function's, version's or alias's own policy.
  virtual Task<std::optional<std::string>> policy_of(Ctx& ctx, std::string arn) = 0;
  // Gives the call its trace header; fails with RecursiveInvocationException.
  virtual Task<void> trace_function(Ctx& ctx, Call& call, std::string trace) = 0;
  // What destinations and dead letters are told of an asynchronous call's end.
  virtual Task<std::vector<kernel::TargetDelivery>> letters_of(kv::Txn& tx, Ctx& ctx, AsyncEvent event,
                                                               Attempted attempted, std::string condition,
                                                               uint64_t version) = 0;
  // An execution ended: a function or version that only waited for that is deleted.
  virtual Task<void> drained(kv::Txn& tx, Home home, std::string function, uint64_t version) = 0;
};

class Executions {
 public:
  Executions(kernel::Deps& deps, Functions& functions);
  // Registers what timers and deliveries call. Before they start.
  void serve();
  void operations(kernel::OpTable& table);

  // A call of a durable function: starts an execution, or finds the one of that name, and waits for its end unless the
  // call is an event.
  Task<InvocationResponse> invoke(Ctx& ctx, Call call, std::string payload, std::optional<std::string> name,
                                  InvocationType type);
  // The same for whoever takes an answer: an event source mapping, a function URL.
  Task<Answer> answer(Ctx& ctx, Call call);

 private:
  // ops.cc
  Task<GetDurableExecutionResponse> get(Ctx& ctx, const GetDurableExecutionRequest& in);
  Task<GetDurableExecutionHistoryResponse> history(Ctx& ctx, const GetDurableExecutionHistoryRequest& in);
  Task<ListDurableExecutionsByFunctionResponse> list(Ctx& ctx, const ListDurableExecutionsByFunctionRequest& in);
  Task<StopDurableExecutionResponse> stop(Ctx& ctx, const StopDurableExecutionRequest& in);
  Task<SendDurableExecutionCallbackSuccessResponse> callback_success(
      Ctx& ctx, const SendDurableExecutionCallbackSuccessRequest& in);
  Task<SendDurableExecutionCallbackFailureResponse> callback_failure(
      Ctx& ctx, const SendDurableExecutionCallbackFailureRequest& in);
  Task<SendDurableExecutionCallbackHeartbeatResponse> callback_heartbeat(
      Ctx& ctx, const SendDurableExecutionCallbackHeartbeatRequest& in);
  Task<void> to_callback(Ctx& ctx, std::string callback_id, std::function<void(Machine&, const std::string&)> change);

  // checkpoint.cc
  Task<CheckpointDurableExecutionResponse> checkpoint(Ctx& ctx, const CheckpointDurableExecutionRequest& in);
  Task<GetDurableExecutionStateResponse> state(Ctx& ctx, const GetDurableExecutionStateRequest& in);
  struct Chain;
  Task<std::vector<Chain>> find_chains(Ctx& ctx, const Execution& x, const std::vector<Update>& updates);
  Task<void> start_chain(kv::Txn& tx, Ctx& ctx, const Execution& x, const Chain& chain);
  Task<kernel::Verdict> run_chain(kernel::Attempt attempt);
  std::string callback_id(const Execution& x, const std::string& operation) const;
  std::string token_of(const Execution& x) const;
  // The state as functions see it: what lies within finished contexts is left out. `next` is where to go on.
  struct State {
    std::vector<lambda::Operation> operations;
    std::optional<uint64_t> next;
  };
  Task<State> visible(Reads& reads, std::string id, uint64_t from, size_t limit, size_t bytes);

  // run.cc
  struct Begun;
  Task<kernel::Verdict> run(kernel::Attempt attempt);
  Task<std::optional<Begun>> begin_invocation(Ctx& ctx, Key key);
  Task<void> end_invocation(kv::Txn& tx, Key key, std::string request_id, Response response, bool failed);

  // executions.cc
  struct Beginning;
  Task<Execution> start(kv::Txn& tx, Ctx& ctx, const Beginning& beginning);
  Task<Execution> start_or_find(Ctx& ctx, const Call& call, const std::string& payload,
                                const std::optional<std::string>& name, bool waited_for);
  Task<Outcome> wait(Ctx& ctx, Execution& x, Time until);
  // An operation's change from outside: known, changed, saved, and the function woken. Nothing when the execution is
  // over. `names` are the operations that `change` is about.
  Task<void> touch(kv::Txn& tx, Ctx& ctx, Execution& x, std::vector<std::string> names,
                   std::function<void(Machine&)> change);
  // Saves what a machine did, and ends the execution when it says so.
  Task<void> save(kv::Txn& tx, Ctx& ctx, Execution& x, Machine& machine,
                  const std::map<std::string, Operation>& before);
  void plan(kv::Txn& tx, Execution& x, Time not_before = {});
  Task<void> close(kv::Txn& tx, Ctx& ctx, Execution& x, Machine& machine, Closing closing);
  Task<void> set_timer(kv::Txn& tx, Execution& x);
  Task<void> fire(kernel::Timer timer);
  void announce(kv::Txn& tx, const Execution& x);
  void count(const Execution& x);
  Ctx context(const Home& home) const;

  kernel::Deps& deps_;
  Functions& functions_;
};

// What a durable execution's ARN names; nothing for any other text.
struct ExecutionArn {
  Home home;
  std::string function, version, name, id;
};
std::optional<ExecutionArn> parse_execution_arn(std::string_view arn);

}  // namespace virga::lambda::durable
