#include "kernel/event_pattern_index.h"

#include <tuple>

namespace virga::kernel::pattern {

void TextIndex::freeze() {
  size_t size = 1;
  while (size < entries_.size()) size *= 2;
  const uint64_t mask = size - 1;
  std::sort(entries_.begin(), entries_.end(), [mask](const Entry& a, const Entry& b) {
    return std::tuple(a.hash & mask, a.hash) < std::tuple(b.hash & mask, b.hash);
  });
  slots_.assign(size, static_cast<uint32_t>(entries_.size()));
  for (size_t i = entries_.size(); i-- > 0;) slots_[entries_[i].hash & mask] = static_cast<uint32_t>(i);
}

void AffixIndex::freeze() {
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.text < b.text; });
  std::vector<uint32_t> open;  // entries that begin the current one, longest last
  for (uint32_t i = 0; i < entries_.size(); ++i) {
    while (!open.empty() && !entries_[i].text.starts_with(entries_[open.back()].text)) open.pop_back();
    entries_[i].shorter = open.empty() ? kNone : open.back();
    open.push_back(i);
  }
}

void RangeIndex::freeze() {
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.from < b.from; });
  raise(0, entries_.size());
}

Key RangeIndex::raise(size_t from, size_t to) {
  if (from >= to) return 0;
  const size_t middle = (from + to) / 2;
  Key highest = entries_[middle].to;
  highest = std::max(highest, raise(from, middle));
  highest = std::max(highest, raise(middle + 1, to));
  return entries_[middle].highest = highest;
}

}  // namespace virga::kernel::pattern
