#include "base/gzip.h"

#include <zlib.h>

#include <array>
#include <stdexcept>

namespace virga {

namespace {
constexpr int kGzip = 16 + MAX_WBITS;
constexpr size_t kPiece = 64 << 10;

Bytef* input_of(std::string_view bytes) {
  return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));  // zlib only reads it
}
}  // namespace

std::string gzip(std::string_view bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("zlib could not start");
  }
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = input_of(bytes);
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int ended = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (ended != Z_STREAM_END) throw std::runtime_error("compression failed");
  return out;
}

struct Gunzip::State {
  z_stream stream{};
  bool ended = false;  // between streams: several one after the other are one file
  std::array<char, kPiece> piece;
};

Gunzip::Gunzip() : state_(std::make_unique<State>()) {
  if (inflateInit2(&state_->stream, kGzip) != Z_OK) throw std::runtime_error("zlib could not start");
}

Gunzip::~Gunzip() { inflateEnd(&state_->stream); }

void Gunzip::feed(std::string_view bytes, const std::function<void(std::string_view)>& sink) {
  z_stream& z = state_->stream;
  z.next_in = input_of(bytes);
  z.avail_in = static_cast<uInt>(bytes.size());
  bool full = true;  // what did not fit the last time waits inside
  while (z.avail_in > 0 || (full && !state_->ended)) {
    if (state_->ended) {
      inflateReset(&z);
      state_->ended = false;
    }
    z.next_out = reinterpret_cast<Bytef*>(state_->piece.data());
    z.avail_out = kPiece;
    const int result = inflate(&z, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
      throw GzipError("the content is no valid gzip");
    full = z.avail_out == 0;
    state_->ended = result == Z_STREAM_END;
    if (z.avail_out < kPiece) sink({state_->piece.data(), kPiece - z.avail_out});
    if (result == Z_BUF_ERROR) break;
  }
}

void Gunzip::finish() const {
  if (!state_->ended) throw GzipError("the content is no valid gzip");
}

std::string gunzip(std::string_view bytes, uint64_t most) {
  std::string out;
  Gunzip stream;
  stream.feed(bytes, [&](std::string_view piece) {
    out += piece;
    if (out.size() > most) throw GzipError("the uncompressed content is too large");
  });
  stream.finish();
  return out;
}

}  // namespace virga
