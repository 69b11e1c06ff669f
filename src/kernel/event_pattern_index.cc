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

// Nodes are made level by level, from ranges of the sorted entries: so a node's children stand together, and what a
// node goes back to is there before it.
void WithinIndex::freeze() {
  if (entries_.empty()) return;
  std::sort(entries_.begin(), entries_.end());
  struct Range {
    uint32_t from, to, depth;  // entries whose first `depth` bytes are the node's text
  };
  std::vector<Range> ranges{{0, static_cast<uint32_t>(entries_.size()), 0}};
  nodes_.emplace_back();
  bytes_ += '\0';
  roots_.assign(256, 0);
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    const Range range = ranges[n];
    uint32_t i = range.from;
    nodes_[n].first_entry = i;
    while (i < range.to && entries_[i].first.size() == range.depth) ++i;
    nodes_[n].last_entry = i;
    if (i > range.from) nodes_[n].ends = n;
    nodes_[n].shorter = nodes_[nodes_[n].back].ends;
    if (nodes_[n].ends == kNone) nodes_[n].ends = nodes_[n].shorter;
    nodes_[n].first_child = static_cast<uint32_t>(nodes_.size());
    while (i < range.to) {
      const char c = entries_[i].first[range.depth];
      const uint32_t from = i;
      while (i < range.to && entries_[i].first[range.depth] == c) ++i;
      Node& made = nodes_.emplace_back();
      if (n != 0) made.back = step(nodes_[n].back, c);
      bytes_ += c;
      ranges.push_back({from, i, range.depth + 1});
      ++nodes_[n].children;
    }
    if (n != 0) continue;
    for (uint32_t child = 1; child < nodes_.size(); ++child) roots_[static_cast<unsigned char>(bytes_[child])] = child;
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
