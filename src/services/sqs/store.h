// Keys and records of SQS. The only file that knows how they are spelled.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "kernel/context.h"
#include "kv/db.h"
#include "services/sqs/message.h"

namespace virga::sqs {

// Which queue: what its ARN says.
struct QueueName {
  std::string account, region, name;
  bool operator==(const QueueName&) const = default;
  bool fifo() const { return name.ends_with(".fifo"); }
  std::string arn() const;
};
std::optional<QueueName> queue_of_arn(std::string_view arn);

struct QueueRecord {
  std::string name;
  uint64_t id = 0;        // of this queue until it is deleted
  uint64_t contents = 0;  // of its messages until it is purged
  uint64_t purges = 0;
  Time created, modified, purged;
  int32_t visibility = 30, delay = 0, retention = 345'600, max_size = 1'048'576, wait = 0;  // seconds, bytes
  bool content_deduplication = false;
  std::string deduplication_scope, throughput_limit;  // as given; FIFO only
  std::string policy, redrive_policy, redrive_allow_policy;
  std::string dead_letter_arn;  // what redrive_policy says
  int32_t max_receives = 0;
  std::string kms_key;
  int32_t kms_reuse = 300;
  bool managed_sse = true;
  std::map<std::string, std::string> tags;
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, id), a(3, contents), a(4, purges), a(5, created), a(6, modified), a(7, purged), a(8, visibility);
    a(9, delay), a(10, retention), a(11, max_size), a(12, wait), a(13, content_deduplication);
    a(14, deduplication_scope), a(15, throughput_limit), a(16, policy), a(17, redrive_policy);
    a(18, redrive_allow_policy), a(19, dead_letter_arn), a(20, max_receives), a(21, kms_key), a(22, kms_reuse);
    a(23, managed_sse), a(24, tags);
  }
};

// A message handed out and not deleted, in flight until the deadline in its key, and visible again after it.
struct InFlight {
  int64_t count = 0;  // receives
  Time first_received, received;
  bool recorded = false;  // Place rows name it: its handles' deadlines are not its key's
  std::string group;
  template <class A>
  void fields(A& a) {
    a(1, count), a(2, first_received), a(3, received), a(4, recorded), a(5, group);
  }
};

// What one writer has added to a queue's numbers. Each has a row of its own, so that none waits for another.
struct Tally {
  int64_t messages = 0;        // all that are there
  int64_t delayed = 0;         // that were never visible yet, or are and nobody looked
  int64_t handed_out = 0;      // InFlight rows
  std::string head;            // of the receivers: up to here everything new was handed out
  uint64_t last_sequence = 0;  // of a FIFO queue
  int64_t bucket = 0;          // of a FIFO queue: older buckets of Sent rows are gone
  template <class A>
  void fields(A& a) {
    a(1, messages), a(2, delayed), a(3, handed_out), a(4, head), a(5, last_sequence), a(6, bucket);
  }
};

// A FIFO queue's message group that has messages.
struct Group {
  struct Touched {  // received at least once and not deleted: never more than one receive can return
    uint64_t sequence = 0;
    int64_t count = 0;
    uint64_t receive = 0;
    Time first_received, received, deadline;
    template <class A>
    void fields(A& a) {
      a(1, sequence), a(2, count), a(3, receive), a(4, first_received), a(5, received), a(6, deadline);
    }
  };
  std::vector<Touched> touched;  // by sequence
  uint64_t first = 0;            // no message before this sequence is left
  Time ready;                    // where its turn row stands
  uint64_t turn = 0;             // there: the sequence
  template <class A>
  void fields(A& a) {
    a(1, touched), a(2, first), a(3, ready), a(4, turn);
  }
};

int64_t in_flight_at(const Group& group, Time now);

// A message group's turn: at `ready`, among those of one moment in the order of their first messages.
struct Turn {
  Time ready;
  uint64_t sequence;
  std::string group;
};

// The first send of a deduplication id.
struct Sent {
  std::string id;
  uint64_t sequence = 0;
  Time at;
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, sequence), a(3, at);
  }
};

// What a receive with an attempt id returned.
struct Attempt {
  struct Message {
    std::string group;
    uint64_t sequence = 0, receive = 0;
    template <class A>
    void fields(A& a) {
      a(1, group), a(2, sequence), a(3, receive);
    }
  };
  Time at;
  std::vector<Message> messages;
  template <class A>
  void fields(A& a) {
    a(1, at), a(2, messages);
  }
};

// StartMessageMoveTask.
struct MoveTask {
  std::string id;
  std::string source, destination;  // ARNs; an empty destination: where each message came from
  std::string status = "RUNNING";   // RUNNING, COMPLETED, CANCELLING, CANCELLED, FAILED
  int32_t rate = 0;                 // messages a second; 0: as fast as it goes
  int64_t moved = 0, to_move = 0;
  Time started, ended;
  std::string failure;
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, source), a(3, destination), a(4, status), a(5, rate), a(6, moved), a(7, to_move), a(8, started);
    a(9, ended), a(10, failure);
  }
};

namespace keys {

std::string queue(const QueueName& queue);
std::string queues(const std::string& account, const std::string& region);  // prefix
std::string deleted(const QueueName& queue);                                // -> Time of the deletion
// Queues whose dead letters go to `target`.
std::string dead_letter_source(const QueueName& target, const QueueName& source);
std::string dead_letter_sources(const QueueName& target);  // prefix

// A queue's messages, all by QueueRecord::contents. A message lies where its `place` says: 'n' and its commit position
// (new), or 'm' and a longer one (moved here when its delay was over). See README.md.
std::string fresh(uint64_t contents);  // prefix of new messages' rows
std::string message(uint64_t contents, std::string_view place);
std::string delayed(uint64_t contents);            // prefix: + due time + commit position (FIFO: sequence)
std::string delayed(uint64_t contents, Time due);  // prefix
std::string in_flight(uint64_t contents);          // prefix: + deadline + place
std::string in_flight(uint64_t contents, Time deadline, std::string_view place = {});
std::string recorded(uint64_t contents, std::string_view place);  // -> the deadline in its InFlight key
std::string set_aside(uint64_t contents);                         // prefix: + place; messages of noisy groups
std::string tally(uint64_t contents, std::string_view writer);
std::string tallies(uint64_t contents);  // prefix

// Of FIFO queues.
std::string group(uint64_t contents, std::string_view group);
std::string group_messages(uint64_t contents, std::string_view group);  // prefix: + sequence
std::string group_message(uint64_t contents, std::string_view group, uint64_t sequence);
std::string turns(uint64_t contents);  // prefix
std::string turns_until(uint64_t contents, Time now);
std::string turn(uint64_t contents, const Turn& turn);
Turn parse_turn(std::string_view key);
// By QueueRecord::id, in five-minute buckets.
std::string sent(uint64_t queue, int64_t bucket, std::string_view group, std::string_view deduplication);
std::string attempt(uint64_t queue, int64_t bucket, std::string_view id);
std::string buckets(uint64_t queue);                         // prefix
std::string buckets_before(uint64_t queue, int64_t bucket);  // end of the range that begins with buckets()

std::string move_task(const QueueName& source, std::string_view id);
std::string move_tasks(const QueueName& source);  // prefix

}  // namespace keys

Task<std::optional<QueueRecord>> find_queue(kv::Reader& reader, QueueName name);
Task<Tally> read_tally(kv::Reader& reader, uint64_t contents, std::string writer);
// Everything that belongs to the contents of a queue.
void erase_contents(kv::Txn& tx, uint64_t contents);

}  // namespace virga::sqs
