// The state machine of a durable execution's operations: which updates a checkpoint may make, what time and the outside
// do to them, and what the history tells of it. Pure: a Machine works on copies, so a refused batch has changed
// nothing.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "services/lambda/durable/operation.h"

namespace virga::lambda::durable {

inline constexpr int64_t kMostOperations = 3000;              // of an execution
inline constexpr int64_t kMostWritten = 100ll * 1024 * 1024;  // bytes of payloads and errors
inline constexpr size_t kMostPayload = 256 * 1024;            // of an operation
inline constexpr size_t kMostChained = 1024 * 1024;           // a chained invoke's input and output
inline constexpr size_t kMostError = 32 * 1024;               // of an update
inline constexpr size_t kMostExecutionError = 256 * 1024;     // that an execution ends with
inline constexpr size_t kMostSyncResult = 6 * 1024 * 1024;    // of an execution that its caller waits for
inline constexpr size_t kMostAsyncResult = 1024 * 1024;       // of any other

// What an execution's counters say; a Machine moves them on.
struct Progress {
  uint64_t next_sequence = 0, next_event = 1;
  int64_t operations = 0, written = 0;
  int64_t waiting = 0;  // operations that wait for something other than the function
  template <class A>
  void fields(A& a) {
    a(1, next_sequence), a(2, next_event), a(3, operations), a(4, written), a(5, waiting);
  }
};

// What the function of a chained invoke turned out to be.
struct ChainTarget {
  std::optional<ErrorObject> refused;
  std::string version;
  std::string execution_arn;  // of the execution it begins, when it is durable
};

struct Closing {
  ExecutionStatus status = ExecutionStatus::kSucceeded;
  std::optional<std::string> result;
  std::optional<ErrorObject> error;
};

class Machine {
 public:
  Machine(Progress progress, Time now) : progress_(progress), now_(now) {}

  // An operation that is there. All that a change names must be known before it.
  void know(Operation operation);

  // A checkpoint's updates. Throws InvalidParameterValueException in the words of AWS's own checkpoint server.
  // `callback_id` makes the id of a new callback; `targets` has those of the chained invokes that begin.
  void apply(const std::vector<Update>& updates, size_t most_result,
             const std::function<std::string(const std::string&)>& callback_id,
             const std::map<std::string, ChainTarget>& targets);
  // What is due of an operation by now happens to it.
  void expire(const std::string& id);
  // A callback's or chained invoke's end; nothing when it has ended already.
  void finish(const std::string& id, Status status, std::optional<std::string> result,
              std::optional<ErrorObject> error);
  // A sign of life for a callback.
  void heartbeat(const std::string& id);
  // What the history tells of the execution itself.
  HistoryEvent& record(EventType type);

  const Operation* find(const std::string& id) const;
  // Those that are not as they were known, in the order they changed.
  const std::vector<std::string>& changed() const { return changed_; }
  const std::vector<HistoryEvent>& events() const { return events_; }
  const std::optional<Closing>& closing() const { return closing_; }
  const Progress& progress() const { return progress_; }

 private:
  using Targets = std::map<std::string, ChainTarget>;
  void check_batch(const std::vector<Update>& updates) const;
  void check_sizes(const Update& update, size_t most_result) const;
  void check_same(const Update& update, const Operation& operation) const;
  Operation& begin(const Update& update);
  Operation& change(const std::string& id);
  void set_status(Operation& operation, Status status);
  void count(const std::optional<std::string>& payload, const std::optional<ErrorObject>& error);
  HistoryEvent& record(EventType type, const Operation& operation);
  void apply_execution(const Update& update);
  void apply_context(const Update& update, const Operation* existing);
  void apply_step(const Update& update, const Operation* existing);
  void apply_wait(const Update& update, const Operation* existing);
  void apply_callback(const Update& update, const Operation* existing,
                      const std::function<std::string(const std::string&)>& callback_id);
  void apply_chained(const Update& update, const Operation* existing, const Targets& targets);

  Progress progress_;
  const Time now_;
  std::map<std::string, Operation> operations_;
  std::vector<std::string> changed_;
  std::vector<HistoryEvent> events_;
  std::optional<Closing> closing_;
};

}  // namespace virga::lambda::durable
