// Prepared sandboxes, kept ahead of demand, and the instances made of them.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/async.h"
#include "base/worker_pool.h"
#include "sandbox/instance.h"
#include "sandbox/keeper.h"
#include "sandbox/loop.h"
#include "sandbox/runtimes.h"
#include "sandbox/sandbox.h"

namespace virga::sandbox {

class Pool final : public Sandboxes {
 public:
  explicit Pool(Options options);
  ~Pool() override;

  void expect(const std::string& runtime, uint32_t memory_mb) override;
  void rouse(const std::string& runtime) override;
  Task<std::unique_ptr<Instance>> start(Spec spec, LogSink log) override;
  Runtime runtime(const std::string& name) const override;
  std::vector<Capability> capabilities() const override;
  Task<void> settle() override;
  Task<void> stop() override;

 private:
  using Steady = std::chrono::steady_clock::time_point;
  struct Waiter;
  // What may lie ready: a started interpreter, or (kCustom) an empty sandbox for any program.
  struct Shelf {
    std::shared_ptr<const Toolchain> toolchain;
    uint32_t memory_mb = 0;  // that a prepared Java's heap is made for
    std::string runtime;     // last asked for
    std::deque<Slot> ready;
    size_t coming = 0;  // ordered of the launcher
    bool fill_planned = false;
    bool kept = false;   // lately in use: keep some ready
    bool burst = false;  // the last uses followed one another
    Steady used{};
    std::deque<Waiter*> waiters;
  };

  // Once for each toolchain: what must be made before it can start, on a thread of its own.
  struct Preparation {
    bool begun = false;
    std::optional<std::string> failure;
    virga::Event done;
  };
  std::shared_ptr<Preparation> preparation(const std::shared_ptr<const Toolchain>& toolchain);
  Task<Slot> take(std::shared_ptr<const Toolchain> toolchain, uint32_t memory_mb, std::string runtime);
  void replace(const std::shared_ptr<const Toolchain>& toolchain, uint32_t memory_mb);
  // With the lock held:
  Shelf& shelf(const std::shared_ptr<const Toolchain>& toolchain, uint32_t memory_mb);
  size_t kept_ready(const Shelf& shelf) const;
  void order_one(Shelf& shelf);
  void order_ahead(Shelf& shelf);
  void plan_fill(Shelf& shelf, Micros delay);
  void begin();

  void fill(Shelf& shelf);
  void sweep();
  void on_event(uint32_t id, Event event, Slot slot);
  void on_created(uint32_t id, Slot slot);
  void lose_all(Event event, bool another);
  void assign(Core& core, const Spec& spec, const Toolchain& toolchain, bool own_start);
  jail::Message run_order(const Core& core, const Spec& spec, const Toolchain& toolchain,
                          const Environment& environment) const;
  void run(Core& core, const Spec& spec, const Toolchain& toolchain, bool own_start, const Environment& environment);
  void start_extensions(Core& core, const Spec& spec, const Environment& environment, std::vector<std::string> names,
                        std::function<void()> start_runtime);

  const SystemClock machine_clock_;
  Options options_;
  mutable Toolchains toolchains_;
  const std::shared_ptr<const Toolchain> nothing_ = std::make_shared<Toolchain>();  // of an empty sandbox
  Keeper keeper_;
  Loop loop_;
  Backstage backstage_;
  WorkerPool workers_{1};
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Preparation>> preparations_;  // by toolchain
  bool begun_ = false;
  bool stopped_ = false;
  size_t live_ = 0;
  std::map<std::pair<std::string, uint32_t>, Shelf> shelves_;  // by toolchain and memory; never erased
  std::unordered_map<uint32_t, Shelf*> ordered_;               // of the launcher, not yet made
  std::unordered_map<uint32_t, std::weak_ptr<Core>> cores_;    // instances, by their sandbox
  std::unordered_set<uint32_t> leaving_;  // of them those that only their extensions keep; they don't count as live
  virga::Event left_;                     // set while there is none
};

}  // namespace virga::sandbox
