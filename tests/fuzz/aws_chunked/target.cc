// The aws-chunked decoder: the outcome may not depend on how the bytes were split.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "wire/aws_chunked.h"

using namespace virga;
using namespace virga::wire;

static std::string outcome(std::string_view text, size_t step, bool is_signed, bool has_trailer) {
  AwsChunkedOptions options;
  options.is_signed = is_signed;
  options.has_trailer = has_trailer;
  if (has_trailer) options.trailer_names = {"x-amz-checksum-crc32"};
  options.verify_chunk = [](std::string_view, std::string_view) { return true; };
  options.verify_trailer = [](std::string_view, std::string_view) { return true; };
  AwsChunkedDecoder decoder(options);
  std::string body;
  try {
    while (!text.empty()) {
      const std::string_view part = text.substr(0, step);
      text.remove_prefix(part.size());
      decoder.feed(part, body);
    }
    decoder.finish();
  } catch (const Error& e) {
    return std::string(e.shape->code);
  }
  return "ok " + body;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool is_signed = data[0] & 0x80, has_trailer = data[0] & 0x40;
  if (outcome(text, text.size() + 1, is_signed, has_trailer) != outcome(text, data[0] % 16 + 1, is_signed, has_trailer))
    abort();
  return 0;
}
