// Tar archives: what is read may not depend on how the bytes were split, no entry has more content than it says, and
// what is read of an archive, written anew, is read the same. The first byte is the size of the pieces, and whether the
// checksums are made right.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/tar.h"

using namespace virga;

namespace {

struct Outcome {
  std::vector<TarEntry> entries;
  std::vector<std::string> contents;
  bool whole = false;
};

Outcome read(std::string_view archive, size_t step) {
  Outcome out;
  TarReader reader;
  reader.on_entry = [&](const TarEntry& entry) {
    out.entries.push_back(entry);
    out.contents.emplace_back();
  };
  reader.on_data = [&](std::string_view bytes) { out.contents.back() += bytes; };
  try {
    while (!archive.empty()) {
      reader.feed(archive.substr(0, step));
      archive.remove_prefix(std::min(step, archive.size()));
    }
    reader.finish();
    out.whole = true;
  } catch (const TarError&) {
  }
  for (size_t i = 0; i < out.entries.size(); ++i) {
    if (out.contents[i].size() > out.entries[i].size) std::abort();
    if (i + 1 < out.entries.size() && out.contents[i].size() != out.entries[i].size) std::abort();
  }
  return out;
}

// The archive with the checksums of its headers made right, which chance would never find.
std::string repaired(std::string text) {
  constexpr size_t kBlock = 512;
  for (size_t at = 0; at + kBlock <= text.size();) {
    size_t size = 0;
    for (size_t i = at + 124; i < at + 136; ++i) {
      if (text[i] >= '0' && text[i] <= '7' && size < text.size()) size = size * 8 + static_cast<size_t>(text[i] - '0');
    }
    text.replace(at + 148, 8, "        ");
    size_t sum = 0;
    for (size_t i = at; i < at + kBlock; ++i) sum += static_cast<uint8_t>(text[i]);
    for (size_t i = at + 154; i-- > at + 148; sum /= 8) text[i] = static_cast<char>('0' + sum % 8);
    text[at + 154] = '\0';
    at += kBlock + (size + kBlock - 1) / kBlock * kBlock;
  }
  return text;
}

bool same(const TarEntry& a, const TarEntry& b) {
  return a.type == b.type && a.name == b.name && a.link == b.link && a.mode == b.mode && a.size == b.size;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 8) text = repaired(std::move(text));
  const Outcome whole = read(text, text.size() + 1), torn = read(text, data[0] * size_t{3} + 1);
  if (whole.whole != torn.whole || whole.contents != torn.contents ||
      !std::ranges::equal(whole.entries, torn.entries, same)) {
    std::abort();
  }
  std::string again;
  for (size_t i = 0; whole.whole && i < whole.entries.size(); ++i) {
    const TarEntry& entry = whole.entries[i];
    if (entry.type != TarEntry::Type::kFile || entry.name.empty() || entry.name.size() > 90) return 0;
    again += tar_header(entry.name, entry.size, entry.mode) + whole.contents[i] + tar_padding(entry.size);
  }
  const Outcome twice = read(again + tar_end(), again.size() + 4096);
  if (whole.whole && (!twice.whole || twice.contents != whole.contents)) std::abort();
  return 0;
}
