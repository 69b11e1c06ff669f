#include "services/lambda/admission.h"

#include <algorithm>

namespace virga::lambda {
namespace {

using Counts = std::unordered_map<std::string, int32_t>;

int32_t count_of(const Counts& counts, const std::string& key) {
  const auto found = counts.find(key);
  return found == counts.end() ? 0 : found->second;
}

void take(Counts& counts, const std::string& key) {
  const auto found = counts.find(key);
  if (--found->second == 0) counts.erase(found);
}

}  // namespace

bool ScalingRate::take(const std::string& function, Steady now) {
  std::lock_guard lock(mutex_);
  if (full_.size() >= forget_at_) forget_refilled(now);
  Steady& full = full_[function];
  const Steady then = std::max(full, now) + pause_;
  if (then - now > std::chrono::seconds(10)) return false;
  full = then;
  return true;
}

void ScalingRate::forget_refilled(Steady now) {
  std::erase_if(full_, [&](const auto& each) { return each.second <= now; });
  forget_at_ = std::max<size_t>(64, 2 * full_.size());
}

struct Admission::Ticket::State {
  std::mutex mutex;
  Counts functions, places, versions;  // running: all of a function, unreserved ones, provisioned ones of a version
  Counts ahead;                        // and of a function
};

Admission::Admission() : state_(std::make_shared<Ticket::State>()) {}
Admission::~Admission() = default;

Admission::Ticket::~Ticket() {
  if (!state_) return;
  std::lock_guard lock(state_->mutex);
  take(state_->functions, function_);
  if (unreserved_) take(state_->places, place_);
  if (provisioned_) take(state_->versions, version_), take(state_->ahead, function_);
}

std::optional<Admission::Ticket> Admission::enter(Demand demand, Refusal& why) {
  std::lock_guard lock(state_->mutex);
  // What is provisioned is set aside already; what goes beyond it competes as without it.
  const bool provisioned = demand.provisioned > 0 && count_of(state_->versions, demand.version) < demand.provisioned;
  const int32_t running = count_of(state_->functions, demand.function);
  const int32_t beside = running - count_of(state_->ahead, demand.function);
  if (demand.reserved &&
      (running >= *demand.reserved || (!provisioned && beside >= *demand.reserved - demand.set_aside))) {
    why = Refusal::kReserved;
    return std::nullopt;
  }
  const bool unreserved = !demand.reserved && !provisioned;
  if (unreserved && count_of(state_->places, demand.place) >= demand.unreserved) {
    why = Refusal::kUnreserved;
    return std::nullopt;
  }
  Ticket ticket;
  ticket.state_ = state_;
  ticket.unreserved_ = unreserved;
  ticket.provisioned_ = provisioned;
  ++state_->functions[ticket.function_ = std::move(demand.function)];
  if (unreserved) ++state_->places[ticket.place_ = std::move(demand.place)];
  if (provisioned) {
    ++state_->ahead[ticket.function_];
    ++state_->versions[ticket.version_ = std::move(demand.version)];
  }
  return ticket;
}

int32_t Admission::running(const std::string& function) const {
  std::lock_guard lock(state_->mutex);
  return count_of(state_->functions, function);
}

int32_t Admission::running_provisioned(const std::string& version) const {
  std::lock_guard lock(state_->mutex);
  return count_of(state_->versions, version);
}

}  // namespace virga::lambda
