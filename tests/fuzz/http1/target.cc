// The HTTP/1.1 head and chunked parsers: the outcome may not depend on how the bytes were split.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "front/http1_parser.h"

using namespace virga::front;

namespace {

struct HeadOutcome {
  HeadParser::Status status;
  size_t size = 0, fields = 0;
  int refusal = 0;
  bool operator==(const HeadOutcome&) const = default;
};

HeadOutcome parse_head(std::string_view text, size_t step) {
  const HeadLimits limits{.bytes = 4096, .fields = 32, .target = 1024};
  HeadParser parser(limits);
  HeadOutcome out{HeadParser::Status::kMore};
  for (size_t have = 0; out.status == HeadParser::Status::kMore && have < text.size();) {
    have = std::min(have + step, text.size());
    out.status = parser.parse(text.substr(0, have));
  }
  if (out.status == HeadParser::Status::kDone) {
    out.size = parser.size();
    out.fields = parser.head().fields.size();
    for (const auto& [name, value] : parser.head().fields) {
      if (!is_token(name) || !is_field_value(value)) abort();
    }
    if (parser.head().chunked && parser.head().content_length) abort();
  }
  return out;
}

struct ChunkOutcome {
  ChunkedDecoder::Status status;
  std::string body;
  bool operator==(const ChunkOutcome&) const = default;
};

ChunkOutcome parse_chunks(std::string_view text, size_t step) {
  ChunkedDecoder decoder;
  ChunkOutcome out;
  std::string_view in;
  while (true) {
    std::string_view data;
    out.status = decoder.step(in, data);
    if (out.status == ChunkedDecoder::Status::kData) {
      out.body += data;
    } else if (out.status == ChunkedDecoder::Status::kMore && !text.empty()) {
      in = text.substr(0, step);
      text.remove_prefix(in.size());
    } else {
      return out;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t step = data[0] % 16 + 1;
  const HeadOutcome whole = parse_head(text, text.size() + 1), torn = parse_head(text, step);
  // How soon a limit is noticed depends on the split; what is accepted does not.
  if ((whole.status == HeadParser::Status::kDone) != (torn.status == HeadParser::Status::kDone)) abort();
  if (whole.status == HeadParser::Status::kDone && whole != torn) abort();
  if (parse_chunks(text, text.size() + 1) != parse_chunks(text, step)) abort();
  return 0;
}
