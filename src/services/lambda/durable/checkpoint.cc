// What functions call while they run: checkpoints and reads of their state; and the chained invokes that checkpoints
// begin.
#include <aws/lambda/errors.h>

#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kernel/page.h"
#include "kv/record.h"
#include "services/lambda/durable/parts.h"
#include "services/lambda/limits.h"

namespace virga::lambda::durable {
namespace {

constexpr size_t kMostPage = 1000;  // operations
constexpr size_t kPageBytes = 4 * 1024 * 1024;
constexpr size_t kMostDue = 100;  // due operations that one checkpoint moves on
constexpr std::string_view kToken = "lambda:checkpoint";
constexpr std::string_view kCallback = "lambda:callback";

struct Token {
  std::string account, region, id;
  uint64_t number = 0;
  template <class A>
  void fields(A& a) {
    a(1, account), a(2, region), a(3, id), a(4, number);
  }
};

// Both are base64 in the standard alphabet on the wire.
std::optional<std::string> opened(const kernel::Tokens& tokens, std::string_view purpose, std::string_view text) {
  const auto sealed = base64_decode(text);
  return sealed ? tokens.open(purpose, *sealed) : std::nullopt;
}

Error invalid_token() {
  // The SDKs know by these words that another invocation may go on: aws-durable-execution-sdk-js, CheckpointManager.
  return err::InvalidParameterValueException("Invalid Checkpoint Token");
}

ErrorObject error_of(const Error& error) { return {error.message, std::string(error.shape->code), {}, {}}; }

struct ChainCall {
  Key parent;
  std::string operation, function, trace;
  uint64_t version = 0;
  std::string input, tenant;
  template <class A>
  void fields(A& a) {
    a(1, parent), a(2, operation), a(3, function), a(4, trace), a(5, version), a(6, input), a(7, tenant);
  }
};

// Nothing when the token is not one of this execution.
std::optional<uint64_t> number_of(const kernel::Tokens& tokens, const Key& key, std::string_view text) {
  const auto bytes = opened(tokens, kToken, text);
  if (!bytes) return std::nullopt;
  const Token token = kv::decode<Token>(*bytes);
  const bool mine = token.account == key.account && token.region == key.region && token.id == key.id;
  return mine ? std::optional(token.number) : std::nullopt;
}

// The execution an ARN names to its own account. Fails as for a wrong token: that is what the caller has then.
Key key_of(const Ctx& ctx, const std::string& arn) {
  const auto parts = parse_execution_arn(arn);
  if (!parts || parts->home.account != ctx.account || parts->home.region != ctx.region) throw invalid_token();
  return {parts->home.account, parts->home.region, parts->id};
}

bool is_current(const Execution& x, const std::string& arn, std::optional<uint64_t> number) {
  return !x.over() && !x.invocation.empty() && number == x.token && x.arn() == arn;
}

size_t size_of(const Operation& operation) {
  return 256 + (operation.result ? operation.result->size() : 0) + (operation.error ? operation.error->size() : 0);
}

}  // namespace

struct Executions::Chain {
  std::string operation;
  ChainTarget target;
  Call call;
  std::optional<std::string> input;
  std::string child, child_name;
};

std::string Executions::token_of(const Execution& x) const {
  return base64_encode(deps_.tokens.seal(kToken, kv::encode(Token{x.account, x.region, x.id, x.token})));
}

std::string Executions::callback_id(const Execution& x, const std::string& operation) const {
  return base64_encode(deps_.tokens.seal(kCallback, kv::encode(Callback{x.arn(), operation})));
}

std::optional<Callback> open_callback(const kernel::Tokens& tokens, std::string_view text) {
  const auto bytes = opened(tokens, kCallback, text);
  return bytes ? std::optional(kv::decode<Callback>(*bytes)) : std::nullopt;
}

Task<CheckpointDurableExecutionResponse> Executions::checkpoint(Ctx& ctx, const CheckpointDurableExecutionRequest& in) {
  const Key key = key_of(ctx, in.durable_execution_arn);
  const auto number = number_of(deps_.tokens, key, in.checkpoint_token);
  const std::vector<Update> updates = updates_of(in.updates.value_or(std::vector<OperationUpdate>{}));
  std::vector<Chain> chains;
  {
    const auto snapshot = deps_.db.snapshot();
    const auto x = co_await Reads(*snapshot, {key.account, key.region}).find(key.id);
    if (!x || !number) co_return invalid_token();
    chains = co_await find_chains(ctx, *x, updates);
  }
  std::map<std::string, ChainTarget> targets;
  for (const Chain& chain : chains) targets.emplace(chain.operation, chain.target);

  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<CheckpointDurableExecutionResponse> {
    Writes writes(tx, {key.account, key.region});
    CheckpointDurableExecutionResponse out;
    std::vector<lambda::Operation>& answer = out.new_execution_state.operations.emplace();
    auto x = co_await writes.find(key.id);
    if (!x) co_return invalid_token();
    if (in.client_token && *in.client_token == x->client_token && number == x->client_token_of &&
        is_current(*x, in.durable_execution_arn, x->client_token_of + 1)) {
      for (const std::string& name : x->client_answer) {
        if (const auto operation = co_await writes.operation(x->id, name)) answer.push_back(describe(*operation));
      }
      out.checkpoint_token = token_of(*x);
      co_return out;
    }
    if (!is_current(*x, in.durable_execution_arn, number)) co_return invalid_token();

    Machine machine(x->progress, ctx.now());
    std::map<std::string, Operation> before;
    std::set<std::string> names;
    for (const Update& update : updates) names.insert({update.id, update.parent});
    std::vector<std::string> due;
    for (auto& [time, name] : co_await writes.due(x->id, kMostDue)) {
      if (time <= ctx.now()) due.push_back(std::move(name));
    }
    names.insert(due.begin(), due.end());
    for (const std::string& name : names) {
      auto operation = co_await writes.operation(x->id, name);
      if (!operation) continue;
      machine.know(*operation);
      before.emplace(name, std::move(*operation));
    }
    machine.apply(updates, x->most_result(), [&](const std::string& name) { return callback_id(*x, name); }, targets);
    for (const std::string& name : due) machine.expire(name);
    for (const Chain& chain : chains) {
      if (!chain.target.refused) co_await start_chain(tx, ctx, *x, chain);
    }

    if (!updates.empty()) x->used = x->shown;
    std::vector<std::string> told = machine.changed();
    size_t bytes = 0;
    for (const std::string& name : told) {
      bytes += size_of(*machine.find(name));
      answer.push_back(describe(*machine.find(name)));
    }
    // What changed without the function since it was last told, as far as it fits an answer.
    for (const Change& change : co_await writes.changes(x->id, x->shown)) {
      if (std::ranges::find(told, change.operation) == told.end()) {
        const auto operation = co_await writes.operation(x->id, change.operation);
        if (operation && bytes > 0 && bytes + size_of(*operation) > kPageBytes) break;
        if (operation) bytes += size_of(*operation), answer.push_back(describe(*operation));
        told.push_back(change.operation);
      }
      x->shown = change.number;
    }
    x->client_token = in.client_token.value_or("");
    x->client_token_of = x->token++;
    x->client_answer = x->client_token.empty() ? std::vector<std::string>{} : std::move(told);
    co_await save(tx, ctx, *x, machine, before);
    // The checkpoint that ends an execution has no successor.
    if (!x->over()) out.checkpoint_token = token_of(*x);
    co_return out;
  });
}

Task<Executions::State> Executions::visible(Reads& reads, std::string id, uint64_t from, size_t limit, size_t bytes) {
  State state;
  // Contexts by their ids: whether what lies within them is left out.
  std::map<std::string, bool> hides;
  const auto note = [&](const Operation& operation) {
    if (operation.type != Type::kContext) return;
    const bool closed = operation.status == Status::kSucceeded || operation.status == Status::kFailed;
    const auto outer = hides.find(operation.parent);
    hides[operation.id] =
        (closed && !operation.replay_children.value_or(false)) || (outer != hides.end() && outer->second);
  };
  // The contexts around the first operations of a later page began on an earlier one.
  const auto learn = [&](std::string parent) -> Task<void> {
    std::vector<Operation> around;
    while (!parent.empty() && !hides.contains(parent)) {
      auto operation = co_await reads.operation(id, parent);
      if (!operation) break;
      parent = operation->parent;
      around.push_back(std::move(*operation));
    }
    for (auto at = around.rbegin(); at != around.rend(); ++at) note(*at);
  };
  size_t used = 0;
  for (;;) {
    const std::vector<Operation> page = co_await reads.operations(id, from, kMostPage, kPageBytes);
    for (const Operation& operation : page) {
      co_await learn(operation.parent);
      note(operation);
      from = operation.sequence + 1;
      if (!operation.parent.empty() && hides[operation.parent]) continue;
      if (state.operations.size() >= limit || (used > 0 && used + size_of(operation) > bytes)) {
        state.next = operation.sequence;
        co_return state;
      }
      used += size_of(operation);
      state.operations.push_back(describe(operation));
    }
    if (page.empty()) co_return state;
  }
}

Task<GetDurableExecutionStateResponse> Executions::state(Ctx& ctx, const GetDurableExecutionStateRequest& in) {
  const Key key = key_of(ctx, in.durable_execution_arn);
  const auto number = number_of(deps_.tokens, key, in.checkpoint_token);
  const auto snapshot = deps_.db.snapshot();
  Reads reads(*snapshot, {key.account, key.region});
  const auto x = co_await reads.find(key.id);
  if (!x || !is_current(*x, in.durable_execution_arn, number)) co_return invalid_token();
  const std::string purpose = state_page(*x);
  const auto from = kernel::open_page<uint64_t>(deps_.tokens, ctx, purpose, in.marker,
                                                err::InvalidParameterValueException("Invalid Marker"));
  size_t limit = in.max_items.value_or(0) > 0 ? static_cast<size_t>(*in.max_items) : kMostPage;
  GetDurableExecutionStateResponse out;
  if (!from) {
    out.operations.push_back(root_of(*x, co_await reads.input(x->id)));
    --limit;
  }
  State state = co_await visible(reads, x->id, from.value_or(0), limit, kPageBytes);
  for (lambda::Operation& operation : state.operations) out.operations.push_back(std::move(operation));
  out.next_marker = state.next ? kernel::seal_page(deps_.tokens, ctx, purpose, *state.next) : "";
  co_return out;
}

// What the chained invokes of a checkpoint will call, as the function's role. One that can't be begins and fails at
// once.
Task<std::vector<Executions::Chain>> Executions::find_chains(Ctx& ctx, const Execution& x,
                                                             const std::vector<Update>& updates) {
  std::vector<Chain> chains;
  for (const Update& update : updates) {
    if (update.type != Type::kChainedInvoke || update.action != Action::kStart || update.function.empty()) continue;
    Chain& chain = chains.emplace_back();
    chain.operation = update.id;
    chain.input = update.payload;
    if (const auto arn = kernel::parse_arn(update.function); arn && arn->region != x.region) {
      co_return err::InvalidParameterValueException("Cannot start a CHAINED_INVOKE on a function in another region.");
    }
    const FunctionId id = function_id(ctx, update.function);
    if (id.account != x.account) {
      co_return err::InvalidParameterValueException("Cannot start a CHAINED_INVOKE on a function in another account.");
    }
    const std::string arn = id.qualifier.empty() ? function_arn(ctx, id) : qualified_arn(ctx, id, id.qualifier);
    auto policy = co_await functions_.policy_of(ctx, arn);
    if (auto denied =
            co_await deps_.cloud.authorizer().why_denied(ctx, {"lambda:InvokeFunction", arn, {}}, std::move(policy))) {
      chain.target.refused = ErrorObject{std::move(*denied), "AccessDeniedException", {}, {}};
      continue;
    }
    Result<Call> call = co_await as_result(functions_.find_function(ctx, id));
    if (call && call->version->durable_timeout && id.qualifier.empty()) {
      chain.target.refused = error_of(
          err::InvalidParameterValueException("You cannot invoke a durable function using an unqualified ARN."));
      continue;
    }
    if (call) {
      call->tenant = update.tenant;
      if (auto refusal = refusal_by_tenant(*call)) {
        chain.target.refused = error_of(*refusal);
        continue;
      }
    }
    Result<void> traced;
    if (call) traced = co_await as_result(functions_.trace_function(ctx, *call, x.trace));
    if (!call || !traced) {
      const Failure failure = call ? std::move(traced.error()) : std::move(call.error());
      const Error* error = virga::error_of(failure);
      if (!error) co_await fail_with(failure);
      chain.target.refused = error_of(*error);
      continue;
    }
    chain.call = std::move(*call);
    chain.target.version = version_name(chain.call.version->version);
    if (!chain.call.version->durable_timeout) continue;
    chain.child = uuid();
    chain.child_name = uuid();
    Execution child;
    child.account = id.account;
    child.region = id.region;
    child.function = id.name;
    child.version = chain.call.version->version;
    child.name = chain.child_name;
    child.id = chain.child;
    chain.target.execution_arn = child.arn();
  }
  co_return chains;
}

Task<void> Executions::start_chain(kv::Txn& tx, Ctx& ctx, const Execution& x, const Chain& chain) {
  if (chain.child.empty()) {
    kernel::Delivery delivery;
    delivery.kind = kChain;
    delivery.lane = function_arn(ctx, chain.call.id);
    delivery.payload =
        kv::encode(ChainCall{x.key(), chain.operation, chain.call.id.name, chain.call.trace,
                             chain.call.version->version, chain.input.value_or("{}"), chain.call.tenant});
    deps_.deliveries.enqueue(tx, std::move(delivery));
    co_return;
  }
  Beginning beginning;
  beginning.function = chain.call.id;
  beginning.version = chain.call.version;
  beginning.name = chain.child_name;
  beginning.id = chain.child;
  beginning.input = chain.input;
  beginning.trace = chain.call.trace;
  beginning.request_id = ctx.request_id;
  beginning.parent = {x.id, chain.operation};
  co_await start(tx, ctx, beginning);
}

// A chained invoke of a function that is not durable: once, unless the process dies meanwhile.
Task<kernel::Verdict> Executions::run_chain(kernel::Attempt attempt) {
  const ChainCall chained = kv::decode<ChainCall>(attempt.payload);
  Ctx ctx = context({chained.parent.account, chained.parent.region});
  ctx.request_id = attempt.id;
  const FunctionId id{chained.parent.account, chained.parent.region, chained.function, version_name(chained.version)};
  Result<Call> call = co_await as_result(functions_.find_function(ctx, id));
  Result<Answer> answer;
  if (call) {
    call->request_id = ctx.request_id;
    call->payload = chained.input;
    call->trace = chained.trace;
    call->tenant = chained.tenant;
    answer = co_await as_result(functions_.run_function(ctx, std::move(*call)));
  } else {
    answer = std::unexpected(std::move(call.error()));
  }
  Status status = Status::kSucceeded;
  std::optional<std::string> result;
  std::optional<ErrorObject> error;
  if (!answer) {
    const Error* refused = virga::error_of(answer);
    if (refused && refused->shape->status == 429) co_return kernel::Verdict::busy(kThrottledPause);
    if (!refused) {
      log_error("lambda", "a chained invoke could not be run", {{"why", virga::describe(answer.error())}});
      co_return kernel::Verdict::again();
    }
    error = error_of(*refused);
  } else if (!answer->function_error.empty()) {
    error = function_error_of(answer->payload);
  } else if (answer->payload.size() > kMostChained) {
    error.emplace();
    error->message = cat("CHAINED_INVOKE output payload size must be less than or equal to ", kMostChained, " bytes.");
  } else {
    result = std::move(answer->payload);
  }
  if (error) status = Status::kFailed;
  co_return kernel::Verdict::done().with([this, chained, status, result, error](kv::Txn& tx) -> Task<void> {
    const Home home{chained.parent.account, chained.parent.region};
    Ctx ctx = context(home);
    auto x = co_await Reads(tx, home).find(chained.parent.id);
    if (!x || x->over()) co_return;
    co_await touch(tx, ctx, *x, {chained.operation},
                   [&](Machine& machine) { machine.finish(chained.operation, status, result, error); });
  });
}

}  // namespace virga::lambda::durable
