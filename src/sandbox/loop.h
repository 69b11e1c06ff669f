// One thread that waits for descriptors and times: it hears the launcher, and serves instances whose executor is no
// reactor. Started by the first use.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/executor.h"
#include "sandbox/jail/fd.h"
#include "sandbox/readiness.h"

namespace virga::sandbox {

class Loop final : public Executor {
 public:
  Loop();
  ~Loop() override;  // ends the thread

  void post(std::move_only_function<void()> work) override;
  void post_after(Micros delay, std::move_only_function<void()> work) override;
  // Edges of reading, and of writing where there is an executor to call; null: `ready` is called on this loop's thread.
  std::unique_ptr<Readiness> watch(int fd, Executor* executor, std::function<void()> ready);

 private:
  struct Entry;
  class Watched;
  void run();
  void wake();
  void arm();
  void ensure_thread();

  Fd poll_, wake_, timer_;
  std::mutex mutex_;
  bool started_ = false;
  bool ended_ = false;
  uint64_t next_key_ = 1;
  std::unordered_map<uint64_t, std::shared_ptr<Entry>> entries_;
  std::vector<std::move_only_function<void()>> ready_;
  std::multimap<std::chrono::steady_clock::time_point, std::move_only_function<void()>> timed_;
  std::thread thread_;
};

}  // namespace virga::sandbox
