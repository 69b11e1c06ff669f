// Initialised instances of versions with SnapStart, which wait to be restored by a call: as many of a version as its
// largest burst of this hour or the one before had calls that needed one, and one at least. Each serves one call as it
// is and is an ordinary instance from then on; the next is prepared in the background, one at a time for all versions.
//
// Bounded in number, memory and age. What is let go is made again when its version is called; what waits for bursts
// gives way to what others need at all.
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
  using Now = std::function<std::chrono::steady_clock::time_point()>;
  explicit Snapshots(Make make, Now now = std::chrono::steady_clock::now)
      : make_(std::move(make)), now_(std::move(now)) {}

  // One that waits, null when none does. The next is prepared.
  WarmPtr take(const Of& of, const Executor* here);
  // The first one of a version that has just been published.
  void put(const Of& of, WarmPtr snapshot);
  // Prepares one, unless one is there.
  void expect(const Of& of);
  // Takes note of a version that has none until it is called.
  void know(const Of& of);
  // Versions that nobody called since then. They are forgotten.
  std::vector<Of> take_unused(std::chrono::steady_clock::time_point since);
  // Ends those whose key begins so.
  void forget(const std::string& prefix);
  // Ends what nobody called for long; replaces the dead, and those started before `since`.
  void sweep(std::chrono::steady_clock::time_point since);
  // Ends one of the version that has most, of several the one that waits for longest; false when none waits.
  bool give_way();
  void stop();
  Task<void> settle();  // once stopped: returns when nothing waits for its turn to begin
  bool empty() const;

 private:
  using Steady = std::chrono::steady_clock::time_point;
  struct Version {
    Of of;
    size_t wanted = 1;
    size_t coming = 0;
    Steady used;
    size_t burst = 0;    // calls that needed one, each soon after the one before
    size_t largest = 0;  // burst of this hour
    Steady hour;         // its beginning
  };
  // With the lock held:
  Version& version(const Of& of);
  void order(Version& version);
  Task<void> fill();
  void keep(WarmPtr snapshot, std::vector<WarmPtr>& ended);
  bool full() const;
  WarmPtr least_missed();

  const Make make_;
  const Now now_;
  WarmSet waiting_;
  mutable std::mutex mutex_;
  std::map<std::string, Version> versions_;  // by key
  std::deque<std::string> orders_;           // keys, one for each that is coming
  bool filling_ = false;
  bool making_ = false;  // while it fills
  bool stopped_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace virga::lambda
