#include "kv/view.h"

namespace virga::kv {

View::View(Version version, LiveViews& live) : version_(version), live_(live) {
  std::lock_guard lock(live_.mutex_);
  live_.views_.emplace(version, this);
}

View::~View() {
  std::lock_guard lock(live_.mutex_);
  for (auto [view, end] = live_.views_.equal_range(version_); view != end; ++view) {
    if (view->second == this) {
      live_.views_.erase(view);
      return;
    }
  }
}

Version LiveViews::oldest(Version none) const {
  std::lock_guard lock(mutex_);
  return views_.empty() ? none : views_.begin()->first;
}

Version LiveViews::oldest_transaction(Version newest) const {
  std::lock_guard lock(mutex_);
  for (const auto& [version, view] : views_) {
    if (version >= newest) break;
    if (view->transactions.load(std::memory_order_acquire) > 0) return version;
  }
  return newest;
}

std::vector<Entry> scan_view(const View& view, const WriteSet* writes, Range range, const ScanOptions& options,
                             Range* passed) {
  std::vector<Entry> out;
  range = clamp(std::move(range));
  if (passed) *passed = {range.begin, range.begin};
  if (range.begin >= range.end || options.limit == 0) return out;

  const bool reverse = options.reverse;
  const auto cursor = view.cursor(range, reverse);
  static const WriteSet kNone;
  if (!writes) writes = &kNone;
  const auto first = writes->points().lower_bound(range.begin);
  const auto last = writes->points().lower_bound(range.end);
  // The next buffered entry is *point; walking backwards it is the one before `point`.
  auto point = reverse ? last : first;
  const auto point_left = [&] { return reverse ? point != first : point != last; };
  const auto point_now = [&]() -> const WriteSet::Points::value_type& { return reverse ? *std::prev(point) : *point; };
  const auto point_next = [&] { reverse ? --point : ++point; };

  size_t bytes = 0;
  while (true) {
    while (cursor->valid()) {
      const auto* erased = writes->erased().find(cursor->key());
      if (!erased) break;
      cursor->skip_to(reverse ? erased->first : erased->second);
    }
    if (!cursor->valid() && !point_left()) break;
    int order = 1;  // below 0: the buffered entry is first; above: the stored one
    if (!cursor->valid()) {
      order = -1;
    } else if (point_left()) {
      order = point_now().first.compare(cursor->key());
      if (reverse) order = -order;
    }
    if (order <= 0) {
      const auto& [key, value] = point_now();
      if (value) out.push_back({key, *value});
      const bool wrote = value.has_value();
      point_next();
      if (order == 0) cursor->next();
      if (!wrote) continue;
    } else {
      out.push_back({std::string(cursor->key()), std::string(cursor->value())});
      cursor->next();
    }
    bytes += out.back().key.size() + out.back().value.size();
    if (out.size() >= options.limit || bytes >= options.byte_limit) {
      if (passed) *passed = reverse ? Range{out.back().key, range.end} : Range{range.begin, key_after(out.back().key)};
      return out;
    }
  }
  if (passed) *passed = std::move(range);
  return out;
}

}  // namespace virga::kv
