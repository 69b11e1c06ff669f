#include "front/websocket.h"

#include <array>

#include "base/async.h"
#include "base/crypto.h"
#include "base/encoding.h"
#include "base/str.h"
#include "front/http1_parser.h"

namespace virga::front {
namespace {

constexpr size_t kReadSize = 16 * 1024;
constexpr size_t kMostWaitingSends = 1024;
constexpr Millis kCloseTime{3'000};

Error closed() { return rt::err::broken("The WebSocket connection is closed."); }

class WebSocketImpl final : public WebSocket, private rt::CoarseTimer {
 public:
  WebSocketImpl(rt::Reactor& reactor, rt::Stream& stream, std::string received, uint64_t most_message,
                Millis write_time)
      : reactor_(reactor),
        stream_(&stream),
        received_(std::move(received)),
        decoder_(most_message),
        write_time_(write_time) {}

  Task<std::optional<WebSocketMessage>> receive() override {
    Executor* caller = Executor::current();
    co_await move_to(reactor_);
    auto message = co_await receive_here();
    if (caller) co_await move_to(*caller);
    co_return message;
  }

  Task<void> send(WebSocketMessage message) override {
    co_await send_frame(message.text ? Opcode::kText : Opcode::kBinary, std::move(message.data));
  }
  Task<void> close(uint16_t code, std::string reason) override {
    if (close_sent_) co_return;
    auto sent = co_await as_result(send_frame(Opcode::kClose, close_payload(code, reason)));
    (void)sent;  // a connection that is gone is closed enough
  }
  bool is_open() const override { return open_; }
  uint16_t close_code() const override { return code_; }

  Task<void> end(uint16_t code) {
    if (!close_sent_ && open_) co_await close(code, {});
    if (!close_received_ && open_) {
      arm_close();
      while (co_await receive_here()) {
      }
    }
    open_ = false;
    reactor_.disarm(*this);
    stream_->shutdown_write();
    stream_->close();
    // A writer under way ends now; after it nobody touches the stream.
    auto permit = co_await as_result(writing_.acquire(closed()));
    stream_ = nullptr;
  }

 private:
  Task<std::optional<WebSocketMessage>> receive_here() {
    using Event = FrameDecoder::Event;
    while (open_ && !close_received_) {
      std::string_view in = std::string_view(received_).substr(used_);
      const size_t before = in.size();
      const Event event = decoder_.step(in);
      used_ += before - in.size();
      switch (event) {
        case Event::kMessage:
          if (close_sent_) break;
          co_return WebSocketMessage{std::move(decoder_.payload()), decoder_.is_text()};
        case Event::kPing: {
          auto sent = co_await as_result(send_frame(Opcode::kPong, std::string(decoder_.payload())));
          (void)sent;
          break;
        }
        case Event::kPong:
          break;
        case Event::kClose:
          close_received_ = true;
          code_ = decoder_.code();
          co_await close(code_ == CloseCode::kNone ? CloseCode::kNormal : code_, {});
          break;
        case Event::kFailed:
          close_received_ = true;  // nothing after this can be understood
          co_await close(decoder_.code(), {});
          break;
        case Event::kMore: {
          received_.resize_and_overwrite(kReadSize, [](char*, size_t n) { return n; });
          used_ = 0;
          if (close_sent_) arm_close();
          const rt::Io io = co_await stream_->read_some(received_.data(), received_.size());
          received_.resize(io.bytes);
          if (io.bytes == 0) open_ = false;
          break;
        }
      }
    }
    co_return std::nullopt;
  }

  Task<void> send_frame(Opcode opcode, std::string payload) {
    Executor* caller = Executor::current();
    co_await move_to(reactor_);
    auto sent = co_await as_result(send_here(opcode, std::move(payload)));
    if (caller) co_await move_to(*caller);
    if (!sent) co_await fail_with(std::move(sent.error()));
  }
  Task<void> send_here(Opcode opcode, std::string payload) {
    auto permit = co_await writing_.acquire(rt::err::broken("Too many messages wait to be sent on this connection."));
    co_await move_to(reactor_);
    if (!open_ || close_sent_) co_await fail(closed());
    if (opcode == Opcode::kClose) close_sent_ = true;
    const std::string header = frame_header(opcode, payload.size());
    const std::array<iovec, 2> pieces{iovec{const_cast<char*>(header.data()), header.size()},
                                      iovec{payload.data(), payload.size()}};
    reactor_.arm(*this, write_time_);
    const rt::Io io = co_await stream_->write(pieces);
    reactor_.disarm(*this);
    if (opcode == Opcode::kClose) arm_close();
    if (!io.ok()) {
      open_ = false;
      stream_->cancel();
      co_await fail(closed());
    }
  }
  void arm_close() { reactor_.arm(*this, kCloseTime); }
  void expired() override {
    open_ = false;
    if (stream_) stream_->close();
  }

  rt::Reactor& reactor_;
  rt::Stream* stream_;  // null once parted
  std::string received_;
  size_t used_ = 0;
  FrameDecoder decoder_;
  const Millis write_time_;
  Semaphore writing_{1, kMostWaitingSends};
  std::atomic<bool> open_ = true, close_sent_ = false;
  bool close_received_ = false;
  uint16_t code_ = CloseCode::kAbnormal;
};

}  // namespace

std::optional<std::string> handshake_accept(const wire::Headers& headers) {
  if (headers.get("sec-websocket-version") != "13") return std::nullopt;
  const std::string_view key = headers.get("sec-websocket-key");
  const auto nonce = base64_decode(key);
  if (!nonce || nonce->size() != 16) return std::nullopt;
  return base64_encode(sha1(cat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
}

std::shared_ptr<WebSocket> make_web_socket(rt::Reactor& reactor, rt::Stream& stream, std::string received,
                                           uint64_t most_message, Millis write_time) {
  return std::make_shared<WebSocketImpl>(reactor, stream, std::move(received), most_message, write_time);
}

Task<void> end_web_socket(std::shared_ptr<WebSocket> socket, uint16_t code) {
  co_await static_cast<WebSocketImpl&>(*socket).end(code);
}

}  // namespace virga::front
