#include "base/zip.h"

#include <gtest/gtest.h>

namespace virga {
namespace {

std::string sample() {
  ZipWriter writer;
  writer.add("app.py", std::string(5000, 'x'), 0100755);
  writer.add("lib/short.txt", "hi");
  return writer.finish();
}

TEST(Zip, ReadsWhatItWrote) {
  const std::string archive = sample();
  const ZipReader reader(archive, 1 << 20);
  ASSERT_EQ(reader.entries().size(), 2u);
  EXPECT_EQ(reader.entries()[0].name, "app.py");
  EXPECT_EQ(reader.entries()[0].mode & 0777, 0755u);
  EXPECT_EQ(reader.read(reader.entries()[0]), std::string(5000, 'x'));
  EXPECT_EQ(reader.read(reader.entries()[1]), "hi");
  EXPECT_EQ(archive, sample());
}

TEST(Zip, RefusesNamesThatLeaveTheFolder) {
  std::string archive = sample();
  for (size_t at = archive.find("lib/short.txt"); at != archive.npos; at = archive.find("lib/short.txt", at)) {
    archive.replace(at, 13, "../evil/x.txt");
  }
  EXPECT_THROW(ZipReader(archive, 1 << 20), ZipError);
}

TEST(Zip, RefusesDamageAtEveryByte) {
  const std::string whole = sample();
  for (size_t cut = 0; cut < whole.size(); ++cut) {
    EXPECT_THROW(ZipReader(whole.substr(0, cut), 1 << 20), ZipError) << cut;
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x5a);
    try {
      const ZipReader reader(damaged, 1 << 20);
      for (const ZipEntry& entry : reader.entries()) reader.extract(entry, [](std::string_view) {});
    } catch (const ZipError&) {
    }
  }
}

TEST(Zip, RefusesBombs) { EXPECT_THROW(ZipReader(sample(), 4000), ZipError); }

}  // namespace
}  // namespace virga
