#include "base/zstd.h"

#include <zstd.h>

namespace virga {

struct Unzstd::State {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> stream{ZSTD_createDCtx(), &ZSTD_freeDCtx};
  const std::unique_ptr<char[]> piece{new char[ZSTD_DStreamOutSize()]};
  size_t left = 1;  // zero at the end of a frame; several after each other are one content
};

Unzstd::Unzstd() : state_(std::make_unique<State>()) {
  if (!state_->stream) throw std::runtime_error("zstd could not start");
}

Unzstd::~Unzstd() = default;

void Unzstd::feed(std::string_view bytes, const std::function<void(std::string_view)>& sink) {
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  bool full = false;
  while (in.pos < in.size || full) {
    ZSTD_outBuffer part{state_->piece.get(), ZSTD_DStreamOutSize(), 0};
    state_->left = ZSTD_decompressStream(state_->stream.get(), &part, &in);
    if (ZSTD_isError(state_->left)) throw ZstdError("the content is no valid zstd");
    if (part.pos > 0) sink({state_->piece.get(), part.pos});
    full = part.pos == part.size;
  }
}

void Unzstd::finish() const {
  if (state_->left != 0) throw ZstdError("the content is no valid zstd");
}

std::string unzstd(std::string_view bytes, uint64_t most) {
  std::string out;
  Unzstd stream;
  stream.feed(bytes, [&](std::string_view piece) {
    out += piece;
    if (out.size() > most) throw ZstdError("the uncompressed content is too large");
  });
  stream.finish();
  return out;
}

}  // namespace virga
