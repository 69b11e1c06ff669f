#include "kernel/timers.h"

#include <algorithm>
#include <set>

#include "base/async.h"
#include "base/log.h"
#include "kv/key.h"
#include "kv/record.h"

namespace virga::kernel {

namespace {

constexpr size_t kMostRunning = 256;
// The longest real wait: how late a jump of the clock is noticed.
constexpr Micros kLongestWait{500'000};
constexpr int64_t kFirstRetry = 1, kLongestRetry = 300;  // seconds

// Keys: tmr/due/<fire time>/<kind>/<id> -> nothing, and tmr/row/<kind>/<id> -> Row.
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
  State(kv::Db& db, const Clock& clock) : db(db), clock(clock) {}

  kv::Db& db;
  const Clock& clock;
  std::map<std::string, std::function<Task<void>(Timer)>> handlers;
  // Touched on the loop's executor only.
  std::set<std::string> running;
  bool looping = false;
  bool stopping = false;
  Event idle;   // set whenever the loop has ended and nothing runs
  Event ended;  // a handler ended while as many ran as may

  Task<void> loop();
  Task<void> step();
  Task<void> fire(DueKey key);
  Task<void> put_off(DueKey key);
  void leave() {
    if (stopping && !looping && running.empty()) idle.set();
  }
};

// Starts what is due, then waits for the next moment at which something may be.
Task<void> Timers::State::step() {
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
      const auto handler = handlers.find(key.kind);
      Result<void> result;
      if (handler != handlers.end()) {
        result = co_await as_result(handler->second(Timer{key.kind, key.id, row.due, std::move(row.payload)}));
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

Timers::Timers(kv::Db& db, const Clock& clock) : state_(std::make_shared<State>(db, clock)) {}
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

void Timers::on(std::string kind, std::function<Task<void>(Timer)> handler) {
  state_->handlers[std::move(kind)] = std::move(handler);
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
