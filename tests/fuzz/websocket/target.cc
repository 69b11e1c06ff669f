// WebSocket frames: the events may not depend on how the bytes were split.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/str.h"
#include "front/websocket_frames.h"

using namespace virga;
using namespace virga::front;

static std::string events(std::string_view text, size_t step) {
  FrameDecoder decoder(10'000);
  std::string log;
  while (true) {
    std::string_view in = text.substr(0, step);
    text.remove_prefix(in.size());
    if (in.empty()) return log;
    while (true) {
      const auto event = decoder.step(in);
      if (event == FrameDecoder::Event::kMore) break;
      append(log, static_cast<int>(event), ":");
      if (event == FrameDecoder::Event::kFailed) return cat(log, decoder.code());
      append(log, decoder.is_text(), decoder.payload(), ";");
      if (decoder.payload().size() > 10'000) abort();
      if (event == FrameDecoder::Event::kClose) return cat(log, decoder.code());
    }
    if (!in.empty()) abort();
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (events(text, text.size() + 1) != events(text, data[0] % 16 + 1)) abort();
  return 0;
}
