// A queue's desk: where sends, receives and edits of one queue line up. What waits while a transaction is on its way
// goes into the next one together, so that calls of one queue never conflict with each other and share commits. A desk
// holds no state of the queue: only who waits, and for receives that wait for a message, until when.
//
// A standard queue has lines for sends, receives and edits; a FIFO queue has one for all. Sends and edits have two
// each, so that what comes while one's transaction is on its way to the disk need not wait for it.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/task.h"
#include "services/sqs/store.h"

namespace virga::sqs {

using SteadyTime = std::chrono::steady_clock::time_point;

struct Job {
  enum class Kind : uint8_t { kSend, kReceive, kEdit };
  explicit Job(Kind k) : kind(k) {}
  const Kind kind;
  size_t bytes = 0;  // it writes about so much

  // The desk's.
  std::optional<Resume> resume;
  std::optional<Failure> failure;
};

struct SendJob : Job {
  SendJob() : Job(Kind::kSend) {}
  struct Entry {
    std::string bytes;  // a StoredMessage
    Time due;           // not visible before; zero: at once
    std::string id, group, deduplication;
    uint64_t sequence = 0;  // out, of a FIFO queue
    std::string sent_id;    // out: of the first send, when this is a duplicate
  };
  std::vector<Entry> entries;
};

struct ReceiveJob : Job {
  ReceiveJob() : Job(Kind::kReceive) {}
  size_t most = 1;
  std::optional<int32_t> visibility;  // seconds
  std::string attempt;                // FIFO
  SteadyTime until;                   // waits for a message until then
  std::string request;                // the caller's, which may end the wait
  bool sweep = false;                 // drops what is past the queue's retention, and receives nothing
  std::string move_task;              // the key of a MoveTask: messages go where it says instead of to a caller
  struct Item {
    StoredMessage message;
    int64_t count = 0;
    Time first_received;
    uint64_t sequence = 0;
    Handle handle;
  };
  std::vector<Item> items;  // out
  bool refused = false;     // out: too many are in flight
  size_t moved = 0;         // out, of a move task or a sweep
  bool stuck = false;       // out: a message has nowhere to go
  bool known = false;       // out: `stuck`, though it is known where the message was to go
};

struct EditJob : Job {
  EditJob() : Job(Kind::kEdit) {}
  enum class Outcome : uint8_t {
    kDone,
    kGone,     // there is no such message
    kExpired,  // of a FIFO queue: the handle is of an earlier receive, or its time is over
    kTooLong,  // more than twelve hours since the receive
  };
  struct Edit {
    Handle handle;
    std::optional<int32_t> visibility;  // nothing: delete
    Outcome outcome = Outcome::kDone;   // out
  };
  std::vector<Edit> edits;
};

class Desks;

// How many messages of each message group of a standard queue are in flight, about: what this process handed out since
// somebody last waited at the desk. Only the order of messages depends on it.
class GroupLoad {
 public:
  void add(const std::string& group, int64_t count);
  // Whether the group has so much in flight that the messages of others go before its own.
  bool is_noisy(const std::string& group) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, int64_t, std::less<>> in_flight_;
  int64_t total_ = 0;
};

// What the work of one batch needs.
struct Work {
  kv::Db& db;
  const Clock& clock;  // of all times in rows: kernel/elapsed_clock.h
  Desks& desks;
  const QueueName& queue;
  std::shared_ptr<GroupLoad> load;
  char line = '0';  // names the tallies of this line
};

struct Worked {
  std::optional<Time> next;  // when a message may become visible
  bool again = false;        // not everything was looked at that is visible
};

// standard.cc
Task<void> work_sends(Work work, std::vector<SendJob*> jobs);
Task<Worked> work_receives(Work work, std::vector<ReceiveJob*> jobs);
Task<void> work_edits(Work work, std::vector<EditJob*> jobs);
// fifo.cc
Task<Worked> work_fifo(Work work, std::vector<Job*> jobs);

class Desk : public std::enable_shared_from_this<Desk> {
 public:
  Desk(kv::Db& db, const Clock& clock, Desks& desks, QueueName queue, std::shared_ptr<GroupLoad> load);
  ~Desk();
  // Completes when the job is done; fails with what its transaction failed with.
  Task<void> run(Job& job);
  // Messages may have become visible.
  void wake();
  // Ends all waiting, or that of one request.
  void stop(std::string_view request = {});

 private:
  // By kind: of sends and edits the second is kKinds further.
  static constexpr size_t kKinds = 3, kLanes = 2 * kKinds;
  struct Lane {
    std::deque<Job*> waiting;
    bool running = false;
  };
  size_t lane_of(const Job& job) const;  // under the lock
  size_t receive_lane() const { return queue_.fifo() ? 0 : static_cast<size_t>(Job::Kind::kReceive); }

  static Task<void> work_off(std::shared_ptr<Desk> self, size_t lane);
  std::vector<Job*> take(size_t lane);
  Task<Worked> work(size_t lane, const std::vector<Job*>& batch);
  void settle(size_t lane, const std::vector<Job*>& batch, const Result<Worked>& result);
  void arm(SteadyTime at);  // under the lock
  void on_timer(SteadyTime at);

  kv::Db& db_;
  const Clock& clock_;
  Desks& desks_;
  const QueueName queue_;
  const std::shared_ptr<GroupLoad> load_;

  std::mutex mutex_;
  Lane lanes_[kLanes];
  std::multimap<SteadyTime, ReceiveJob*> parked_;  // by when their wait ends: who waits longest is served first
  std::optional<Time> next_;                       // when a message may become visible, as the last receive saw it
  std::optional<SteadyTime> armed_;
  bool woken_ = false;
};

// The desks in use, by queue.
class Desks {
 public:
  Desks(kv::Db& db, const Clock& clock) : db_(db), clock_(clock) {}
  std::shared_ptr<Desk> at(const QueueName& queue);
  void wake(const QueueName& queue);
  // Ends all waiting, now and from now on. Safe from any thread.
  void stop();
  // Ends what one request waits for now.
  void stop(const QueueName& queue, std::string_view request);
  bool stopped() const { return stopped_; }

 private:
  friend class Desk;
  std::shared_ptr<Desk> find(const QueueName& queue);  // null when nobody works or waits there
  void forget(const std::string& key);
  std::shared_ptr<GroupLoad> load_of(const std::string& key);  // under the lock

  kv::Db& db_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::map<std::string, std::weak_ptr<Desk>, std::less<>> desks_;
  // Loads outlive their desks, which are gone whenever nobody waits: those used last.
  std::map<std::string, std::pair<uint64_t, std::shared_ptr<GroupLoad>>, std::less<>> loads_;
  uint64_t turn_ = 0;
  std::atomic<bool> stopped_ = false;
};

}  // namespace virga::sqs
