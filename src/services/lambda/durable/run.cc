// Invocations: the function is run with the state of its execution until it has ended, or waits for something.
#include <aws/lambda/errors.h>

#include "base/log.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kernel/page.h"
#include "kv/record.h"
#include "services/lambda/durable/parts.h"

namespace virga::lambda::durable {
namespace {

constexpr size_t kMostInitial = 1000;  // operations in the event; the function reads the rest
constexpr size_t kInitialBytes = 3 * 1024 * 1024;

}  // namespace

struct Executions::Begun {
  Execution execution;
  std::string event;
};

Task<kernel::Verdict> Executions::run(kernel::Attempt attempt) {
  const Key key = kv::decode<Key>(attempt.payload);
  Ctx ctx = context({key.account, key.region});
  std::optional<Begun> begun = co_await begin_invocation(ctx, key);
  if (!begun) co_return kernel::Verdict::done();
  const Execution& x = begun->execution;
  const FunctionId id{x.account, x.region, x.function, version_name(x.version)};

  Response response;
  bool failed = false;
  Result<Call> call = co_await as_result(functions_.find_function(ctx, id));
  if (!call) {
    const Error* error = virga::error_of(call);
    if (!error) co_await fail_with(std::move(call.error()));
    response.error = ErrorObject{error->message, std::string(error->shape->code), {}, {}};
  } else {
    call->request_id = ctx.request_id;
    call->payload = std::move(begun->event);
    call->trace = x.trace;
    const Result<Answer> answer = co_await as_result(functions_.run_function(ctx, std::move(*call)));
    const Error* error = virga::error_of(answer);
    if (error && error->shape->status == 429) co_return kernel::Verdict::busy(kThrottledPause);
    if (!answer) {
      if (!error)
        log_error("lambda", "a durable function could not be run", {{"why", virga::describe(answer.error())}});
      failed = true;
      response.error = ErrorObject{error ? error->message : "The function could not be run.",
                                   error ? std::string(error->shape->code) : "ServiceException",
                                   {},
                                   {}};
    } else if (!answer->function_error.empty()) {
      failed = true;
      response.error = function_error_of(answer->payload);
    } else {
      response = response_of(answer->payload, x.most_result());
    }
  }
  // What went wrong with the invocation, not with the execution, is tried again until the execution's time is up.
  kernel::Verdict verdict = failed ? kernel::Verdict::again() : kernel::Verdict::done();
  co_return std::move(verdict).with([this, key, request_id = ctx.request_id, response = std::move(response), failed](
                                        kv::Txn& tx) { return end_invocation(tx, key, request_id, response, failed); });
}

Task<std::optional<Executions::Begun>> Executions::begin_invocation(Ctx& ctx, Key key) {
  std::vector<std::string> changed;
  std::optional<Execution> x = co_await deps_.db.transact([&](kv::Txn& tx) -> Task<std::optional<Execution>> {
    changed.clear();
    Writes writes(tx, {key.account, key.region});
    auto now = co_await writes.find(key.id);
    if (!now || now->over()) co_return std::nullopt;
    for (Change& change : co_await writes.changes(now->id, 0)) changed.push_back(std::move(change.operation));
    ++now->token;
    now->invocation = ctx.request_id;
    now->invoked = ctx.now();
    now->shown = now->used = now->changes;
    now->client_token.clear();
    writes.put(*now);
    co_return now;
  });
  if (!x) co_return std::nullopt;
  const auto snapshot = deps_.db.snapshot();
  Reads reads(*snapshot, x->home());
  const auto input = co_await reads.input(x->id);
  const size_t room = input && input->size() > kInitialBytes / 2 ? 1 : kInitialBytes;
  State state = co_await visible(reads, x->id, 0, kMostInitial, room);
  state.operations.insert(state.operations.begin(), root_of(*x, input));
  const std::string next = state.next ? kernel::seal_page(deps_.tokens, ctx, state_page(*x), *state.next) : "";
  std::string event = invocation_event(*x, token_of(*x), state.operations, next, changed);
  co_return Begun{std::move(*x), std::move(event)};
}

Task<void> Executions::end_invocation(kv::Txn& tx, Key key, std::string request_id, Response response, bool failed) {
  Ctx ctx = context({key.account, key.region});
  Writes writes(tx, {key.account, key.region});
  auto x = co_await writes.find(key.id);
  if (!x || x->invocation != request_id) co_return;
  Machine machine(x->progress, ctx.now());
  HistoryEvent& event = machine.record(EventType::kInvocationCompleted);
  event.begin = x->invoked;
  event.request_id = request_id;
  event.error = response.error;
  x->invocation.clear();
  x->planned = failed;
  if (!failed && !x->over()) {
    writes.erase_changes(x->id, x->used);
    if (response.kind == Response::Kind::kSucceeded) {
      co_await close(tx, ctx, *x, machine, {ExecutionStatus::kSucceeded, std::move(response.result), {}});
    } else if (response.kind != Response::Kind::kPending) {
      co_await close(tx, ctx, *x, machine, {ExecutionStatus::kFailed, {}, std::move(response.error)});
    } else if (x->changes > x->used) {
      // It may have suspended without a look at what it was told last.
      plan(tx, *x);
    } else if (x->progress.waiting == 0) {
      co_await close(
          tx, ctx, *x, machine,
          {ExecutionStatus::kFailed,
           {},
           ErrorObject{
               "Cannot return PENDING status with no pending operations.", "InvalidParameterValueException", {}, {}}});
    }
  }
  co_await save(tx, ctx, *x, machine, {});
}

}  // namespace virga::lambda::durable
