#include "services/lambda/durable/executions.h"

#include <aws/lambda/errors.h>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kernel/deps.h"
#include "kv/record.h"
#include "services/lambda/durable/parts.h"
#include "services/lambda/limits.h"

namespace virga::lambda::durable {
namespace {

constexpr std::string_view kTimer = "lambda.durable";
constexpr size_t kMostFired = 100;  // operations that one firing of a timer moves on
constexpr std::chrono::minutes kLongestWait{15};

std::string timer_id(const Key& key) { return cat(key.account, "/", key.region, "/", key.id); }

Error unqualified() {
  return err::InvalidParameterValueException("You cannot invoke a durable function using an unqualified ARN.");
}

ErrorObject timed_out(const Execution& x) {
  ErrorObject error;
  error.message = cat("Execution timed out after ", x.timeout, " seconds.");
  return error;
}

}  // namespace

std::optional<ExecutionArn> parse_execution_arn(std::string_view text) {
  const auto arn = kernel::parse_arn(text);
  if (!arn || arn->service != "lambda") return std::nullopt;
  const auto parts = split(arn->resource, '/');  // function:name:version / durable-execution / name / id
  if (parts.size() != 4 || parts[1] != "durable-execution") return std::nullopt;
  const auto function = split(parts[0], ':');
  if (function.size() != 3 || function[0] != "function") return std::nullopt;
  return ExecutionArn{{arn->account, arn->region},
                      std::string(function[1]),
                      std::string(function[2]),
                      std::string(parts[2]),
                      std::string(parts[3])};
}

Executions::Executions(kernel::Deps& deps, Functions& functions) : deps_(deps), functions_(functions) {}

void Executions::serve() {
  const kernel::LaneLimits limits{.lane = kMostAsyncOfOne, .pool = kMostAsync};
  deps_.deliveries.on(std::string(kInvocation), [this](kernel::Attempt a) { return run(std::move(a)); }, limits);
  deps_.deliveries.on(std::string(kChain), [this](kernel::Attempt a) { return run_chain(std::move(a)); }, limits);
  deps_.timers.on(std::string(kTimer), [this](kernel::Timer timer) { return fire(std::move(timer)); });
}

Ctx Executions::context(const Home& home) const {
  return deps_.cloud.internal_context(kernel::service_principal(kPrincipal, home.account), home.account, home.region);
}

Task<InvocationResponse> Executions::invoke(Ctx& ctx, Call call, std::string payload, std::optional<std::string> name,
                                            InvocationType type) {
  const VersionRecord& version = *call.version;
  if (call.id.qualifier.empty()) co_return unqualified();
  const bool waits = type == InvocationType::RequestResponse;
  if (waits && std::chrono::seconds(*version.durable_timeout) > kLongestWait) {
    co_return err::InvalidParameterValueException(
        "You cannot synchronously invoke a durable function with an executionTimeout greater than 15 minutes.");
  }
  InvocationResponse out;
  if (type == InvocationType::DryRun) {
    out.status_code = 204;
    co_return out;
  }
  Execution x = co_await start_or_find(ctx, call, payload, name, waits);
  out.durable_execution_arn = x.arn();
  if (!waits) {
    out.status_code = 202;
    co_return out;
  }
  const Outcome outcome = co_await wait(ctx, x, ctx.now() + kLongestWait);
  out.status_code = 200;
  out.executed_version = version_name(x.version);
  if (x.status == ExecutionStatus::kSucceeded) {
    out.payload = outcome.result.value_or("null");
  } else {
    out.function_error = "Unhandled";
    out.payload = error_document(outcome.error.value_or(ErrorObject{}));
  }
  co_return out;
}

Task<Answer> Executions::answer(Ctx& ctx, Call call) {
  std::string payload = std::move(call.payload);
  const InvocationResponse response =
      co_await invoke(ctx, std::move(call), std::move(payload), std::nullopt, InvocationType::RequestResponse);
  Answer answer;
  answer.payload = response.payload.value_or("");
  answer.function_error = response.function_error.value_or("");
  co_return answer;
}

// The execution a call begins, or the one that has its name and began with the same input.
Task<Execution> Executions::start_or_find(Ctx& ctx, const Call& call, const std::string& payload,
                                          const std::optional<std::string>& name, bool waited_for) {
  Beginning beginning;
  beginning.function = call.id;
  beginning.version = call.version;
  beginning.name = name.value_or(uuid());
  beginning.id = uuid();
  beginning.input = payload;
  beginning.waited_for = waited_for;
  Call traced = call;
  co_await functions_.trace_function(ctx, traced, ctx.trace);
  beginning.trace = traced.trace;
  beginning.request_id = ctx.request_id;
  const std::string hash = sha256(payload);
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<Execution> {
    const Reads reads(tx, call.id.home());
    const auto id = name ? co_await reads.named(call.id.name, *name) : std::nullopt;
    const auto there = id ? co_await reads.find(*id) : std::nullopt;
    if (!there) co_return co_await start(tx, ctx, beginning);
    if (there->version != call.version->version || there->input_hash != hash) {
      co_return err::DurableExecutionAlreadyStartedException(cat("Execution already started: ", there->arn()));
    }
    co_return *there;
  });
}

Task<Execution> Executions::start(kv::Txn& tx, Ctx& ctx, const Beginning& b) {
  const Time now = ctx.now();
  const auto version = co_await Store(tx, b.function.home()).find_version(b.function.name, b.version->version);
  if (!version) co_return function_not_found(ctx, b.function);
  if (version->deleting) {
    co_return err::ResourceConflictException(
        "The operation cannot be performed at this time. The function is currently in the following state: Deleting");
  }
  Execution x;
  x.account = b.function.account;
  x.region = b.function.region;
  x.id = b.id;
  x.name = b.name;
  x.function = b.function.name;
  x.version = b.version->version;
  x.start = now;
  x.timeout = *b.version->durable_timeout;
  x.retention = b.version->durable_retention;
  x.waited_for = b.waited_for;
  x.has_input = b.input.has_value();
  x.input_hash = sha256(b.input.value_or(""));
  x.trace = b.trace;
  x.parent = b.parent;
  x.qualifier = b.function.qualifier;
  x.request_id = b.request_id;
  Machine machine(x.progress, now);
  HistoryEvent& event = machine.record(EventType::kExecutionStarted);
  event.operation = x.id;
  event.name = x.name;
  event.seconds = x.timeout;
  Writes(tx, x.home()).begin(x, b.input);
  plan(tx, x);
  announce(tx, x);
  co_await save(tx, ctx, x, machine, {});
  co_return x;
}

Task<Outcome> Executions::wait(Ctx& ctx, Execution& x, Time until) {
  for (;;) {
    auto snapshot = deps_.db.snapshot();
    const Reads reads(*snapshot, x.home());
    auto outcome = co_await reads.outcome(x.id);
    if (outcome) {
      auto now = co_await reads.find(x.id);
      if (now) x = std::move(*now);
      co_return std::move(*outcome);
    }
    const Micros left = until - ctx.now();
    if (left <= Micros(0)) {
      co_return err::ServiceException("The durable execution goes on; its result was waited for long enough.");
    }
    const std::string awaited = reads.outcome_key(x.id);
    const kv::Version seen = snapshot->version();
    snapshot.reset();
    co_await deps_.db.wait_change(awaited, seen, std::min<Micros>(left, kLongestWait));
  }
}

void Executions::plan(kv::Txn& tx, Execution& x, Time not_before) {
  if (x.planned) return;
  x.planned = true;
  kernel::Delivery delivery;
  delivery.kind = kInvocation;
  delivery.lane = x.function_arn();
  delivery.payload = kv::encode(x.key());
  delivery.not_before = not_before;
  deps_.deliveries.enqueue(tx, std::move(delivery));
}

Task<void> Executions::touch(kv::Txn& tx, Ctx& ctx, Execution& x, std::vector<std::string> names,
                             std::function<void(Machine&)> change) {
  Writes writes(tx, x.home());
  Machine machine(x.progress, ctx.now());
  std::map<std::string, Operation> before;
  for (const std::string& name : names) {
    auto operation = co_await writes.operation(x.id, name);
    if (!operation) continue;
    machine.know(*operation);
    before.emplace(name, std::move(*operation));
  }
  change(machine);
  bool woken = false;
  for (const std::string& name : machine.changed()) {
    // A heartbeat alone is nothing to tell the function of.
    if (machine.find(name)->status == before.at(name).status) continue;
    writes.put_change(x.id, ++x.changes, name);
    woken = true;
  }
  if (woken) plan(tx, x);
  co_await save(tx, ctx, x, machine, before);
}

Task<void> Executions::save(kv::Txn& tx, Ctx& ctx, Execution& x, Machine& machine,
                            const std::map<std::string, Operation>& before) {
  if (machine.closing()) co_await close(tx, ctx, x, machine, *machine.closing());
  Writes writes(tx, x.home());
  writes.put(x.id, machine, before);
  if (x.over()) writes.erase_due(x.id);
  x.progress = machine.progress();
  co_await set_timer(tx, x);
  writes.put(x);
}

// The end. Whoever waits for it is told in the same transaction: the caller, the parent, destinations, the event bus.
Task<void> Executions::close(kv::Txn& tx, Ctx& ctx, Execution& x, Machine& machine, Closing closing) {
  x.status = closing.status;
  x.end = ctx.now();
  static constexpr EventType kEvents[] = {EventType::kExecutionStarted, EventType::kExecutionSucceeded,
                                          EventType::kExecutionFailed, EventType::kExecutionTimedOut,
                                          EventType::kExecutionStopped};
  HistoryEvent& event = machine.record(kEvents[static_cast<size_t>(closing.status)]);
  event.operation = x.id;
  event.name = x.name;
  event.error = closing.error;
  Writes(tx, x.home()).end(x, {closing.result, closing.error});
  announce(tx, x);

  if (!x.parent.id.empty()) {
    auto parent = co_await Reads(tx, x.home()).find(x.parent.id);
    if (parent && !parent->over()) {
      co_await touch(tx, ctx, *parent, {x.parent.operation}, [&](Machine& its) {
        std::optional<ErrorObject> error = closing.error;
        if (closing.status == ExecutionStatus::kTimedOut) {
          error = ErrorObject{
              cat("CHAINED_INVOKE timed out after ", x.timeout, " seconds."), "ChainedInvoke.Timeout", {}, {}};
        }
        static constexpr Status kEnds[] = {Status::kStarted, Status::kSucceeded, Status::kFailed, Status::kTimedOut,
                                           Status::kStopped};
        its.finish(x.parent.operation, kEnds[static_cast<size_t>(closing.status)], closing.result, std::move(error));
      });
    }
  } else if (!x.waited_for) {
    AsyncEvent told;
    told.account = x.account;
    told.region = x.region;
    told.function = x.function;
    told.qualifier = x.qualifier;
    told.payload = (co_await Reads(tx, x.home()).input(x.id)).value_or("null");
    told.trace = x.trace;
    told.invokes = 1;
    Attempted attempted;
    const bool good = closing.status == ExecutionStatus::kSucceeded;
    attempted.how = good ? Attempted::How::kSuccess : Attempted::How::kFunctionError;
    if (!good) attempted.function_error = "Unhandled";
    attempted.payload = good ? closing.result.value_or("null") : error_document(closing.error.value_or(ErrorObject{}));
    attempted.executed_version = version_name(x.version);
    Ctx as = context(x.home());
    as.request_id = x.request_id;
    for (kernel::TargetDelivery& letter : co_await functions_.letters_of(
             tx, as, std::move(told), std::move(attempted), good ? "Success" : "RetriesExhausted", x.version)) {
      deps_.targets.enqueue(tx, std::move(letter));
    }
  }
  co_await functions_.drained(tx, x.home(), x.function, x.version);
}

void Executions::count(const Execution& x) {
  static constexpr std::string_view kWhat[] = {"started", "succeeded", "failed", "timed_out", "stopped"};
  MetricLabels labels{{"account", x.account}, {"region", x.region}, {"function", x.function}};
  if (x.over()) {
    static constexpr double kBounds[] = {1, 10, 60, 600, 3600, 86'400};
    deps_.cloud.metrics()
        .histogram("virga_lambda_durable_execution_seconds", "Time from the start of a durable execution to its end",
                   labels, kBounds)
        .observe(static_cast<double>((*x.end - x.start).count()) / 1e6);
  }
  labels.emplace_back("event", kWhat[static_cast<size_t>(x.status)]);
  deps_.cloud.metrics()
      .counter("virga_lambda_durable_executions_total", "Durable executions that started or ended", std::move(labels))
      .add();
}

// Status changes go to the account's default event bus:
// docs.aws.amazon.com/lambda/latest/dg/durable-monitoring.html
void Executions::announce(kv::Txn& tx, const Execution& x) {
  tx.on_commit([this, x] { count(x); });
  kernel::TargetDelivery delivery;
  delivery.target = cat("arn:aws:events:", x.region, ":", x.account, ":event-bus/default");
  delivery.account = x.account;
  delivery.region = x.region;
  delivery.service = kPrincipal;
  delivery.source_arn = x.function_arn();
  delivery.group = x.id;  // in their order
  delivery.input.body = status_change(x);
  delivery.input.trace = x.trace;
  delivery.input.parameters = {
      {"Source", "aws.lambda"}, {"DetailType", "Durable Execution Status Change"}, {"Resources", "[]"}};
  deps_.targets.enqueue(tx, std::move(delivery));
}

Task<void> Executions::set_timer(kv::Txn& tx, Execution& x) {
  Time next = x.start + std::chrono::seconds(x.timeout);
  if (x.over()) {
    next = *x.end + std::chrono::days(x.retention);
  } else if (const auto due = co_await Reads(tx, x.home()).due(x.id, 1); !due.empty()) {
    next = std::min(next, due.front().first);
  }
  if (next == x.timer) co_return;
  x.timer = next;
  co_await deps_.timers.set(tx, {std::string(kTimer), timer_id(x.key()), next, kv::encode(x.key())});
}

Task<void> Executions::fire(kernel::Timer timer) {
  const Key key = kv::decode<Key>(timer.payload);
  Ctx ctx = context({key.account, key.region});
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    Writes writes(tx, {key.account, key.region});
    auto x = co_await writes.find(key.id);
    if (!x || (x->over() && *x->end + std::chrono::days(x->retention) <= ctx.now())) {
      if (x && co_await writes.named(x->function, x->name) == x->id) writes.erase_name(*x);
      if (x) writes.erase(*x);
      co_await deps_.timers.clear(tx, timer.kind, timer.id);
      co_return;
    }
    x->timer = {};  // it has fired: whatever comes next is set anew
    if (!x->over() && x->start + std::chrono::seconds(x->timeout) <= ctx.now()) {
      Machine machine(x->progress, ctx.now());
      co_await close(tx, ctx, *x, machine, {ExecutionStatus::kTimedOut, {}, timed_out(*x)});
      co_await save(tx, ctx, *x, machine, {});
      co_return;
    }
    std::vector<std::string> names;
    if (!x->over()) {
      for (auto& [time, name] : co_await writes.due(x->id, kMostFired)) {
        if (time <= ctx.now()) names.push_back(std::move(name));
      }
    }
    co_await touch(tx, ctx, *x, names, [&](Machine& machine) {
      for (const std::string& name : names) machine.expire(name);
    });
  });
}

}  // namespace virga::lambda::durable
