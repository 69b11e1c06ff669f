#include <algorithm>

#include "services/logs/service.h"

namespace virga::logs {
namespace {

constexpr auto kBetweenExpiries = std::chrono::hours(1);
constexpr size_t kExpiryPage = 256;  // streams looked at together

// Transactions of its own: they meet writers of this stream only.
Task<void> expire_stream(kv::Db& db, Home home, std::string group, std::string name, Time cutoff) {
  for (bool more = true; more;) {
    more = co_await db.transact([&](kv::Txn& tx) -> Task<bool> {
      WriteStore store(tx, home);
      auto stream = co_await store.find_stream(group, name);
      if (!stream || !stream->first_event || *stream->first_event >= cutoff) co_return false;
      const auto erased = co_await store.erase_events_before(group, name, cutoff);
      // Events that came before bytes were counted are not among them.
      if (erased) stream->bytes = std::max<int64_t>(stream->bytes - *erased, 0);
      if (!erased) stream->first_event = cutoff;
      store.put_stream(group, *stream);
      co_return erased.has_value();
    });
  }
}

}  // namespace

// Deletes what the group's retention has passed, and sets the next time; ends when the group or its retention is gone.
Task<void> LogsService::expire(kernel::Timer timer) {
  const auto arn = kernel::parse_arn(timer.id);
  const Home home{arn->account, arn->region};
  const std::string name = timer.payload;
  const auto group = co_await Store(*deps_.db.snapshot(), home).find_group(name);
  if (group && group->retention_days) {
    const Time cutoff = deps_.clock.now() - std::chrono::hours(24 * *group->retention_days);
    std::vector<Stream> page;
    do {
      const std::string after = page.empty() ? "" : page.back().name;
      page = co_await Store(*deps_.db.snapshot(), home).list_streams(name, "", after, kExpiryPage, false);
      for (const Stream& stream : page) {
        if (stream.first_event && *stream.first_event < cutoff)
          co_await expire_stream(deps_.db, home, name, stream.name, cutoff);
      }
    } while (page.size() == kExpiryPage);
  }
  co_await deps_.db.transact([&](kv::Txn& tx) -> Task<void> {
    const auto now = co_await Store(tx, home).find_group(name);
    if (!now || !now->retention_days) {
      co_await deps_.timers.clear(tx, timer.kind, timer.id);
      co_return;
    }
    kernel::Timer next = timer;
    next.due = deps_.clock.now() + kBetweenExpiries;
    co_await deps_.timers.set(tx, next);
  });
}

}  // namespace virga::logs
