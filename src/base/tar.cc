#include "base/tar.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/str.h"

namespace virga {
namespace {

constexpr size_t kBlock = 512;
constexpr uint64_t kMostExtension = 1 << 20;  // of names and attributes
constexpr uint64_t kMostSize = uint64_t{1} << 50;

std::string_view text_field(std::string_view block, size_t at, size_t size) {
  const std::string_view field = block.substr(at, size);
  return field.substr(0, field.find('\0'));
}

// Octal digits, or GNU's big-endian number behind a set top bit.
uint64_t number_field(std::string_view block, size_t at, size_t size) {
  std::string_view field = block.substr(at, size);
  if (static_cast<uint8_t>(field[0]) & 0x80) {
    if (static_cast<uint8_t>(field[0]) != 0x80) throw TarError("the archive has a number out of range");
    uint64_t out = 0;
    for (const char c : field.substr(1)) {
      if (out > kMostSize) throw TarError("the archive has a number out of range");
      out = out << 8 | static_cast<uint8_t>(c);
    }
    return out;
  }
  field = field.substr(0, field.find('\0'));
  while (field.starts_with(' ')) field.remove_prefix(1);
  while (field.ends_with(' ')) field.remove_suffix(1);
  uint64_t out = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), out, 8);
  if (!field.empty() && (error != std::errc() || end != field.data() + field.size()))
    throw TarError("this is no tar archive, or a damaged one");
  return out;
}

uint64_t checksum(std::string_view block) {
  uint64_t sum = 0;
  for (size_t i = 0; i < kBlock; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<uint8_t>(block[i]);
  return sum;
}

uint64_t padding_of(uint64_t size) { return (kBlock - size % kBlock) % kBlock; }

}  // namespace

void TarReader::feed(std::string_view bytes) {
  while (!bytes.empty() && part_ != Part::kEnded) {
    if (part_ == Part::kHeader) {
      const size_t used = std::min(bytes.size(), kBlock - block_.size());
      block_.append(bytes.substr(0, used));
      bytes.remove_prefix(used);
      if (block_.size() < kBlock) return;
      take_header(block_);
      block_.clear();
      continue;
    }
    if (left_ > 0) {
      const auto used = static_cast<size_t>(std::min<uint64_t>(bytes.size(), left_));
      if (part_ == Part::kExtension) {
        extension_.append(bytes.substr(0, used));
      } else if (on_data) {
        on_data(bytes.substr(0, used));
      }
      left_ -= used;
      bytes.remove_prefix(used);
    }
    if (left_ > 0) return;
    const auto used = static_cast<size_t>(std::min<uint64_t>(bytes.size(), padding_));
    padding_ -= used;
    bytes.remove_prefix(used);
    if (padding_ > 0) return;
    if (part_ == Part::kExtension) take_extension();
    part_ = Part::kHeader;
  }
}

void TarReader::finish() const {
  if (part_ == Part::kEnded) return;
  const bool between = part_ == Part::kHeader && block_.empty();
  if (!between && (left_ > 0 || part_ != Part::kData)) throw TarError("the archive is cut off");
}

void TarReader::take_header(std::string_view block) {
  if (std::ranges::all_of(block, [](char c) { return c == '\0'; })) {
    part_ = Part::kEnded;
    return;
  }
  if (number_field(block, 148, 8) != checksum(block)) throw TarError("this is no tar archive, or a damaged one");
  const char type = block[156];
  TarEntry entry;
  entry.mode = static_cast<uint32_t>(number_field(block, 100, 8)) & 07777;
  entry.size = number_field(block, 124, 12);
  entry.modified = static_cast<int64_t>(number_field(block, 136, 12));
  if (type == 'x' || type == 'g' || type == 'L' || type == 'K') {
    if (entry.size > kMostExtension) throw TarError("the archive has a name or attributes that are too long");
    extension_type_ = type;
    extension_.clear();
    left_ = entry.size;
    padding_ = padding_of(left_);
    part_ = Part::kExtension;
    return;
  }
  entry.name = text_field(block, 0, 100);
  const bool ustar = block.substr(257, 6) == std::string_view("ustar\0", 6);
  if (const auto prefix = text_field(block, 345, 155); ustar && !prefix.empty())
    entry.name = cat(prefix, "/", entry.name);
  entry.link = text_field(block, 157, 100);
  if (!name_.empty()) entry.name = std::exchange(name_, {});
  if (!link_.empty()) entry.link = std::exchange(link_, {});
  if (!pax_size_.empty()) {
    const auto size = parse_int(std::exchange(pax_size_, {}));
    if (!size || *size < 0) throw TarError("the archive has a damaged header");
    entry.size = static_cast<uint64_t>(*size);
  }
  if (entry.size > kMostSize) throw TarError("the archive has an entry that is too large");
  switch (type) {
    case '\0':
    case '0':
    case '7':
      entry.type = entry.name.ends_with('/') ? TarEntry::Type::kDirectory : TarEntry::Type::kFile;
      break;
    case '1':
      entry.type = TarEntry::Type::kHardLink;
      break;
    case '2':
      entry.type = TarEntry::Type::kSymlink;
      break;
    case '5':
      entry.type = TarEntry::Type::kDirectory;
      break;
    case 'S':
      throw TarError("the archive has a sparse file");
    default:
      entry.type = TarEntry::Type::kOther;
  }
  // Links say the size of what they link to in some archives; their content isn't there.
  if (entry.type != TarEntry::Type::kFile && (type >= '1' && type <= '6')) entry.size = 0;
  left_ = entry.size;
  padding_ = padding_of(left_);
  part_ = Part::kData;
  if (on_entry) on_entry(entry);
  if (left_ == 0) part_ = Part::kHeader;
}

void TarReader::take_extension() {
  const auto text = [&] { return extension_.substr(0, extension_.find('\0')); };
  if (extension_type_ == 'L') name_ = text();
  if (extension_type_ == 'K') link_ = text();
  if (extension_type_ == 'x') take_pax(extension_);
}

// "<length> <key>=<value>\n" after one another.
void TarReader::take_pax(std::string_view records) {
  while (!records.empty()) {
    const auto space = records.find(' ');
    const auto length = space == records.npos ? std::nullopt : parse_int(records.substr(0, space));
    if (!length || *length <= static_cast<int64_t>(space) + 1 || static_cast<uint64_t>(*length) > records.size())
      throw TarError("the archive has damaged attributes");
    std::string_view record = records.substr(space + 1, static_cast<size_t>(*length) - space - 1);
    records.remove_prefix(static_cast<size_t>(*length));
    if (!record.ends_with('\n')) throw TarError("the archive has damaged attributes");
    record.remove_suffix(1);
    const auto [key, value] = split_once(record, '=');
    if (key == "path") name_ = value;
    if (key == "linkpath") link_ = value;
    if (key == "size") pax_size_ = value;
    if (key.starts_with("GNU.sparse.")) throw TarError("the archive has a sparse file");
  }
}

std::string tar_header(std::string_view name, uint64_t size, uint32_t mode) {
  if (name.size() > 100) throw TarError(cat("the name '", name, "' is too long for the archive"));
  if (size >> 33) throw TarError(cat("the file '", name, "' is too large for the archive"));
  std::string block(kBlock, '\0');
  const auto put = [&](size_t at, std::string_view text) { block.replace(at, text.size(), text); };
  const auto octal = [&](size_t at, size_t digits, uint64_t value) {
    std::string text(digits, '0');
    for (size_t i = digits; i-- > 0; value >>= 3) text[i] = static_cast<char>('0' + (value & 7));
    put(at, text);
  };
  put(0, name);
  octal(100, 7, mode);
  octal(108, 7, 0);
  octal(116, 7, 0);
  octal(124, 11, size);
  octal(136, 11, 0);
  block[156] = name.ends_with('/') ? '5' : '0';
  put(257, std::string_view("ustar\0"
                            "00",
                            8));
  octal(148, 6, checksum(block));
  block[155] = ' ';
  return block;
}

std::string tar_padding(uint64_t size) { return std::string(padding_of(size), '\0'); }
std::string tar_end() { return std::string(2 * kBlock, '\0'); }

}  // namespace virga
