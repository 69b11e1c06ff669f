#include "base/source.h"

namespace virga {

namespace {

class StringSource : public ByteSource {
 public:
  explicit StringSource(std::string bytes) : bytes_(std::move(bytes)), size_(bytes_.size()) {}
  Task<std::optional<std::string>> next() override {
    if (bytes_.empty()) co_return std::nullopt;
    std::optional<std::string> chunk(std::move(bytes_));
    bytes_.clear();
    co_return chunk;
  }
  std::optional<uint64_t> size() const override { return size_; }

 private:
  std::string bytes_;
  uint64_t size_;
};

}  // namespace

Body body_of(std::string bytes) { return std::make_shared<StringSource>(std::move(bytes)); }

Task<std::string> read_all(ByteSource& source, uint64_t most, Error too_large) {
  const std::optional<uint64_t> size = source.size();
  if (size && *size > most) co_return too_large;
  std::string out;
  while (std::optional<std::string> chunk = co_await source.next()) {
    if (out.size() + chunk->size() > most) co_return too_large;
    if (out.empty()) {
      out = std::move(*chunk);
      // A promised length is only a hint: a peer that lies must not make us reserve what it never sends.
      if (size && *size > out.size()) out.reserve(std::min<uint64_t>(*size, 1 << 20));
    } else {
      out += *chunk;
    }
  }
  co_return out;
}

}  // namespace virga
