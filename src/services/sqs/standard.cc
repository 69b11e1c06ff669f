// The transactions of standard queues.
#include <aws/sqs/errors.h>

#include <algorithm>

#include "base/encoding.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/sqs/dead_letter.h"
#include "services/sqs/desk.h"
#include "services/sqs/limits.h"

namespace virga::sqs {
namespace {

std::string encode_time(Time t) {
  std::string out;
  append_be64(out, static_cast<uint64_t>(t.micros));
  return out;
}
Time decode_time(std::string_view bytes) {
  if (bytes.size() != 8) throw std::runtime_error("damaged row: a time of the wrong size");
  return {static_cast<int64_t>(read_be64(bytes.data()))};
}

// Whether a scan stopped because of the bytes, not because of the rows.
bool cut_short(const std::vector<kv::Entry>& rows) {
  size_t bytes = 0;
  for (const kv::Entry& row : rows) bytes += row.key.size() + row.value.size();
  return bytes >= kHandOutBytes;
}

// The time that the first row from `begin` on has in its key after `prefix`.
Task<std::optional<Time>> next_time(kv::Reader& reader, std::string prefix, std::string begin) {
  const auto rows = co_await reader.scan({begin, kv::prefix_end(prefix)}, {.limit = 1, .byte_limit = 1});
  if (rows.empty()) co_return std::nullopt;
  kv::KeyReader key(std::string_view(rows.front().key).substr(prefix.size()));
  co_return key.time();
}

// Hands messages to jobs, each up to its fill.
class HandOut {
 public:
  HandOut(kv::Txn& tx, const Work& work, const QueueRecord& queue, std::vector<ReceiveJob*>& jobs, Time now)
      : tx_(tx), work_(work), queue_(queue), jobs_(jobs), dead_letters_(tx, work, queue, now), now_(now) {
    for (const ReceiveJob* job : jobs) wanted_ += job->most;
    wanted_ = std::min(wanted_, kHandOut);
  }

  size_t wanted() const { return wanted_; }
  bool full() const { return wanted_ == 0 || at_ == jobs_.size(); }

  // Finds the task of each job that moves messages; such a job that has nothing to do any more is full at once.
  Task<void> begin() {
    for (ReceiveJob* job : jobs_) {
      if (job->sweep) job->stuck = true;
      if (job->move_task.empty()) continue;
      moves_.push_back(std::make_unique<Moves>(tx_, work_, queue_, now_));
      if (!co_await moves_.back()->begin(*job)) job->stuck = true;
    }
    next_job(0);
  }

  // A message that lies at `place` (`lies`: its row is there). `before`: as it was in flight, when it was. Its former
  // index rows are the caller's business; its own row is dropped here when it is handed to nobody.
  Task<void> offer(std::string place, StoredMessage message, InFlight before, bool lies) {
    const bool was_in_flight = before.received.micros != 0;
    const bool expired = message.sent + std::chrono::seconds(queue_.retention) <= now_;
    ReceiveJob& job = *jobs_[at_];
    bool gone = expired;
    if (!gone && job.move_task.empty()) {
      gone = co_await dead_letters_.take(message, before.count, before.first_received);
    } else if (!gone) {
      gone = co_await moves_[move_at_]->take(job, message);
      if (gone) --wanted_;
    }
    if (gone) {
      if (lies) tx_.erase(keys::message(queue_.contents, place));
      if (before.recorded) tx_.erase(keys::recorded(queue_.contents, place));
      tally.messages -= 1;
      if (was_in_flight) tally.handed_out -= 1;
      again = again || job.move_task.empty();
    } else {
      if (!lies) tx_.put(keys::message(queue_.contents, place), kv::encode(message));
      if (!was_in_flight) tally.handed_out += 1;
      if (job.stuck) {
        put_back(place, message, before);
      } else {
        hand_out(job, std::move(place), std::move(message), before);
      }
    }
    if (job.stuck || job.items.size() + job.moved >= job.most) next_job(at_ + 1);
  }

  // Writes what the move tasks have done.
  void finish() {
    size_t move = 0;
    for (ReceiveJob* job : jobs_) {
      if (!job->move_task.empty()) moves_[move++]->finish(*job);
    }
  }

  Tally tally;         // of the receivers
  bool again = false;  // some rows led to nobody, or not all were looked at

 private:
  void next_job(size_t at) {
    for (size_t i = at_; i < at && i < jobs_.size(); ++i) move_at_ += jobs_[i]->move_task.empty() ? 0 : 1;
    at_ = at;
    while (at_ < jobs_.size() && jobs_[at_]->stuck) {
      move_at_ += jobs_[at_]->move_task.empty() ? 0 : 1;
      ++at_;
    }
  }

  void hand_out(ReceiveJob& job, std::string place, StoredMessage message, InFlight before) {
    const Time deadline = now_ + std::chrono::seconds(job.visibility.value_or(queue_.visibility));
    InFlight after = before;
    after.count += 1;
    after.received = now_;
    after.group = message.group;
    if (!message.group.empty() && before.received.micros == 0) {
      tx_.on_commit([load = work_.load, group = message.group] { load->add(group, 1); });
    }
    if (before.count == 0) after.first_received = message.received > 0 ? message.first_received : now_;
    if (before.received.micros != 0) {
      after.recorded = true;
      tx_.put(keys::recorded(queue_.contents, place), encode_time(deadline));
    }
    tx_.put(keys::in_flight(queue_.contents, deadline, place), kv::encode(after));
    ReceiveJob::Item item;
    item.count = message.received + after.count;
    item.first_received = after.first_received;
    item.handle.queue = queue_.id;
    item.handle.contents = queue_.contents;
    item.handle.receive = static_cast<uint64_t>(after.count);
    item.handle.deadline = deadline;
    item.handle.place = std::move(place);
    item.message = std::move(message);
    job.items.push_back(std::move(item));
    --wanted_;
  }

  // Visible as before, though no longer new.
  void put_back(const std::string& place, const StoredMessage& message, InFlight before) {
    before.received = now_;
    before.group = message.group;
    if (before.recorded) tx_.put(keys::recorded(queue_.contents, place), encode_time(now_));
    tx_.put(keys::in_flight(queue_.contents, now_, place), kv::encode(before));
  }

  kv::Txn& tx_;
  const Work& work_;
  const QueueRecord& queue_;
  std::vector<ReceiveJob*>& jobs_;
  DeadLetters dead_letters_;
  std::vector<std::unique_ptr<Moves>> moves_;  // one for each job that moves, in their order
  const Time now_;
  size_t wanted_ = 0, at_ = 0, move_at_ = 0;
};

// Messages whose visibility time-out is over.
Task<void> offer_returned(kv::Txn& tx, kv::Reader& view, const QueueRecord& queue, Time now, HandOut& out) {
  const std::string prefix = keys::in_flight(queue.contents);
  const auto rows =
      co_await view.scan({prefix, keys::in_flight(queue.contents, {now.micros + 1})}, {.limit = out.wanted()});
  size_t read = 0;
  for (const kv::Entry& row : rows) {
    if (out.full()) break;
    if (read >= kHandOutBytes) {
      out.again = true;
      break;
    }
    const auto bytes = co_await tx.get(row.key);
    if (!bytes) continue;  // deleted meanwhile
    std::string place = row.key.substr(prefix.size() + 8);
    auto message = co_await tx.get_relaxed(keys::message(queue.contents, place));
    tx.erase(row.key);
    if (!message) continue;
    read += message->size();
    co_await out.offer(std::move(place), kv::decode<StoredMessage>(*message), kv::decode<InFlight>(*bytes), true);
  }
}

// Messages whose delay is over. Only receivers take them, so what a view shows is still there.
Task<void> offer_delayed(kv::Txn& tx, kv::Reader& view, const QueueRecord& queue, Time now, HandOut& out) {
  const std::string prefix = keys::delayed(queue.contents);
  const auto rows = co_await view.scan({prefix, keys::delayed(queue.contents, {now.micros + 1})},
                                       {.limit = out.wanted(), .byte_limit = kHandOutBytes});
  out.again |= cut_short(rows);
  for (const kv::Entry& row : rows) {
    if (out.full()) break;
    tx.erase(row.key);
    out.tally.delayed -= 1;
    co_await out.offer("m" + row.key.substr(prefix.size()), kv::decode<StoredMessage>(row.value), {}, false);
  }
}

// A message that nobody received yet, and where it lies.
struct Unread {
  std::string place;
  StoredMessage message;
};

// Messages of noisy groups that others went before, the oldest first. Only receivers take them.
Task<void> offer_set_aside(kv::Txn& tx, kv::Reader& view, const QueueRecord& queue, size_t most, HandOut& out) {
  const std::string prefix = keys::set_aside(queue.contents);
  const auto rows = co_await view.scan(kv::prefix_range(prefix), {.limit = std::min(out.wanted(), most)});
  for (const kv::Entry& row : rows) {
    if (out.full()) break;
    if (!co_await tx.get_relaxed(row.key)) continue;  // taken earlier in this transaction
    std::string place = row.key.substr(prefix.size());
    const auto message = co_await tx.get_relaxed(keys::message(queue.contents, place));
    tx.erase(row.key);
    if (message) co_await out.offer(std::move(place), kv::decode<StoredMessage>(*message), {}, true);
  }
}

// New messages, from where the last receive ended. Those of noisy groups are set aside, for when there are no others.
Task<void> offer_new(kv::Txn& tx, kv::Reader& view, const Work& work, const QueueRecord& queue, size_t room,
                     HandOut& out) {
  // Others go before them, but not for ever.
  if (out.wanted() >= 10) co_await offer_set_aside(tx, view, queue, out.wanted() / 10, out);
  const std::string prefix = keys::message(queue.contents, {});
  const std::string fresh = keys::fresh(queue.contents);
  const std::string from = out.tally.head.empty() ? fresh : keys::message(queue.contents, out.tally.head) + '\0';
  kv::Range range{from, kv::prefix_end(fresh)};
  std::vector<Unread> aside;
  size_t bytes = 0;
  while (!out.full() && room > 0 && aside.size() < kLookAhead && bytes < kHandOutBytes) {
    const size_t limit = std::min(out.wanted(), room);
    const auto rows = co_await view.scan(range, {.limit = limit, .byte_limit = kHandOutBytes});
    for (const kv::Entry& row : rows) {
      if (out.full() || room == 0) break;
      bytes += row.value.size();
      range.begin = row.key + '\0';
      out.tally.head = row.key.substr(prefix.size());
      auto message = kv::decode<StoredMessage>(row.value);
      if (!message.group.empty() && work.load->is_noisy(message.group)) {
        tx.put(keys::set_aside(queue.contents) + out.tally.head, "");
        aside.push_back({out.tally.head, std::move(message)});
      } else {
        co_await out.offer(out.tally.head, std::move(message), {}, true);
        --room;
      }
    }
    out.again |= cut_short(rows);
    if (rows.size() < limit) break;
  }
  if (!out.full() && room > 0) co_await offer_set_aside(tx, view, queue, room, out);
  for (Unread& unread : aside) {
    if (out.full()) break;
    tx.erase(keys::set_aside(queue.contents) + unread.place);
    co_await out.offer(std::move(unread.place), std::move(unread.message), {}, true);
  }
}

// Drops new messages that are past the queue's retention; answers how many.
Task<size_t> sweep(kv::Txn& tx, kv::Reader& view, const QueueRecord& queue, Time now, Tally& tally) {
  const std::string prefix = keys::message(queue.contents, {});
  const std::string fresh = keys::fresh(queue.contents);
  const std::string from = tally.head.empty() ? fresh : keys::message(queue.contents, tally.head) + '\0';
  size_t dropped = 0;
  for (const kv::Entry& row :
       co_await view.scan({from, kv::prefix_end(fresh)}, {.limit = kSweep, .byte_limit = kHandOutBytes})) {
    if (kv::decode<StoredMessage>(row.value).sent + std::chrono::seconds(queue.retention) > now) break;
    tx.erase(row.key);
    tally.head = row.key.substr(prefix.size());
    tally.messages -= 1;
    ++dropped;
  }
  co_return dropped;
}

}  // namespace

Task<void> work_sends(Work work, std::vector<SendJob*> jobs) {
  co_await work.db.transact([&](kv::Txn& tx) -> Task<void> {
    const auto queue = co_await find_queue(tx, work.queue);
    if (!queue) co_await fail(err::QueueDoesNotExist("The specified queue does not exist."));
    const std::string writer{'s', work.line};
    Tally tally = co_await read_tally(tx, queue->contents, writer);
    for (const SendJob* job : jobs) {
      for (const SendJob::Entry& entry : job->entries) {
        tally.messages += 1;
        if (entry.due.micros != 0) tally.delayed += 1;
        tx.put_ordered(entry.due.micros != 0 ? keys::delayed(queue->contents, entry.due) : keys::fresh(queue->contents),
                       entry.bytes);
      }
    }
    tx.put(keys::tally(queue->contents, writer), kv::encode(tally));
    tx.on_commit([work] { work.desks.wake(work.queue); });
  });
}

Task<Worked> work_receives(Work work, std::vector<ReceiveJob*> jobs) {
  co_return co_await work.db.transact([&](kv::Txn& tx) -> Task<Worked> {
    for (ReceiveJob* job : jobs) {
      job->items.clear();
      job->refused = false;
    }
    const Time now = work.clock.now();
    const auto queue = co_await find_queue(tx, work.queue);
    if (!queue) co_return err::QueueDoesNotExist("The specified queue does not exist.");
    HandOut out(tx, work, *queue, jobs, now);
    out.tally = co_await read_tally(tx, queue->contents, "r");
    const std::string tally_before = kv::encode(out.tally);
    // Reading through a view of its own keeps the ends of the ranges, where others write, out of this transaction.
    const auto view = work.db.snapshot();

    Worked worked;
    for (ReceiveJob* job : jobs) {
      if (job->sweep) job->moved = co_await sweep(tx, *view, *queue, now, out.tally);
    }
    co_await out.begin();
    co_await offer_returned(tx, *view, *queue, now, out);
    if (!out.full()) co_await offer_delayed(tx, *view, *queue, now, out);
    if (!out.full()) {
      int64_t handed_out = out.tally.handed_out;
      for (const char* writer : {"d0", "d1"}) {
        const auto edits = co_await tx.get_relaxed(keys::tally(queue->contents, writer));
        if (edits) handed_out += kv::decode<Tally>(*edits).handed_out;
      }
      const int64_t room = kMaxInFlight - handed_out;
      if (room > 0) {
        co_await offer_new(tx, *view, work, *queue, static_cast<size_t>(room), out);
      } else {
        for (ReceiveJob* job : jobs) job->refused = job->items.empty() && job->move_task.empty() && !job->sweep;
      }
    }
    out.finish();
    if (const std::string bytes = kv::encode(out.tally); bytes != tally_before) {
      tx.put(keys::tally(queue->contents, "r"), bytes);
    }
    if (!out.full()) {
      const Time later{now.micros + 1};
      worked.again = out.again;
      worked.next =
          co_await next_time(*view, keys::in_flight(queue->contents), keys::in_flight(queue->contents, later));
      const auto delayed =
          co_await next_time(*view, keys::delayed(queue->contents), keys::delayed(queue->contents, later));
      if (delayed && (!worked.next || *delayed < *worked.next)) worked.next = delayed;
      // What this transaction hands out itself is not in the view.
      for (const ReceiveJob* job : jobs) {
        for (const auto& item : job->items) {
          if (!worked.next || item.handle.deadline < *worked.next) worked.next = item.handle.deadline;
        }
      }
    }
    co_return worked;
  });
}

namespace {

struct Found {
  std::string key;
  Time deadline;
  InFlight row;
};

// The in-flight row of the message that a handle is of, wherever later receives and changes took it.
Task<std::optional<Found>> find_in_flight(kv::Txn& tx, Handle handle) {
  Found found{keys::in_flight(handle.contents, handle.deadline, handle.place), handle.deadline, {}};
  auto bytes = co_await tx.get(found.key);
  if (!bytes) {
    const auto recorded = co_await tx.get(keys::recorded(handle.contents, handle.place));
    if (!recorded) co_return std::nullopt;
    found.deadline = decode_time(*recorded);
    found.key = keys::in_flight(handle.contents, found.deadline, handle.place);
    bytes = co_await tx.get(found.key);
    if (!bytes) co_return std::nullopt;
  }
  found.row = kv::decode<InFlight>(*bytes);
  co_return found;
}

Task<bool> work_edit(kv::Txn& tx, const Work& work, const QueueRecord& queue, Time now, EditJob::Edit& edit,
                     Tally& tally) {
  edit.outcome = EditJob::Outcome::kGone;
  if (edit.handle.contents != queue.contents) co_return false;
  auto found = co_await find_in_flight(tx, edit.handle);
  if (!found) co_return false;
  edit.outcome = EditJob::Outcome::kDone;
  const std::string recorded = keys::recorded(queue.contents, edit.handle.place);
  if (!edit.visibility) {
    tx.erase(found->key);
    tx.erase(keys::message(queue.contents, edit.handle.place));
    if (found->row.recorded) tx.erase(recorded);
    if (!found->row.group.empty()) {
      tx.on_commit([load = work.load, group = found->row.group] { load->add(group, -1); });
    }
    tally.messages -= 1;
    tally.handed_out -= 1;
    co_return false;
  }
  const Time deadline = now + std::chrono::seconds(*edit.visibility);
  if (deadline > found->row.received + std::chrono::seconds(kMaxVisibility)) {
    edit.outcome = EditJob::Outcome::kTooLong;
  } else {
    found->row.recorded = true;
    tx.erase(found->key);
    tx.put(keys::in_flight(queue.contents, deadline, edit.handle.place), kv::encode(found->row));
    tx.put(recorded, encode_time(deadline));
    co_return true;
  }
  co_return false;
}

}  // namespace

Task<void> work_edits(Work work, std::vector<EditJob*> jobs) {
  co_await work.db.transact([&](kv::Txn& tx) -> Task<void> {
    const Time now = work.clock.now();
    const auto queue = co_await find_queue(tx, work.queue);
    if (!queue) co_await fail(err::QueueDoesNotExist("The specified queue does not exist."));
    const std::string writer{'d', work.line};
    Tally tally = co_await read_tally(tx, queue->contents, writer);
    bool changed = false;
    const int64_t before = tally.messages;
    for (EditJob* job : jobs) {
      for (EditJob::Edit& edit : job->edits) changed |= co_await work_edit(tx, work, *queue, now, edit, tally);
    }
    if (tally.messages != before) tx.put(keys::tally(queue->contents, writer), kv::encode(tally));
    if (changed) tx.on_commit([work] { work.desks.wake(work.queue); });
  });
}

}  // namespace virga::sqs
