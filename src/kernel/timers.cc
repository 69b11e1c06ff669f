#include "kernel/timers.h"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "base/async.h"
#include "base/log.h"
#include "base/str.h"
#include "kernel/elapsed_clock.h"
#include "kv/key.h"
#include "kv/record.h"

namespace virga::kernel {

namespace {

constexpr size_t kMostRunning = 256;
constexpr size_t kMoved = 256;  // in one commit, when the clock was put back
// The longest real wait: how late a jump of the clock is noticed.
constexpr Micros kLongestWait{500'000};
constexpr int64_t kFirstRetry = 1, kLongestRetry = 300;  // seconds

// Keys: tmr/due/<fire time>/<kind>/<id> -> nothing, tmr/row/<kind>/<id> -> Row, and tmr/ahead -> how far the elapsed
// clock is ahead of the wall's, once that was put forward or back.
struct Row {
  Time due, fire;
  int64_t failures = 0;
  std::string payload;
  template <class A>
  void fields(A& a) {
    a(1, due), a(2, fire), a(3, failures), a(4, payload);
  }
};

std::string due_prefix() { return std::move(kv::KeyWriter("tmr").text("due")).take(); }
std::string due_key(Time fire, std::string_view kind, std::string_view id) {
  return std::move(kv::KeyWriter("tmr").text("due").time(fire).text(kind).text(id)).take();
}
std::string row_key(std::string_view kind, std::string_view id) {
  return std::move(kv::KeyWriter("tmr").text("row").text(kind).text(id)).take();
}

std::string ahead_key() { return std::move(kv::KeyWriter("tmr").text("ahead")).take(); }

struct DueKey {
  Time fire;
  std::string kind, id;
};
DueKey parse_due(std::string_view key) {
  kv::KeyReader r(key);
  r.text();
  r.text();
  const Time fire = r.time();
  std::string kind = r.text();
  return {fire, std::move(kind), r.text()};
}

}  // namespace

struct Timers::State : std::enable_shared_from_this<Timers::State> {
  State(kv::Db& db, const ElapsedClock& elapsed) : db(db), elapsed(elapsed), clock(elapsed.wall()) {}

  struct Kind {
    std::function<Task<void>(Timer)> handler;
    Due due = Due::kAfter;
  };

  kv::Db& db;
  const ElapsedClock& elapsed;  // tells when the clock is put forward or back
  const Clock& clock;           // of all times in rows: the wall's
  std::map<std::string, Kind, std::less<>> kinds;
  Micros ahead{0};  // of the elapsed clock, as it is stored
  // Touched on the loop's executor only.
  std::set<std::string> running;
  bool looping = false;
  bool stopping = false;
  Event idle;   // set whenever the loop has ended and nothing runs
  Event ended;  // a handler ended while as many ran as may

  Task<void> loop();
  Task<void> step();
  Task<void> follow_wall(Micros moved);
  Task<void> fire(DueKey key);
  Task<void> put_off(DueKey key);
  void leave() {
    if (stopping && !looping && running.empty()) idle.set();
  }
};

// Starts what is due, then waits for the next moment at which something may be.
Task<void> Timers::State::step() {
  if (const Micros now_ahead = elapsed.ahead(); now_ahead != ahead) co_await follow_wall(ahead - now_ahead);
  const Time now = clock.now();
  Micros wait = kLongestWait;
  auto view = db.snapshot();
  const kv::Version seen = view->version();
  // One more than may run, so that the row after the due ones says how long to wait.
  const auto rows = co_await view->scan(kv::prefix_range(due_prefix()), {.limit = kMostRunning + 1});
  view.reset();
  bool full = false;
  for (const kv::Entry& row : rows) {
    DueKey key = parse_due(row.key);
    if (key.fire > now) {
      wait = std::min<Micros>(wait, key.fire - now);
      break;
    }
    full = running.size() >= kMostRunning;
    if (full) break;
    // A kind and id run once at a time, also when the timer was set again meanwhile.
    if (running.insert(row_key(key.kind, key.id)).second) start_background("timers", fire(std::move(key)));
  }
  if (stopping) co_return;
  if (full) {
    ended.reset();
    co_await ended.wait_for(kLongestWait);
  } else {
    co_await db.wait_change(due_prefix(), seen, wait);
  }
}

// The wall's clock was put forward or back. Put back, what was set before would fire late by as much: what is due after
// a while fires earlier, and handlers of what is due at times of the calendar are asked at once, see that it is not
// due, and set it by the time that it now is.
Task<void> Timers::State::follow_wall(Micros moved) {
  log_warning("timers", "the clock was moved", {{"seconds", cat(moved.count() / 1'000'000)}});
  const auto view = db.snapshot();
  kv::Range range = kv::prefix_range(due_prefix());
  const Time now = clock.now();
  range.begin = due_key(now, "", "");
  for (bool more = moved.count() < 0; more;) {
    const auto rows = co_await view->scan(range, {.limit = kMoved});
    more = rows.size() == kMoved;
    if (more) range.begin = rows.back().key + '\0';
    co_await db.transact([&](kv::Txn& tx) -> Task<void> {
      for (const kv::Entry& each : rows) {
        const DueKey key = parse_due(each.key);
        const auto bytes = co_await tx.get(row_key(key.kind, key.id));
        if (!bytes) continue;
        Row row = kv::decode<Row>(*bytes);
        if (row.fire != key.fire) continue;  // set again meanwhile
        const auto kind = kinds.find(key.kind);
        row.fire = kind != kinds.end() && kind->second.due == Due::kAt ? now : row.fire + moved;
        tx.erase(each.key);
        tx.put(due_key(row.fire, key.kind, key.id), "");
        tx.put(row_key(key.kind, key.id), kv::encode(row));
      }
    });
  }
  const Micros now_ahead = ahead - moved;
  co_await db.transact([&](kv::Txn& tx) -> Task<void> {
    tx.put(ahead_key(), kv::encode(Time() + now_ahead));
    co_return;
  });
  ahead = now_ahead;
}

Task<void> Timers::State::loop() {
  while (!stopping) {
    auto stepped = co_await as_result(step());
    if (stepped) continue;
    log_error("timers", "timers can't be read; trying again", {{"why", describe(stepped.error())}});
    co_await sleep_for(kLongestWait);
  }
  looping = false;
  leave();
}

// Runs the handler; a timer that it left alone comes again, later each time.
Task<void> Timers::State::fire(DueKey key) {
  const auto self = shared_from_this();
  const std::string name = row_key(key.kind, key.id);
  Executor* const home = Executor::current();
  auto bytes = co_await as_result(db.snapshot()->get(name));
  if (bytes && *bytes) {
    Row row = kv::decode<Row>(**bytes);
    if (row.fire == key.fire) {
      const auto kind = kinds.find(key.kind);
      Result<void> result;
      if (kind != kinds.end()) {
        result = co_await as_result(kind->second.handler(Timer{key.kind, key.id, row.due, std::move(row.payload)}));
      }
      if (!result)
        log_warning("timers", "a timer's handler failed", {{"kind", key.kind}, {"why", describe(result.error())}});
      auto put = co_await as_result(put_off(key));
      if (!put) log_error("timers", "a timer can't be put off", {{"kind", key.kind}, {"why", describe(put.error())}});
    }
  }
  if (home) co_await move_to(*home);  // a handler may have ended on another thread
  running.erase(name);
  ended.set();
  leave();
}

Task<void> Timers::State::put_off(DueKey key) {
  co_await db.transact([&](kv::Txn& tx) -> Task<void> {
    const auto bytes = co_await tx.get(row_key(key.kind, key.id));
    if (!bytes) co_return;
    Row row = kv::decode<Row>(*bytes);
    if (row.fire != key.fire) co_return;  // set again by its handler
    tx.erase(due_key(row.fire, key.kind, key.id));
    const int64_t delay = std::min(kLongestRetry, kFirstRetry << std::min<int64_t>(row.failures, 10));
    ++row.failures;
    row.fire = clock.now() + std::chrono::seconds(delay);
    tx.put(due_key(row.fire, key.kind, key.id), "");
    tx.put(row_key(key.kind, key.id), kv::encode(row));
  });
}

Timers::Timers(kv::Db& db, const ElapsedClock& clock) : state_(std::make_shared<State>(db, clock)) {
  const auto stored = run(db.snapshot()->get(ahead_key()));
  if (!stored) throw std::runtime_error(cat("timers can't be read: ", describe(stored.error())));
  if (*stored) state_->ahead = kv::decode<Time>(**stored) - Time();
  clock.go_on(state_->ahead);
}
Timers::~Timers() = default;

Task<void> Timers::set(kv::Txn& tx, Timer timer) {
  co_await clear(tx, timer.kind, timer.id);
  tx.put(due_key(timer.due, timer.kind, timer.id), "");
  tx.put(row_key(timer.kind, timer.id), kv::encode(Row{timer.due, timer.due, 0, std::move(timer.payload)}));
}

Task<void> Timers::clear(kv::Txn& tx, std::string_view kind, std::string_view id) {
  const std::string name = row_key(kind, id);
  std::string who(kind), which(id);
  const auto bytes = co_await tx.get(name);
  if (!bytes) co_return;
  tx.erase(due_key(kv::decode<Row>(*bytes).fire, who, which));
  tx.erase(name);
}

void Timers::on(std::string kind, std::function<Task<void>(Timer)> handler, Due due) {
  state_->kinds[std::move(kind)] = {std::move(handler), due};
}

void Timers::start() {
  state_->looping = true;
  start_background("timers", [](std::shared_ptr<State> state) -> Task<void> { co_await state->loop(); }(state_));
}

Task<void> Timers::stop() {
  const auto state = state_;
  state->stopping = true;
  state->db.wake(due_prefix());
  state->ended.set();
  if (!state->looping && state->running.empty()) co_return;
  co_await state->idle.wait();
}

}  // namespace virga::kernel
