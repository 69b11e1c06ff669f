// Background work: messages past their queue's retention are dropped. Nobody receives them anyway.
#include <algorithm>

#include "services/sqs/limits.h"
#include "services/sqs/service.h"

namespace virga::sqs {
namespace {

constexpr auto kShortestRest = std::chrono::seconds(30);
constexpr auto kLongestRest = std::chrono::hours(1);
constexpr size_t kStepsAtOnce = 50;  // transactions before other timers have their turn

}  // namespace

kernel::Timer sweep_timer(const QueueName& name, const QueueRecord& queue, Time now) {
  const auto rest =
      std::clamp<std::chrono::seconds>(std::chrono::seconds(queue.retention / 4), kShortestRest, kLongestRest);
  return {"sqs.retention", name.arn(), now + rest, {}};
}

Task<void> SqsService::sweep(kernel::Timer timer) {
  const auto name = queue_of_arn(timer.id);
  size_t dropped = 1;
  for (size_t step = 0; step < kStepsAtOnce && dropped > 0; ++step) {
    ReceiveJob job;
    job.sweep = true;
    const auto result = co_await as_result(desks_.at(*name)->run(job));
    if (!result) break;  // the queue is gone, or the store refuses: looked at below
    dropped = job.moved;
  }
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    const auto queue = co_await find_queue(tx, *name);
    if (!queue) {
      co_await deps_.timers.clear(tx, timer.kind, timer.id);
      co_return;
    }
    kernel::Timer next = sweep_timer(*name, *queue, deps_.clock.now());
    if (dropped > 0) next.due = deps_.clock.now();
    co_await deps_.timers.set(tx, std::move(next));
  });
}

}  // namespace virga::sqs
