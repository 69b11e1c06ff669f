#include "sandbox/lines.h"

#include <cstdint>

namespace virga::sandbox {
namespace {
constexpr std::string_view kRecord = "\x1eVLR";
constexpr size_t kRecordHead = 8;
}  // namespace

void Lines::feed(std::string_view bytes, const Event& event) {
  buffer_ += bytes;
  size_t at = 0;
  while (at < buffer_.size()) {
    const std::string_view rest = std::string_view(buffer_).substr(at);
    if (rest.starts_with(kRecord.substr(0, rest.size()))) {
      if (rest.size() < kRecordHead) break;
      const auto* n = reinterpret_cast<const unsigned char*>(rest.data() + kRecord.size());
      const uint32_t size = n[0] | n[1] << 8 | n[2] << 16 | uint32_t{n[3]} << 24;
      if (size <= kMostEvent) {
        if (rest.size() < kRecordHead + size) break;
        event(rest.substr(kRecordHead, size));
        at += kRecordHead + size;
        continue;
      }
      // Larger than an event may be: its lines become events of their own.
      at += kRecordHead;
      continue;
    }
    const size_t end = rest.find('\n');
    // A record may follow a line that has no end.
    const size_t record = rest.substr(0, end).find(kRecord);
    if (record != std::string_view::npos) {
      event(rest.substr(0, record));
      at += record;
    } else if (end != std::string_view::npos) {
      event(rest.substr(0, end + 1));
      at += end + 1;
    } else if (rest.size() >= kMostEvent) {
      event(rest.substr(0, kMostEvent));
      at += kMostEvent;
    } else {
      break;
    }
  }
  buffer_.erase(0, at);
}

void Lines::finish(const Event& event) {
  if (!buffer_.empty()) event(buffer_);
  buffer_.clear();
}

}  // namespace virga::sandbox
