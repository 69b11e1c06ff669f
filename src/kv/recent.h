// What was written lately, so that whoever read before and asks only now misses nothing. Not thread-safe.
#pragma once

#include <cstdint>
#include <cstring>
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
  // Whether one after `since` fits. Asks in version order.
  template <class F>
  bool any_after(Version since, F fits) const {
    for (const Block& block : blocks_) {
      if (block.last <= since) continue;
      for (std::string_view rest = block.bytes; !rest.empty();) {
        const Change change = take(rest);
        if (change.version > since && fits(change)) return true;
      }
    }
    return false;
  }
  // Changes up to `version` happened before anybody remembered.
  void start_at(Version version) { floor_ = version; }

 private:
  // Changes after each other, each a Head and its texts: as pieces of memory of their own they would be cold ones when
  // their turn comes.
  struct Block {
    std::string bytes;
    Version last = 0;
  };
  struct Head {
    Version version;
    uint32_t key, end;  // bytes
    bool range;
  };
  static Change take(std::string_view& rest) {
    Head head;
    std::memcpy(&head, rest.data(), sizeof head);
    const std::string_view key = rest.substr(sizeof head, head.key),
                           end = rest.substr(sizeof head + head.key, head.end);
    rest.remove_prefix(sizeof head + head.key + head.end);
    return {head.version, key, head.range, end};
  }
  std::deque<Block> blocks_;
  Version floor_ = 0;  // changes up to here are forgotten
};

}  // namespace virga::kv
