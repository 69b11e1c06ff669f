// Initialised instances of versions with SnapStart, which wait to be restored by a call: one for each version, more for
// one that is called in bursts. Each serves one call as it is and is an ordinary instance from then on; the next is
// prepared in the background, one at a time for all versions.
//
// Bounded in number, memory and age. What is let go is made again when its version is called.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "services/lambda/model.h"
#include "services/lambda/warm.h"

namespace virga::lambda {

class Snapshots {
 public:
  struct Of {
    FunctionId id;
    std::shared_ptr<const VersionRecord> version;
    std::string key;  // of its instances
  };
  // Makes an initialised instance; fails when its initialisation does.
  using Make = std::function<Task<WarmPtr>(Of of)>;
  explicit Snapshots(Make make) : make_(std::move(make)) {}

  // One that waits, null when none does. The next is prepared.
  WarmPtr take(const Of& of, const Executor* here);
  // The first one of a version that has just been published.
  void put(const Of& of, WarmPtr snapshot);
  // Prepares one, unless one is there.
  void expect(const Of& of);
  // Ends those whose key begins so.
  void forget(const std::string& prefix);
  // Ends what nobody called for long; replaces the dead, and those started before `since`.
  void sweep(std::chrono::steady_clock::time_point since);
  // Ends the one that waits for longest; false when none waits.
  bool give_way();
  void stop();
  bool empty() const;

 private:
  using Steady = std::chrono::steady_clock::time_point;
  struct Version {
    Of of;
    size_t wanted = 1;
    size_t coming = 0;
    Steady used;
  };
  // With the lock held:
  Version& version(const Of& of);
  void order(Version& version);
  Task<void> fill();
  void keep(WarmPtr snapshot, std::vector<WarmPtr>& ended);

  const Make make_;
  WarmSet waiting_;
  mutable std::mutex mutex_;
  std::map<std::string, Version> versions_;  // by key
  std::deque<std::string> orders_;           // keys, one for each that is coming
  bool filling_ = false;
  bool stopped_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace virga::lambda
