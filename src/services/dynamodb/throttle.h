// Holding requests to the capacity that a table was given: token buckets that fill by the second and hold five
// minutes' worth, as AWS's do. Only for tables that ask for it with the tag `virga:enforce-capacity` = `true`: on one's
// own machine nobody wants to be throttled by accident.
#pragma once

#include <map>
#include <mutex>
#include <tuple>

#include "base/time.h"
#include "services/dynamodb/model.h"

namespace virga::dynamodb {

inline constexpr std::string_view kThrottleTag = "virga:enforce-capacity";
bool is_metered(const Table& table);

// In memory only: a new process begins with full buckets. Thread-safe.
class Throttle {
 public:
  explicit Throttle(const Clock& clock) : clock_(clock) {}
  // Throws while the table, or its global index, has used up what it has. Null: the table itself. A request that is let
  // through may take more than is left: the next ones wait for it. `pending` is what will be taken before it.
  void admit(const Table& table, const Index* index, bool write, double pending = 0);
  void take(const Table& table, const Index* index, bool write, double units);

 private:
  struct Bucket {
    double tokens = 0;
    int64_t rate = 0;
    Time filled;
  };
  Bucket* bucket(const Table& table, const Index* index, bool write);  // null: without limit; the lock is held

  const Clock& clock_;
  std::mutex mutex_;
  std::map<std::tuple<uint64_t, uint32_t, bool>, Bucket> buckets_;
};

}  // namespace virga::dynamodb
