#include "sandbox/frames.h"

#include <algorithm>

namespace virga::sandbox {

std::string frame(ToRuntime type, std::string_view body) {
  const auto length = static_cast<uint32_t>(body.size() + 1);
  std::string out;
  out.reserve(body.size() + 5);
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(length >> shift);
  out += static_cast<char>(type);
  out += body;
  return out;
}

bool FrameReader::next(Frame& out) {
  if (skip_) {
    const size_t here = std::min<uint64_t>(skip_, buffered());
    at_ += here;
    skip_ -= here;
    if (skip_) {
      buffer_.clear();
      at_ = 0;
      return false;
    }
    out = {skipped_, {}, true};
    return true;
  }
  if (buffered() < 5) return false;
  const auto* head = reinterpret_cast<const unsigned char*>(buffer_.data() + at_);
  const uint32_t length = head[0] | head[1] << 8 | head[2] << 16 | uint32_t{head[3]} << 24;
  const auto type = static_cast<FromRuntime>(head[4]);
  if (length > most_) {
    at_ += 5;
    skip_ = length - 1;
    skipped_ = type;
    return next(out);
  }
  if (buffered() < size_t{4} + length) return false;
  out.type = type;
  out.too_large = false;
  out.body.assign(buffer_, at_ + 5, length ? length - 1 : 0);
  at_ += 4 + std::max<uint32_t>(length, 1);
  if (at_ == buffer_.size()) {
    buffer_.clear();
    at_ = 0;
    if (buffer_.capacity() > (1u << 20)) buffer_.shrink_to_fit();
  } else if (at_ > (1u << 20)) {
    buffer_.erase(0, at_);
    at_ = 0;
  }
  return true;
}

}  // namespace virga::sandbox
