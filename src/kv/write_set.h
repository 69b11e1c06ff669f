// What a transaction is going to write, and how its own reads see it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kv/db.h"

namespace virga::kv {

// Keys from here on are the engine's own; nobody else reads or writes them.
inline constexpr std::string_view kReserved = "\xff";
// `range` with an end that is never empty and never reaches the reserved keys.
Range clamp(Range range);
inline std::string key_after(std::string_view key) { return std::string(key) + '\0'; }
// The 10 bytes that order a commit's appended records: version, then order within the commit, big-endian.
std::string position_of(Version version, uint16_t order);

// Ranges of keys that do not overlap.
class RangeSet {
 public:
  using Ranges = std::map<std::string, std::string, std::less<>>;  // begin → end
  void add(Range range);
  // The range that holds `key`, or null.
  const Ranges::value_type* find(std::string_view key) const;
  const Ranges& all() const { return ranges_; }
  bool empty() const { return ranges_.empty(); }

 private:
  Ranges ranges_;
};

struct OrderedPut {
  std::string prefix, value;
};

// Applied in this order: erased ranges, points, ordered puts (each under prefix + position_of(version, its index)).
class WriteSet {
 public:
  using Points = std::map<std::string, std::optional<std::string>, std::less<>>;  // without value: erased

  void put(std::string key, std::string value);
  void erase(std::string key);
  void erase_range(Range range);
  void put_ordered(std::string prefix, std::string value);

  const Points& points() const { return points_; }
  const RangeSet& erased() const { return erased_; }
  const std::vector<OrderedPut>& ordered() const { return ordered_; }
  bool empty() const { return points_.empty() && erased_.empty() && ordered_.empty(); }
  size_t bytes() const { return bytes_; }

 private:
  void account(size_t key, size_t value);
  Points points_;
  RangeSet erased_;
  std::vector<OrderedPut> ordered_;
  size_t bytes_ = 0;
};

}  // namespace virga::kv
