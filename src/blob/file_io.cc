#include "blob/file_io.h"

#include <stdexcept>

#include "base/str.h"

namespace virga::blob {

namespace {
constexpr size_t kPiece = 4 * kBlock;
constexpr uint64_t kWriteback = 8 << 20;
constexpr uint64_t kSumsAtOnce = 1024;
}  // namespace

FileWriter::~FileWriter() {
  if (id_.empty()) return;
  file_ = File();
  store_->pool().post([store = store_.get(), id = id_] {
    try {
      store->folder().remove(id);
    } catch (const std::exception&) {
      // The next process sweeps it.
    }
    store->abandoned_blob(id);
  });
}

Task<void> FileWriter::write(std::string_view bytes) {
  buffer_ += bytes;
  if (buffer_.size() >= kPiece) {
    co_await store_->pool().run([&] { flush(); });
  }
}

void FileWriter::flush() {
  if (id_.empty()) {
    id_ = store_->begin_blob();
    file_ = store_->folder().create(id_);
  }
  file_.write(buffer_);
  sums_.update(buffer_);
  buffer_.clear();
  // Starts the disk early, so that the sync at the end of a large blob has little left to do.
  if (sums_.size() - written_back_ >= kWriteback) {
    file_.start_writeback(written_back_, sums_.size() - written_back_);
    written_back_ = sums_.size();
  }
}

Task<Ref> FileWriter::finish() {
  Ref ref;
  if (id_.empty() && buffer_.size() <= kInlineMost) {
    sums_.update(buffer_);
    ref.bytes = std::move(buffer_);
  } else {
    co_await store_->pool().run([&] {
      if (!buffer_.empty()) flush();
      store_->folder().seal(id_, file_, sums_);
    });
    file_ = File();
    store_->finished_blob(id_);
    ref.id = std::move(id_);
    id_.clear();
  }
  ref.size = sums_.size();
  ref.crc32c = sums_.whole();
  co_return ref;
}

Task<std::optional<std::string>> FileSource::next() {
  if (position_ >= end_) co_return std::nullopt;
  const uint64_t first_block = position_ / kBlock;
  const uint64_t from = first_block * kBlock;
  const uint64_t to = std::min({ref_.size, blocks_of(end_) * kBlock, (first_block / 4 + 1) * kPiece});
  std::string piece;
  // What lies in the page cache needs no thread.
  if (file_ && knows_sums(from, to - from) && file_.read_cached(from, to - from, piece)) {
    verify(from, piece);
  } else {
    piece = co_await store_->pool().run([&] { return read_piece(from, to - from); });
  }
  const uint64_t stop = std::min(end_, to);
  if (stop < to) piece.resize(stop - from);
  if (position_ > from) piece.erase(0, position_ - from);
  position_ = stop;
  co_return piece;
}

bool FileSource::knows_sums(uint64_t from, uint64_t size) const {
  return from / kBlock >= first_sum_ && blocks_of(from + size) <= first_sum_ + sums_.size();
}

std::string FileSource::read_piece(uint64_t from, uint64_t size) {
  Folder& folder = store_->folder();
  if (!file_) file_ = folder.open(folder.path_of(ref_.id));
  if (!knows_sums(from, size)) {
    first_sum_ = from / kBlock;
    sums_ = folder.read_sums(ref_, first_sum_, std::min(kSumsAtOnce, blocks_of(end_) - first_sum_));
  }
  std::string piece = file_.read(from, size);
  if (piece.size() != size)
    throw std::runtime_error(cat("blob: ", ref_.id, " is damaged: it ends early. Restore it from a snapshot."));
  verify(from, piece);
  return piece;
}

void FileSource::verify(uint64_t from, std::string_view bytes) const {
  BlockSums found;
  found.update(bytes);
  const auto blocks = found.blocks();
  const uint64_t skip = from / kBlock - first_sum_;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i] != sums_[skip + i]) {
      throw std::runtime_error(cat("blob: ", ref_.id, " is damaged at byte ", from + i * kBlock,
                                   ": the content does not match its checksum. Restore it from a snapshot."));
    }
  }
}

}  // namespace virga::blob
