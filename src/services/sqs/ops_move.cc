// Message move tasks: a dead-letter queue's messages back to where they came from, or to another queue.
#include <aws/sqs/errors.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "kv/record.h"
#include "services/sqs/limits.h"
#include "services/sqs/service.h"
#include "services/sqs/settings.h"

namespace virga::sqs {
namespace {

constexpr const char* kTimer = "sqs.move";
constexpr int32_t kMaxRate = 500;     // messages a second that a task may ask for
constexpr size_t kMaxShown = 10;      // tasks that are listed, and kept
constexpr size_t kAtOnce = 200;       // messages moved in one transaction
constexpr size_t kStepsAtOnce = 100;  // transactions before other timers have their turn
constexpr auto kRateStep = std::chrono::seconds(1);

Error no_source() {
  return err::ResourceNotFoundException("The resource that you specified for the SourceArn parameter doesn't exist.");
}
Error no_task() { return err::ResourceNotFoundException("Task does not exist."); }

std::string handle_of(const MoveTask& task) {
  return base64_encode(Json::object({{"taskId", task.id}, {"sourceArn", task.source}}).dump());
}

struct TaskName {
  QueueName source;
  std::string id;
};
std::optional<TaskName> task_of(std::string_view handle) {
  const auto text = base64_decode(handle);
  if (!text) return std::nullopt;
  try {
    const Json json = Json::parse(*text);
    const auto source = queue_of_arn(json.string_or("sourceArn"));
    if (!source) return std::nullopt;
    return TaskName{*source, json.string_or("taskId")};
  } catch (const JsonError&) {
    return std::nullopt;
  }
}

QueueName queue_named(const std::string& arn, std::string_view parameter) {
  const auto queue = queue_of_arn(arn);
  if (!queue) {
    throw err::InvalidParameterValueException(
        cat("Value ", arn, " for parameter ", parameter, " is invalid. Reason: You must use this format to specify ",
            "the ", parameter, ": arn:<partition>:<service>:<region>:<account-id>:<resource-id>"));
  }
  return *queue;
}

Task<std::vector<MoveTask>> tasks_of(kv::Reader& reader, QueueName source) {
  std::vector<MoveTask> tasks;
  for (const kv::Entry& row : co_await reader.scan(kv::prefix_range(keys::move_tasks(source)))) {
    tasks.push_back(kv::decode<MoveTask>(row.value));
  }
  std::ranges::sort(tasks, std::ranges::greater(), &MoveTask::started);
  co_return tasks;
}

bool is_active(const MoveTask& task) { return task.status == "RUNNING" || task.status == "CANCELLING"; }

}  // namespace

std::string source_of_task(std::string_view handle) {
  const auto task = task_of(handle);
  return task ? task->source.arn() : "*";
}

Task<StartMessageMoveTaskResult> SqsService::start_message_move_task(Ctx& ctx, const StartMessageMoveTaskRequest& in) {
  const QueueName source = queue_named(in.source_arn, "SourceArn");
  require_own(ctx, source, "startmessagemovetask");
  const int32_t rate = in.max_number_of_messages_per_second.value_or(0);
  if (in.max_number_of_messages_per_second && (rate < 1 || rate > kMaxRate)) {
    co_return err::InvalidParameterValueException(
        cat("Value ", rate, " for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: Must be between 1 and ",
            kMaxRate, "."));
  }
  MoveTask task;
  task.id = uuid();
  task.source = in.source_arn;
  task.rate = rate;
  task.started = ctx.now();
  if (in.destination_arn) {
    const QueueName destination = queue_named(*in.destination_arn, "DestinationArn");
    if (destination == source || destination.fifo() != source.fifo()) {
      co_return err::InvalidParameterValueException(
          "Source and destination queues must be different queues of the same type.");
    }
    task.destination = *in.destination_arn;
  }
  const auto shown = co_await as_result(
      get_queue_attributes(ctx, {queue_url(ctx, source), std::vector<std::string>{"ApproximateNumberOfMessages"}}));
  if (!shown) co_return no_source();
  task.to_move = parse_int(shown->attributes->begin()->second).value_or(0);
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    if (!co_await find_queue(tx, source)) co_await fail(no_queue());
    if (!task.destination.empty() && !co_await find_queue(tx, *queue_of_arn(task.destination))) {
      co_await fail(err::ResourceNotFoundException(
          "The resource that you specified for the DestinationArn parameter doesn't exist."));
    }
    const auto sources = co_await tx.scan(kv::prefix_range(keys::dead_letter_sources(source)), {.limit = 1});
    if (sources.empty()) {
      co_await fail(err::InvalidParameterValueException("Source queue must be configured as a Dead Letter Queue."));
    }
    const auto tasks = co_await tasks_of(tx, source);
    if (std::ranges::any_of(tasks, is_active)) {
      co_await fail(err::InvalidParameterValueException(
          "There is already a task running. Only one active task is allowed for a source queue arn at a given time."));
    }
    for (size_t i = kMaxShown - 1; i < tasks.size(); ++i) tx.erase(keys::move_task(source, tasks[i].id));
    tx.put(keys::move_task(source, task.id), kv::encode(task));
    co_await deps_.timers.set(tx, {kTimer, cat(source.arn(), "/", task.id), ctx.now(), task.id});
  });
  StartMessageMoveTaskResult out;
  out.task_handle = handle_of(task);
  co_return out;
}

Task<ListMessageMoveTasksResult> SqsService::list_message_move_tasks(Ctx& ctx, const ListMessageMoveTasksRequest& in) {
  const QueueName source = queue_named(in.source_arn, "SourceArn");
  require_own(ctx, source, "listmessagemovetasks");
  const int32_t most = in.max_results.value_or(1);
  if (most < 1 || most > static_cast<int32_t>(kMaxShown)) {
    co_return err::InvalidParameterValueException(
        cat("Value ", most, " for parameter MaxResults is invalid. Reason: Must be between 1 and 10."));
  }
  const auto snapshot = deps_.db.snapshot();
  if (!co_await find_queue(*snapshot, source)) co_return no_source();
  ListMessageMoveTasksResult out;
  out.results.emplace();
  for (const MoveTask& task : co_await tasks_of(*snapshot, source)) {
    if (out.results->size() == static_cast<size_t>(most)) break;
    ListMessageMoveTasksResultEntry entry;
    if (task.status == "RUNNING") entry.task_handle = handle_of(task);
    entry.status = task.status;
    entry.source_arn = task.source;
    if (!task.destination.empty()) entry.destination_arn = task.destination;
    if (task.rate > 0) entry.max_number_of_messages_per_second = task.rate;
    entry.approximate_number_of_messages_moved = task.moved;
    entry.approximate_number_of_messages_to_move = task.to_move;
    entry.started_timestamp = task.started.millis();
    if (!task.failure.empty()) entry.failure_reason = task.failure;
    out.results->push_back(std::move(entry));
  }
  co_return out;
}

Task<CancelMessageMoveTaskResult> SqsService::cancel_message_move_task(Ctx& ctx,
                                                                       const CancelMessageMoveTaskRequest& in) {
  const auto named = task_of(in.task_handle);
  if (!named) co_return err::InvalidParameterValueException("Value for parameter TaskHandle is invalid.");
  require_own(ctx, named->source, "cancelmessagemovetask");
  co_return co_await deps_.db.transact([&](kv::Txn& tx) -> Task<CancelMessageMoveTaskResult> {
    if (!co_await find_queue(tx, named->source)) co_return no_source();
    const std::string key = keys::move_task(named->source, named->id);
    const auto bytes = co_await tx.get(key);
    if (!bytes) co_return no_task();
    MoveTask task = kv::decode<MoveTask>(*bytes);
    if (task.status != "RUNNING") {
      co_return err::UnsupportedOperation(cat("Only active tasks can be cancelled; the task is ", task.status, "."));
    }
    // Nothing moves once this is committed: every step reads the task.
    task.status = "CANCELLED";
    task.ended = ctx.now();
    tx.put(key, kv::encode(task));
    CancelMessageMoveTaskResult out;
    out.approximate_number_of_messages_moved = task.moved;
    co_return out;
  });
}

// A stretch of a task's work: as much as its rate lets it do in a second, or a number of transactions.
Task<void> SqsService::move(kernel::Timer timer) {
  const auto source = queue_of_arn(timer.id.substr(0, timer.id.rfind('/')));
  const std::string key = keys::move_task(*source, timer.payload);
  const auto bytes = co_await deps_.db.snapshot()->get(key);
  const MoveTask task = bytes ? kv::decode<MoveTask>(*bytes) : MoveTask{};
  size_t left = task.rate > 0 ? static_cast<size_t>(task.rate) : kAtOnce * kStepsAtOnce;
  std::string status = bytes && task.status == "RUNNING" ? "" : task.status, failure;
  while (status.empty() && left > 0) {
    ReceiveJob job;
    job.move_task = key;
    job.most = std::min(left, kAtOnce);
    co_await desks_.at(*source)->run(job);
    left -= job.moved;
    if (job.stuck) {
      status = "FAILED";
      failure = job.known ? err::QueueDoesNotExist().shape->query_code : "CouldNotDetermineMessageSource";
    } else if (job.moved == 0) {
      status = "COMPLETED";
    }
  }
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    const auto now_bytes = co_await tx.get(key);
    MoveTask now = now_bytes ? kv::decode<MoveTask>(*now_bytes) : MoveTask{};
    if (now_bytes && now.status == "RUNNING" && status.empty()) {
      timer.due = deps_.clock.now() + (task.rate > 0 ? kRateStep : std::chrono::seconds(0));
      co_await deps_.timers.set(tx, timer);
      co_return;
    }
    if (now_bytes && now.status == "RUNNING") {
      now.status = status;
      now.failure = failure;
      now.ended = deps_.clock.now();
      tx.put(key, kv::encode(now));
    }
    co_await deps_.timers.clear(tx, timer.kind, timer.id);
  });
}

}  // namespace virga::sqs
