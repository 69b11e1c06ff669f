#include "base/fault.h"

#include <csignal>

#include <atomic>
#include <map>
#include <mutex>

namespace virga {

namespace {
struct Armed {
  FaultAction action;
  uint64_t skip, times;
};
// The one process-wide state: a fault point has no place to be handed anything.
std::atomic<bool> any_armed = false;
std::mutex mutex;
std::map<std::string, Armed, std::less<>>& armed() {
  static std::map<std::string, Armed, std::less<>> map;
  return map;
}
}  // namespace

void arm_fault(std::string name, FaultAction action, uint64_t skip, uint64_t times) {
  std::lock_guard lock(mutex);
  armed().insert_or_assign(std::move(name), Armed{action, skip, times});
  any_armed = true;
}

void disarm_faults() {
  std::lock_guard lock(mutex);
  armed().clear();
  any_armed = false;
}

bool detail::pass_fault(std::string_view name) {
  if (!any_armed.load(std::memory_order_relaxed)) return false;
  std::lock_guard lock(mutex);
  const auto found = armed().find(name);
  if (found == armed().end()) return false;
  Armed& point = found->second;
  if (point.skip > 0) {
    --point.skip;
    return false;
  }
  if (point.times == 0) return false;
  --point.times;
  if (point.action == FaultAction::kKill) raise(SIGKILL);
  return true;
}

}  // namespace virga
