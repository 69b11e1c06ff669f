#include "base/tar.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/str.h"

namespace virga {
namespace {

struct Read {
  std::vector<TarEntry> entries;
  std::vector<std::string> contents;
};

Read read(std::string_view archive, size_t piece = SIZE_MAX) {
  Read out;
  TarReader reader;
  reader.on_entry = [&](const TarEntry& entry) {
    out.entries.push_back(entry);
    out.contents.emplace_back();
  };
  reader.on_data = [&](std::string_view bytes) { out.contents.back() += bytes; };
  while (!archive.empty()) {
    reader.feed(archive.substr(0, piece));
    archive.remove_prefix(std::min(piece, archive.size()));
  }
  reader.finish();
  return out;
}

// A header of any kind, its checksum made right.
std::string header(std::string_view name, uint64_t size, char type, std::string_view link = "") {
  std::string block = tar_header(name, size);
  block[156] = type;
  block.replace(157, link.size(), link);
  uint64_t sum = 0;
  for (size_t i = 0; i < 512; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<uint8_t>(block[i]);
  for (size_t i = 6; i-- > 0; sum >>= 3) block[148 + i] = static_cast<char>('0' + (sum & 7));
  return block;
}

std::string whole(std::string_view name, std::string_view content, char type = '0') {
  return cat(header(name, content.size(), type), content, tar_padding(content.size()));
}

TEST(Tar, ReadsWhatItWritesInPiecesOfAnySize) {
  const std::string content(1500, 'x');
  const std::string archive = cat(tar_header("folder/", 0, 0755), tar_header("folder/file", content.size(), 0755),
                                  content, tar_padding(content.size()), tar_header("empty", 0), tar_end());
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{512}, size_t{513}, SIZE_MAX}) {
    const Read found = read(archive, piece);
    ASSERT_EQ(found.entries.size(), 3u) << piece;
    EXPECT_EQ(found.entries[0].type, TarEntry::Type::kDirectory);
    EXPECT_EQ(found.entries[1].name, "folder/file");
    EXPECT_EQ(found.entries[1].mode, 0755u);
    EXPECT_EQ(found.contents[1], content);
    EXPECT_EQ(found.entries[2].size, 0u);
  }
}

TEST(Tar, TakesLongNamesAndLinksOfBothKinds) {
  const std::string name(300, 'n'), link(200, 'l');
  const auto record = [](std::string_view key, std::string_view value) {
    const size_t rest = key.size() + value.size() + 3;
    size_t size = rest + 1;
    while (size != rest + std::to_string(size).size()) ++size;
    return cat(size, " ", key, "=", value, "\n");
  };
  const std::string pax = cat(record("path", name), record("linkpath", link), record("mtime", "1.5"));
  for (const std::string& before :
       {whole("././@PaxHeader", pax, 'x'),
        cat(whole("././@LongLink", cat(name, '\0'), 'L'), whole("././@LongLink", cat(link, '\0'), 'K'))}) {
    const Read found = read(cat(before, header("short", 0, '2', "short"), whole("next", "1"), tar_end()));
    ASSERT_EQ(found.entries.size(), 2u);
    EXPECT_EQ(found.entries[0].type, TarEntry::Type::kSymlink);
    EXPECT_EQ(found.entries[0].name, name);
    EXPECT_EQ(found.entries[0].link, link);
    EXPECT_EQ(found.entries[1].name, "next");
  }
}

TEST(Tar, RefusesDamageAtEveryByteOfAHeader) {
  const std::string good = cat(whole("name", "content"), tar_end());
  for (size_t i = 0; i < 512; ++i) {
    if (i == 155) continue;  // behind the checksum's end
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x41);
    EXPECT_THROW(read(bad), TarError) << i;
  }
  for (const size_t cut : {size_t{1}, size_t{511}, size_t{512}, size_t{515}}) {
    EXPECT_THROW(read(good.substr(0, cut)), TarError) << cut;
  }
  EXPECT_NO_THROW(read(good.substr(0, 1024)));  // some leave the end out
}

TEST(Tar, RefusesWhatItCannotTake) {
  EXPECT_THROW(read(cat(header("sparse", 0, 'S'), tar_end())), TarError);
  EXPECT_THROW(read(cat(whole("x", "24 GNU.sparse.major=1.0\n\n", 'x'), tar_end())), TarError);
  EXPECT_THROW(read(cat(header("x", 2 << 20, 'x'), tar_end())), TarError);
  for (const std::string_view records : {"x", "3 a", "99 path=x\n", "0 path=x\n", "9 path=xy"}) {
    EXPECT_THROW(read(cat(whole("x", records, 'x'), tar_end())), TarError) << records;
  }
  EXPECT_EQ(read(cat(header("device", 0, '3'), tar_end())).entries[0].type, TarEntry::Type::kOther);
}

}  // namespace
}  // namespace virga
