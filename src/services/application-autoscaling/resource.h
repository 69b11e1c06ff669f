// What can be scaled, and how: one number of one resource of another service, read and set by that service's
// operations.
#pragma once

#include <cstdint>
#include <string>

#include "kernel/cloud.h"
#include "services/application-autoscaling/store.h"

namespace virga::applicationautoscaling {

struct Capacity {
  int32_t now = 0;
  bool settled = true;  // nothing is on the way to it
  std::string failure;  // why it can't be had; empty: it can
};

// Throws ValidationException for what nobody can scale, or Virga can't.
void check_scalable(const Scalable& what);
// The smallest capacity that there can be.
int32_t least_capacity(const Scalable& what);
// "provisioned concurrency", as activities call it.
std::string_view quantity(const Scalable& what);
// What changes at most one thing at a time, in its service's view.
std::string owner(const Scalable& what);
std::string role_arn(const Home& home, const Scalable& what);

// As root: the service-linked role that does this on AWS may do nothing else, and nobody can change it. Fail as the
// services' operations do.
Task<Capacity> read_capacity(kernel::Cloud& cloud, Home home, Scalable what);
Task<void> set_capacity(kernel::Cloud& cloud, Home home, Scalable what, int32_t capacity);

}  // namespace virga::applicationautoscaling
