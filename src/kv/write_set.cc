#include "kv/write_set.h"

#include <stdexcept>

#include "base/encoding.h"
#include "base/str.h"

namespace virga::kv {

namespace {
constexpr size_t kMostTxnBytes = 256 << 20;
constexpr size_t kMostOrdered = 1 << 16;

void check_key(std::string_view key, size_t room = 0) {
  if (key.empty()) throw std::invalid_argument("the store takes no empty key");
  if (key >= kReserved) throw std::invalid_argument("keys that start with 0xff are reserved");
  if (key.size() + room > kMaxKey)
    throw std::invalid_argument(cat("a key of ", key.size(), " bytes is too long for the store"));
}
void check_value(std::string_view value) {
  if (value.size() > kMaxValue)
    throw std::invalid_argument(cat("a value of ", value.size(), " bytes is too large for the store"));
}
}  // namespace

Range clamp(Range range) {
  if (range.end.empty() || range.end > kReserved) range.end = kReserved;
  return range;
}

std::string position_of(Version version, uint16_t order) {
  std::string position;
  append_be64(position, version);
  append_be16(position, order);
  return position;
}

void RangeSet::add(Range range) {
  if (range.begin >= range.end) return;
  auto next = ranges_.upper_bound(range.begin);
  if (next != ranges_.begin()) {
    auto before = std::prev(next);
    if (before->second >= range.begin) {
      range.begin = before->first;
      range.end = std::max(range.end, before->second);
      next = ranges_.erase(before);
    }
  }
  while (next != ranges_.end() && next->first <= range.end) {
    range.end = std::max(range.end, next->second);
    next = ranges_.erase(next);
  }
  ranges_.emplace(std::move(range.begin), std::move(range.end));
}

const RangeSet::Ranges::value_type* RangeSet::find(std::string_view key) const {
  auto next = ranges_.upper_bound(key);
  if (next == ranges_.begin()) return nullptr;
  --next;
  return key < next->second ? &*next : nullptr;
}

void WriteSet::account(size_t key, size_t value) {
  bytes_ += key + value;
  if (bytes_ > kMostTxnBytes) throw std::length_error("a transaction writes more than 256 MB");
}

void WriteSet::put(std::string key, std::string value) {
  check_key(key);
  check_value(value);
  account(key.size(), value.size());
  points_.insert_or_assign(std::move(key), std::move(value));
}

void WriteSet::erase(std::string key) {
  check_key(key);
  account(key.size(), 0);
  points_.insert_or_assign(std::move(key), std::nullopt);
}

void WriteSet::erase_range(Range range) {
  range = clamp(std::move(range));
  if (range.begin >= range.end) return;
  account(range.begin.size() + range.end.size(), 0);
  points_.erase(points_.lower_bound(range.begin), points_.lower_bound(range.end));
  erased_.add(std::move(range));
}

void WriteSet::put_ordered(std::string prefix, std::string value) {
  check_key(prefix, 10);
  check_value(value);
  if (ordered_.size() == kMostOrdered) throw std::length_error("a transaction appends more than 65536 records");
  account(prefix.size(), value.size());
  ordered_.push_back({std::move(prefix), std::move(value)});
}

}  // namespace virga::kv
