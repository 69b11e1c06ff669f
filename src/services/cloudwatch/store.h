// Metrics in the store. The only file that knows their keys, all under the tag "cw":
//   m  account, region, namespace, name, 16 bytes      a MetricRecord, by a digest of its dimensions
//   d  16 bytes, time u64 (seconds), unit              the Summary of a minute
//   f  16 bytes, time u64 (seconds), unit              that of a second, of values with fine resolution
// The 16 bytes of d and f are a digest of the metric's key.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/async.h"
#include "kernel/context.h"
#include "kernel/timers.h"
#include "kv/db.h"
#include "services/cloudwatch/stat.h"

namespace virga::cloudwatch {

inline constexpr std::string_view kTrimTimer = "cw.trim";
inline constexpr std::chrono::hours kKept{15 * 24}, kFineKept{3};

struct MetricRecord {
  std::string name_space, name;
  std::vector<std::pair<std::string, std::string>> dimensions;  // by name
  Time last;                                                    // when values came last, to within some minutes
  template <class A>
  void fields(A& a) {
    a(1, name_space), a(2, name), a(3, dimensions), a(4, last);
  }
};

std::string metric_key(const kernel::Home& home, const MetricRecord& metric);
// Those of a namespace and, when it isn't empty, of a name.
kv::Range metrics_of(const kernel::Home& home, const std::optional<std::string>& name_space,
                     const std::optional<std::string>& name);

enum class Grain : char { kMinute = 'd', kSecond = 'f' };

// Values by the metric's key, grain, time in seconds and unit.
struct Values {
  std::map<std::string, MetricRecord> metrics;
  std::map<std::tuple<std::string, Grain, int64_t, std::string>, Summary> data;
};

// Writes what came together in one commit, one commit after the other, so that writers of one metric aren't in
// conflict.
class MetricWriter {
 public:
  MetricWriter(kv::Db& db, kernel::Timers& timers, const Clock& clock) : db_(db), timers_(timers), clock_(clock) {}
  // Completes when they are durable.
  Task<void> put(Values values);
  // Forgets what is too old.
  Task<void> trim(kernel::Timer timer);

 private:
  struct Batch {
    Values values;
    bool written = false;
    std::optional<Failure> failure;
  };
  Task<void> write(const Values& values);
  Task<void> trim_metric(kv::Txn& tx, const kv::Entry& row);

  kv::Db& db_;
  kernel::Timers& timers_;
  const Clock& clock_;
  Semaphore turn_{1, 10'000};
  std::mutex mutex_;
  std::shared_ptr<Batch> next_;  // that nobody has begun to write
};

// Calls `each` with the time, unit and summary of what there is of a metric in [from, to), in order of time.
using EachValue = std::function<void(Time at, const std::string& unit, const Summary& summary)>;
Task<void> read_metric(kv::Reader& reader, std::string key, Grain grain, Time from, Time to, EachValue each);

}  // namespace virga::cloudwatch
