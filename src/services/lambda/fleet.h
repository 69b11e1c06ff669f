// Instances that take several invocations at a time. A fleet is those of one version: as many as the invocations under
// way need, between a least and a most number, started ahead of need.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "base/async.h"
#include "services/lambda/call.h"
#include "services/lambda/warm.h"

namespace virga::lambda {

struct FleetSize {
  int32_t least = 3, most = 15'000;  // instances
  int32_t at_a_time = 1;             // invocations of each
};

// Any thread.
class Fleets {
 public:
  explicit Fleets(std::function<Task<WarmPtr>(Call)> start);
  ~Fleets();

  // From now on there are these fleets (by key) of those whose keys start with `prefix`, and no others.
  void keep(const std::string& prefix, std::vector<std::tuple<std::string, Call, FleetSize>> wanted);
  // A place in the instance that has most to spare: its invocation runs as in an instance of its own, and its end gives
  // the place back. Waits for one while instances start. Fails with TooManyRequestsException when all are full.
  Task<WarmPtr> take(std::string key);
  // Replaces what died or is too old, and ends what has been too much for `idle`.
  void tend(std::chrono::seconds idle);
  bool empty() const;
  // Ends all; what runs ends with its invocations.
  Task<void> stop();

 private:
  struct Member;
  struct Fleet;
  struct State;
  class Seat;
  class Told;
  std::shared_ptr<State> state_;
};

}  // namespace virga::lambda
