// Streams: a Reader for each slot of each open shard. A reader gathers a batch, calls the function, and moves its
// checkpoint on; batches of one reader follow each other, so the order of a shard (of a slot's keys, when a shard is
// divided by the parallelisation factor) is kept.
#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "kernel/cloud.h"
#include "kernel/event_source.h"
#include "kv/record.h"
#include "services/lambda/esm/batch.h"
#include "services/lambda/esm/engine.h"
#include "services/lambda/esm/filter.h"

namespace virga::lambda::esm {
namespace {

using kernel::StreamRecord;
using Steady = std::chrono::steady_clock;

constexpr auto kIdleWait = std::chrono::seconds(60);    // then the source is asked whether the role may still read
constexpr auto kUnsavedWait = std::chrono::seconds(1);  // before what was only passed over is saved
constexpr auto kFirstBackOff = std::chrono::milliseconds(200);
constexpr auto kLongestBackOff = std::chrono::seconds(60);
constexpr auto kRetention = std::chrono::hours(24);  // of DynamoDB's streams
constexpr size_t kEnvelope = 4096;                   // of an event around its records

// Before a call that found no concurrency free is tried again: soon, but not in step with others that wait for it.
Micros throttle_pause() { return Micros(50'000 + static_cast<int64_t>(random_u64() % 450'000)); }

class BackOff {
 public:
  Micros next() {
    const Micros now = next_;
    next_ = std::min<Micros>(next_ * 2, kLongestBackOff);
    return now;
  }
  void reset() { next_ = kFirstBackOff; }

 private:
  Micros next_ = kFirstBackOff;
};

struct Piece {
  std::vector<StreamRecord> records;
  int64_t attempts = 0;  // that failed
};

class Reader {
 public:
  Reader(Work& work, kernel::StreamSource& source, kernel::Arn arn, std::string shard, uint32_t slot, RoleSession& role,
         const Filters& filters)
      : work_(work),
        source_(source),
        arn_(std::move(arn)),
        shard_(std::move(shard)),
        slot_(slot),
        role_(role),
        filters_(filters) {}

  Task<void> run(Checkpoint from) {
    at_ = std::move(from);
    read_ = at_.position;
    while (!stopped()) {
      const Result<bool> turned = co_await as_result(turn());
      if (turned) {
        if (!*turned) break;
        continue;
      }
      // What was read and not checkpointed is read again, so that no failure leaves a gap.
      buffer_.clear();
      buffer_bytes_ = 0;
      read_ = at_.position;
      shard_ended_ = false;
      role_.forget();  // its permissions or itself may have changed
      problem(cat("PROBLEM: ", describe_short(turned.error())));
      co_await work_.stop->sleep(trouble_.next());
    }
  }
  bool ended() const { return ended_; }
  const std::string& shard() const { return shard_; }

 private:
  bool stopped() const { return work_.stop->asked(); }
  const Mapping& mapping() const { return work_.mapping; }
  Time now() const { return work_.deps.clock.now(); }
  Micros window_length() const { return std::chrono::seconds(mapping().tumbling); }
  Time window_of(Time t) const {
    const int64_t length = window_length().count();
    return {t.micros / length * length};
  }
  static std::string describe_short(const Failure& failure) {
    const Error* error = error_of(failure);
    return error ? error->message : virga::describe(failure);
  }
  void problem(std::string text) { work_.engine.note(mapping().uuid, std::move(text)); }

  // One batch, from its first record to its checkpoint. False when the shard has ended.
  Task<bool> turn() {
    co_await gather();
    trouble_.reset();
    if (stopped()) co_return true;
    if (mapping().tumbling > 0 && at_.in_window) co_await close_window();
    if (!buffer_.empty() && !stopped()) co_await handle(take_batch());
    if (!buffer_.empty() || !shard_ended_ || stopped()) co_return true;
    ended_ = true;
    co_return false;
  }

  bool mine(const StreamRecord& record) const {
    if (mapping().parallel == 1) return true;
    return read_be32(md5(record.group).data()) % static_cast<uint32_t>(mapping().parallel) == slot_;
  }

  // Or the clock was put back to before it.
  bool window_over() const { return at_.in_window && (now() >= at_.window + window_length() || now() < at_.window); }

  // Reads until there is a batch, or a window to close, or nothing more to come.
  Task<void> gather() {
    const size_t most = static_cast<size_t>(mapping().batch_size);
    const Micros window = std::chrono::seconds(mapping().window);
    Steady::time_point until = Steady::now() + window;
    while (!stopped()) {
      if (buffer_.size() >= most || buffer_bytes_ >= kMostPayload) co_return;
      if (!buffer_.empty() && (window.count() == 0 || Steady::now() >= until)) co_return;
      if (buffer_.empty() && mapping().tumbling > 0 && window_over()) co_return;
      Ctx ctx = co_await role_.context();
      const size_t wanted = (most - buffer_.size()) * static_cast<size_t>(mapping().parallel);
      kernel::StreamPage page =
          co_await source_.read_stream(ctx, arn_, shard_, read_, std::min<size_t>(wanted, 10'000), kMostPayload);
      const bool was_empty = buffer_.empty();
      for (StreamRecord& record : page.records) {
        if (!mine(record) || !filters_.passes(record.filter.empty() ? record.event : record.filter)) continue;
        buffer_bytes_ += record.event.size() + 1;
        buffer_.push_back(std::move(record));
      }
      if (was_empty && !buffer_.empty()) until = Steady::now() + window;
      const bool moved = page.position != read_;
      read_ = std::move(page.position);
      if (moved) continue;
      if (page.ended) {
        shard_ended_ = true;
        co_return;
      }
      co_await wait(page.version, until);
    }
  }

  Task<void> wait(uint64_t version, Steady::time_point until) {
    Micros longest = kIdleWait;
    if (!buffer_.empty()) {
      longest = std::chrono::duration_cast<Micros>(until - Steady::now());
    } else if (read_ != at_.position) {
      // Records that are not for the function: remembered, so that they are not read again after a restart.
      if (unsaved_since_ == Steady::time_point{}) unsaved_since_ = Steady::now();
      if (Steady::now() - unsaved_since_ >= kUnsavedWait) {
        co_await save(read_);
      } else {
        longest = kUnsavedWait;
      }
    }
    if (buffer_.empty() && at_.in_window) longest = std::min<Micros>(longest, at_.window + window_length() - now());
    longest = std::max<Micros>(longest, std::chrono::milliseconds(1));
    co_await source_.wait_stream(arn_, shard_, version, longest);
  }

  // The front of the buffer: at most a batch, at most 6 MB, of one tumbling window.
  Piece take_batch() {
    Piece piece;
    size_t bytes = kEnvelope;
    while (!buffer_.empty() && piece.records.size() < static_cast<size_t>(mapping().batch_size)) {
      StreamRecord& next = buffer_.front();
      const size_t size = next.event.size() + 1;
      if (!piece.records.empty() && bytes + size > kMostPayload) break;
      if (mapping().tumbling > 0 && !piece.records.empty() &&
          window_of(next.arrived) != window_of(piece.records[0].arrived)) {
        break;
      }
      bytes += size;
      buffer_bytes_ -= std::min(buffer_bytes_, size);
      piece.records.push_back(std::move(next));
      buffer_.pop_front();
    }
    return piece;
  }

  Task<void> handle(Piece whole) {
    std::deque<Piece> work;
    work.push_back(std::move(whole));
    BackOff back_off;
    while (!work.empty() && !stopped()) {
      Piece& piece = work.front();
      co_await drop_expired(piece);
      if (piece.records.empty()) {
        work.pop_front();
        continue;
      }
      const Ran ran = co_await call(piece, false);
      if (ran.kind != Ran::Kind::kAnswered) {
        problem(ran.kind == Ran::Kind::kThrottled ? "PROBLEM: Function call was throttled"
                                                  : cat("PROBLEM: ", ran.problem));
        co_await work_.stop->sleep(ran.kind == Ran::Kind::kThrottled ? throttle_pause() : back_off.next());
        continue;
      }
      const size_t done = succeeded(piece, ran);
      if (done == piece.records.size()) {
        problem("OK");
        back_off.reset();
        keep_window_state(piece, ran);
        const std::string last = piece.records.back().position;
        work.pop_front();
        co_await save(work.empty() && buffer_.empty() ? read_ : last);
        continue;
      }
      problem("PROBLEM: Function call failed");
      if (done > 0) {
        keep_window_state(piece, ran);
        const std::string last = piece.records[done - 1].position;
        piece.records.erase(piece.records.begin(), piece.records.begin() + static_cast<ptrdiff_t>(done));
        co_await save(last);
        // What is left is a batch of its own, with all its attempts before it.
        piece.attempts = 0;
        if (!mapping().bisect) co_await work_.stop->sleep(back_off.next());
        continue;
      }
      if (mapping().bisect && piece.records.size() > 1) {
        Piece second{{}, piece.attempts};
        const auto middle = piece.records.begin() + static_cast<ptrdiff_t>(piece.records.size() / 2);
        second.records.assign(std::make_move_iterator(middle), std::make_move_iterator(piece.records.end()));
        piece.records.erase(middle, piece.records.end());
        work.insert(work.begin() + 1, std::move(second));
        co_await work_.stop->sleep(kFirstBackOff / 4);
        continue;
      }
      ++piece.attempts;
      if (mapping().retries >= 0 && piece.attempts > mapping().retries) {
        co_await discard(piece.records, "RetryAttemptsExhausted", piece.attempts, &ran);
        work.pop_front();
        back_off.reset();
        continue;
      }
      co_await work_.stop->sleep(back_off.next());
    }
  }

  // How many records at the front of the piece are done with.
  size_t succeeded(const Piece& piece, const Ran& ran) const {
    if (!ran.answer.function_error.empty()) return 0;
    if (!mapping().reports_failures) return piece.records.size();
    size_t first = piece.records.size();
    const Verdict verdict = judge(ran.answer.payload, [&](const std::string& id) {
      for (size_t i = 0; i < piece.records.size(); ++i) {
        if (piece.records[i].sequence != id) continue;
        first = std::min(first, i);
        return true;
      }
      return false;
    });
    return verdict.all_failed ? 0 : first;
  }

  Task<Ran> call(const Piece& piece, bool final) {
    std::vector<const std::string*> records;
    for (const StreamRecord& record : piece.records) records.push_back(&record.event);
    if (mapping().tumbling == 0) {
      std::string event = event_of(records);
      co_return co_await work_.functions.run_for_mapping(mapping(), std::move(event));
    }
    if (!at_.in_window) {
      at_.in_window = true;
      at_.window = window_of(piece.records[0].arrived);
      at_.window_state.clear();
    }
    WindowView view{at_.window, at_.window + window_length(), at_.window_state, shard_, mapping().source, final,
                    early_};
    std::string event = event_of(records, &view);
    co_return co_await work_.functions.run_for_mapping(mapping(), std::move(event));
  }

  void keep_window_state(const Piece& piece, const Ran& ran) {
    if (mapping().tumbling == 0) return;
    at_.window_state = window_state_of(ran.answer.payload);
    early_ = at_.window_state.size() > kMostWindowState;
  }

  // Ends the open window when it is over: by the clock, by the next record, or because its state grew too large.
  Task<void> close_window() {
    const bool next_is_later = !buffer_.empty() && window_of(buffer_.front().arrived) > at_.window;
    const bool passed = buffer_.empty() && window_over();
    if (!next_is_later && !passed && !early_) co_return;
    BackOff back_off;
    for (int64_t attempts = 0; !stopped();) {
      const Ran ran = co_await call({}, true);
      if (ran.kind == Ran::Kind::kAnswered) {
        if (ran.answer.function_error.empty()) break;
        problem("PROBLEM: Function call failed");
        if (mapping().retries >= 0 && ++attempts > mapping().retries) break;
      }
      co_await work_.stop->sleep(back_off.next());
    }
    if (stopped()) co_return;
    at_.in_window = false;
    at_.window_state.clear();
    early_ = false;
    co_await save(at_.position);
  }

  Task<void> drop_expired(Piece& piece) {
    // Without a limit a record is tried for as long as its stream keeps it.
    const bool limited = mapping().record_age >= 0;
    if (!limited && arn_.service != "dynamodb") co_return;
    const Time oldest = now() - (limited ? Micros(std::chrono::seconds(mapping().record_age)) : Micros(kRetention));
    size_t expired = 0;
    while (expired < piece.records.size() && piece.records[expired].arrived < oldest) ++expired;
    if (expired == 0) co_return;
    const auto end = piece.records.begin() + static_cast<ptrdiff_t>(expired);
    std::vector<StreamRecord> old(std::make_move_iterator(piece.records.begin()), std::make_move_iterator(end));
    piece.records.erase(piece.records.begin(), end);
    co_await discard(old, "RecordAgeExceeded", piece.attempts, nullptr);
  }

  // Goes on without these records; what is known of them goes to the destination in the same transaction.
  Task<void> discard(const std::vector<StreamRecord>& records, std::string condition, int64_t attempts,
                     const Ran* ran) {
    Discarded discarded;
    discarded.condition = std::move(condition);
    discarded.attempts = attempts;
    discarded.shard = shard_;
    discarded.first_sequence = records.front().sequence;
    discarded.last_sequence = records.back().sequence;
    discarded.first_arrived = records.front().arrived;
    discarded.last_arrived = records.back().arrived;
    discarded.count = records.size();
    if (ran) {
      discarded.request_id = ran->request_id;
      discarded.version = ran->version;
      discarded.function_error = ran->answer.function_error;
    }
    if (!mapping().on_failure.empty()) {
      std::vector<const std::string*> events;
      for (const StreamRecord& record : records) events.push_back(&record.event);
      discarded.payload = event_of(events);
    }
    co_await save(records.back().position, &discarded);
  }

  Task<void> save(std::string position, const Discarded* discarded = nullptr) {
    Checkpoint next = at_;
    next.position = position;
    std::optional<kernel::TargetDelivery> letter;
    if (discarded && !mapping().on_failure.empty()) {
      letter = co_await work_.functions.letter_for_mapping(mapping(), *discarded);
    }
    co_await work_.deps.db.transact([&](kv::Txn& tx) -> Task<void> {
      co_await kv::require_lease(tx, work_.lease);
      tx.put(checkpoint_key(mapping().uuid, shard_, slot_), kv::encode(next));
      if (letter) work_.deps.targets.enqueue(tx, *letter);
    });
    at_.position = std::move(position);
    unsaved_since_ = {};
  }

  Work& work_;
  kernel::StreamSource& source_;
  const kernel::Arn arn_;
  const std::string shard_;
  const uint32_t slot_;
  RoleSession& role_;
  const Filters& filters_;
  Checkpoint at_;
  std::string read_;  // scanned up to
  std::deque<StreamRecord> buffer_;
  size_t buffer_bytes_ = 0;
  Steady::time_point unsaved_since_;
  BackOff trouble_;
  bool early_ = false;
  bool shard_ended_ = false, ended_ = false;
};

kernel::StreamStart start_of(const Mapping& mapping) {
  switch (mapping.start) {
    case Start::kLatest:
      return kernel::StreamStart::kLatest;
    case Start::kAtTimestamp:
      return kernel::StreamStart::kAtTimestamp;
    case Start::kNone:
    case Start::kTrimHorizon:
      break;
  }
  return kernel::StreamStart::kTrimHorizon;
}

class StreamPoller final : public Poller {
 public:
  explicit StreamPoller(Work& work)
      : work_(work), arn_(*kernel::parse_arn(work.mapping.source)), role_(work), filters_(work.mapping.filters) {}

  Task<void> run() override {
    BackOff trouble;
    while (!work_.stop->asked()) {
      const Result<void> begun = co_await as_result(begin_shards());
      if (begun) {
        trouble.reset();
        // Shards come when others end; a stream that is being split says so by ending one.
        co_await changed_.wait();
        changed_.reset();
        continue;
      }
      role_.forget();
      const Error* error = error_of(begun);
      work_.engine.note(work_.mapping.uuid, cat("PROBLEM: ", error ? error->message : virga::describe(begun.error())));
      co_await work_.stop->sleep(trouble.next());
    }
    while (running_ > 0) {
      changed_.reset();
      if (running_ > 0) co_await changed_.wait();
    }
  }

  Task<void> wake() override {
    changed_.set();
    if (!source_) co_return;
    const std::vector<std::string> shards = started_;  // more may begin meanwhile
    for (const std::string& shard : shards) co_await source_->wake_stream(arn_, shard);
  }

 private:
  // Starts readers of the shards that may be read: open to us, and their parents read to the end.
  Task<void> begin_shards() {
    source_ = kernel::find_stream_source(work_.deps.cloud, arn_);
    if (!source_) {
      static constexpr ErrorShape kNoSource{"ResourceNotFoundException", 404, Fault::kSender, {}};
      co_await fail(Error{&kNoSource, cat("Stream not found: ", work_.mapping.source), nullptr, {}});
    }
    Ctx ctx = co_await role_.context();
    const auto shards = co_await source_->stream_shards(ctx, arn_);
    std::map<std::string, Checkpoint> known;
    for (const kernel::StreamShard& shard : shards) known[shard.id] = co_await shard_checkpoint(ctx, shard);
    for (const kernel::StreamShard& shard : shards) {
      if (known[shard.id].ended || std::ranges::count(started_, shard.id)) continue;
      const bool waits = std::ranges::any_of(shard.parents, [&](const std::string& parent) {
        const auto found = known.find(parent);
        return found != known.end() && !found->second.ended;
      });
      if (!waits) co_await begin(shard.id, known[shard.id]);
    }
    co_await forget_shards(known);
  }

  // Of shards that were read to their ends and that the stream has forgotten nothing needs to be known any more.
  Task<void> forget_shards(const std::map<std::string, Checkpoint>& known) {
    std::set<std::string> kept;
    for (const auto& [shard, at] : known) kept.insert(checkpoint_key(work_.mapping.uuid, shard, kShardSlot));
    std::vector<std::string> gone;
    for (const kv::Entry& row : co_await work_.deps.db.snapshot()->scan(checkpoints_of(work_.mapping.uuid))) {
      if (!kept.contains(row.key) && kv::decode<Checkpoint>(row.value).ended) gone.push_back(row.key);
    }
    if (gone.empty()) co_return;
    co_await work_.deps.db.transact([&](kv::Txn& tx) -> Task<void> {
      co_await kv::require_lease(tx, work_.lease);
      for (const std::string& key : gone) tx.erase(key);
    });
  }

  // Where a shard stands as a whole; a shard that came later is read from its beginning.
  Task<Checkpoint> shard_checkpoint(Ctx& ctx, const kernel::StreamShard& shard) {
    const auto bytes = co_await work_.deps.db.snapshot()->get(checkpoint_key(work_.mapping.uuid, shard.id, kShardSlot));
    if (bytes) co_return kv::decode<Checkpoint>(*bytes);
    Checkpoint fresh;
    fresh.position = co_await source_->stream_start(ctx, arn_, shard.id, kernel::StreamStart::kTrimHorizon, Time{});
    co_return fresh;
  }

  // A reader for each slot. When a shard is divided otherwise than before, all go on from where the last one stood.
  Task<void> begin(std::string shard, Checkpoint whole) {
    const auto slots = static_cast<uint32_t>(work_.mapping.parallel);
    std::vector<Checkpoint> at = co_await work_.deps.db.transact([&](kv::Txn& tx) -> Task<std::vector<Checkpoint>> {
      std::map<uint32_t, Checkpoint> stored;
      for (uint32_t slot = 0; slot < whole.slots; ++slot) {
        const auto bytes = co_await tx.get(checkpoint_key(work_.mapping.uuid, shard, slot));
        if (bytes) stored[slot] = kv::decode<Checkpoint>(*bytes);
      }
      std::vector<Checkpoint> out(slots, whole);
      if (whole.slots == slots) {
        for (const auto& [slot, checkpoint] : stored) out[slot] = checkpoint;
        co_return out;
      }
      std::optional<std::string> least;
      for (uint32_t slot = 0; slot < whole.slots; ++slot) {
        const std::string& position = stored.contains(slot) ? stored[slot].position : whole.position;
        if (!least || position < *least) least = position;
      }
      tx.erase_range(checkpoints_of(work_.mapping.uuid, shard));
      Checkpoint now = whole;
      now.position = *least;
      now.slots = slots;
      tx.put(checkpoint_key(work_.mapping.uuid, shard, kShardSlot), kv::encode(now));
      out.assign(slots, now);
      co_return out;
    });
    started_.push_back(shard);
    auto left = std::make_shared<uint32_t>(slots);
    for (uint32_t slot = 0; slot < slots; ++slot) {
      readers_.push_back(std::make_unique<Reader>(work_, *source_, arn_, shard, slot, role_, filters_));
      Reader& reader = *readers_.back();
      ++running_;
      virga::start(run_reader(reader, std::move(at[slot]), left), [this](Result<void> result) {
        if (!result)
          log_error("lambda", "a shard is not read any more", {{"failure", virga::describe(result.error())}});
        --running_;
        changed_.set();
      });
    }
  }

  Task<void> run_reader(Reader& reader, Checkpoint at, std::shared_ptr<uint32_t> left) {
    co_await reader.run(std::move(at));
    if (!reader.ended() || --*left > 0) co_return;
    co_await work_.deps.db.transact([&](kv::Txn& tx) -> Task<void> {
      co_await kv::require_lease(tx, work_.lease);
      Checkpoint done;
      done.ended = true;
      tx.erase_range(checkpoints_of(work_.mapping.uuid, reader.shard()));
      tx.put(checkpoint_key(work_.mapping.uuid, reader.shard(), kShardSlot), kv::encode(done));
    });
  }

  Work& work_;
  const kernel::Arn arn_;
  RoleSession role_;
  const Filters filters_;
  kernel::StreamSource* source_ = nullptr;
  std::vector<std::string> started_;
  std::vector<std::unique_ptr<Reader>> readers_;
  int running_ = 0;
  virga::Event changed_;
};

}  // namespace

Task<std::map<std::string, std::string>> stream_starts(Ctx& ctx, kernel::StreamSource& source, Mapping mapping) {
  const kernel::Arn arn = *kernel::parse_arn(mapping.source);
  std::map<std::string, std::string> starts;
  for (const kernel::StreamShard& shard : co_await source.stream_shards(ctx, arn)) {
    std::string at = co_await source.stream_start(ctx, arn, shard.id, start_of(mapping), mapping.start_at);
    co_await source.read_stream(ctx, arn, shard.id, at, 1, 1);
    starts.emplace(shard.id, std::move(at));
  }
  co_return starts;
}

std::unique_ptr<Poller> make_stream_poller(Work& work) { return std::make_unique<StreamPoller>(work); }

}  // namespace virga::lambda::esm
