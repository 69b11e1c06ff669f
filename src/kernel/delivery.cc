#include "kernel/delivery.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <stdexcept>

#include "base/async.h"
#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "kernel/delivery_board.h"
#include "kernel/elapsed_clock.h"
#include "kv/key.h"
#include "kv/record.h"

namespace virga::kernel {

namespace {

constexpr size_t kMostStarts = 64;    // of a kind before the reactor gets its turn
constexpr size_t kMostRemoved = 512;  // ended deliveries removed in one commit
constexpr size_t kMostDue = 256;      // put off ones that come back in one commit
constexpr size_t kLoadRows = 64;
constexpr size_t kMostCarried = 64 << 10;  // bytes of a row; a larger one is read when its turn comes
constexpr size_t kLoadBytes = 2 << 20;
constexpr size_t kDueBytes = 8 << 20;
constexpr Micros kLongestWait{500'000};  // how late a jump of the clock is noticed
constexpr Micros kStoreRetry{500'000};   // the store refused: the disk is full, or ends
constexpr int kSequenceBits = 40;        // of a sequence number; the upper ones count starts
constexpr Time kNever{INT64_MAX};

// Keys, after the tag "dlv": r/<kind>/<lane>/<sequence> -> Row for what may start, g/<kind>/<lane>/<group>/<sequence>
// -> Row for what is in a group, d/<time>/<kind>/<lane>/<sequence> -> Row for what is put off, and "start" -> how often
// deliveries were started.
struct Row {
  std::string id, payload;
  int64_t attempts = 0;
  Time accepted, not_before;
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, payload), a(3, attempts), a(4, accepted), a(5, not_before);
  }
};

kv::KeyWriter tagged(std::string_view what) { return std::move(kv::KeyWriter("dlv").text(what)); }
std::string loose_prefix(std::string_view kind, std::string_view lane) {
  return tagged("r").text(kind).text(lane).take();
}
std::string groups_prefix(std::string_view kind, std::string_view lane) {
  return tagged("g").text(kind).text(lane).take();
}
std::string strand_prefix(std::string_view kind, std::string_view lane, std::string_view group) {
  return group.empty() ? loose_prefix(kind, lane) : tagged("g").text(kind).text(lane).text(group).take();
}
std::string with_sequence(std::string prefix, uint64_t sequence) {
  for (int shift = 56; shift >= 0; shift -= 8) prefix += static_cast<char>(sequence >> shift);
  return prefix;
}
std::string due_key(Time at, std::string_view kind, std::string_view lane, uint64_t sequence) {
  return tagged("d").time(at).text(kind).text(lane).u64(sequence).take();
}
std::string key_of(const Turn& turn) {
  return with_sequence(strand_prefix(turn.lane->kind->name, turn.lane->name, turn.strand->name), turn.sequence);
}

Task<Row> row_of(std::string bytes) { co_return kv::decode<Row>(bytes); }

// The store's count of starts, one further: sequence numbers grow over restarts, whatever the clock does.
uint64_t next_start(kv::Db& db) {
  auto start = run(db.transact([&](kv::Txn& tx) -> Task<uint64_t> {
    const std::string key = tagged("start").take();
    const auto bytes = co_await tx.get(key);
    const uint64_t next = bytes ? kv::KeyReader(*bytes).u64() + 1 : 1;
    tx.put(key, with_sequence({}, next));
    co_return next;
  }));
  if (!start) throw std::runtime_error(cat("deliveries can't be started: ", describe(start.error())));
  return *start;
}

}  // namespace

Micros back_off(int64_t attempts) {
  const int64_t most = std::min<int64_t>(300, 1ll << std::clamp<int64_t>(attempts, 0, 20)) * 1'000'000;
  return Micros(most - static_cast<int64_t>(random_u64() % static_cast<uint64_t>(most / 2 + 1)));
}

Verdict Verdict::again(std::optional<Micros> delay) {
  Verdict out(Kind::kAgain);
  out.delay_ = delay;
  return out;
}

Verdict Verdict::later(Micros delay) {
  Verdict out = again(delay);
  out.counted_ = false;
  return out;
}

Verdict Verdict::busy(Micros delay) {
  Verdict out(Kind::kBusy);
  out.delay_ = delay;
  return out;
}

struct Deliveries::State : std::enable_shared_from_this<Deliveries::State> {
  State(kv::Db& db, const ElapsedClock& clock, MetricRegistry& metrics)
      : db(db), clock(clock), metrics(metrics), sequence(next_start(db) << kSequenceBits) {}

  kv::Db& db;
  const ElapsedClock& clock;  // of all times in rows
  MetricRegistry& metrics;
  std::atomic<uint64_t> sequence;
  Executor* home = nullptr;  // where start() was called
  Event due;                 // something may be due earlier than was known
  Event idle;                // no coroutine of ours runs

  std::mutex mutex;  // over all that follows
  DeliveryBoard board;
  bool started = false, stopping = false, abandoned = false;
  bool pumping = false;    // a pump is posted
  bool removing = false;   // the coroutine that removes what has ended runs
  size_t active = 0;       // coroutines
  std::vector<Turn> over;  // done, to be removed
  Time next_due = kNever;
  struct Blocked {
    LanePtr lane;
    std::string group;  // empty: the whole lane
  };
  std::multimap<Time, Blocked> blocked;

  void arrived(const Delivery& to, uint64_t sequence, std::string bytes);
  void due_at(Time at);
  void pump_soon();
  void pump();
  void begin(Task<void> task);
  void leave();

  Task<void> load(Load load);
  Task<void> list(Load load);
  Task<void> recover();
  Task<void> watch_due();
  Task<void> step_due();
  Task<size_t> return_due(Time now);

  Task<void> attempt(Turn turn);
  Task<void> settle(Turn turn, Verdict verdict);
  Task<Time> put_off(kv::Txn& tx, const Turn& turn, const Verdict& verdict);
  Task<void> remove_ended();
  void ended(const Turn& turn, DeliveryBoard::End end, Time until = {});
};

// A coroutine that stop waits for. `active` has been raised for it.
void Deliveries::State::begin(Task<void> task) {
  virga::start(std::move(task), [self = shared_from_this()](Result<void> result) {
    if (!result) log_error("deliveries", "a delivery failed unexpectedly", {{"why", describe(result.error())}});
    self->leave();
  });
}

void Deliveries::State::leave() {
  bool last;
  {
    std::lock_guard lock(mutex);
    last = --active == 0;
  }
  if (last) idle.set();
}

void Deliveries::State::arrived(const Delivery& to, uint64_t number, std::string bytes) {
  {
    std::lock_guard lock(mutex);
    if (!started || stopping) return;
    board.arrived(to.kind, to.lane, to.group, number, std::move(bytes));
  }
  pump_soon();
}

void Deliveries::State::due_at(Time at) {
  {
    std::lock_guard lock(mutex);
    if (!started || stopping || at >= next_due) return;
  }
  due.set();
}

void Deliveries::State::pump_soon() {
  Executor* const where = Executor::current() ? Executor::current() : home;
  {
    std::lock_guard lock(mutex);
    if (pumping || stopping || !where) return;
    pumping = true;
  }
  where->post([self = shared_from_this()] { self->pump(); });
}

void Deliveries::State::pump() {
  std::vector<Turn> turns;
  std::vector<Load> loads;
  bool more = false;
  {
    std::lock_guard lock(mutex);
    pumping = false;
    if (stopping) return;
    for (auto& [name, kind] : board.kinds()) {
      for (Turn& turn : board.take(kind, kMostStarts)) turns.push_back(std::move(turn));
      more |= board.has_turns(kind);
    }
    loads = board.take_loads();
    active += turns.size() + loads.size();
  }
  for (Load& each : loads) begin(each.strand ? load(std::move(each)) : list(std::move(each)));
  for (Turn& turn : turns) begin(attempt(std::move(turn)));
  if (more) pump_soon();
}

// The next rows of a strand.
Task<void> Deliveries::State::load(Load what) {
  std::string prefix;
  {
    std::lock_guard lock(mutex);
    prefix = strand_prefix(what.lane->kind->name, what.lane->name, what.strand->name);
  }
  kv::Range range{with_sequence(prefix, what.from + 1), kv::prefix_end(prefix)};
  auto view = db.snapshot();
  auto rows = co_await as_result(view->scan(std::move(range), {.limit = kLoadRows, .byte_limit = kLoadBytes}));
  view.reset();
  if (!rows) {
    log_error("deliveries", "deliveries can't be read; trying again", {{"why", describe(rows.error())}});
    co_await sleep_for(kStoreRetry);
    std::lock_guard lock(mutex);
    board.load_failed(what);
  } else {
    std::vector<DeliveryBoard::Loaded> loaded;
    size_t bytes = 0;
    for (kv::Entry& row : *rows) {
      bytes += row.key.size() + row.value.size();
      loaded.push_back({kv::KeyReader(std::string_view(row.key).substr(prefix.size())).u64(), std::move(row.value)});
    }
    const bool complete = loaded.size() < kLoadRows && bytes < kLoadBytes;
    std::lock_guard lock(mutex);
    board.loaded(what, std::move(loaded), complete);
  }
  pump_soon();
}

// The groups of a lane: one step of the scan each.
Task<void> Deliveries::State::list(Load what) {
  const std::string prefix = groups_prefix(what.lane->kind->name, what.lane->name);
  kv::Range range = kv::prefix_range(prefix);
  bool complete = false, room = true;
  while (!complete && room) {
    auto rows = co_await as_result(db.snapshot()->scan(range, {.limit = 1}));
    if (!rows) {
      log_error("deliveries", "deliveries can't be read; trying again", {{"why", describe(rows.error())}});
      co_await sleep_for(kStoreRetry);
      break;
    }
    complete = rows->empty();
    if (complete) break;
    const std::string group = kv::KeyReader(std::string_view(rows->front().key).substr(prefix.size())).text();
    range.begin = kv::prefix_end(strand_prefix(what.lane->kind->name, what.lane->name, group));
    std::lock_guard lock(mutex);
    room = board.listed(what.lane, group);
  }
  {
    std::lock_guard lock(mutex);
    board.listing_ended(what.lane, complete);
  }
  pump_soon();
}

// Every lane of which a former process left something.
Task<void> Deliveries::State::recover() {
  const auto view = db.snapshot();
  for (const bool grouped : {false, true}) {
    kv::Range range = kv::prefix_range(tagged(grouped ? "g" : "r").take());
    for (;;) {
      const auto rows = co_await view->scan(range, {.limit = 1});
      if (rows.empty()) break;
      kv::KeyReader reader(rows.front().key);
      reader.text();
      reader.text();
      const std::string kind = reader.text();
      const std::string lane = reader.text();
      range.begin = kv::prefix_end(grouped ? groups_prefix(kind, lane) : loose_prefix(kind, lane));
      std::lock_guard lock(mutex);
      if (!board.find(kind)) {
        log_warning("deliveries", "nothing here delivers what waits in the store", {{"kind", kind}, {"lane", lane}});
      }
      board.found(kind, lane, grouped);
    }
  }
}

Task<void> Deliveries::State::watch_due() {
  for (;;) {
    {
      std::lock_guard lock(mutex);
      if (stopping) break;
    }
    auto stepped = co_await as_result(step_due());
    if (stepped) continue;
    log_error("deliveries", "what was put off can't be read; trying again", {{"why", describe(stepped.error())}});
    co_await sleep_for(kStoreRetry);
  }
}

// Brings back what is due, then waits for the next moment at which something may be.
Task<void> Deliveries::State::step_due() {
  const Time now = clock.now();
  {
    std::lock_guard lock(mutex);
    next_due = kNever;  // whoever puts something off from here on says so
    due.reset();
    while (!blocked.empty() && blocked.begin()->first <= now) {
      const Blocked over = std::move(blocked.begin()->second);
      blocked.erase(blocked.begin());
      if (!over.group.empty()) {
        board.unblock(over.lane, over.group);
      } else if (over.lane->paused && over.lane->resume_at > now) {
        blocked.emplace(over.lane->resume_at, over);  // it was lifted and came again
      } else {
        over.lane->resume_planned = false;
        board.resume(over.lane);
      }
    }
  }
  pump_soon();
  while (co_await return_due(now) == kMostDue) {
  }
  Time next = kNever;
  const auto first = co_await db.snapshot()->scan(kv::prefix_range(tagged("d").take()), {.limit = 1});
  if (!first.empty()) {
    kv::KeyReader reader(first.front().key);
    reader.text();
    reader.text();
    next = reader.time();
  }
  {
    std::lock_guard lock(mutex);
    if (stopping) co_return;
    if (!blocked.empty()) next = std::min(next, blocked.begin()->first);
    next_due = next;
  }
  while (!due.is_set()) {
    if (next == kNever) {
      co_await due.wait();
    } else {
      const Time at = clock.now();
      if (at >= next) break;
      co_await due.wait_for(std::min(kLongestWait, next - at));
    }
  }
}

// Moves what is due to where it starts from; answers how many rows there were, at most kMostDue.
Task<size_t> Deliveries::State::return_due(Time now) {
  struct Moved {
    Delivery to;
    uint64_t sequence;
    std::string key, bytes;
  };
  std::vector<Moved> moved;
  kv::Range range = kv::prefix_range(tagged("d").take());
  range.end = tagged("d").time(now + Micros(1)).take();
  auto rows = co_await db.snapshot()->scan(std::move(range), {.limit = kMostDue, .byte_limit = kDueBytes});
  if (rows.empty()) co_return 0;
  for (kv::Entry& row : rows) {
    kv::KeyReader reader(row.key);
    reader.text();
    reader.text();
    reader.time();
    Moved each;
    each.to.kind = reader.text();
    each.to.lane = reader.text();
    each.sequence = reader.u64();
    each.key = std::move(row.key);
    each.bytes = std::move(row.value);
    moved.push_back(std::move(each));
  }
  co_await db.transact([&](kv::Txn& tx) -> Task<void> {
    for (const Moved& each : moved) {
      tx.erase(each.key);
      tx.put(with_sequence(loose_prefix(each.to.kind, each.to.lane), each.sequence), each.bytes);
    }
    co_return;
  });
  for (Moved& each : moved) arrived(each.to, each.sequence, std::move(each.bytes));
  co_return kMostDue;  // there may be more
}

Task<void> Deliveries::State::attempt(Turn turn) {
  using End = DeliveryBoard::End;
  const Kind& kind = *turn.lane->kind;
  std::string bytes = std::move(turn.bytes);
  if (bytes.empty()) {
    auto read = co_await as_result(db.snapshot()->get(key_of(turn)));
    if (!read) {
      log_error("deliveries", "a delivery can't be read; trying again", {{"why", describe(read.error())}});
      co_await sleep_for(kStoreRetry);
      co_return ended(turn, End::kReady);
    }
    if (!*read) co_return ended(turn, End::kGone);
    bytes = std::move(**read);
  }
  auto decoded = co_await as_result(row_of(std::move(bytes)));
  if (!decoded) {
    log_error("deliveries", "a delivery is damaged and is dropped",
              {{"kind", kind.name}, {"lane", turn.lane->name}, {"why", describe(decoded.error())}});
    co_return co_await settle(std::move(turn), Verdict::give_up());
  }
  Row row = std::move(*decoded);
  if (turn.strand->ordered && row.not_before > clock.now()) co_return ended(turn, End::kBlocked, row.not_before);

  Attempt now{std::move(row.id),      turn.lane->name, turn.strand->name,
              std::move(row.payload), row.attempts,    clock.on_wall(row.accepted)};
  Result<Verdict> verdict = co_await as_result(kind.handler(std::move(now)));
  if (!verdict) {
    log_warning("deliveries", "a delivery failed; it will be tried again",
                {{"kind", kind.name}, {"lane", turn.lane->name}, {"why", describe(verdict.error())}});
  }
  co_await settle(std::move(turn), verdict ? std::move(*verdict) : Verdict::again());
}

// Makes a verdict durable.
Task<void> Deliveries::State::settle(Turn turn, Verdict verdict) {
  using End = DeliveryBoard::End;
  const Kind& kind = *turn.lane->kind;
  const bool again = verdict.kind_ == Verdict::Kind::kAgain;
  if (verdict.kind_ == Verdict::Kind::kBusy) co_return ended(turn, End::kBusy, clock.now() + *verdict.delay_);
  {
    std::lock_guard lock(mutex);
    if (abandoned) co_return;  // the store may be gone
    (again ? kind.retried : verdict.kind_ == Verdict::Kind::kDone ? kind.done : kind.gave_up)->add();
    if (!again && !verdict.writes_) {
      over.push_back(std::move(turn));
      if (removing) co_return;
      removing = true;
      ++active;
    }
  }
  if (!again && !verdict.writes_) {
    // Not at once: what ends in this turn of the reactor shares the commit.
    Executor* const where = Executor::current() ? Executor::current() : home;
    where->post([self = shared_from_this()] { self->begin(self->remove_ended()); });
    co_return;
  }

  const std::string key = key_of(turn);
  for (;;) {
    Time at;
    auto settled = co_await as_result(db.transact([&](kv::Txn& tx) -> Task<void> {
      if (verdict.writes_) co_await verdict.writes_(tx);
      if (verdict.kind_ == Verdict::Kind::kAgain) {
        at = co_await put_off(tx, turn, verdict);
      } else {
        tx.erase(key);
      }
    }));
    if (settled) {
      if (verdict.kind_ != Verdict::Kind::kAgain) co_return ended(turn, End::kGone);
      if (at <= clock.now()) co_return ended(turn, End::kReady);
      co_return ended(turn, turn.strand->ordered ? End::kBlocked : End::kGone, at);
    }
    log_error("deliveries", "the end of a delivery could not be stored; it will be tried again",
              {{"kind", kind.name}, {"lane", turn.lane->name}, {"why", describe(settled.error())}});
    if (!verdict.writes_) {
      co_await sleep_for(kStoreRetry);
      co_return ended(turn, End::kReady);
    }
    verdict = Verdict::again();  // what its handler wanted written is what failed
  }
}

Task<Time> Deliveries::State::put_off(kv::Txn& tx, const Turn& turn, const Verdict& verdict) {
  const std::string key = key_of(turn);
  const auto bytes = co_await tx.get_relaxed(key);
  if (!bytes) co_return Time{};
  Row row = kv::decode<Row>(*bytes);
  const Time now = clock.now();
  row.not_before = now + verdict.delay_.value_or(back_off(row.attempts));
  if (verdict.counted_) ++row.attempts;
  if (verdict.payload_) row.payload = *verdict.payload_;
  if (turn.strand->ordered || row.not_before <= now) {
    tx.put(key, kv::encode(row));
  } else {
    tx.erase(key);
    tx.put(due_key(row.not_before, turn.lane->kind->name, turn.lane->name, turn.sequence), kv::encode(row));
  }
  co_return row.not_before;
}

// Removes what is done, as much at a time as has come together.
Task<void> Deliveries::State::remove_ended() {
  for (;;) {
    std::vector<Turn> batch;
    {
      std::lock_guard lock(mutex);
      if (over.empty() || abandoned) {
        removing = false;
        co_return;
      }
      const auto end = over.begin() + static_cast<ptrdiff_t>(std::min(over.size(), kMostRemoved));
      batch.assign(std::make_move_iterator(over.begin()), std::make_move_iterator(end));
      over.erase(over.begin(), end);
    }
    for (;;) {
      auto removed = co_await as_result(db.transact([&](kv::Txn& tx) -> Task<void> {
        for (const Turn& turn : batch) tx.erase(key_of(turn));
        co_return;
      }));
      if (removed) break;
      log_error("deliveries", "what is delivered can't be removed; trying again", {{"why", describe(removed.error())}});
      co_await sleep_for(kStoreRetry);
      std::lock_guard lock(mutex);
      if (abandoned) co_return;
    }
    for (const Turn& turn : batch) ended(turn, DeliveryBoard::End::kGone);
  }
}

void Deliveries::State::ended(const Turn& turn, DeliveryBoard::End end, Time until) {
  {
    std::lock_guard lock(mutex);
    if (end == DeliveryBoard::End::kBlocked) blocked.emplace(until, Blocked{turn.lane, turn.strand->name});
    if (end == DeliveryBoard::End::kBusy) {
      if (!turn.lane->paused) turn.lane->resume_at = until;
      if (!std::exchange(turn.lane->resume_planned, true)) blocked.emplace(until, Blocked{turn.lane, ""});
    }
    board.ended(turn, end, until);
  }
  if (until.micros != 0) due_at(until);
  pump_soon();
}

Deliveries::Deliveries(kv::Db& db, const ElapsedClock& clock, MetricRegistry& metrics)
    : state_(std::make_shared<State>(db, clock, metrics)) {}
Deliveries::~Deliveries() = default;

void Deliveries::on(std::string name, DeliveryHandler handler, LaneLimits limits) {
  MetricRegistry& metrics = state_->metrics;
  const auto outcome = [&](std::string_view how) {
    return &metrics.counter("virga_deliveries_total", "Attempts at deliveries by how they ended",
                            {{"kind", name}, {"outcome", std::string(how)}});
  };
  Kind& kind = state_->board.add(name);
  kind.handler = std::move(handler);
  kind.limits = limits;
  kind.done = outcome("done");
  kind.gave_up = outcome("gave_up");
  kind.retried = outcome("again");
  kind.active = &metrics.gauge("virga_deliveries_running", "Deliveries that run now", {{"kind", name}});
  kind.name = std::move(name);
}

void Deliveries::enqueue(kv::Txn& tx, Delivery delivery) {
  if (delivery.lane.empty()) throw std::logic_error("a delivery without a lane");
  State& state = *state_;
  const uint64_t number = state.sequence.fetch_add(1, std::memory_order_relaxed) + 1;
  const Time now = state.clock.now();
  if (delivery.not_before.micros != 0) delivery.not_before = delivery.not_before + state.clock.ahead();
  Row row{delivery.id.empty() ? uuid() : std::move(delivery.id), std::move(delivery.payload), 0, now,
          delivery.not_before};
  std::string bytes = kv::encode(row);
  if (delivery.group.empty() && delivery.not_before > now) {
    tx.put(due_key(delivery.not_before, delivery.kind, delivery.lane, number), std::move(bytes));
    tx.on_commit([self = state_, at = delivery.not_before] { self->due_at(at); });
    return;
  }
  std::string key = with_sequence(strand_prefix(delivery.kind, delivery.lane, delivery.group), number);
  const bool large = bytes.size() > kMostCarried;
  tx.put(std::move(key), large ? std::exchange(bytes, {}) : bytes);
  delivery.payload.clear();
  tx.on_commit([self = state_, to = std::move(delivery), number, bytes = std::move(bytes)]() mutable {
    self->arrived(to, number, std::move(bytes));
  });
}

Task<void> Deliveries::start() {
  const auto state = state_;
  {
    std::lock_guard lock(state->mutex);
    state->home = Executor::current();
    state->started = true;
    state->board.set_recovering(true);
  }
  co_await state->recover();
  {
    std::lock_guard lock(state->mutex);
    state->board.set_recovering(false);
    ++state->active;
  }
  state->begin(state->watch_due());
  state->pump_soon();
}

Task<void> Deliveries::stop(Micros grace) {
  const auto state = state_;
  bool wait;
  {
    std::lock_guard lock(state->mutex);
    state->stopping = true;
    state->idle.reset();
    wait = state->active > 0;
  }
  state->due.set();
  if (wait) co_await state->idle.wait_for(grace);
  std::lock_guard lock(state->mutex);
  state->abandoned = true;
}

void Deliveries::clock_moved() { state_->due.set(); }

size_t Deliveries::running() const {
  std::lock_guard lock(state_->mutex);
  return state_->board.running();
}

}  // namespace virga::kernel
