// Keys and records of durable executions. An execution is many small records, so that a change writes what it changes.
//
// Keys, under the tag "durable", then one byte, account and region:
//   x  id                        the Execution
//   i  id                        its input
//   r  id                        its Outcome, once it has ended: what waits for the end waits for this key
//   o  id, sequence u64          an Operation
//   k  id, operation             its sequence
//   d  id, time, operation       when time changes the operation next
//   c  id, change u64            an operation that changed without the function, until an invocation has seen it
//   h  id, number u64            a HistoryEvent
//   n  function, name            the execution of that name
//   l  function, start time, id  a Listed, as lists show it
//   w  function, version, id     an execution that runs
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kv/db.h"
#include "services/lambda/durable/machine.h"
#include "services/lambda/store.h"

namespace virga::lambda::durable {

// Names one execution.
struct Key {
  std::string account, region, id;
  template <class A>
  void fields(A& a) {
    a(1, account), a(2, region), a(3, id);
  }
};

// The operation of another execution that waits for this one's end.
struct Parent {
  std::string id, operation;  // of the same account and region; empty: none
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, operation);
  }
};

struct Execution {
  std::string account, region, id, name, function;
  uint64_t version = 0;
  ExecutionStatus status = ExecutionStatus::kRunning;
  Time start;
  std::optional<Time> end;
  int32_t timeout = 0;      // seconds
  int32_t retention = 0;    // days
  bool waited_for = false;  // its caller waits for the result
  std::string input_hash;
  bool has_input = true;
  std::string trace;
  Parent parent;
  // Of an asynchronous call, for destinations: what was called, and the request.
  std::string qualifier, request_id;
  Progress progress;
  // The token of the next checkpoint: one for each invocation and checkpoint.
  uint64_t token = 0;
  bool planned = false;    // an invocation waits or runs
  std::string invocation;  // the request id of the one that runs; empty: none
  Time invoked;            // when it began
  uint64_t changes = 0;    // operations that changed without the function
  uint64_t shown = 0;      // how many of those the invocation has been told of
  uint64_t used = 0;       // and how many before it last made a change of its own
  // The last checkpoint, for a client that sends it again.
  std::string client_token;
  uint64_t client_token_of = 0;  // the token it came with
  std::vector<std::string> client_answer;
  Time timer;  // what the timer is set to
  template <class A>
  void fields(A& a) {
    a(1, account), a(2, region), a(3, id), a(4, name), a(5, function), a(6, version), a(7, status), a(8, start);
    a(9, end), a(10, timeout), a(11, retention), a(12, waited_for), a(13, input_hash), a(14, has_input), a(15, trace);
    a(16, parent), a(17, qualifier), a(18, request_id), a(19, progress), a(20, token), a(21, planned);
    a(22, invocation), a(23, invoked), a(24, changes), a(25, shown), a(26, client_token), a(27, client_token_of);
    a(28, client_answer), a(29, timer), a(30, used);
  }
  bool over() const { return status != ExecutionStatus::kRunning; }
  Home home() const { return {account, region}; }
  Key key() const { return {account, region, id}; }
  size_t most_result() const { return waited_for ? kMostSyncResult : kMostAsyncResult; }
  // arn:aws:lambda:<region>:<account>:function:<function>:<version>, and the same with the execution.
  std::string function_arn() const;
  std::string arn() const;
};

struct Outcome {
  std::optional<std::string> result;
  std::optional<ErrorObject> error;
  template <class A>
  void fields(A& a) {
    a(1, result), a(2, error);
  }
};

struct Listed {
  std::string id, name;
  uint64_t version = 0;
  ExecutionStatus status = ExecutionStatus::kRunning;
  Time start;
  std::optional<Time> end;
  template <class A>
  void fields(A& a) {
    a(1, id), a(2, name), a(3, version), a(4, status), a(5, start), a(6, end);
  }
};

struct Change {
  uint64_t number = 0;
  std::string operation;
};

class Reads {
 public:
  Reads(kv::Reader& reader, Home home) : reader_(reader), home_(std::move(home)) {}

  Task<std::optional<Execution>> find(std::string id) const;
  Task<std::optional<std::string>> input(std::string id) const;
  Task<std::optional<Outcome>> outcome(std::string id) const;
  Task<std::optional<Operation>> operation(std::string id, std::string operation) const;
  // In the order they started, from `from` on, until there are `limit` or about `bytes` bytes.
  Task<std::vector<Operation>> operations(std::string id, uint64_t from, size_t limit, size_t bytes) const;
  // Those that time changes next, the earliest first.
  Task<std::vector<std::pair<Time, std::string>>> due(std::string id, size_t limit) const;
  Task<std::vector<Change>> changes(std::string id, uint64_t after) const;
  // Numbers from `from` on, or downwards from it.
  Task<std::vector<HistoryEvent>> history(std::string id, uint64_t from, bool downwards, size_t limit,
                                          size_t bytes) const;
  Task<std::optional<std::string>> named(std::string function, std::string name) const;
  // Following the one at `after`, which started then; upwards in time or downwards.
  Task<std::vector<Listed>> list(std::string function, const Listed* after, bool downwards, size_t limit) const;
  // Whether an execution of the function, or of that version, runs.
  Task<bool> any_running(std::string function, std::optional<uint64_t> version) const;

  std::string outcome_key(std::string_view id) const { return key("r", id); }

 protected:
  std::string key(std::string_view kind, std::string_view id) const;

  kv::Reader& reader_;
  Home home_;
};

class Writes : public Reads {
 public:
  Writes(kv::Txn& tx, Home home) : Reads(tx, std::move(home)), tx_(tx) {}

  void put(const Execution& execution);
  // The parts that are written once, and the entries by name, in lists and among what runs.
  void begin(const Execution& execution, const std::optional<std::string>& input);
  // The end of what begin() wrote for as long as it runs.
  void end(const Execution& execution, const Outcome& outcome);
  // What a machine changed; `before` are the operations as they were.
  void put(const std::string& id, const Machine& machine, const std::map<std::string, Operation>& before);
  void put_change(const std::string& id, uint64_t number, const std::string& operation);
  void erase_changes(const std::string& id, uint64_t up_to);
  void erase_due(const std::string& id);
  // All of it.
  void erase(const Execution& execution);
  void erase_name(const Execution& execution);
  // Names and lists of a function that is no more; its executions are kept for their time.
  void forget_function(const std::string& function);

 private:
  std::string due_key(const std::string& id, Time time, const std::string& operation) const;
  std::string list_key(const Execution& execution) const;
  std::string name_key(const Execution& execution) const;
  std::string running_key(const Execution& execution) const;

  kv::Txn& tx_;
};

}  // namespace virga::lambda::durable
