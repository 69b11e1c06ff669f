#include "kv/recent.h"

#include <algorithm>
#include <utility>

namespace virga::kv {

namespace {
constexpr size_t kMost = 8 << 10;
constexpr size_t kMostBytes = 1 << 20;
constexpr size_t kMostReused = 256;  // bytes of a text
}  // namespace

void RecentChanges::add(const Change& change) {
  Kept next;
  while (!kept_.empty() && (kept_.size() >= kMost || bytes_ > kMostBytes)) {
    next = std::move(kept_.front());
    kept_.pop_front();
    floor_ = std::max(floor_, next.version);
    bytes_ -= next.bytes();
  }
  // The memory of the oldest serves for the newest: it would go back cold, to be taken again at once.
  const auto write = [](std::string& text, std::string_view with) {
    if (text.capacity() > kMostReused) text = {};
    text.assign(with);
  };
  next.version = change.version;
  write(next.key, change.key);
  next.range = change.range;
  write(next.end, change.end);
  bytes_ += next.bytes();
  kept_.push_back(std::move(next));
}

}  // namespace virga::kv
