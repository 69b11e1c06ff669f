// What a function's processes say: frames of the private channel, requests to the Runtime API, bodies of telemetry
// subscriptions. The outcome may not depend on how the bytes were split. The first byte chooses, and the size of
// pieces.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "sandbox/frames.h"
#include "sandbox/runtime_api.h"
#include "sandbox/telemetry.h"

using namespace virga;
using namespace virga::sandbox;

namespace {

using Frames = std::vector<std::tuple<FromRuntime, std::string, bool>>;

Frames read_frames(std::string_view bytes, size_t step) {
  constexpr size_t kMost = 100;
  Frames out;
  FrameReader reader(kMost);
  while (!bytes.empty()) {
    reader.feed(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
    for (FrameReader::Frame frame; reader.next(frame);) {
      if (frame.body.size() > kMost || (frame.too_large && !frame.body.empty())) std::abort();
      out.emplace_back(frame.type, frame.body, frame.too_large);
    }
    if (reader.buffered() > kMost + 4 + step) std::abort();
  }
  return out;
}

struct Requests {
  std::vector<std::string> lines;
  ApiParser::State state{};
  bool operator==(const Requests&) const = default;
};

Requests read_requests(std::string_view bytes, size_t step) {
  Requests out;
  ApiParser parser;
  std::string body;
  parser.on_body = [&](std::string_view part) { body += part; };
  while (!bytes.empty() && parser.state() != ApiParser::State::kBad) {
    std::string_view piece = bytes.substr(0, step);
    bytes.remove_prefix(piece.size());
    while (!piece.empty() && parser.state() != ApiParser::State::kBad) {
      piece.remove_prefix(parser.feed(piece));
      if (parser.state() != ApiParser::State::kDone) continue;
      std::string line = parser.request().method + " " + parser.request().path;
      for (const auto& [name, value] : parser.request().headers) line += "\n" + name + ":" + value;
      out.lines.push_back(line + "\n\n" + body);
      body.clear();
      parser.next();
    }
  }
  out.state = parser.state();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t step = data[0] / 4 + 1;
  if (data[0] % 4 == 0) {
    if (read_frames(text, text.size() + 1) != read_frames(text, step)) std::abort();
  } else if (data[0] % 4 == 1) {
    if (read_requests(text, text.size() + 1) != read_requests(text, step)) std::abort();
  } else {
    std::string wrong;
    const Subscription out = parse_subscription(text, data[0] % 4 == 2, wrong);
    if (wrong.empty() && (out.port == 0 || out.categories == 0)) std::abort();
  }
  return 0;
}
