// Durable timers: rows set and cleared inside transactions, fired when due, at least once, also after a restart.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/task.h"
#include "base/time.h"
#include "kv/db.h"

namespace virga::kernel {

class ElapsedClock;

struct Timer {
  std::string kind;  // who handles it: "ddb.ttl"
  std::string id;    // unique within the kind; setting it again replaces it
  Time due;
  std::string payload;
};

// What a kind's timers wait for: that a while has passed, or a time of the calendar, as the wall's clock shows it.
enum class Due { kAfter, kAt };

class Timers {
 public:
  Timers(kv::Db& db, const ElapsedClock& clock);
  ~Timers();

  Task<void> set(kv::Txn& tx, Timer timer);
  Task<void> clear(kv::Txn& tx, std::string_view kind, std::string_view id);

  // `handler` runs for each due timer of `kind`. In the transaction that does the timer's work it calls clear or set:
  // a timer still there afterwards fires again, later each time. Registered before start().
  // When the wall's clock is put back, a handler of Due::kAt may be asked early: it then sets the timer anew.
  void on(std::string kind, std::function<Task<void>(Timer)> handler, Due due = Due::kAfter);

  // Begins firing on the calling executor; stop completes when no handler runs any more.
  void start();
  Task<void> stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace virga::kernel
