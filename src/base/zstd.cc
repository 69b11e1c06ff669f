#include "base/zstd.h"

#include <zstd.h>

#include <memory>
#include <stdexcept>

namespace virga {

std::string unzstd(std::string_view bytes, uint64_t most) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> stream(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  if (!stream) throw std::runtime_error("zstd could not start");
  const std::unique_ptr<char[]> piece(new char[ZSTD_DStreamOutSize()]);
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  std::string out;
  size_t left = 1;  // zero at the end of a frame; several after each other are one content
  bool full = false;
  while (in.pos < in.size || full) {
    ZSTD_outBuffer part{piece.get(), ZSTD_DStreamOutSize(), 0};
    left = ZSTD_decompressStream(stream.get(), &part, &in);
    if (ZSTD_isError(left)) throw std::runtime_error("the content is no valid zstd");
    out.append(piece.get(), part.pos);
    if (out.size() > most) throw std::runtime_error("the uncompressed content is too large");
    full = part.pos == part.size;
  }
  if (left != 0) throw std::runtime_error("the content is no valid zstd");
  return out;
}

}  // namespace virga
