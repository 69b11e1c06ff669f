// Provisioned concurrency: instances kept initialised for versions, as many as each is to have. They are started one
// after the other, and those that end, die or outlive their credentials are replaced.
#pragma once

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

// Of one version.
struct Provision {
  int32_t wanted = 0;
  int32_t ready = 0;  // initialised, idle or running
  int32_t running = 0;
  std::string failure;  // why the last start failed; empty: it did not
};

// Any thread.
class Provisions {
 public:
  explicit Provisions(std::function<Task<WarmPtr>(Call)> start) : start_(std::move(start)) {}

  // From now on so many are kept for these versions (by key) of those whose keys start with `prefix`, and none for
  // others.
  void keep(const std::string& prefix, std::vector<std::tuple<std::string, Call, int32_t>> wanted);
  Provision of(const std::string& key) const;      // `running` is not known here
  int32_t ready(const std::string& prefix) const;  // of all whose keys begin so
  // An idle one; null when there is none.
  WarmPtr take(const std::string& key, const Executor* here) { return idle_.take(key, here); }
  void give_back(WarmPtr warm, bool reusable);
  // Replaces the dead and the too old, and tries again what failed.
  void tend();
  bool empty() const;
  // Ends the idle ones, which it gives; others end as they are given back.
  std::vector<WarmPtr> stop();

 private:
  struct Version;
  void keep_one(const std::string& key, Call call, int32_t wanted);
  void lose(const std::string& key);
  Task<void> fill(std::shared_ptr<Version> of);

  const std::function<Task<WarmPtr>(Call)> start_;
  WarmSet idle_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Version>, std::less<>> versions_;  // by key
  bool stopped_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace virga::lambda
