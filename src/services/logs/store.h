// Keys and records of CloudWatch Logs. The only file that knows how they are spelled.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/time.h"
#include "kernel/context.h"
#include "kv/db.h"

namespace virga::logs {

using kernel::Home;

// Whom a group's events are sent to as they come.
struct Subscription {
  std::string name, pattern, destination;
  Time created;
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, pattern), a(3, destination), a(4, created);
  }
};

struct Group {
  std::string name;
  Time created;
  std::optional<int32_t> retention_days;
  std::map<std::string, std::string> tags;
  std::string log_class = "STANDARD";
  std::vector<Subscription> subscriptions;
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, created), a(3, retention_days), a(5, tags), a(6, log_class), a(7, subscriptions);
  }
};

struct Stream {
  std::string name;
  Time created;
  std::optional<Time> first_event, last_event, last_ingestion;
  int64_t bytes = 0;  // of its events, as they are billed
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, created), a(3, first_event), a(4, last_event), a(5, last_ingestion), a(6, bytes);
  }
};

// Which services may write to the groups of an account, or to one group.
struct Policy {
  std::string group;  // empty: of the account
  std::string name;   // empty: of a group
  std::string document, revision;
  Time updated;
  template <class A>
  void fields(A& a) {
    a(1, group), a(2, name), a(3, document), a(4, revision), a(5, updated);
  }
};

// Events that came together within kBatchSpan: the first's time is in the key.
struct BatchRecord {
  std::string message;
  Time ingested;
  std::vector<std::pair<int64_t, std::string>> more;  // milliseconds after the first, and the message
  template <class A>
  void fields(A& a) {
    a(1, message), a(2, ingested), a(3, more);
  }
};
inline constexpr Millis kBatchSpan{1'000};
inline constexpr size_t kBatchBytes = 64 * 1024;  // of messages; a larger one is alone

// Where an event stands in its stream: its time, then the order it was committed in: of its batch, and within that.
// Compares as bytes.
using EventPosition = std::string;
inline constexpr size_t kBatchPosition = 18;  // time, commit, order within the commit
inline constexpr size_t kEventPosition = kBatchPosition + 2;

struct NewEvent {
  Time time;
  std::string_view message;
};

struct Event {
  EventPosition position;
  std::string stream;
  Time time;
  Time ingested;
  std::string message;
};

EventPosition first_position(Time time);  // before every event of that time
// What identifies an event to clients: digits, as AWS's ids are.
std::string event_id(const EventPosition& position);

// Where a stream stands among those of its group, by its last event; ones without events come first.
struct StreamPlace {
  std::optional<Time> last_event;
  std::string name;
  template <class A>
  void fields(A& a) {
    a(1, last_event), a(2, name);
  }
};

class Store {
 public:
  Store(kv::Reader& reader, Home home) : reader_(reader), home_(std::move(home)) {}

  Task<std::optional<Group>> find_group(std::string name) const;
  // Groups whose names start with `prefix`, after `after` (exclusive), in order.
  Task<std::vector<Group>> list_groups(std::string prefix, std::string after, size_t limit) const;
  Task<std::optional<Stream>> find_stream(std::string group, std::string stream) const;
  Task<std::vector<Stream>> list_streams(std::string group, std::string prefix, std::string after, size_t limit,
                                         bool reverse) const;
  // The streams with the earliest last events after `after` (the latest before it, `reverse`), in that order.
  Task<std::vector<Stream>> list_streams_by_time(std::string group, std::optional<StreamPlace> after, size_t limit,
                                                 bool reverse) const;
  Task<std::optional<Policy>> find_policy(std::string group, std::string name) const;
  // The account's, which are in front, and then those of groups, after `after` (exclusive).
  Task<std::vector<Policy>> list_policies(std::optional<Policy> after, size_t limit) const;
  // The account's only.
  Task<std::vector<Policy>> account_policies() const;
  // Of all events of the group.
  struct Sum {
    int64_t bytes = 0;
    size_t streams = 0;
  };
  Task<Sum> sum_bytes(std::string group) const;
  // Events of one stream with positions in [from, to): `limit` at most, and none after that with which the messages'
  // bytes reach `bytes`.
  Task<std::vector<Event>> read_events(std::string group, std::string stream, EventPosition from, EventPosition to,
                                       size_t limit, size_t bytes, bool reverse) const;

 protected:
  std::string group_key(std::string_view name) const;
  std::string stream_key(std::string_view group, std::string_view stream) const;
  std::string event_prefix(std::string_view group, std::string_view stream) const;
  std::string policy_key(std::string_view group, std::string_view name) const;

  kv::Reader& reader_;
  Home home_;
};

class WriteStore : public Store {
 public:
  WriteStore(kv::Txn& tx, Home home) : Store(tx, std::move(home)), tx_(tx) {}

  void put_group(const Group& group);
  void put_stream(const std::string& group, const Stream& stream);
  // In the order of their times.
  void add_events(const std::string& group, const std::string& stream, const std::vector<NewEvent>& events,
                  Time ingested);
  void put_policy(const Policy& policy);
  void erase_policy(const Policy& policy);
  void erase_group(const std::string& name);  // with its streams, events and policy
  void erase_stream(const std::string& group, const std::string& stream);
  // The oldest ones, some megabytes at the most; some of the last kBatchSpan before `cutoff` stay. Answers their bytes;
  // nothing: none are left.
  Task<std::optional<int64_t>> erase_events_before(const std::string& group, const std::string& stream, Time cutoff);

 private:
  kv::Txn& tx_;
};

}  // namespace virga::logs
