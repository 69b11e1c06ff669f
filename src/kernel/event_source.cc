#include "kernel/event_source.h"

#include "kernel/cloud.h"

namespace virga::kernel {

StreamSource* find_stream_source(const Cloud& cloud, const Arn& arn) {
  for (const auto& service : cloud.services()) {
    auto* source = dynamic_cast<StreamSource*>(service.get());
    if (source && source->serves_stream(arn)) return source;
  }
  return nullptr;
}

}  // namespace virga::kernel
