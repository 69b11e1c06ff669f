// Zip archives: whatever the bytes, an archive is refused or its entries stay within the folder and the limits; what is
// read, written anew, is read the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "base/zip.h"

using namespace virga;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr uint64_t kMost = 1 << 20;
  std::vector<std::pair<std::string, std::string>> files;
  ZipWriter writer;
  try {
    const std::string archive(reinterpret_cast<const char*>(data), size);
    const ZipReader reader(archive, kMost, 100);
    if (reader.entries().size() > 100 || reader.total_size() > kMost) std::abort();
    for (const ZipEntry& entry : reader.entries()) {
      const std::string slashed = "/" + entry.name + "/";
      if (entry.name.empty() || entry.name[0] == '/' || slashed.find("/../") != slashed.npos) std::abort();
      std::string content = reader.read(entry);
      if (content.size() != entry.size) std::abort();
      if (entry.is_directory()) continue;
      writer.add(entry.name, content, entry.mode);
      files.emplace_back(entry.name, std::move(content));
    }
  } catch (const ZipError&) {
    return 0;
  }
  const std::string again = writer.finish();
  const ZipReader reader(again, kMost, 100);
  if (reader.entries().size() != files.size()) std::abort();
  for (size_t i = 0; i < files.size(); ++i) {
    if (reader.entries()[i].name != files[i].first || reader.read(reader.entries()[i]) != files[i].second) std::abort();
  }
  return 0;
}
