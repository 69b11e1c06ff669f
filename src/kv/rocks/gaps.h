// Stretches of the keyspace that hold no key but many erased ones, which RocksDB would walk over again and again: the
// front of every queue and trimmed log looks like that until a compaction. A walk that found one remembers it here;
// later walks start behind it. Thread-safe.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "kv/db.h"
#include "kv/recent.h"

namespace virga::kv {

class Gaps {
 public:
  // Where a walk at `version` that starts at `from` may start instead, without missing a key.
  std::string skip(std::string_view from, Version version) const;
  bool empty() const { return count_.load(std::memory_order_relaxed) == 0; }
  // A walk at `version` found no key in [begin, end).
  void add(std::string_view begin, std::string_view end, Version version);
  // The commit `version` put these keys. Called for every commit, before readers can see it.
  void committed(const std::vector<std::string_view>& keys, Version version);
  void start_at(Version version);

 private:
  struct Gap {
    std::string end;
    Version version;  // empty for readers from here on
  };
  mutable std::mutex mutex_;
  std::map<std::string, Gap, std::less<>> gaps_;  // by begin; they do not overlap
  std::atomic<size_t> count_ = 0;
  // Keys put lately: a walk takes time, and what was put meanwhile ends the gap it reports.
  RecentChanges recent_;
};

}  // namespace virga::kv
