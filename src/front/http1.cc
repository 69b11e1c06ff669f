#include "front/http1.h"

#include <array>
#include <cstring>

#include "base/http_reason.h"
#include "base/log.h"
#include "base/str.h"
#include "front/body.h"
#include "front/websocket.h"

namespace virga::front {
namespace {

constexpr size_t kFirstBuffer = 4096;
constexpr size_t kBodyPiece = 64 * 1024;
constexpr size_t kWriteSlice = 256 * 1024;
constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr Millis kLingerTime{2'000};
constexpr size_t kLingerBytes = 4 * 1024 * 1024;

constexpr ErrorShape kIncompleteBody{"IncompleteBody", 400, Fault::kSender, {}};
constexpr ErrorShape kBodyTimeout{"RequestTimeout", 400, Fault::kSender, {}};
constexpr ErrorShape kBadChunks{"InvalidRequest", 400, Fault::kSender, {}};
constexpr ErrorShape kBodyGone{"InternalFailure", 500, Fault::kReceiver, {}};

iovec piece(std::string_view bytes) { return {const_cast<char*>(bytes.data()), bytes.size()}; }

}  // namespace

// The body as the handler reads it. May be kept longer than the request lasts; then it fails.
class Http1Connection::BodySource final : public ByteSource {
 public:
  BodySource(Http1Connection& connection, std::optional<uint64_t> size) : connection_(&connection), size_(size) {}
  Task<std::optional<std::string>> next() override {
    if (!connection_)
      co_return Error{&kBodyGone, "The request is over.", nullptr, "its body was read after its handler ended"};
    co_return co_await connection_->read_body();
  }
  std::optional<uint64_t> size() const override { return size_; }
  void detach() { connection_ = nullptr; }

 private:
  Http1Connection* connection_;
  std::optional<uint64_t> size_;
};

namespace {
class EmptyBody final : public ByteSource {
 public:
  Task<std::optional<std::string>> next() override { co_return std::nullopt; }
  std::optional<uint64_t> size() const override { return 0; }
};
// Without state, so that all requests without a body share it.
const Body& empty_body() {
  static const Body body = std::make_shared<EmptyBody>();
  return body;
}
}  // namespace

Http1Connection::Http1Connection(Lane& lane, std::shared_ptr<const Origin> origin, rt::Stream& stream, Arrival arrival)
    : Connection(lane, std::move(origin)),
      stream_(stream),
      arrival_(std::move(arrival)),
      buffer_(new char[kFirstBuffer]),
      capacity_(kFirstBuffer),
      parser_(lane.limits().head) {}

Http1Connection::~Http1Connection() {
  if (body_) body_->detach();
}

void Http1Connection::drain() {
  draining_ = true;
  if (web_socket_) start_background("front", web_socket_->close(CloseCode::kGoingAway, "The server stops."));
  if (stage_ == Stage::kIdle) stream_.cancel();
}

void Http1Connection::expired() {
  timed_out_ = true;
  if (stage_ == Stage::kWrite) {
    stream_.reset();
  } else {
    stream_.cancel();
  }
}

void Http1Connection::make_room() {
  if (end_ < capacity_) return;
  if (begin_ > 0) {
    memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    return;
  }
  std::unique_ptr<char[]> larger(new char[capacity_ * 2]);
  memcpy(larger.get(), buffer_.get(), end_);
  buffer_ = std::move(larger);
  capacity_ *= 2;
}

Task<std::optional<std::string>> Http1Connection::run() {
  const Limits& limits = lane_.limits();
  const Handlers& handlers = origin_->handlers;
  bool first = true;
  while (true) {
    // Head. The idle time runs until a byte comes, then the header time, which nothing prolongs.
    parser_.restart();
    if (begin_ == end_) {
      if (draining_) break;
      arm(Stage::kIdle, first ? limits.header_time : limits.idle_time);
    } else {
      arm(Stage::kHead, limits.header_time);
    }
    HeadParser::Status status = HeadParser::Status::kMore;
    while (true) {
      if (begin_ != end_) {
        const std::string_view received = buffered();
        if (first && received.front() == 'P' && kHttp2Preface.starts_with(received.substr(0, kHttp2Preface.size())) &&
            received.size() >= 4) {
          if (received.size() >= kHttp2Preface.size()) {
            disarm(Stage::kHandler);
            co_return std::string(received);
          }
        } else {
          status = parser_.parse(received);
        }
        if (status != HeadParser::Status::kMore) break;
        make_room();
        if (stage_ == Stage::kIdle) arm(Stage::kHead, limits.header_time);
      }
      const rt::Io io = co_await stream_.read_some(buffer_.get() + end_, capacity_ - end_);
      if (io.bytes == 0) {
        if (timed_out_ && begin_ != end_ && stream_.is_open()) {
          timed_out_ = false;
          co_await refuse({408, "The request did not arrive in time."});
        }
        stream_.close();
        co_return std::nullopt;
      }
      end_ += io.bytes;
    }
    disarm(Stage::kHandler);
    first = false;
    if (status == HeadParser::Status::kRefused) {
      co_await refuse(parser_.refusal());
      break;
    }

    take_request();
    lane_.counters().requests.fetch_add(1, std::memory_order_relaxed);
    if (handlers.web_socket && is_handshake()) {
      co_await upgrade();
      break;
    }
    bool keep = parser_.head().keep_alive;

    wire::HttpResponse response = co_await answer(handlers.request, request_);
    co_await move_to(lane_.reactor());
    disarm(Stage::kHandler);

    const bool unread = !body_is_over();
    // A client that was not told to continue may send the body or not: the next bytes could be either.
    if (draining_ || broken_ || (unread && (must_continue_ || (!chunked_ && left_ > limits.drain)))) keep = false;
    if (equals_ignoring_case(response.headers.get("connection"), "close")) keep = false;
    if (!co_await send(response, keep)) {
      stream_.close();
      co_return std::nullopt;
    }
    if (keep && unread) keep = co_await drain_body();
    if (body_) {
      body_->detach();
      body_.reset();
      request_.body.reset();
    }
    if (!keep) break;
    if (begin_ == end_ && capacity_ > 4 * kFirstBuffer) {
      // A connection that waits for its next request holds little memory.
      buffer_.reset(new char[kFirstBuffer]);
      capacity_ = kFirstBuffer;
    }
  }
  co_await linger();
  stream_.close();
  co_return std::nullopt;
}

// Copies the head out of the buffer, which from then on belongs to the body and to the next request.
void Http1Connection::take_request() {
  const RequestHead& head = parser_.head();
  wire::HttpRequest& r = request_;
  r.method.assign(head.method);
  r.target.assign(head.target);
  const size_t mark = head.target.find('?');
  r.path.assign(head.target.substr(0, mark));
  r.query.assign(mark == std::string_view::npos ? std::string_view() : head.target.substr(mark + 1));
  auto& fields = r.headers.fields();
  fields.resize(head.fields.size());
  for (size_t i = 0; i < fields.size(); ++i) {
    fields[i].first.assign(head.fields[i].first);
    fields[i].second.assign(head.fields[i].second);
  }
  if (!head.authority.empty()) r.headers.set("host", head.authority);
  r.content_length = head.content_length;
  r.peer = arrival_.peer;
  r.secure = arrival_.secure;
  r.version = head.version;
  r.local_port = arrival_.local_port;
  r.trailers.fields().clear();

  chunked_ = head.chunked;
  chunks_over_ = false;
  left_ = head.content_length.value_or(0);
  must_continue_ = head.expects_continue;
  consume(parser_.size());
  if (chunked_) {
    decoder_.emplace();
  } else if (left_ == 0) {
    must_continue_ = false;
    r.body = empty_body();
    return;
  } else if (left_ <= end_ - begin_) {
    must_continue_ = false;
    r.body = std::make_shared<WholeBody>(std::string(buffered().substr(0, left_)));
    consume(left_);
    left_ = 0;
    return;
  }
  body_ = std::make_shared<BodySource>(*this, r.content_length);
  r.body = body_;
}

Task<void> Http1Connection::ask_for_body() {
  must_continue_ = false;
  if (begin_ != end_) co_return;  // it comes without being asked for
  arm(Stage::kWrite, lane_.limits().write_idle_time);
  const rt::Io io = co_await stream_.write("HTTP/1.1 100 Continue\r\n\r\n");
  disarm(Stage::kHandler);
  if (!io.ok()) {
    broken_ = true;
    co_await fail(Error{&kIncompleteBody, "The connection ended before the request body.", nullptr, {}});
  }
}

Task<std::optional<std::string>> Http1Connection::read_body() {
  if (broken_) co_return Error{&kIncompleteBody, "The request body could not be read.", nullptr, {}};
  if (body_is_over()) co_return std::nullopt;
  Executor* caller = Executor::current();
  co_await move_to(lane_.reactor());
  if (must_continue_) co_await ask_for_body();
  std::optional<std::string> out;
  if (chunked_) {
    out = co_await read_chunked();
  } else if (begin_ != end_) {
    out.emplace(buffered().substr(0, left_));
    consume(out->size());
    left_ -= out->size();
  } else {
    const size_t room = std::min<uint64_t>(left_, kBodyPiece);
    out.emplace();
    out->resize_and_overwrite(room, [](char*, size_t n) { return n; });
    arm(Stage::kBody, lane_.limits().body_idle_time);
    const rt::Io io = co_await stream_.read_some(out->data(), room);
    disarm(Stage::kHandler);
    if (io.bytes == 0) {
      broken_ = true;
      if (timed_out_)
        co_return Error{
            &kBodyTimeout,
            "Your socket connection to the server was not read from or written to within the timeout period.",
            nullptr,
            {}};
      co_return Error{&kIncompleteBody,
                      "You did not provide the number of bytes specified by the Content-Length HTTP header.",
                      nullptr,
                      {}};
    }
    out->resize(io.bytes);
    left_ -= io.bytes;
  }
  if (caller) co_await move_to(*caller);
  co_return out;
}

Task<std::optional<std::string>> Http1Connection::read_chunked() {
  std::string out;
  while (true) {
    std::string_view in = buffered();
    const size_t before = in.size();
    std::string_view data;
    const ChunkedDecoder::Status status = decoder_->step(in, data);
    if (status == ChunkedDecoder::Status::kData) out.append(data);
    consume(before - in.size());
    switch (status) {
      case ChunkedDecoder::Status::kRefused:
        broken_ = true;
        co_return Error{&kBadChunks, std::string(decoder_->refusal().reason), nullptr, {}};
      case ChunkedDecoder::Status::kDone:
        chunks_over_ = true;
        for (const auto& [name, value] : decoder_->trailers()) request_.trailers.add(name, value);
        if (out.empty()) co_return std::nullopt;
        co_return out;
      case ChunkedDecoder::Status::kData:
        if (out.size() >= kBodyPiece) co_return out;
        break;
      case ChunkedDecoder::Status::kMore: {
        // What is there goes to the handler before waiting for more.
        if (!out.empty()) co_return out;
        if (capacity_ < kBodyPiece && begin_ == end_) {
          buffer_.reset(new char[kBodyPiece]);
          capacity_ = kBodyPiece;
        }
        make_room();
        arm(Stage::kBody, lane_.limits().body_idle_time);
        const rt::Io io = co_await stream_.read_some(buffer_.get() + end_, capacity_ - end_);
        disarm(Stage::kHandler);
        if (io.bytes == 0) {
          broken_ = true;
          if (timed_out_) co_return Error{&kBodyTimeout, "The request body did not arrive in time.", nullptr, {}};
          co_return Error{&kIncompleteBody, "The connection ended before the request body.", nullptr, {}};
        }
        end_ += io.bytes;
        break;
      }
    }
  }
}

// Reads what the handler left, so that the next request can follow. False when that is too much.
Task<bool> Http1Connection::drain_body() {
  uint64_t drained = 0;
  while (!body_is_over()) {
    auto part = co_await as_result(read_body());
    if (!part) co_return false;
    if (!*part) break;
    drained += (*part)->size();
    if (drained > lane_.limits().drain) co_return false;
  }
  co_return true;
}

bool Http1Connection::write_head(wire::HttpResponse& response, std::optional<uint64_t> length, bool keep) {
  const RequestHead& head = parser_.head();
  const int version = head.version;
  const int status = response.status;
  const bool bodyless = status == 204 || status == 304;
  append(out_, "HTTP/1.1 ", status, " ", http_reason(status), "\r\n");
  bool has_date = false, has_server = false;
  for (const auto& [name, value] : response.headers.fields()) {
    if (is_door_field(name)) continue;
    if (!is_token(name)) continue;
    if (name.size() == 4 && equals_ignoring_case(name, "date")) has_date = true;
    if (name.size() == 6 && equals_ignoring_case(name, "server")) has_server = true;
    out_ += name;
    out_ += ": ";
    const size_t at = out_.size();
    out_ += value;
    // A value that came from a caller must not be able to start a field of its own.
    if (!is_field_value(value)) {
      for (size_t i = at; i < out_.size(); ++i) {
        if (!is_field_value(std::string_view(out_).substr(i, 1))) out_[i] = ' ';
      }
    }
    out_ += "\r\n";
  }
  if (!has_date && !has_server) {
    out_ += lane_.common_fields();
  } else {
    if (!has_date) append(out_, "date: ", lane_.date(), "\r\n");
    if (!has_server) append(out_, "server: ", lane_.options().name, "\r\n");
  }
  bool chunked = false;
  if (length) {
    if (!bodyless) append(out_, "content-length: ", *length, "\r\n");
  } else if (version == 11 && !bodyless) {
    chunked = true;
    out_ += "transfer-encoding: chunked\r\n";
  }
  if (!keep) {
    out_ += "connection: close\r\n";
  } else if (version == 10) {
    out_ += "connection: keep-alive\r\n";
  }
  out_ += "\r\n";
  return chunked;
}

Task<bool> Http1Connection::send(wire::HttpResponse& response, bool keep) {
  if (response.status < 200 || response.status > 999) response = plain_answer(500, "");
  const bool head_only = request_.method == "HEAD";
  const bool bodyless = response.status == 204 || response.status == 304;
  std::optional<uint64_t> length = response.stream ? response.stream->size() : response.body.size();
  if (head_only || bodyless) {
    // An answer without its body may still say how long the body would be.
    if (const auto given = parse_int(response.headers.get("content-length"));
        given && *given >= 0 && !response.stream) {
      length = static_cast<uint64_t>(*given);
    }
  }
  if (!length && parser_.head().version == 10) keep = false;
  out_.clear();
  const bool chunked = write_head(response, length, keep);
  const bool ends_by_closing = !length && !chunked && !bodyless;
  arm(Stage::kWrite, lane_.limits().write_idle_time);
  bool good;
  if (head_only || bodyless || (!response.stream && response.body.empty())) {
    good = (co_await stream_.write(out_)).ok();
  } else if (response.stream) {
    good = co_await send_stream(response, chunked, length);
  } else {
    std::string_view body = response.body;
    std::string_view slice = body.substr(0, kWriteSlice);
    const std::array<iovec, 2> both{piece(out_), piece(slice)};
    good = (co_await stream_.write(both)).ok();
    for (body.remove_prefix(slice.size()); good && !body.empty(); body.remove_prefix(slice.size())) {
      slice = body.substr(0, kWriteSlice);
      arm(Stage::kWrite, lane_.limits().write_idle_time);
      good = (co_await stream_.write(slice)).ok();
    }
  }
  disarm(Stage::kHandler);
  if (good && ends_by_closing) {
    co_await linger();
    co_return false;
  }
  co_return good;
}

Task<bool> Http1Connection::write(rt::Stream::Buffers buffers) {
  arm(Stage::kWrite, lane_.limits().write_idle_time);
  const rt::Io io = co_await stream_.write(buffers);
  disarm(Stage::kHandler);
  co_return io.ok();
}

Task<bool> Http1Connection::send_stream(wire::HttpResponse& response, bool chunked, std::optional<uint64_t> length) {
  // The head of an answer of unknown length goes at once: its body may be events that come hours later.
  disarm(Stage::kHandler);
  std::string_view head = out_;
  // A stream may be made of the request's body, and the client wait to be asked for that: no 100 Continue can follow
  // once the answer has begun.
  std::optional<Result<std::optional<std::string>>> early;
  if (must_continue_) {
    early = co_await as_result(response.stream->next());
    co_await move_to(lane_.reactor());
    must_continue_ = false;
  }
  if (!length) {
    const iovec only = piece(head);
    if (!co_await write({&only, 1})) co_return false;
    head = {};
  }
  uint64_t left = length.value_or(0);
  while (true) {
    auto part = early ? std::move(*early) : co_await as_result(response.stream->next());
    early.reset();
    co_await move_to(lane_.reactor());
    if (!part || (*part && length && (*part)->size() > left) || (!*part && left > 0)) {
      log_warning("front", "the stream of an answer broke off",
                  {{"reason", part ? "its length is not what was announced" : describe(part.error())}});
      // Nothing must make the client believe that it has everything.
      stream_.reset();
      co_return false;
    }
    if (!*part) break;
    const std::string& bytes = **part;
    if (bytes.empty()) continue;
    left -= length ? bytes.size() : 0;
    if (chunked) {
      char size[20];
      const int digits = snprintf(size, sizeof size, "%zx\r\n", bytes.size());
      const std::array<iovec, 3> pieces{piece({size, static_cast<size_t>(digits)}), piece(bytes), piece("\r\n")};
      if (!co_await write(pieces)) co_return false;
    } else {
      const std::array<iovec, 2> pieces{piece(head), piece(bytes)};
      if (!co_await write(pieces)) co_return false;
      head = {};
    }
  }
  std::string last;
  if (chunked) {
    last = "0\r\n";
    for (const auto& [name, value] : response.trailers.fields()) {
      if (is_token(name) && is_field_value(value)) append(last, name, ": ", value, "\r\n");
    }
    last += "\r\n";
  }
  const std::array<iovec, 2> pieces{piece(head), piece(last)};
  if (head.empty() && last.empty()) co_return true;
  co_return co_await write(pieces);
}

// Answers a request that is not followed any further.
Task<void> Http1Connection::refuse(HttpRefusal refusal) {
  wire::HttpResponse response = plain_answer(refusal.status, refusal.reason);
  request_.method.clear();
  left_ = 0;
  chunked_ = false;
  co_await send(response, false);
}

// Closes in a way that lets the client read the answer: what it still sends is read, for a while, not answered with
// a reset.
Task<void> Http1Connection::linger() {
  if (!stream_.is_open()) co_return;
  stream_.shutdown_write();
  timed_out_ = false;
  arm(Stage::kLinger, kLingerTime);
  size_t seen = 0;
  while (!timed_out_ && seen < kLingerBytes) {
    const rt::Io io = co_await stream_.read_some(buffer_.get(), capacity_);
    if (io.bytes == 0) break;
    seen += io.bytes;
  }
  disarm(Stage::kLinger);
}

bool Http1Connection::is_handshake() const {
  const RequestHead& head = parser_.head();
  return head.upgrades && head.version == 11 && request_.method == "GET" && body_is_over() &&
         equals_ignoring_case(request_.headers.get("upgrade"), "websocket");
}

Task<void> Http1Connection::upgrade() {
  const auto accept = handshake_accept(request_.headers);
  if (!accept) {
    wire::HttpResponse response = plain_answer(request_.headers.get("sec-websocket-version") == "13" ? 400 : 426,
                                               "The WebSocket handshake is malformed.");
    response.headers.set("sec-websocket-version", "13");
    co_await send(response, false);
    co_return;
  }
  auto upgraded = co_await as_result(origin_->handlers.web_socket(request_));
  co_await move_to(lane_.reactor());
  if (!upgraded) {
    log_error("front", "a WebSocket handshake failed", {{"reason", describe(upgraded.error())}});
    wire::HttpResponse response = plain_answer(500, "");
    co_await send(response, false);
    co_return;
  }
  if (upgraded->response.status != 101) {
    co_await send(upgraded->response, false);
    co_return;
  }
  out_ = cat("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ",
             *accept, "\r\n");
  for (const auto& [name, value] : upgraded->response.headers.fields()) {
    if (!is_door_field(name) && is_token(name) && is_field_value(value)) append(out_, name, ": ", value, "\r\n");
  }
  out_ += "\r\n";
  arm(Stage::kWrite, lane_.limits().write_idle_time);
  const rt::Io io = co_await stream_.write(out_);
  disarm(Stage::kHandler);
  if (!io.ok()) {
    stream_.close();
    co_return;
  }
  auto socket = make_web_socket(lane_.reactor(), stream_, std::string(buffered()), lane_.limits().web_socket_message,
                                lane_.limits().write_idle_time);
  web_socket_ = socket;
  if (draining_) drain();
  auto ended = co_await as_result(upgraded->session(socket));
  co_await move_to(lane_.reactor());
  if (!ended) log_warning("front", "a WebSocket session failed", {{"reason", describe(ended.error())}});
  co_await end_web_socket(std::move(socket), ended ? CloseCode::kNormal : CloseCode::kInternal);
}

}  // namespace virga::front
