#include "services/cloudwatch/store.h"

#include <aws/cloudwatch/errors.h>

#include <algorithm>

#include "base/crypto.h"
#include "kv/key.h"
#include "kv/record.h"

namespace virga::cloudwatch {

namespace {

constexpr std::chrono::minutes kLastWithin{5};
constexpr size_t kAtOnce = 100;
constexpr size_t kRows = 1000;
constexpr size_t kMostInBatch = 10'000;  // and those of one request more
constexpr size_t kDigest = 16;

std::string digest_of(std::string_view text) { return sha256(text).substr(0, kDigest); }

std::string data_key(const std::string& key, Grain grain, int64_t seconds) {
  kv::KeyWriter w = std::move(kv::KeyWriter("cw").u8(static_cast<uint8_t>(grain)).raw(digest_of(key)));
  return w.u64(static_cast<uint64_t>(std::max<int64_t>(seconds, 0)));
}

kv::Range values_of(const std::string& key, Grain grain, Time from, Time to) {
  const auto at = [&](Time t) { return data_key(key, grain, (t.micros + 999'999) / 1'000'000); };
  return {at(from), at(to)};
}

}  // namespace

std::string metric_key(const kernel::Home& home, const MetricRecord& metric) {
  std::string dimensions;
  for (const auto& [name, value] : metric.dimensions) {
    dimensions += kv::KeyWriter(name).text(value).view();
  }
  return kv::KeyWriter("cw")
      .u8('m')
      .text(home.account)
      .text(home.region)
      .text(metric.name_space)
      .text(metric.name)
      .raw(digest_of(dimensions));
}

kv::Range metrics_of(const kernel::Home& home, const std::optional<std::string>& name_space,
                     const std::optional<std::string>& name) {
  kv::KeyWriter w = std::move(kv::KeyWriter("cw").u8('m').text(home.account).text(home.region));
  if (name_space) w.text(*name_space);
  if (name_space && name) w.text(*name);
  return kv::prefix_range(w.view());
}

Task<void> read_metric(kv::Reader& reader, std::string key, Grain grain, Time from, Time to, EachValue each) {
  kv::Range range = values_of(key, grain, from, to);
  for (;;) {
    const auto rows = co_await reader.scan(range, {.limit = kRows});
    for (const kv::Entry& row : rows) {
      kv::KeyReader parts(row.key);
      parts.text();
      parts.u8();
      kv::KeyReader after(parts.rest().substr(kDigest));
      const Time at = Time::from_seconds(static_cast<int64_t>(after.u64()));
      each(at, std::string(after.rest()), kv::decode<Summary>(row.value));
    }
    if (rows.size() < kRows) co_return;
    range.begin = rows.back().key + '\0';
  }
}

Task<void> MetricWriter::put(Values values) {
  std::shared_ptr<Batch> mine;
  {
    const std::lock_guard lock(mutex_);
    if (!next_ || next_->values.data.size() > kMostInBatch) next_ = std::make_shared<Batch>();
    mine = next_;
    mine->values.metrics.merge(values.metrics);
    for (auto& [at, summary] : values.data) mine->values.data[at].merge(summary);
  }
  const auto turn = co_await turn_.acquire(err::InternalServiceFault("Too many requests wait for the store."));
  if (!mine->written) {
    {
      const std::lock_guard lock(mutex_);
      if (next_ == mine) next_.reset();
    }
    auto result = co_await as_result(write(mine->values));
    mine->written = true;
    if (!result) mine->failure = std::move(result.error());
  }
  if (mine->failure) co_await fail_with(Failure(*mine->failure));
}

Task<void> MetricWriter::write(const Values& values) {
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    const Time now = clock_.now();
    bool fresh = false;
    for (const auto& [key, metric] : values.metrics) {
      const auto known = co_await tx.get(key);
      if (known && now - kv::decode<MetricRecord>(*known).last < kLastWithin) continue;
      fresh = true;
      MetricRecord seen = metric;
      seen.last = now;
      tx.put(key, kv::encode(seen));
    }
    for (const auto& [at, summary] : values.data) {
      const auto& [key, grain, seconds, unit] = at;
      std::string row = data_key(key, grain, seconds) + unit;
      Summary all;
      if (const auto before = co_await tx.get(row)) all = kv::decode<Summary>(*before);
      all.merge(summary);
      tx.put(std::move(row), kv::encode(all));
    }
    if (!fresh) co_return;
    const Time next_hour = Time::from_seconds((now.seconds() / 3600 + 1) * 3600);
    co_await timers_.set(tx, {std::string(kTrimTimer), "all", next_hour, {}});
  });
}

Task<void> MetricWriter::trim(kernel::Timer timer) {
  const kv::Range all = kv::prefix_range(kv::KeyWriter("cw").u8('m').view());
  kv::Range range = all;
  for (bool more = true; more;) {
    // Nobody writes meanwhile.
    const auto turn = co_await turn_.acquire(err::InternalServiceFault("Too many requests wait for the store."));
    std::string last;
    co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
      const auto rows = co_await tx.scan(range, {.limit = kAtOnce});
      more = rows.size() == kAtOnce;
      for (const kv::Entry& row : rows) co_await trim_metric(tx, row);
      last = rows.empty() ? std::string() : rows.back().key;
    });
    range.begin = last + '\0';
  }
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    if ((co_await tx.scan(all, {.limit = 1})).empty()) co_return co_await timers_.clear(tx, timer.kind, timer.id);
    timer.due = clock_.now() + std::chrono::hours(1);
    co_await timers_.set(tx, timer);
  });
}

Task<void> MetricWriter::trim_metric(kv::Txn& tx, const kv::Entry& row) {
  const Time now = clock_.now();
  for (const kv::Range& old : {values_of(row.key, Grain::kMinute, Time(), now - kKept),
                               values_of(row.key, Grain::kSecond, Time(), now - kFineKept)}) {
    if (!(co_await tx.scan(old, {.limit = 1})).empty()) tx.erase_range(old);
  }
  // The latest values may be two hours ahead of when they came.
  if (now - kv::decode<MetricRecord>(row.value).last >= kKept + kFineKept) tx.erase(row.key);
}

}  // namespace virga::cloudwatch
