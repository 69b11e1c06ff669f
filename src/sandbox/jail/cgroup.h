// Memory, processor and process limits by control groups, version 1 or 2, whichever the machine has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/jail/fd.h"

namespace virga::sandbox::jail {

enum class CgroupVersion { kNone, kV1, kV2 };

class Cgroups {
 public:
  // Finds what the machine offers, clears what an earlier launcher left, and makes this launcher's own folder.
  // `companion` is a process that is moved out of the way where version 2 demands it (Virga itself); 0: none.
  explicit Cgroups(pid_t companion);
  ~Cgroups();  // removes the folder

  CgroupVersion version() const { return version_; }
  bool limits_memory() const { return !memory_.empty(); }
  bool limits_processes() const { return !pids_.empty(); }
  bool limits_processor() const { return !cpu_.empty(); }
  const std::string& why_not() const { return why_not_; }

  // The groups of sandbox `id`, with a generous limit until set_limits.
  void make(uint32_t id);
  // Version 1: descriptors to which the new process writes "0" to join. Moving a process can take 20 ms, so it does
  // that itself, before it counts as prepared, and nobody waits.
  std::vector<Fd> join_descriptors(uint32_t id) const;
  // Version 2: the directory for CLONE_INTO_CGROUP, which costs nothing.
  Fd directory(uint32_t id) const;

  // What lies in /tmp is memory of the group to the kernel, and must not count as the function's: the kernel's limit
  // has room for a full /tmp, and enforce_memory sees to the function's own.
  void set_limits(uint32_t id, uint64_t memory_mb, uint64_t tmp_mb, uint64_t processes);
  // With `tmp_bytes` in /tmp: caches beyond the function's memory are given back, and of what holds more than that the
  // kernel ends the largest process; version 1 does so when the group asks for more, and this is false until then.
  bool enforce_memory(uint32_t id, uint64_t memory_mb, uint64_t tmp_mb, uint64_t tmp_bytes);
  // One processor for each 1,769 MB, as AWS gives; 0 lifts the limit.
  void set_processor(uint32_t id, uint64_t memory_mb);
  // A file whose text is the most memory used so far, in bytes.
  Fd peak_file(uint32_t id) const;
  uint64_t peak_bytes(uint32_t id) const;
  // How many processes the kernel killed for memory.
  uint64_t out_of_memory_kills(uint32_t id) const;
  void remove(uint32_t id);

 private:
  std::string at(const std::string& base, uint32_t id) const;
  void detect(pid_t companion);
  bool prepare(std::string& base, const char* limit_file);
  bool limit_memory(uint32_t id, uint64_t limit);
  uint64_t memory_file(uint32_t id, const char* v1, const char* v2) const;

  CgroupVersion version_ = CgroupVersion::kNone;
  std::string memory_, pids_, cpu_;  // this launcher's folder in each hierarchy; the same one in version 2
  std::string why_not_;
};

}  // namespace virga::sandbox::jail
