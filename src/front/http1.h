// One HTTP/1.1 connection: keep-alive, pipelining, bodies as streams both ways.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "front/http1_parser.h"
#include "front/lane.h"

namespace virga::front {

class Http1Connection final : public Connection, private rt::CoarseTimer {
 public:
  Http1Connection(Lane& lane, std::shared_ptr<const Origin> origin, rt::Stream& stream, Arrival arrival);
  ~Http1Connection() override;

  // Serves until the connection ends. Gives the bytes read so far when they are the preface of HTTP/2, which is then
  // the caller's to go on with; else nothing, and the stream is closed.
  Task<std::optional<std::string>> run();

  void drain() override;
  void abort() override { stream_.close(); }

 private:
  class BodySource;
  enum class Stage : uint8_t { kIdle, kHead, kHandler, kBody, kWrite, kLinger };

  void expired() override;
  void arm(Stage stage, Millis delay) {
    stage_ = stage;
    lane_.reactor().arm(*this, delay);
  }
  void disarm(Stage stage) {
    stage_ = stage;
    lane_.reactor().disarm(*this);
  }

  std::string_view buffered() const { return {buffer_.get() + begin_, end_ - begin_}; }
  void consume(size_t n) {
    begin_ += n;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  void make_room();
  void take_request();
  Task<std::optional<std::string>> read_body();
  Task<std::optional<std::string>> read_chunked();
  Task<void> ask_for_body();
  Task<bool> drain_body();
  bool body_is_over() const { return chunked_ ? chunks_over_ : left_ == 0; }

  // Writes the head's bytes into out_. Gives true when the body is to be chunked.
  bool write_head(wire::HttpResponse& response, std::optional<uint64_t> length, bool keep);
  // Sends; false when the connection is of no use any more.
  Task<bool> send(wire::HttpResponse& response, bool keep);
  Task<bool> send_stream(wire::HttpResponse& response, bool chunked, std::optional<uint64_t> length);
  Task<bool> write(rt::Stream::Buffers buffers);
  Task<void> refuse(HttpRefusal refusal);
  Task<void> linger();
  bool is_handshake() const;
  Task<void> upgrade();

  rt::Stream& stream_;
  const Arrival arrival_;
  std::unique_ptr<char[]> buffer_;
  size_t capacity_, begin_ = 0, end_ = 0;
  HeadParser parser_;
  wire::HttpRequest request_;
  std::shared_ptr<BodySource> body_;  // of the request under way, when it has one
  std::optional<ChunkedDecoder> decoder_;
  std::string out_;
  std::shared_ptr<WebSocket> web_socket_;
  uint64_t left_ = 0;  // bytes of the body still to come
  Stage stage_ = Stage::kIdle;
  bool chunked_ = false, chunks_over_ = false;
  bool must_continue_ = false;  // the client waits for 100 Continue
  bool broken_ = false;         // the request's bytes can't be followed any more
  bool timed_out_ = false, draining_ = false;
};

}  // namespace virga::front
