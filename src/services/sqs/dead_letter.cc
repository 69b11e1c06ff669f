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
    co_await append_fifo(tx_, *queue, tally, group, kv::encode(message), {});
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

}  // namespace virga::sqs
