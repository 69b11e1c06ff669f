// What other services measure of their resources: kept each minute, and before anybody reads metrics.
#include <aws/cloudwatch/errors.h>

#include "base/log.h"
#include "kernel/metric_source.h"
#include "services/cloudwatch/service.h"

namespace virga::cloudwatch {

namespace {
constexpr std::chrono::minutes kEvery{1};
}

Task<void> CloudWatchService::collect() {
  const auto turn = co_await collecting_.acquire(err::InternalServiceFault("Too many requests read metrics."));
  for (kernel::MetricSource* source : kernel::metric_sources(deps_.cloud)) {
    co_await source->give_measured([this](std::vector<kernel::Measured> some) -> Task<void> {
      Values values;
      for (const kernel::Measured& one : some) {
        MetricRecord metric{one.name_space, one.name, one.dimensions, {}};
        const std::string key = metric_key(one.home, metric);
        values.data[{key, Grain::kMinute, one.minute.seconds(), one.unit}].merge(one.values);
        values.metrics.try_emplace(key, std::move(metric));
      }
      const auto kept = co_await as_result(writer_.put(std::move(values)));
      if (!kept) log_warning("cloudwatch", "metrics were not kept", {{"failure", describe(kept.error())}});
    });
  }
}

Task<void> CloudWatchService::collect_always() {
  for (bool stop = false; !stop;) {
    stop = co_await stopping_.wait_for(kEvery);
    const auto collected = co_await as_result(collect());
    if (!collected) log_warning("cloudwatch", "metrics were not kept", {{"failure", describe(collected.error())}});
  }
  stopped_.set();
}

Task<void> CloudWatchService::start() {
  start_background("cloudwatch", collect_always());
  co_return;
}

Task<void> CloudWatchService::stop() {
  stopping_.set();
  co_await stopped_.wait();
}

}  // namespace virga::cloudwatch
