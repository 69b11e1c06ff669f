#include "base/gzip.h"

#include <zlib.h>

#include <array>
#include <stdexcept>

namespace virga {

namespace {
constexpr size_t kPiece = 64 << 10;

int window_of(Packing packing) { return packing == Packing::kGzip ? 16 + MAX_WBITS : MAX_WBITS; }

const char* damaged(Packing packing) {
  return packing == Packing::kGzip ? "the content is no valid gzip" : "the content is no valid deflate";
}

Bytef* input_of(std::string_view bytes) {
  return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));  // zlib only reads it
}
}  // namespace

std::string gzip(std::string_view bytes, Packing packing, int level) {
  z_stream stream{};
  if (deflateInit2(&stream, level, Z_DEFLATED, window_of(packing), 8, Z_DEFAULT_STRATEGY) != Z_OK) {
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
  Packing packing;
  bool ended = false;  // between streams: several of gzip one after the other are one file
  std::array<char, kPiece> piece;
};

Gunzip::Gunzip(Packing packing) : state_(std::make_unique<State>()) {
  state_->packing = packing;
  if (inflateInit2(&state_->stream, window_of(packing)) != Z_OK) throw std::runtime_error("zlib could not start");
}

Gunzip::~Gunzip() { inflateEnd(&state_->stream); }

void Gunzip::feed(std::string_view bytes, const std::function<void(std::string_view)>& sink) {
  z_stream& z = state_->stream;
  z.next_in = input_of(bytes);
  z.avail_in = static_cast<uInt>(bytes.size());
  bool full = true;  // what did not fit the last time waits inside
  while (z.avail_in > 0 || (full && !state_->ended)) {
    if (state_->ended) {
      if (state_->packing != Packing::kGzip) throw GzipError("something follows the packed content");
      inflateReset(&z);
      state_->ended = false;
    }
    z.next_out = reinterpret_cast<Bytef*>(state_->piece.data());
    z.avail_out = kPiece;
    const int result = inflate(&z, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) throw GzipError(damaged(state_->packing));
    full = z.avail_out == 0;
    state_->ended = result == Z_STREAM_END;
    if (z.avail_out < kPiece) sink({state_->piece.data(), kPiece - z.avail_out});
    if (result == Z_BUF_ERROR) break;
  }
}

void Gunzip::finish() const {
  if (!state_->ended) throw GzipError(damaged(state_->packing));
}

std::string gunzip(std::string_view bytes, uint64_t most, Packing packing) {
  std::string out;
  Gunzip stream(packing);
  stream.feed(bytes, [&](std::string_view piece) {
    out += piece;
    if (out.size() > most) throw GzipError("the uncompressed content is too large");
  });
  stream.finish();
  return out;
}

}  // namespace virga
