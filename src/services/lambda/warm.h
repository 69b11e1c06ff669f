// Instances that wait for a call: found by what they run, given up by when they were last used.
#pragma once

#include <chrono>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/executor.h"
#include "sandbox/sandbox.h"
#include "services/lambda/log_writer.h"

namespace virga::lambda {

// The line that tells of an invocation's start, until it is written.
struct StartLine {
  std::string text;
  std::shared_ptr<std::string> tail;
  std::shared_ptr<LogWriter> log;
  void write();
};

// An instance with what goes with it.
struct Warm {
  std::string key;       // of the version it runs
  std::string function;  // unqualified ARN
  std::unique_ptr<sandbox::Instance> instance;
  std::shared_ptr<LogWriter> log;
  std::shared_ptr<std::string> current;                             // log lines of the running invocation, for the tail
  std::shared_ptr<StartLine> start_line;                            // null: the log is JSON
  Executor* home = nullptr;                                         // where its channel lives
  std::chrono::steady_clock::time_point started, used{};            // started: its role's session
  std::shared_ptr<bool> role_lost = std::make_shared<bool>(false);  // at home
  bool provisioned = false;
  bool snapshot = false;    // not yet restored
  bool init_again = false;  // should its initialisation fail
  uint32_t memory_mb = 0;   // of a snapshot
  bool seat = false;        // one of several places in an instance that others have too
  ~Warm();
};
using WarmPtr = std::unique_ptr<Warm>;

class WarmSet {
 public:
  // Of those with this key the most recent on `here`, else the most recent; null when none lives.
  WarmPtr take(const std::string& key, const Executor* here);
  void put(WarmPtr warm);
  // The one used longest ago; null when there is none.
  WarmPtr take_oldest();
  // All of a function.
  std::vector<WarmPtr> take_function(const std::string& function);
  // Those used before `since`, and the dead.
  std::vector<WarmPtr> take_stale(std::chrono::steady_clock::time_point since);
  std::vector<WarmPtr> take_all();
  size_t size() const;
  size_t count(const std::string& key) const;
  uint64_t memory_mb() const;

 private:
  using Order = std::list<WarmPtr>;  // longest unused first
  WarmPtr remove(Order::iterator at);

  mutable std::mutex mutex_;
  Order order_;
  std::unordered_map<std::string, std::vector<Order::iterator>> by_key_;  // most recent last
};

}  // namespace virga::lambda
