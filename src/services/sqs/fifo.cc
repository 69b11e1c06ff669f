// The transactions of FIFO queues. One worker does sends, receives and edits, so a batch reads what it wrote itself.
//
// A message group that has messages has a Group row and a turn. The turn stands at the moment from which its first
// message can be had: when it was sent, when its delay is over, or when it becomes visible again; until then the group
// is locked. So groups come in the order in which they became ready. Messages after one that is in flight are not to be
// had, whatever their own time-outs.
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

constexpr size_t kTurnsAtOnce = 256;
constexpr int kSequenceBits = 44;  // of a queue's sequence numbers between two purges

int64_t bucket_of(Time t) { return t.micros / std::chrono::microseconds(kDeduplication).count(); }

struct Lying {
  std::string key;
  uint64_t sequence;
  StoredMessage message;
};

class Fifo {
 public:
  Fifo(kv::Txn& tx, const Work& work, const QueueRecord& queue, Tally tally)
      : tx_(tx),
        queue_(queue),
        tally_(std::move(tally)),
        now_(work.clock.now()),
        dead_letters_(tx, work, queue, now_),
        moves_(tx, work, queue, now_) {}

  Task<void> send(SendJob& job);
  Task<void> receive(ReceiveJob& job);
  Task<void> edit(EditJob::Edit& edit);
  Task<std::optional<Time>> next_turn();
  void finish();

  bool again = false;  // turns were passed without handing out anything

 private:
  Task<std::optional<Group>> find_group(std::string name);
  Task<std::vector<Lying>> first_messages(std::string group, uint64_t from, size_t limit);
  Task<void> settle(std::string name, Group group, std::optional<Lying> head);
  Task<void> receive_group(ReceiveJob& job, Turn turn);
  Task<int64_t> in_flight();
  Task<void> sweep(ReceiveJob& job);
  Task<bool> replay(ReceiveJob& job);
  void hand_out(ReceiveJob& job, Group& group, Lying lying);
  Task<std::optional<Sent>> find_sent(std::string group, std::string deduplication);
  bool by_group() const { return queue_.deduplication_scope == "messageGroup"; }

  kv::Txn& tx_;
  const QueueRecord& queue_;
  Tally tally_;
  const Time now_;
  DeadLetters dead_letters_;
  Moves moves_;
};

Task<std::optional<Group>> Fifo::find_group(std::string name) {
  const auto bytes = co_await tx_.get(keys::group(queue_.contents, name));
  if (!bytes) co_return std::nullopt;
  co_return kv::decode<Group>(*bytes);
}

Task<std::vector<Lying>> Fifo::first_messages(std::string group, uint64_t from, size_t limit) {
  const std::string prefix = keys::group_messages(queue_.contents, group);
  std::vector<Lying> out;
  for (kv::Entry& row : co_await tx_.scan({keys::group_message(queue_.contents, group, from), kv::prefix_end(prefix)},
                                          {.limit = limit, .byte_limit = kHandOutBytes})) {
    kv::KeyReader key(std::string_view(row.key).substr(prefix.size()));
    const uint64_t sequence = key.u64();
    out.push_back({std::move(row.key), sequence, kv::decode<StoredMessage>(row.value)});
  }
  co_return out;
}

// Writes the group and its turn as they now must be. `head`: its first message when the caller knows it.
Task<void> Fifo::settle(std::string name, Group group, std::optional<Lying> head) {
  tx_.erase(keys::turn(queue_.contents, {group.ready, group.turn, name}));
  if (group.touched.empty() && !head) {
    auto first = co_await first_messages(name, group.first, 1);
    if (first.empty()) {
      tx_.erase(keys::group(queue_.contents, name));
      co_return;
    }
    head = std::move(first.front());
  }
  if (group.touched.empty()) {
    group.ready = head->message.due > now_ ? head->message.due : std::min(group.ready, now_);
    group.first = head->sequence;
  } else {  // whatever was received before is before everything that was not
    group.ready = group.touched.front().deadline;
    group.first = group.touched.front().sequence;
  }
  group.turn = group.first;
  tx_.put(keys::turn(queue_.contents, {group.ready, group.turn, name}), kv::encode(in_flight_at(group, now_)));
  tx_.put(keys::group(queue_.contents, name), kv::encode(group));
}

Task<std::optional<Sent>> Fifo::find_sent(std::string group, std::string deduplication) {
  const int64_t bucket = bucket_of(now_);
  // The next one too: the clock may have been put back.
  for (const int64_t b : {bucket, bucket - 1, bucket + 1}) {
    const auto bytes = co_await tx_.get(keys::sent(queue_.id, b, group, deduplication));
    if (!bytes) continue;
    Sent sent = kv::decode<Sent>(*bytes);
    if (sent.at + kDeduplication > now_ && sent.at - kDeduplication < now_) co_return sent;
  }
  co_return std::nullopt;
}

Task<void> Fifo::send(SendJob& job) {
  for (SendJob::Entry& entry : job.entries) {
    entry.sent_id.clear();
    const std::string scope = by_group() ? entry.group : std::string();
    if (const auto before = co_await find_sent(scope, entry.deduplication)) {
      entry.sent_id = before->id;
      entry.sequence = before->sequence;
      continue;
    }
    entry.sequence = co_await append_fifo(tx_, queue_, tally_, entry.group, entry.bytes, entry.due, now_);
    tx_.put(keys::sent(queue_.id, bucket_of(now_), scope, entry.deduplication),
            kv::encode(Sent{entry.id, entry.sequence, now_}));
  }
}

void Fifo::hand_out(ReceiveJob& job, Group& group, Lying lying) {
  auto touched = std::ranges::find(group.touched, lying.sequence, &Group::Touched::sequence);
  if (touched == group.touched.end()) {
    tally_.handed_out += 1;
    Group::Touched fresh;
    fresh.sequence = lying.sequence;
    fresh.first_received = lying.message.received > 0 ? lying.message.first_received : now_;
    touched = group.touched.insert(
        std::ranges::upper_bound(group.touched, lying.sequence, {}, &Group::Touched::sequence), fresh);
  }
  touched->count += 1;
  touched->receive = static_cast<uint64_t>(touched->count);
  touched->received = now_;
  touched->deadline = now_ + std::chrono::seconds(job.visibility.value_or(queue_.visibility));
  ReceiveJob::Item item;
  item.count = lying.message.received + touched->count;
  item.first_received = touched->first_received;
  item.sequence = lying.sequence;
  item.handle.queue = queue_.id;
  item.handle.contents = queue_.contents;
  item.handle.receive = touched->receive;
  item.handle.deadline = touched->deadline;
  item.handle.sequence = lying.sequence;
  item.handle.group = lying.message.group;
  item.message = std::move(lying.message);
  job.items.push_back(std::move(item));
}

Task<void> Fifo::receive_group(ReceiveJob& job, Turn turn) {
  auto group = co_await find_group(turn.group);
  if (!group || group->ready != turn.ready || group->turn != turn.sequence) co_return;  // taken in this batch
  std::optional<Lying> head;
  bool full = false;
  while (!full) {
    auto lying = co_await first_messages(turn.group, group->first, job.most - job.items.size() - job.moved);
    if (lying.empty()) break;
    for (Lying& next : lying) {
      const auto touched = std::ranges::find(group->touched, next.sequence, &Group::Touched::sequence);
      const bool seen = touched != group->touched.end();
      if (seen && touched->deadline > now_) {
        full = true;
        break;
      }
      if (!seen && next.message.due > now_) {
        full = true;
        if (!head) head = std::move(next);
        break;
      }
      const bool expired = next.message.sent + std::chrono::seconds(queue_.retention) <= now_;
      bool gone = expired;
      if (!gone && job.move_task.empty()) {
        gone = co_await dead_letters_.take(next.message, seen ? touched->count : 0,
                                           seen ? touched->first_received : Time{});
      } else if (!gone) {
        gone = co_await moves_.take(job, next.message);
        if (!gone) {  // it has nowhere to go: stays where it is
          full = true;
          if (group->touched.empty()) head = std::move(next);
          break;
        }
      }
      group->first = next.sequence + 1;
      if (gone) {
        tx_.erase(next.key);
        tally_.messages -= 1;
        if (seen) {
          tally_.handed_out -= 1;
          group->touched.erase(touched);
        }
        again = again || job.move_task.empty();
      } else {
        hand_out(job, *group, std::move(next));
      }
      full = job.items.size() + job.moved >= job.most;
      if (full) break;
    }
  }
  co_await settle(turn.group, std::move(*group), std::move(head));
}

// Drops what is past the queue's retention at the head of the groups that can be had.
Task<void> Fifo::sweep(ReceiveJob& job) {
  job.moved = 0;
  const kv::Range turns{keys::turns(queue_.contents), keys::turns_until(queue_.contents, now_)};
  for (const kv::Entry& row : co_await tx_.scan(turns, {.limit = kTurnsAtOnce})) {
    const Turn turn = keys::parse_turn(row.key);
    auto group = co_await find_group(turn.group);
    if (!group) continue;
    size_t dropped = 0;
    for (const Lying& lying : co_await first_messages(turn.group, group->first, kSweep)) {
      if (lying.message.sent + std::chrono::seconds(queue_.retention) > now_) break;
      tx_.erase(lying.key);
      group->first = lying.sequence + 1;
      tally_.messages -= 1;
      const auto erased = std::erase_if(group->touched, [&](const auto& t) { return t.sequence == lying.sequence; });
      tally_.handed_out -= static_cast<int64_t>(erased);
      ++dropped;
    }
    if (dropped > 0) co_await settle(turn.group, std::move(*group), std::nullopt);
    job.moved += dropped;
  }
}

Task<int64_t> Fifo::in_flight() {
  int64_t count = 0;
  const kv::Range later{keys::turns_until(queue_.contents, now_), kv::prefix_end(keys::turns(queue_.contents))};
  for (const kv::Entry& row : co_await tx_.scan(later, {.limit = static_cast<size_t>(kMaxInFlightFifo)})) {
    count += kv::decode<int64_t>(row.value);
  }
  co_return count;
}

// The answer of a receive with the same attempt id, if all of its messages are still in flight by it.
Task<bool> Fifo::replay(ReceiveJob& job) {
  std::optional<Attempt> attempt;
  for (const int64_t b : {bucket_of(now_), bucket_of(now_) - 1, bucket_of(now_) + 1}) {
    const auto bytes = co_await tx_.get(keys::attempt(queue_.id, b, job.attempt));
    if (!bytes) continue;
    attempt = kv::decode<Attempt>(*bytes);
    if (attempt->at + kDeduplication > now_) break;
    attempt.reset();
  }
  if (!attempt) co_return false;
  std::map<std::string, Group> groups;
  for (const Attempt::Message& m : attempt->messages) {
    if (!groups.contains(m.group)) {
      auto group = co_await find_group(m.group);
      if (!group) co_return false;
      groups.emplace(m.group, std::move(*group));
    }
    const auto& touched = groups.at(m.group).touched;
    const auto found = std::ranges::find(touched, m.sequence, &Group::Touched::sequence);
    if (found == touched.end() || found->receive != m.receive || found->deadline <= now_) co_return false;
  }
  for (const Attempt::Message& m : attempt->messages) {
    Group& group = groups.at(m.group);
    auto lying = co_await first_messages(m.group, m.sequence, 1);
    if (lying.empty() || lying.front().sequence != m.sequence) co_return false;
    const auto touched = std::ranges::find(group.touched, m.sequence, &Group::Touched::sequence);
    touched->count -= 1;  // not another receive: the same one again
    hand_out(job, group, std::move(lying.front()));
  }
  for (auto& [name, group] : groups) co_await settle(name, std::move(group), std::nullopt);
  co_return true;
}

Task<void> Fifo::receive(ReceiveJob& job) {
  job.items.clear();
  job.refused = false;
  if (job.sweep) co_return co_await sweep(job);
  if (!job.move_task.empty() && !co_await moves_.begin(job)) {
    job.stuck = true;
    co_return;
  }
  if (!job.attempt.empty() && co_await replay(job)) co_return;
  job.items.clear();
  // Of those handed out some may be visible again.
  if (tally_.handed_out >= kMaxInFlightFifo && co_await in_flight() >= kMaxInFlightFifo) {
    job.refused = true;
    co_return;
  }
  const kv::Range ready{keys::turns(queue_.contents), keys::turns_until(queue_.contents, now_)};
  for (const kv::Entry& row : co_await tx_.scan(ready, {.limit = kTurnsAtOnce})) {
    co_await receive_group(job, keys::parse_turn(row.key));
    if (job.items.size() + job.moved >= job.most || job.stuck) break;
  }
  if (!job.move_task.empty()) moves_.finish(job);
  if (job.attempt.empty() || job.items.empty()) co_return;
  Attempt attempt;
  attempt.at = now_;
  for (const auto& item : job.items)
    attempt.messages.push_back({item.handle.group, item.sequence, item.handle.receive});
  tx_.put(keys::attempt(queue_.id, bucket_of(now_), job.attempt), kv::encode(attempt));
}

Task<void> Fifo::edit(EditJob::Edit& edit) {
  edit.outcome = EditJob::Outcome::kGone;
  if (edit.handle.contents != queue_.contents) co_return;
  auto group = co_await find_group(edit.handle.group);
  if (!group) co_return;
  const auto touched = std::ranges::find(group->touched, edit.handle.sequence, &Group::Touched::sequence);
  if (touched == group->touched.end()) co_return;
  edit.outcome = EditJob::Outcome::kExpired;
  if (touched->receive != edit.handle.receive || touched->deadline <= now_) co_return;
  edit.outcome = EditJob::Outcome::kDone;
  if (!edit.visibility) {
    tx_.erase(keys::group_message(queue_.contents, edit.handle.group, edit.handle.sequence));
    tally_.messages -= 1;
    tally_.handed_out -= 1;
    if (group->first == touched->sequence) group->first += 1;
    group->touched.erase(touched);
  } else {
    const Time deadline = now_ + std::chrono::seconds(*edit.visibility);
    if (deadline > touched->received + std::chrono::seconds(kMaxVisibility)) {
      edit.outcome = EditJob::Outcome::kTooLong;
      co_return;
    }
    touched->deadline = deadline;
  }
  co_await settle(edit.handle.group, std::move(*group), std::nullopt);
}

Task<std::optional<Time>> Fifo::next_turn() {
  const auto rows = co_await tx_.scan(
      {keys::turns_until(queue_.contents, now_), kv::prefix_end(keys::turns(queue_.contents))}, {.limit = 1});
  if (rows.empty()) co_return std::nullopt;
  co_return keys::parse_turn(rows.front().key).ready;
}

void Fifo::finish() {
  if (queue_.delay > 0) {  // those rows only count what is delayed
    tx_.erase_range({keys::delayed(queue_.contents), keys::delayed(queue_.contents, {now_.micros + 1})});
  }
  const int64_t bucket = bucket_of(now_);
  if (bucket - 1 > tally_.bucket) {
    tx_.erase_range({keys::buckets(queue_.id), keys::buckets_before(queue_.id, bucket - 1)});
    tally_.bucket = bucket - 1;
  }
  tx_.put(keys::tally(queue_.contents, "f"), kv::encode(tally_));
}

}  // namespace

Task<uint64_t> append_fifo(kv::Txn& tx, const QueueRecord& queue, Tally& tally, std::string group, std::string bytes,
                           Time due, Time now) {
  const uint64_t sequence = std::max(tally.last_sequence, queue.purges << kSequenceBits) + 1;
  tally.last_sequence = sequence;
  tally.messages += 1;
  tx.put(keys::group_message(queue.contents, group, sequence), std::move(bytes));
  if (due.micros != 0) {
    std::string row = keys::delayed(queue.contents, due);
    append_be64(row, sequence);
    tx.put(std::move(row), "");
  }
  const std::string row = keys::group(queue.contents, group);
  if (!co_await tx.get(row)) {
    const Group fresh{{}, sequence, std::max(due, now), sequence};
    tx.put(row, kv::encode(fresh));
    tx.put(keys::turn(queue.contents, {fresh.ready, sequence, group}), kv::encode(int64_t{0}));
  }
  co_return sequence;
}

Task<Worked> work_fifo(Work work, std::vector<Job*> jobs) {
  co_return co_await work.db.transact([&](kv::Txn& tx) -> Task<Worked> {
    const auto queue = co_await find_queue(tx, work.queue);
    if (!queue) co_return err::QueueDoesNotExist("The specified queue does not exist.");
    Tally tally = co_await read_tally(tx, queue->contents, "f");
    Fifo fifo(tx, work, *queue, std::move(tally));
    Worked worked;
    bool changed = false, unserved = false, wake = false;
    // Edits and sends first: a receive beside them finds what they did.
    for (Job* job : jobs) {
      if (job->kind == Job::Kind::kSend) {
        co_await fifo.send(*static_cast<SendJob*>(job));
        changed = wake = true;
      } else if (job->kind == Job::Kind::kEdit) {
        for (EditJob::Edit& edit : static_cast<EditJob*>(job)->edits) {
          co_await fifo.edit(edit);
          changed |= edit.outcome == EditJob::Outcome::kDone;
        }
        wake |= changed;
      }
    }
    for (Job* job : jobs) {
      if (job->kind != Job::Kind::kReceive) continue;
      auto& receive = *static_cast<ReceiveJob*>(job);
      co_await fifo.receive(receive);
      changed |= !receive.items.empty() || receive.moved > 0;
      unserved |= receive.items.empty();
    }
    if (changed || fifo.again) fifo.finish();
    if (unserved) {
      worked.again = fifo.again;
      worked.next = co_await fifo.next_turn();
    }
    if (wake) tx.on_commit([work] { work.desks.wake(work.queue); });
    co_return worked;
  });
}

}  // namespace virga::sqs
