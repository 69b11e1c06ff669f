#include "front/http2.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <deque>

#include "base/log.h"
#include "base/str.h"

namespace virga::front {
namespace {

constexpr size_t kReadSize = 32 * 1024;
constexpr size_t kWriteSize = 64 * 1024;
constexpr size_t kBodyPiece = 64 * 1024;

constexpr ErrorShape kIncompleteBody{"IncompleteBody", 400, Fault::kSender, {}};
constexpr ErrorShape kBodyGone{"InternalFailure", 500, Fault::kReceiver, {}};

std::string_view text_of(const uint8_t* bytes, size_t size) { return {reinterpret_cast<const char*>(bytes), size}; }

nghttp2_nv field(std::string_view name, std::string_view value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

bool is_target(std::string_view path) {
  return !path.empty() && (path.front() == '/' || path == "*") &&
         std::all_of(path.begin(), path.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

// Ends the connection when the client takes no bytes for too long.
class WriteTimer final : public rt::CoarseTimer {
 public:
  explicit WriteTimer(rt::Stream& stream) : stream_(stream) {}

 private:
  void expired() override { stream_.reset(); }
  rt::Stream& stream_;
};

}  // namespace

struct Http2Connection::Exchange {
  Http2Connection* connection;
  int32_t id;
  wire::HttpRequest request;
  size_t head_bytes = 0;
  int refused = 0;  // status to answer without the handler

  // The request's body: what came and was not yet read.
  std::deque<std::string> pieces;
  size_t queued = 0;
  bool body_ended = false, must_continue = false, unwanted = false;
  std::optional<Resume> reader;

  // The response's body.
  std::string out;
  size_t out_at = 0;
  bool out_ended = false, deferred = false, responded = false;
  wire::Headers trailers;
  std::optional<Resume> writer;

  bool closed = false;

  bool sending() const { return responded && out_at < out.size(); }
  static void wake(std::optional<Resume>& waiter) {
    if (!waiter) return;
    const Resume resume = *waiter;
    waiter.reset();
    resume.later();
  }
};

class Http2Connection::BodySource final : public ByteSource {
 public:
  BodySource(std::weak_ptr<Exchange> exchange, std::optional<uint64_t> size)
      : exchange_(std::move(exchange)), size_(size) {}
  Task<std::optional<std::string>> next() override {
    auto exchange = exchange_.lock();
    if (!exchange || exchange->unwanted) {
      co_return Error{&kBodyGone, "The request is over.", nullptr, "its body was read after its handler ended"};
    }
    co_return co_await exchange->connection->read_body(exchange);
  }
  std::optional<uint64_t> size() const override { return size_; }

 private:
  std::weak_ptr<Exchange> exchange_;
  std::optional<uint64_t> size_;
};

// What nghttp2 calls while it reads and writes. Nothing in here starts or resumes a coroutine: the session must not
// be entered again from within.
struct Http2Connection::Callbacks {
  static Http2Connection& self(void* user) { return *static_cast<Http2Connection*>(user); }
  static ExchangePtr find(Http2Connection& c, int32_t id) {
    const auto found = c.exchanges_.find(id);
    return found == c.exchanges_.end() ? nullptr : found->second;
  }

  static int on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Http2Connection& c = self(user);
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    // Handlers of streams that the client cancelled still run: they count too.
    if (c.running_ >= 2 * c.lane_.limits().http2_streams) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
      return 0;
    }
    auto exchange = std::make_shared<Exchange>();
    exchange->connection = &c;
    exchange->id = frame->hd.stream_id;
    c.exchanges_[exchange->id] = exchange;
    return 0;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name_bytes, size_t name_size,
                       const uint8_t* value_bytes, size_t value_size, uint8_t, void* user) {
    Http2Connection& c = self(user);
    const auto exchange = find(c, frame->hd.stream_id);
    if (!exchange || frame->hd.type != NGHTTP2_HEADERS) return 0;
    const std::string_view name = text_of(name_bytes, name_size), value = text_of(value_bytes, value_size);
    const HeadLimits& limits = c.lane_.limits().head;
    wire::HttpRequest& r = exchange->request;
    exchange->head_bytes += name.size() + value.size() + 32;
    if (exchange->head_bytes > limits.bytes ||
        r.headers.fields().size() + r.trailers.fields().size() >= limits.fields) {
      exchange->refused = 431;
      return 0;
    }
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
      r.trailers.add(name, value);
    } else if (name == ":method") {
      r.method = value;
    } else if (name == ":path") {
      r.target = value;
    } else if (name == ":authority") {
      r.headers.set("host", value);
    } else if (name == "host") {
      if (!r.headers.has("host")) r.headers.add(name, value);
    } else if (name == "cookie" && r.headers.has("cookie")) {
      r.headers.set("cookie", cat(r.headers.get("cookie"), "; ", value));
    } else if (!name.starts_with(':')) {
      r.headers.add(name, value);
    }
    return 0;
  }

  static int on_frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Connection& c = self(user);
    const auto exchange = find(c, frame->hd.stream_id);
    if (!exchange || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)) return 0;
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
      exchange->body_ended = true;
      Exchange::wake(exchange->reader);
    }
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) c.ready_.push_back(exchange);
    return 0;
  }

  static int on_data(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* bytes, size_t size, void* user) {
    Http2Connection& c = self(user);
    const auto exchange = find(c, id);
    if (!exchange || exchange->unwanted) {
      nghttp2_session_consume_connection(session, size);
      return 0;
    }
    if (exchange->pieces.empty() || exchange->pieces.back().size() + size > kBodyPiece) exchange->pieces.emplace_back();
    exchange->pieces.back().append(text_of(bytes, size));
    exchange->queued += size;
    Exchange::wake(exchange->reader);
    return 0;
  }

  static int on_stream_close(nghttp2_session* session, int32_t id, uint32_t, void* user) {
    Http2Connection& c = self(user);
    const auto exchange = find(c, id);
    if (!exchange) return 0;
    exchange->closed = true;
    Exchange::wake(exchange->reader);
    Exchange::wake(exchange->writer);
    c.exchanges_.erase(id);
    return 0;
  }

  static ssize_t read_response(nghttp2_session* session, int32_t id, uint8_t* into, size_t room, uint32_t* flags,
                               nghttp2_data_source* source, void*) {
    auto& exchange = *static_cast<Exchange*>(source->ptr);
    const size_t n = std::min(room, exchange.out.size() - exchange.out_at);
    memcpy(into, exchange.out.data() + exchange.out_at, n);
    exchange.out_at += n;
    if (exchange.out_at < exchange.out.size()) return static_cast<ssize_t>(n);
    Exchange::wake(exchange.writer);
    if (exchange.out_ended) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!exchange.trailers.fields().empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        std::vector<nghttp2_nv> fields;
        for (const auto& [name, value] : exchange.trailers.fields()) fields.push_back(field(name, value));
        nghttp2_submit_trailer(session, id, fields.data(), fields.size());
      }
      return static_cast<ssize_t>(n);
    }
    if (n > 0) return static_cast<ssize_t>(n);
    exchange.deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }

  static nghttp2_session* session(Http2Connection& connection) {
    const Limits& limits = connection.lane_.limits();
    nghttp2_session_callbacks* callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_option* options;
    nghttp2_option_new(&options);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_no_closed_streams(options, 1);
    nghttp2_option_set_max_outbound_ack(options, 256);
    nghttp2_option_set_max_continuations(options, 8);
    nghttp2_option_set_stream_reset_rate_limit(options, limits.http2_resets,
                                               std::max<uint32_t>(1, limits.http2_resets / 10));
    nghttp2_session* session;
    nghttp2_session_server_new2(&session, callbacks, &connection, options);
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.http2_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.http2_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits.head.bytes)},
    };
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, std::size(settings));
    nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, static_cast<int32_t>(limits.http2_window * 4));
    return session;
  }
};

Http2Connection::Http2Connection(Lane& lane, std::shared_ptr<const Origin> origin, rt::Stream& stream, Arrival arrival)
    : Connection(lane, std::move(origin)),
      stream_(stream),
      arrival_(std::move(arrival)),
      session_(Callbacks::session(*this)) {}

Http2Connection::~Http2Connection() { nghttp2_session_del(session_); }

void Http2Connection::expired() { stream_.cancel(); }

void Http2Connection::arm_for_read() {
  const Limits& limits = lane_.limits();
  const auto sends = [](const auto& entry) { return entry.second->sending(); };
  if (exchanges_.empty() && running_ == 0) {
    lane_.reactor().arm(*this, limits.idle_time);
  } else if (readers_ > 0) {
    lane_.reactor().arm(*this, limits.body_idle_time);
  } else if (std::any_of(exchanges_.begin(), exchanges_.end(), sends)) {
    lane_.reactor().arm(*this, limits.write_idle_time);
  } else if (running_ < exchanges_.size()) {
    lane_.reactor().arm(*this, limits.header_time);  // a request's head is under way
  } else {
    lane_.reactor().disarm(*this);
  }
}

Task<void> Http2Connection::run(std::string received) {
  std::string buffer = std::move(received);
  size_t have = buffer.size();
  if (draining_) drain();
  while (!dead_) {
    if (have > 0) {
      const ssize_t used = nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(buffer.data()), have);
      if (used < 0) {
        nghttp2_session_terminate_session(session_, NGHTTP2_PROTOCOL_ERROR);
        dead_ = true;
      }
      start_ready();
    }
    flush();
    if (dead_ || (!nghttp2_session_want_read(session_) && !nghttp2_session_want_write(session_))) break;
    if (buffer.size() < kReadSize) buffer.resize(kReadSize);
    arm_for_read();
    const rt::Io io = co_await stream_.read_some(buffer.data(), buffer.size());
    have = io.bytes;
    if (have == 0) break;
  }
  // Handlers run to their end; they find their streams closed.
  lane_.reactor().disarm(*this);
  dead_ = true;
  if (!writing_) stream_.close();
  for (auto& [id, exchange] : exchanges_) {
    exchange->closed = true;
    Exchange::wake(exchange->reader);
    Exchange::wake(exchange->writer);
  }
  while (running_ > 0 || writing_) {
    settled_.reset();
    co_await settled_.wait();
    co_await move_to(lane_.reactor());
  }
}

void Http2Connection::drain() {
  draining_ = true;
  if (dead_) return;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_NO_ERROR, nullptr, 0);
  flush();
  close_when_drained();
}

void Http2Connection::close_when_drained() {
  if (draining_ && running_ == 0 && exchanges_.empty() && !writing_) stream_.cancel();
  if (dead_ && running_ == 0 && !writing_) settled_.set();
}

void Http2Connection::start_ready() {
  for (auto& exchange : std::exchange(ready_, {})) {
    ++running_;
    lane_.counters().requests.fetch_add(1, std::memory_order_relaxed);
    start_background("front", run_exchange(std::move(exchange)));
  }
}

Task<void> Http2Connection::run_exchange(ExchangePtr exchange) {
  wire::HttpRequest& r = exchange->request;
  const size_t mark = r.target.find('?');
  r.path = r.target.substr(0, mark);
  if (mark != std::string::npos) r.query = r.target.substr(mark + 1);
  if (const auto length = parse_int(r.headers.get("content-length")); length && *length >= 0)
    r.content_length = *length;
  if (exchange->body_ended && exchange->queued == 0) r.content_length = 0;
  r.peer = arrival_.peer;
  r.local_port = arrival_.local_port;
  r.secure = arrival_.secure;
  r.version = 20;
  r.body = std::make_shared<BodySource>(exchange, r.content_length);
  exchange->must_continue = !exchange->body_ended && equals_ignoring_case(r.headers.get("expect"), "100-continue");
  if (exchange->refused == 0 && !is_target(r.target)) exchange->refused = 400;

  wire::HttpResponse response = exchange->refused != 0 ? plain_answer(static_cast<uint16_t>(exchange->refused), "")
                                                       : co_await answer(origin_->handlers.request, r);
  co_await move_to(lane_.reactor());
  if (!dead_ && !exchange->closed) co_await respond(exchange, std::move(response));
  exchange->unwanted = true;
  if (!dead_) {
    nghttp2_session_consume_connection(session_, exchange->queued);
    exchange->queued = 0;
    exchange->pieces.clear();
    flush();
  }
  --running_;
  if (!dead_) arm_for_read();
  close_when_drained();
}

Task<void> Http2Connection::respond(ExchangePtr exchange, wire::HttpResponse response) {
  if (response.status < 200 || response.status > 999) response = plain_answer(500, "");
  const bool bodyless = exchange->request.method == "HEAD" || response.status == 204 || response.status == 304;
  std::optional<uint64_t> length = response.stream ? response.stream->size() : response.body.size();
  if (bodyless && !response.stream) {
    if (const auto given = parse_int(response.headers.get("content-length")); given && *given >= 0) length = *given;
  }
  std::deque<std::string> kept;  // lower-case names and the like, until nghttp2 has copied them
  std::vector<nghttp2_nv> fields;
  fields.push_back(field(":status", kept.emplace_back(cat(response.status))));
  bool has_date = false, has_server = false;
  for (auto& [name, value] : response.headers.fields()) {
    if (is_door_field(name) || !is_token(name)) continue;
    if (!is_field_value(value)) {
      for (char& c : value) {
        if (!is_field_value(std::string_view(&c, 1))) c = ' ';
      }
    }
    const std::string& lowered = kept.emplace_back(lower(name));
    has_date = has_date || lowered == "date";
    has_server = has_server || lowered == "server";
    fields.push_back(field(lowered, value));
  }
  if (!has_date) fields.push_back(field("date", kept.emplace_back(lane_.date())));
  if (!has_server) fields.push_back(field("server", lane_.options().name));
  if (length && response.status != 204 && response.status != 304) {
    fields.push_back(field("content-length", kept.emplace_back(cat(*length))));
  }

  exchange->responded = true;
  if (bodyless || (!response.stream && response.body.empty())) {
    nghttp2_submit_response(session_, exchange->id, fields.data(), fields.size(), nullptr);
    if (!exchange->body_ended) nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, exchange->id, NGHTTP2_NO_ERROR);
    flush();
    co_return;
  }
  const nghttp2_data_provider provider{{.ptr = exchange.get()}, Callbacks::read_response};
  if (!response.stream) exchange->out = std::move(response.body);
  exchange->out_ended = response.stream == nullptr;
  nghttp2_submit_response(session_, exchange->id, fields.data(), fields.size(), &provider);
  flush();
  uint64_t left = length.value_or(0);
  while (response.stream && !dead_ && !exchange->closed) {
    auto part = co_await as_result(response.stream->next());
    co_await move_to(lane_.reactor());
    if (dead_ || exchange->closed) co_return;
    if (!part || (*part && length && (*part)->size() > left) || (!*part && left > 0)) {
      log_warning("front", "the stream of an answer broke off",
                  {{"reason", part ? "its length is not what was announced" : describe(part.error())}});
      nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, exchange->id, NGHTTP2_INTERNAL_ERROR);
      flush();
      co_return;
    }
    if (*part && (*part)->empty()) continue;
    if (*part) {
      left -= length ? (*part)->size() : 0;
      exchange->out = std::move(**part);
      exchange->out_at = 0;
    } else {
      for (auto& [name, value] : response.trailers.fields()) {
        if (is_token(name) && is_field_value(value)) exchange->trailers.add(lower(name), value);
      }
      exchange->out_ended = true;
      response.stream.reset();
    }
    if (std::exchange(exchange->deferred, false)) nghttp2_session_resume_data(session_, exchange->id);
    flush();
    // The next piece is asked for when this one has been framed: flow control reaches back to the source.
    while (response.stream && !dead_ && !exchange->closed && exchange->out_at < exchange->out.size()) {
      co_await suspend_until([&](Resume resume) { exchange->writer = resume; });
    }
  }
  // A client that still sends what nobody reads is told to stop, once it has the whole answer.
  if (exchange->body_ended) co_return;
  exchange->unwanted = true;
  while (!dead_ && !exchange->closed && exchange->out_at < exchange->out.size()) {
    co_await suspend_until([&](Resume resume) { exchange->writer = resume; });
  }
  if (!dead_ && !exchange->closed && !exchange->body_ended) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, exchange->id, NGHTTP2_NO_ERROR);
    flush();
  }
}

Task<std::optional<std::string>> Http2Connection::read_body(ExchangePtr exchange) {
  Executor* caller = Executor::current();
  co_await move_to(lane_.reactor());
  while (exchange->pieces.empty() && !exchange->body_ended && !exchange->closed) {
    if (std::exchange(exchange->must_continue, false)) {
      const nghttp2_nv status = field(":status", "100");
      nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, exchange->id, nullptr, &status, 1, nullptr);
      flush();
    }
    ++readers_;
    arm_for_read();
    co_await suspend_until([&](Resume resume) { exchange->reader = resume; });
    --readers_;
  }
  std::optional<std::string> out;
  bool broken = false;
  if (!exchange->pieces.empty()) {
    out = std::move(exchange->pieces.front());
    exchange->pieces.pop_front();
    exchange->queued -= out->size();
    if (!dead_) {
      if (exchange->closed) {
        nghttp2_session_consume_connection(session_, out->size());
      } else {
        nghttp2_session_consume(session_, exchange->id, out->size());
      }
      flush();
    }
  } else {
    broken = !exchange->body_ended;
  }
  if (caller) co_await move_to(*caller);
  if (broken) co_return Error{&kIncompleteBody, "The request body terminated unexpectedly.", nullptr, {}};
  co_return out;
}

void Http2Connection::flush() {
  if (writing_ || (dead_ && !stream_.is_open())) return;
  if (!nghttp2_session_want_write(session_)) return;
  writing_ = true;
  start_background("front", write_all());
}

Task<void> Http2Connection::write_all() {
  // What else is said in this turn of the loop goes out with it, in one write.
  co_await suspend_until([](Resume resume) { resume.later(); });
  WriteTimer timer(stream_);
  while (stream_.is_open()) {
    out_.clear();
    while (out_.size() < kWriteSize) {
      const uint8_t* bytes;
      const ssize_t n = nghttp2_session_mem_send(session_, &bytes);
      if (n <= 0) {
        if (n < 0) dead_ = true;
        break;
      }
      out_.append(text_of(bytes, static_cast<size_t>(n)));
    }
    if (out_.empty()) break;
    lane_.reactor().arm(timer, lane_.limits().write_idle_time);
    const rt::Io io = co_await stream_.write(out_);
    if (!io.ok()) {
      stream_.cancel();
      dead_ = true;
      break;
    }
  }
  writing_ = false;
  if (dead_ || (!nghttp2_session_want_read(session_) && !nghttp2_session_want_write(session_))) stream_.close();
  close_when_drained();
}

}  // namespace virga::front
