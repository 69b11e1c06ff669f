#include "services/application-autoscaling/tracking.h"

#include <algorithm>
#include <cmath>

namespace virga::applicationautoscaling {
namespace {

constexpr size_t kMinutesOut = 3, kMinutesIn = 15;
constexpr double kLow = 0.9;     // of the target
constexpr double kEqual = 1e-9;  // averages closer than that are the same

bool cooled(const std::optional<Time>& since, const std::optional<int32_t>& cooldown, Time now) {
  return !since || now - *since >= std::chrono::seconds(cooldown.value_or(0));
}

int32_t capacity_for(double use, double target, int32_t capacity) {
  return static_cast<int32_t>(std::ceil(std::min(capacity * use / target, 1e9) - kEqual));
}

}  // namespace

std::optional<int32_t> track(const Tracking& rule, Tracked& state, Time now, double use, int32_t capacity) {
  const int64_t minute = now.seconds() / 60;
  const bool over = minute != state.minute;
  if (over && state.samples > 0) state.minutes.push_back(state.sum / static_cast<double>(state.samples));
  if (over) {
    if (minute != state.minute + 1) state.minutes.clear();
    state.minute = minute;
    state.sum = 0;
    state.samples = 0;
  }
  state.sum += use;
  ++state.samples;
  if (!over) return std::nullopt;

  auto& minutes = state.minutes;
  if (minutes.size() > kMinutesIn) minutes.erase(minutes.begin());
  const auto last = [&](size_t count, auto holds) {
    return minutes.size() >= count && std::all_of(minutes.end() - static_cast<ptrdiff_t>(count), minutes.end(), holds);
  };
  if (last(kMinutesOut, [&](double m) { return m > rule.target + kEqual; }) &&
      cooled(state.scaled_out, rule.out_cooldown, now)) {
    state.scaled_out = now;
    return std::max(capacity + 1, capacity_for(minutes.back(), rule.target, capacity));
  }
  if (!rule.only_out.value_or(false) && last(kMinutesIn, [&](double m) { return m < kLow * rule.target; }) &&
      cooled(state.scaled_in, rule.in_cooldown, now) && cooled(state.scaled_out, rule.in_cooldown, now)) {
    // The busiest of those minutes would still have been below the target.
    const int32_t enough = capacity_for(*std::max_element(minutes.begin(), minutes.end()), rule.target, capacity);
    if (enough >= capacity) return std::nullopt;
    state.scaled_in = now;
    return enough;
  }
  return std::nullopt;
}

}  // namespace virga::applicationautoscaling
