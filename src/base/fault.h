// Named places where tests and `virga chaos` make things go wrong. Compiled in by VIRGA_FAULTS only; a shipped build
// has none. Nothing is armed but by arm_fault, which app/ calls from its configuration.
//
//   KILL_POINT("kv.rocks.before_write");                        the process dies here by SIGKILL when armed so
//   if (FAULT("blob.write_fails")) status = disk_full();        true when armed to fail (or dies when armed to kill)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace virga {

enum class FaultAction : uint8_t { kFail, kKill };

// From its `skip`+1st passing on, the point `name` acts, `times` times.
void arm_fault(std::string name, FaultAction action, uint64_t skip = 0, uint64_t times = UINT64_MAX);
void disarm_faults();
constexpr bool faults_built_in() {
#if VIRGA_FAULTS
  return true;
#else
  return false;
#endif
}

namespace detail {
bool pass_fault(std::string_view name);
}  // namespace detail

#if VIRGA_FAULTS
#define FAULT(name) (::virga::detail::pass_fault(name))
#else
#define FAULT(name) (false)
#endif
#define KILL_POINT(name) static_cast<void>(FAULT(name))

}  // namespace virga
