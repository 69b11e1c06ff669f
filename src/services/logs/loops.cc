#include "services/logs/service.h"

namespace virga::logs {
namespace {
constexpr auto kBetweenExpiries = std::chrono::hours(1);
}

// Deletes what the group's retention has passed, and sets the next time; ends when the group or its retention is gone.
Task<void> LogsService::expire(kernel::Timer timer) {
  const auto arn = kernel::parse_arn(timer.id);
  const Home home{arn->account, arn->region};
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    WriteStore store(tx, home);
    const auto group = co_await store.find_group(timer.payload);
    if (!group || !group->retention_days) {
      co_await deps_.timers.clear(tx, timer.kind, timer.id);
      co_return;
    }
    const Time cutoff = deps_.clock.now() - std::chrono::hours(24 * *group->retention_days);
    for (const Stream& stream : co_await store.list_streams(group->name, "", "", SIZE_MAX, false)) {
      if (!stream.first_event || *stream.first_event >= cutoff) continue;
      store.erase_events_before(group->name, stream.name, cutoff);
      Stream left = stream;
      left.first_event = cutoff;
      store.put_stream(group->name, left);
    }
    kernel::Timer next = timer;
    next.due = deps_.clock.now() + kBetweenExpiries;
    co_await deps_.timers.set(tx, next);
  });
}

}  // namespace virga::logs
