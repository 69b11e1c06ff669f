// The documents of a container image: any of them is an image or a sentence about what is wrong. They are separated by
// zero bytes and lie under their digests; a later one names an earlier one's digest by `@` and a digit. The last is
// index.json, or manifest.json when the first byte is even.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "base/encoding.h"
#include "services/lambda/image/manifest.h"

using namespace virga;
using namespace virga::lambda::image;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::map<std::string, std::string> files;
  std::vector<std::string> digests;
  for (bool last = false; !last;) {
    const size_t end = text.find('\0');
    last = end == text.npos || digests.size() == 9;
    const std::string_view part = last ? text : text.substr(0, end);
    std::string document;
    for (size_t i = 0; i < part.size(); ++i) {
      const size_t named = part[i] == '@' && i + 1 < part.size() ? static_cast<size_t>(part[i + 1] - '0') : 10;
      if (named < digests.size()) {
        document += "sha256:" + digests[named];
        ++i;
      } else {
        document += part[i];
      }
    }
    if (last) {
      files[data[0] % 2 ? "index.json" : "manifest.json"] = document;
    } else {
      digests.push_back(hex_encode(sha256(document)));
      files["blobs/sha256/" + digests.back()] = document;
      text.remove_prefix(end + 1);
    }
  }
  try {
    const Manifest out = read_manifest([&](const std::string& name) -> std::optional<std::string> {
      const auto found = files.find(name);
      return found == files.end() ? std::nullopt : std::optional(found->second);
    });
    if (out.digest.size() != 64 || out.layers.size() > 127) std::abort();
    for (const Layer& layer : out.layers) {
      if (layer.content_hex.size() != 64) std::abort();
    }
  } catch (const ImageError&) {
  }
  return 0;
}
