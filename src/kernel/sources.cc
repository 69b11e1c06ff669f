// Services that are sources of something as well.
#include "kernel/cloud.h"
#include "kernel/insight_source.h"
#include "kernel/metric_source.h"

namespace virga::kernel {

namespace {

template <class Source>
std::vector<Source*> services_that_are(const Cloud& cloud) {
  std::vector<Source*> out;
  for (const auto& service : cloud.services()) {
    if (auto* source = dynamic_cast<Source*>(service.get())) out.push_back(source);
  }
  return out;
}

}  // namespace

std::vector<InsightSource*> insight_sources(const Cloud& cloud) { return services_that_are<InsightSource>(cloud); }
std::vector<MetricSource*> metric_sources(const Cloud& cloud) { return services_that_are<MetricSource>(cloud); }

}  // namespace virga::kernel
