// Which keys were written lately, and when: how a commit learns whether what it read still stands. Not thread-safe:
// the engine's committing thread owns it.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kv/db.h"

namespace virga::kv {

// What a transaction read and relies on.
struct ReadSet {
  std::vector<std::string> keys;
  std::vector<Range> ranges;  // ends are never empty
  bool empty() const { return keys.empty() && ranges.empty(); }
};

class ConflictWindow {
 public:
  // At most `most_keys` writes and `most_bytes` of their keys are remembered. A reader older than what is
  // remembered conflicts: it can't be told from one whose reads changed.
  explicit ConflictWindow(size_t most_keys = 128 << 10, size_t most_bytes = 16 << 20)
      : most_keys_(most_keys), most_bytes_(most_bytes) {}

  // Whether anything in `reads` was written after `since`.
  bool conflicts(const ReadSet& reads, Version since) const;
  // Writes, in the order of their versions.
  void add(std::string_view key, Version version);
  void add_range(Range range, Version version);
  // Whether all writes after `since` are remembered.
  bool knows(Version since) const { return since >= floor_; }
  // Calls `each` with every remembered key of [begin, end) whose last write is after `since`.
  template <class F>
  void written_after(std::string_view begin, std::string_view end, Version since, F each) const {
    for (auto key = keys_.lower_bound(begin); key != keys_.end() && key->first < end; ++key) {
      if (key->second > since) each(key->first);
    }
  }
  // Forgets what no transaction can ask about: all writes up to `oldest`, the version of the oldest live reader.
  void prune(Version oldest);
  size_t size() const { return order_.size() + ranges_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  using Keys = std::map<std::string, Version, std::less<>>;
  struct Write {
    Version version;
    Keys::iterator key;  // stays valid: a node goes away with the last write that names it
  };
  struct ErasedRange {
    Range range;
    Version version;
  };
  void forget_oldest();

  size_t most_keys_, most_bytes_, bytes_ = 0;
  Keys keys_;
  std::deque<Write> order_;
  std::deque<ErasedRange> ranges_;
  Version floor_ = 0;  // writes up to here may be forgotten
};

}  // namespace virga::kv
