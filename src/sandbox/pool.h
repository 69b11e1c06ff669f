// Prepared sandboxes, kept ahead of demand, and the instances made of them.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

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

  void expect(const std::string& runtime) override;
  Task<std::unique_ptr<Instance>> start(Spec spec, LogSink log) override;
  Runtime runtime(const std::string& name) const override;
  std::vector<Capability> capabilities() const override;
  Task<void> stop() override;

 private:
  using Steady = std::chrono::steady_clock::time_point;
  struct Waiter;
  // What may lie ready: an interpreter of a family, or (kCustom) an empty sandbox for any program.
  struct Shelf {
    std::deque<Slot> ready;
    size_t coming = 0;  // ordered of the launcher
    bool fill_planned = false;
    bool kept = false;  // lately in use: keep some ready
    Steady used{};
    std::deque<Waiter*> waiters;
  };

  Shelf& shelf(Family family) { return shelves_[static_cast<size_t>(family)]; }
  Task<Slot> take(Family family);
  // With the lock held:
  void order_one(Family family);
  void plan_fill(Family family, Micros delay);
  void begin();

  void fill(Family family);
  void sweep();
  void on_event(uint32_t id, Event event, Slot slot);
  void on_created(uint32_t id, Slot slot);
  void lose_all(const std::string& why);
  void assign(uint32_t id, const Spec& spec, Family family, bool own_start);
  const Interpreter& interpreter(Family family) const { return family == Family::kPython ? python_ : node_; }

  Options options_;
  Interpreter python_, node_;
  Keeper keeper_;
  Loop loop_;
  Backstage backstage_;
  mutable std::mutex mutex_;
  bool begun_ = false;
  bool stopped_ = false;
  size_t live_ = 0;
  Shelf shelves_[kFamilies];
  std::unordered_map<uint32_t, Family> ordered_;             // of the launcher, not yet made
  std::unordered_map<uint32_t, std::weak_ptr<Core>> cores_;  // instances, by their sandbox
};

}  // namespace virga::sandbox
