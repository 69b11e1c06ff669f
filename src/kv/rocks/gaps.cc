#include "kv/rocks/gaps.h"

#include <algorithm>

namespace virga::kv {

namespace {
constexpr size_t kMostGaps = 256;
}  // namespace

std::string Gaps::skip(std::string_view from, Version version) const {
  if (empty()) return std::string(from);
  std::lock_guard lock(mutex_);
  auto gap = gaps_.upper_bound(from);
  if (gap == gaps_.begin()) return std::string(from);
  --gap;
  return gap->second.version <= version && from < gap->second.end ? gap->second.end : std::string(from);
}

void Gaps::add(std::string_view begin, std::string_view end, Version version) {
  std::lock_guard lock(mutex_);
  // Up to the first key put meanwhile.
  const bool at_begin = !recent_.knows(version) || recent_.any_after(version, [&](const Change& put) {
    if (put.key >= begin && put.key < end) end = put.key;
    return end == begin;
  });
  if (at_begin || begin >= end) return;
  std::string first(begin);
  Gap merged{std::string(end), version};
  auto next = gaps_.upper_bound(first);
  if (next != gaps_.begin() && std::prev(next)->second.end >= first) --next;
  while (next != gaps_.end() && next->first <= merged.end) {
    first = std::min(first, next->first);
    merged.end = std::max(merged.end, next->second.end);
    merged.version = std::max(merged.version, next->second.version);
    next = gaps_.erase(next);
  }
  if (gaps_.size() >= kMostGaps) {
    gaps_.erase(std::min_element(gaps_.begin(), gaps_.end(),
                                 [](const auto& a, const auto& b) { return a.second.version < b.second.version; }));
  }
  gaps_.insert_or_assign(std::move(first), std::move(merged));
  count_ = gaps_.size();
}

void Gaps::committed(const std::vector<std::string_view>& keys, Version version) {
  std::lock_guard lock(mutex_);
  for (const std::string_view key : keys) {
    recent_.add({version, key});
    if (gaps_.empty()) continue;
    auto gap = gaps_.upper_bound(key);
    if (gap == gaps_.begin()) continue;
    --gap;
    if (key >= gap->second.end) continue;
    // What lies before the key stays a gap: queues are put to at the back and taken from at the front.
    if (gap->first == key) {
      gaps_.erase(gap);
    } else {
      gap->second.end = key;
    }
  }
  count_ = gaps_.size();
}

void Gaps::start_at(Version version) {
  std::lock_guard lock(mutex_);
  recent_.start_at(version);
}

}  // namespace virga::kv
