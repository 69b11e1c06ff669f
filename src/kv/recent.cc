#include "kv/recent.h"

#include <algorithm>
#include <utility>

namespace virga::kv {

namespace {
constexpr size_t kBlock = 16 << 10;
constexpr size_t kMostBlocks = 32;  // of some 8000 changes
}  // namespace

void RecentChanges::add(const Change& change) {
  const size_t bytes = sizeof(Head) + change.key.size() + change.end.size();
  if (blocks_.empty() || blocks_.back().bytes.size() + bytes > kBlock) {
    Block next;
    if (blocks_.size() == kMostBlocks) {
      next = std::move(blocks_.front());
      blocks_.pop_front();
      floor_ = std::max(floor_, next.last);
      next.bytes.clear();
    }
    next.bytes.reserve(kBlock);
    blocks_.push_back(std::move(next));
  }
  Block& block = blocks_.back();
  const Head head{change.version, static_cast<uint32_t>(change.key.size()), static_cast<uint32_t>(change.end.size()),
                  change.range};
  block.bytes.append(reinterpret_cast<const char*>(&head), sizeof head);
  block.bytes.append(change.key);
  block.bytes.append(change.end);
  block.last = change.version;
}

}  // namespace virga::kv
