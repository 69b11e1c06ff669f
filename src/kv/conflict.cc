#include "kv/conflict.h"

namespace virga::kv {

bool ConflictWindow::conflicts(const ReadSet& reads, Version since) const {
  if (reads.empty()) return false;
  if (since < floor_) return true;
  for (const std::string& key : reads.keys) {
    const auto write = keys_.find(key);
    if (write != keys_.end() && write->second > since) return true;
  }
  for (const Range& range : reads.ranges) {
    for (auto write = keys_.lower_bound(range.begin); write != keys_.end() && write->first < range.end; ++write) {
      if (write->second > since) return true;
    }
  }
  // Newest first: what `since` already saw ends the search.
  for (auto erased = ranges_.rbegin(); erased != ranges_.rend() && erased->version > since; ++erased) {
    for (const std::string& key : reads.keys) {
      if (key >= erased->range.begin && key < erased->range.end) return true;
    }
    for (const Range& range : reads.ranges) {
      if (range.begin < erased->range.end && erased->range.begin < range.end) return true;
    }
  }
  return false;
}

void ConflictWindow::add(std::string_view key, Version version) {
  auto found = keys_.lower_bound(key);
  if (found != keys_.end() && found->first == key) {
    if (found->second == version) return;
    found->second = version;
  } else {
    found = keys_.emplace_hint(found, std::string(key), version);
    bytes_ += key.size();
  }
  order_.push_back({version, found});
  while (order_.size() > most_keys_ || bytes_ > most_bytes_) forget_oldest();
}

void ConflictWindow::add_range(Range range, Version version) {
  ranges_.push_back({std::move(range), version});
  // Each commit looks at every remembered range, so there are few.
  constexpr size_t kMostRanges = 1024;
  if (ranges_.size() > kMostRanges) {
    floor_ = std::max(floor_, ranges_.front().version);
    ranges_.pop_front();
  }
}

void ConflictWindow::forget_oldest() {
  const Write& write = order_.front();
  floor_ = std::max(floor_, write.version);
  if (write.key->second == write.version) {
    bytes_ -= write.key->first.size();
    keys_.erase(write.key);
  }
  order_.pop_front();
}

void ConflictWindow::prune(Version oldest) {
  while (!order_.empty() && order_.front().version <= oldest) forget_oldest();
  while (!ranges_.empty() && ranges_.front().version <= oldest) {
    floor_ = std::max(floor_, ranges_.front().version);
    ranges_.pop_front();
  }
}

}  // namespace virga::kv
