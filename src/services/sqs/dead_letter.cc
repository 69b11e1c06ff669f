#include "services/sqs/dead_letter.h"

#include "base/str.h"
#include "kv/record.h"

namespace virga::sqs {

Task<std::optional<QueueRecord>> Transfer::find(const QueueName& name) {
  const std::string key = keys::queue(name);
  const auto known = queues_.find(key);
  if (known != queues_.end()) co_return known->second;
  auto found = co_await find_queue(tx_, name);
  queues_[key] = found;
  co_return found;
}

Task<bool> Transfer::add(QueueName to, StoredMessage message) {
  if (to.fifo() != work_.queue.fifo()) co_return false;
  const auto queue = co_await find(to);
  if (!queue) co_return false;
  if (to.fifo()) {
    Tally tally = co_await read_tally(tx_, queue->contents, "f");
    const std::string group = message.group;
    message.due = {};
    co_await append_fifo(tx_, *queue, tally, group, kv::encode(message), {}, now_);
    tx_.put(keys::tally(queue->contents, "f"), kv::encode(tally));
  } else {
    // A row for each queue that sends here, so that they don't wait for each other.
    const std::string writer = cat("i", from_.id);
    Tally tally = co_await read_tally(tx_, queue->contents, writer);
    tally.messages += 1;
    tx_.put(keys::tally(queue->contents, writer), kv::encode(tally));
    tx_.put_ordered(keys::fresh(queue->contents), kv::encode(message));
  }
  tx_.on_commit([&desks = work_.desks, to] { desks.wake(to); });
  co_return true;
}

Task<bool> DeadLetters::take(const StoredMessage& message, int64_t receives, Time first_received) {
  if (queue_.max_receives == 0 || receives < queue_.max_receives) co_return false;
  const auto target = queue_of_arn(queue_.dead_letter_arn);
  if (!target || *target == source_) co_return false;
  StoredMessage moved = message;
  moved.dead_letter_from = source_.arn();
  moved.received += receives;
  moved.first_received = message.received > 0 ? message.first_received : first_received;
  co_return co_await transfer_.add(*target, std::move(moved));
}

Task<bool> Moves::begin(ReceiveJob& job) {
  job.moved = 0;
  job.stuck = false;
  const auto bytes = co_await tx_.get(job.move_task);
  if (!bytes) co_return false;
  task_ = kv::decode<MoveTask>(*bytes);
  co_return task_.status == "RUNNING";
}

Task<bool> Moves::take(ReceiveJob& job, StoredMessage message) {
  const auto to = queue_of_arn(task_.destination.empty() ? message.dead_letter_from : task_.destination);
  message.dead_letter_from.clear();
  message.received = 0;
  if (!to || !co_await transfer_.add(*to, std::move(message))) {
    job.stuck = true;
    job.known = to.has_value();
    co_return false;
  }
  job.moved += 1;
  co_return true;
}

void Moves::finish(const ReceiveJob& job) {
  if (job.moved == 0) return;
  task_.moved += static_cast<int64_t>(job.moved);
  tx_.put(job.move_task, kv::encode(task_));
}

}  // namespace virga::sqs
