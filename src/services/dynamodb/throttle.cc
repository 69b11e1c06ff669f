#include "services/dynamodb/throttle.h"

#include <aws/dynamodb/errors.h>

#include <algorithm>

#include "base/json.h"
#include "base/str.h"

namespace virga::dynamodb {

namespace {
constexpr double kBurstSeconds = 300;
constexpr size_t kMostBuckets = 20'000;  // they are made anew, full, when there are more

// Why, and whom it concerns: "TableReadProvisionedThroughputExceeded".
Json reasons(std::string_view member, const Table& table, const Index* index, bool write, std::string_view limit) {
  Json reason = Json::object({{"reason", cat(index ? "Index" : "Table", write ? "Write" : "Read", limit, "Exceeded")},
                              {"resource", index ? table.index_arn(index->name) : table.arn()}});
  Json list = Json::array();
  list.push_back(std::move(reason));
  return Json::object({{std::string(member), std::move(list)}});
}
}  // namespace

bool is_metered(const Table& table) {
  if (table.tags.empty()) return false;
  const auto tag = table.tags.find(std::string(kThrottleTag));
  return tag != table.tags.end() && tag->second == "true";
}

Throttle::Bucket* Throttle::bucket(const Table& table, const Index* index, bool write) {
  const Throughput& given = index ? index->throughput : table.throughput;
  const int64_t rate =
      table.on_demand ? (write ? given.max_write : given.max_read) : (write ? given.write : given.read);
  if (rate <= 0) return nullptr;
  if (buckets_.size() > kMostBuckets) buckets_.clear();
  const Time now = clock_.now();
  const double most = static_cast<double>(rate) * kBurstSeconds;
  const auto [found, fresh] =
      buckets_.try_emplace({table.number, index ? index->number : 0, write}, Bucket{most, rate, now});
  Bucket& out = found->second;
  const double seconds = std::max(0.0, static_cast<double>(now.micros - out.filled.micros) / 1e6);
  out.tokens = std::min(most, out.tokens + seconds * static_cast<double>(rate));
  out.filled = now;
  out.rate = rate;
  return &out;
}

void Throttle::admit(const Table& table, const Index* index, bool write, double pending) {
  if (index && index->local) index = nullptr;  // local indexes live on their table's capacity
  const std::lock_guard lock(mutex_);
  const Bucket* left = bucket(table, index, write);
  if (!left || left->tokens > pending) return;
  if (table.on_demand) {
    throw err::ThrottlingException("Throughput exceeds the maximum OnDemandThroughput configured on table or index",
                                   reasons("throttlingReasons", table, index, write, "MaxOnDemandThroughput"));
  }
  throw err::ProvisionedThroughputExceededException(
      index
          ? "The level of configured provisioned throughput for one or more global secondary indexes of the table was "
            "exceeded. Consider increasing your provisioning level for the under-provisioned global secondary indexes "
            "with the UpdateTable API"
          : "The level of configured provisioned throughput for the table was exceeded. Consider increasing your "
            "provisioning level with the UpdateTable API.",
      reasons("ThrottlingReasons", table, index, write, "ProvisionedThroughput"));
}

void Throttle::take(const Table& table, const Index* index, bool write, double units) {
  if (index && index->local) index = nullptr;
  const std::lock_guard lock(mutex_);
  if (Bucket* from = bucket(table, index, write)) from->tokens -= units;
}

}  // namespace virga::dynamodb
