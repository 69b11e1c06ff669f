#pragma once

#include "blob/files.h"

namespace virga::blob {

// Small content stays in memory and ends up inside the Ref; the rest goes to a file in large pieces.
class FileWriter final : public Writer {
 public:
  explicit FileWriter(std::shared_ptr<FileStore> store) : store_(std::move(store)) {}
  ~FileWriter() override;
  Task<void> write(std::string_view bytes) override;
  Task<Ref> finish() override;

 private:
  void flush();  // blocks

  std::shared_ptr<FileStore> store_;
  std::string buffer_;
  std::string id_;  // empty until there is a file
  File file_;
  BlockSums sums_;
  uint64_t written_back_ = 0;
};

// Reads a range in pieces, each verified before it is handed out.
class FileSource final : public ByteSource {
 public:
  FileSource(std::shared_ptr<FileStore> store, Ref ref, uint64_t offset, uint64_t length)
      : store_(std::move(store)), ref_(std::move(ref)), position_(offset), end_(offset + length), length_(length) {}
  Task<std::optional<std::string>> next() override;
  std::optional<uint64_t> size() const override { return length_; }

 private:
  std::string read_piece(uint64_t from, uint64_t size);  // blocks
  bool knows_sums(uint64_t from, uint64_t size) const;
  void verify(uint64_t from, std::string_view bytes) const;

  std::shared_ptr<FileStore> store_;
  const Ref ref_;
  uint64_t position_;
  const uint64_t end_, length_;
  File file_;
  std::vector<uint32_t> sums_;  // of the blocks from first_sum_ on
  uint64_t first_sum_ = 0;
};

}  // namespace virga::blob
