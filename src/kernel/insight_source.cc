#include "kernel/insight_source.h"

#include "kernel/cloud.h"

namespace virga::kernel {

std::vector<InsightSource*> insight_sources(const Cloud& cloud) {
  std::vector<InsightSource*> out;
  for (const auto& service : cloud.services()) {
    if (auto* source = dynamic_cast<InsightSource*>(service.get())) out.push_back(source);
  }
  return out;
}

}  // namespace virga::kernel
