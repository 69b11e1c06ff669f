// What was written lately, so that whoever read before and asks only now misses nothing. Not thread-safe.
#pragma once

#include <deque>
#include <string>
#include <string_view>

#include "kv/db.h"

namespace virga::kv {

// One written key, or with `range` all keys of [key, end). Borrowed.
struct Change {
  Version version;
  std::string_view key;
  bool range = false;
  std::string_view end = {};
};

class RecentChanges {
 public:
  // In version order.
  void add(const Change& change);
  // Whether all changes after `since` are remembered.
  bool knows(Version since) const { return since >= floor_; }
  // Whether one after `since` fits.
  template <class F>
  bool any_after(Version since, F fits) const {
    for (auto kept = kept_.rbegin(); kept != kept_.rend() && kept->version > since; ++kept) {
      if (fits(Change{kept->version, kept->key, kept->range, kept->end})) return true;
    }
    return false;
  }
  // Changes up to `version` happened before anybody remembered.
  void start_at(Version version) { floor_ = version; }

 private:
  struct Kept {
    Version version = 0;
    std::string key;
    bool range = false;
    std::string end;
    size_t bytes() const { return key.size() + end.size(); }
  };
  std::deque<Kept> kept_;
  size_t bytes_ = 0;
  Version floor_ = 0;  // changes up to here are forgotten
};

}  // namespace virga::kv
