// Target tracking: what the use of a capacity, seen every few seconds, says of how large the capacity should be. Pure.
// docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/time.h"

namespace virga::applicationautoscaling {

// What a policy asks for. Cooldowns in seconds.
struct Tracking {
  double target = 0;  // the share of the capacity that should be in use
  std::optional<int32_t> out_cooldown, in_cooldown;
  std::optional<bool> only_out;
  template <class A>
  void fields(A& a) {
    a(1, target), a(2, out_cooldown), a(3, in_cooldown), a(4, only_out);
  }
};

// What is known of the use so far.
struct Tracked {
  int64_t minute = 0;  // that the sum is of, since 1970
  double sum = 0;
  int64_t samples = 0;
  std::vector<double> minutes;  // averages of the whole minutes before it, newest last; none is missing between
  std::optional<Time> scaled_out, scaled_in;
  template <class A>
  void fields(A& a) {
    a(1, minute), a(2, sum), a(3, samples), a(4, minutes), a(5, scaled_out), a(6, scaled_in);
  }
};

// Takes one more look: `use` is the share of `capacity` in use now. Answers with another capacity when, as AWS's alarms
// have it, three whole minutes were above the target, or fifteen below nine tenths of it.
std::optional<int32_t> track(const Tracking& rule, Tracked& state, Time now, double use, int32_t capacity);

}  // namespace virga::applicationautoscaling
