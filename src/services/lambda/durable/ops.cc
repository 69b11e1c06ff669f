// What users and their tools ask of executions.
#include <aws/lambda/errors.h>

#include <algorithm>

#include "base/str.h"
#include "kernel/page.h"
#include "kv/record.h"
#include "services/lambda/durable/parts.h"
#include "services/lambda/model.h"
#include "services/lambda/resources.h"

namespace virga::lambda::durable {
namespace {

constexpr size_t kPage = 100;           // what a page holds when nobody says
constexpr size_t kMostLooked = 10'000;  // executions that one page of a list passes over
constexpr size_t kHistoryBytes = 4 * 1024 * 1024;

Error no_execution() { return err::ResourceNotFoundException("Durable Execution does not exist"); }
Error bad_page() { return err::InvalidParameterValueException("Invalid Marker"); }

template <class In>
std::string by_execution(const Ctx&, const In& in) {
  return in.durable_execution_arn;
}

// The execution that an ARN names to its own account; throws ResourceNotFoundException.
Key known_key(const Ctx& ctx, const std::string& arn) {
  const auto parts = parse_execution_arn(arn);
  if (!parts || parts->home.account != ctx.account || parts->home.region != ctx.region) throw no_execution();
  return {parts->home.account, parts->home.region, parts->id};
}

size_t page_size(const std::optional<int32_t>& asked) {
  return asked.value_or(0) > 0 ? static_cast<size_t>(*asked) : kPage;
}

struct AfterEvent {
  uint64_t from = 0;
  template <class A>
  void fields(A& a) {
    a(1, from);
  }
};

}  // namespace

void Executions::operations(kernel::OpTable& t) {
  using E = Executions;
  t.add<op::CheckpointDurableExecution>(this, &E::checkpoint)
      .resource(by_execution<CheckpointDurableExecutionRequest>)
      .data_plane();
  t.add<op::GetDurableExecutionState>(this, &E::state)
      .resource(by_execution<GetDurableExecutionStateRequest>)
      .data_plane();
  t.add<op::GetDurableExecution>(this, &E::get).resource(by_execution<GetDurableExecutionRequest>);
  t.add<op::GetDurableExecutionHistory>(this, &E::history).resource(by_execution<GetDurableExecutionHistoryRequest>);
  t.add<op::StopDurableExecution>(this, &E::stop).resource(by_execution<StopDurableExecutionRequest>);
  t.add<op::ListDurableExecutionsByFunction>(this, &E::list)
      .resource(by_function<ListDurableExecutionsByFunctionRequest>);
  // A callback's id says which execution it is of.
  const auto by_callback = [this](const Ctx&, const auto& in) {
    const auto callback = open_callback(deps_.tokens, in.callback_id);
    return callback ? callback->execution : std::string("*");
  };
  t.add<op::SendDurableExecutionCallbackSuccess>(this, &E::callback_success).resource(by_callback).data_plane();
  t.add<op::SendDurableExecutionCallbackFailure>(this, &E::callback_failure).resource(by_callback).data_plane();
  t.add<op::SendDurableExecutionCallbackHeartbeat>(this, &E::callback_heartbeat).resource(by_callback).data_plane();
}

Task<GetDurableExecutionResponse> Executions::get(Ctx& ctx, const GetDurableExecutionRequest& in) {
  const Key key = known_key(ctx, in.durable_execution_arn);
  const auto snapshot = deps_.db.snapshot();
  const Reads reads(*snapshot, {key.account, key.region});
  const auto x = co_await reads.find(key.id);
  if (!x || x->arn() != in.durable_execution_arn) co_return no_execution();
  GetDurableExecutionResponse out;
  out.durable_execution_arn = x->arn();
  out.durable_execution_name = x->name;
  out.function_arn = x->function_arn();
  out.version = version_name(x->version);
  out.status = static_cast<lambda::ExecutionStatus>(x->status);
  out.start_timestamp = x->start;
  out.end_timestamp = x->end;
  out.durable_config = DurableConfig{{}, x->retention, x->timeout};
  out.execution_data_included = in.include_execution_data.value_or(true);
  if (*out.execution_data_included) {
    out.input_payload = co_await reads.input(x->id);
    if (const auto outcome = co_await reads.outcome(x->id)) {
      out.result = outcome->result;
      out.error = describe(outcome->error);
    }
  }
  if (!x->trace.empty()) out.trace_header = TraceHeader{x->trace};
  co_return out;
}

Task<GetDurableExecutionHistoryResponse> Executions::history(Ctx& ctx, const GetDurableExecutionHistoryRequest& in) {
  const Key key = known_key(ctx, in.durable_execution_arn);
  const auto snapshot = deps_.db.snapshot();
  const Reads reads(*snapshot, {key.account, key.region});
  const auto x = co_await reads.find(key.id);
  if (!x || x->arn() != in.durable_execution_arn) co_return no_execution();
  const bool downwards = in.reverse_order.value_or(false), data = in.include_execution_data.value_or(true);
  const std::string purpose = cat("lambda:GetDurableExecutionHistory:", x->id, downwards ? ":down" : "");
  const auto after = kernel::open_page<AfterEvent>(deps_.tokens, ctx, purpose, in.marker, bad_page());
  const size_t limit = page_size(in.max_items);
  const std::vector<HistoryEvent> events = co_await reads.history(
      x->id, after ? after->from : (downwards ? UINT64_MAX : 1), downwards, limit, kHistoryBytes);
  GetDurableExecutionHistoryResponse out;
  for (const HistoryEvent& event : events) {
    std::optional<std::string> whole;
    if (data && event.type == EventType::kExecutionStarted) whole = co_await reads.input(x->id);
    if (data && event.type == EventType::kExecutionSucceeded) whole = (co_await reads.outcome(x->id))->result;
    out.events.push_back(describe(event, data, whole));
  }
  if (events.empty()) co_return out;
  const uint64_t last = events.back().id;
  const bool more = downwards ? last > 1 : last + 1 < x->progress.next_event;
  if (more)
    out.next_marker = kernel::seal_page(deps_.tokens, ctx, purpose, AfterEvent{downwards ? last - 1 : last + 1});
  co_return out;
}

// Newest first, unless in ReverseOrder.
Task<ListDurableExecutionsByFunctionResponse> Executions::list(Ctx& ctx,
                                                               const ListDurableExecutionsByFunctionRequest& in) {
  const FunctionId id = function_id(ctx, in.function_name, in.qualifier);
  const Call call = co_await functions_.find_function(ctx, id);
  const bool downwards = !in.reverse_order.value_or(false);
  const std::string purpose = cat("lambda:ListDurableExecutionsByFunction:", id.name, downwards ? ":down" : "");
  auto after = kernel::open_page<Listed>(deps_.tokens, ctx, purpose, in.marker, bad_page());
  const size_t limit = page_size(in.max_items);
  const auto wanted = [&](const Listed& each) {
    if (each.version != call.version->version) return false;
    if (in.durable_execution_name && each.name != *in.durable_execution_name) return false;
    if (in.started_after && each.start <= *in.started_after) return false;
    if (in.started_before && each.start >= *in.started_before) return false;
    return !in.statuses ||
           std::ranges::find(*in.statuses, static_cast<lambda::ExecutionStatus>(each.status)) != in.statuses->end();
  };
  const auto snapshot = deps_.db.snapshot();
  const Reads reads(*snapshot, id.home());
  ListDurableExecutionsByFunctionResponse out;
  out.durable_executions.emplace();
  for (size_t looked = 0; looked < kMostLooked;) {
    const std::vector<Listed> page = co_await reads.list(id.name, after ? &*after : nullptr, downwards, kPage);
    if (page.empty()) co_return out;
    looked += page.size();
    for (const Listed& each : page) {
      const bool fits = wanted(each);
      if (fits && out.durable_executions->size() == limit) {
        out.next_marker = kernel::seal_page(deps_.tokens, ctx, purpose, *after);
        co_return out;
      }
      after = each;
      if (!fits) continue;
      Execution x;
      x.account = id.account;
      x.region = id.region;
      x.function = id.name;
      x.version = each.version;
      x.name = each.name;
      x.id = each.id;
      lambda::Execution& shown = out.durable_executions->emplace_back();
      shown.durable_execution_arn = x.arn();
      shown.durable_execution_name = each.name;
      shown.function_arn = x.function_arn();
      shown.status = static_cast<lambda::ExecutionStatus>(each.status);
      shown.start_timestamp = each.start;
      shown.end_timestamp = each.end;
    }
  }
  out.next_marker = kernel::seal_page(deps_.tokens, ctx, purpose, *after);
  co_return out;
}

// Stopping what has ended changes nothing.
Task<StopDurableExecutionResponse> Executions::stop(Ctx& ctx, const StopDurableExecutionRequest& in) {
  const Key key = known_key(ctx, in.durable_execution_arn);
  std::optional<ErrorObject> error = error_of(in.error);
  if (error && error->size() > kMostExecutionError) {
    co_return err::InvalidParameterValueException(
        cat("Error object size must be less than or equal to ", kMostExecutionError, " bytes."));
  }
  if (!error) error.emplace();
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<StopDurableExecutionResponse> {
    auto x = co_await Reads(tx, {key.account, key.region}).find(key.id);
    if (!x || x->arn() != in.durable_execution_arn) co_return no_execution();
    if (!x->over()) {
      Machine machine(x->progress, ctx.now());
      co_await close(tx, ctx, *x, machine, {ExecutionStatus::kStopped, {}, error});
      co_await save(tx, ctx, *x, machine, {});
    }
    co_return StopDurableExecutionResponse{*x->end};
  });
}

Task<SendDurableExecutionCallbackSuccessResponse> Executions::callback_success(
    Ctx& ctx, const SendDurableExecutionCallbackSuccessRequest& in) {
  co_await to_callback(ctx, in.callback_id, [&](Machine& machine, const std::string& id) {
    machine.finish(id, Status::kSucceeded,
                   in.result && !in.result->empty() ? std::optional(std::string(*in.result)) : std::nullopt, {});
  });
  co_return SendDurableExecutionCallbackSuccessResponse{};
}

Task<SendDurableExecutionCallbackFailureResponse> Executions::callback_failure(
    Ctx& ctx, const SendDurableExecutionCallbackFailureRequest& in) {
  const std::optional<ErrorObject> error = error_of(in.error);
  if (error && error->size() > kMostExecutionError) {
    co_return err::InvalidParameterValueException(
        cat("Error object size must be less than or equal to ", kMostExecutionError, " bytes."));
  }
  co_await to_callback(ctx, in.callback_id, [&](Machine& machine, const std::string& id) {
    machine.finish(id, Status::kFailed, {}, error.value_or(ErrorObject{}));
  });
  co_return SendDurableExecutionCallbackFailureResponse{};
}

Task<SendDurableExecutionCallbackHeartbeatResponse> Executions::callback_heartbeat(
    Ctx& ctx, const SendDurableExecutionCallbackHeartbeatRequest& in) {
  co_await to_callback(ctx, in.callback_id, [](Machine& machine, const std::string& id) { machine.heartbeat(id); });
  co_return SendDurableExecutionCallbackHeartbeatResponse{};
}

Task<void> Executions::to_callback(Ctx& ctx, std::string callback_id,
                                   std::function<void(Machine&, const std::string&)> change) {
  const auto callback = open_callback(deps_.tokens, callback_id);
  const auto arn = callback ? parse_execution_arn(callback->execution) : std::nullopt;
  if (!arn) co_await fail(err::InvalidParameterValueException("Invalid callback id"));
  const Error closed = err::CallbackTimeoutException("The callback is either timed out or already completed");
  if (arn->home.account != ctx.account || arn->home.region != ctx.region) co_await fail(closed);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    const Reads reads(tx, arn->home);
    auto x = co_await reads.find(arn->id);
    const auto operation = x ? co_await reads.operation(x->id, callback->operation) : std::nullopt;
    const auto due = operation ? operation->next_due() : std::nullopt;
    // Past its time it is over, even if that has not been noticed yet.
    if (!operation || x->over() || operation->status != Status::kStarted || (due && *due <= ctx.now())) {
      co_await fail(closed);
    }
    co_await touch(tx, ctx, *x, {operation->id}, [&](Machine& machine) { change(machine, operation->id); });
  });
}

}  // namespace virga::lambda::durable
