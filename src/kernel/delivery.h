// Deliveries: the one way work leaves for somewhere else. What is to be delivered is a row of the transaction that
// caused it; after the commit it is handed to its kind's handler at least once, at once, again and again until the
// handler says done, and again after a crash.
//
// * A lane is the unit of fairness: usually one target's ARN. Lanes take turns, and how many deliveries of one lane run
//   shrinks as all of the kind together use up their pool, so that lanes which hang or fail leave room for the others:
//   every lane gets at least one at a time (up to kMostLanesRunning lanes of a kind).
// * A group, when given, is a strict order within its lane: the next starts after the one before is done. While one
//   is retried the rest of its group wait; other groups don't.
// * Outside groups there is no order: about first come, first served.
//
// Nothing polls: a commit wakes the lane in memory, and start() finds what a former process left.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "base/metrics.h"
#include "base/task.h"
#include "base/time.h"
#include "kv/db.h"

namespace virga::kernel {

class ElapsedClock;

struct Delivery {
  std::string kind;     // whose handler: "target", "lambda.async"
  std::string lane;     // not empty
  std::string group;    // empty: in no order
  std::string payload;  // the handler knows what
  Time not_before;      // zero: at once
  std::string id;       // told to the handler on every attempt; empty: a new UUID
};

struct Attempt {
  std::string id;  // the same each time: what a receiver can recognise a repetition by
  std::string lane, group, payload;
  int64_t attempts = 0;  // that ended with `again` before this one, and were counted
  Time accepted;         // when it was enqueued
};

// What a handler answers. Writes of a verdict are made in the transaction that removes or puts off the delivery, so
// that (say) a dead letter and the end of the delivery are one change.
class Verdict {
 public:
  using Writes = std::function<Task<void>(kv::Txn&)>;

  static Verdict done() { return Verdict(Kind::kDone); }
  // As done, counted as a failure.
  static Verdict give_up() { return Verdict(Kind::kGaveUp); }
  // Once more, after `delay`; without one, back_off() of the attempts so far.
  static Verdict again(std::optional<Micros> delay = std::nullopt);
  // Once more, not counted as an attempt: the target was not even tried, or asked to come back.
  static Verdict later(Micros delay);
  // The target takes no more just now. The delivery stays where it is, nothing is written, and its lane starts nothing
  // before another of it has ended or `delay` is over; from then on no more at a time than did well, and slowly more.
  static Verdict busy(Micros delay);

  Verdict&& with(Writes writes) && { return writes_ = std::move(writes), std::move(*this); }
  // Together with again or later: what the payload is from here on.
  Verdict&& instead(std::string payload) && { return payload_ = std::move(payload), std::move(*this); }

 private:
  friend class Deliveries;
  enum class Kind : uint8_t { kDone, kGaveUp, kAgain, kBusy };
  explicit Verdict(Kind kind) : kind_(kind) {}
  Kind kind_;
  bool counted_ = true;
  std::optional<Micros> delay_;
  std::optional<std::string> payload_;
  Writes writes_;
};

// Runs one attempt. A failure is `again()`. It may run beside itself, on any reactor's thread, but never for the same
// delivery twice at a time; and once more after it ended when its verdict did not become durable.
using DeliveryHandler = std::function<Task<Verdict>(Attempt)>;

struct LaneLimits {
  size_t lane = 64;    // deliveries of one lane at a time
  size_t pool = 2048;  // of all lanes of the kind; lanes beyond still get one each
};

// One second, doubled with each attempt up to five minutes, of which a random part up to the half is left out.
Micros back_off(int64_t attempts);

class Deliveries {
 public:
  static constexpr size_t kMostLanesRunning = 8192;

  // Reads and advances the store's count of starts, so it needs the store open. One at a time on a store.
  Deliveries(kv::Db& db, const ElapsedClock& clock, MetricRegistry& metrics);
  ~Deliveries();
  Deliveries(const Deliveries&) = delete;

  // Registered before start(). A kind without a handler waits in the store.
  void on(std::string kind, DeliveryHandler handler, LaneLimits limits = {});

  // Part of the transaction: delivered if and when it commits. Reads nothing, so it never conflicts.
  void enqueue(kv::Txn& tx, Delivery delivery);

  // Begins delivering, what the store holds included. Work runs on the executor whose commit caused it, or on this one.
  Task<void> start();
  // Starts nothing more and waits for what runs, at most `grace` of real time; what runs longer is delivered again
  // after the next start.
  Task<void> stop(Micros grace = Millis(10'000));
  // Looks at the clock at once. Without it a clock that was moved is noticed within half a second.
  void clock_moved();

  // What runs now, all kinds together.
  size_t running() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace virga::kernel
