#include "rt/http_client.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <deque>

#include "base/str.h"
#include "rt/reactor.h"
#include "rt/stream.h"

namespace virga::rt {
namespace {

constexpr size_t kReadSize = 16 * 1024;
constexpr size_t kBodyPiece = 64 * 1024;

iovec piece(std::string_view bytes) { return {const_cast<char*>(bytes.data()), bytes.size()}; }

bool lists(std::string_view list, std::string_view word) {
  for (const std::string_view element : split(list, ',')) {
    if (equals_ignoring_case(trim(element), word)) return true;
  }
  return false;
}

bool is_clean(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

}  // namespace

std::string_view find_field(const HeaderFields& fields, std::string_view name) {
  for (const auto& [n, v] : fields) {
    if (equals_ignoring_case(n, name)) return v;
  }
  return {};
}

std::optional<Url> parse_url(std::string_view text) {
  Url url;
  if (text.starts_with("https://")) {
    url.secure = true;
    url.port = 443;
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    text.remove_prefix(7);
  } else {
    return std::nullopt;
  }
  const size_t path = text.find_first_of("/?#");
  std::string_view authority = text.substr(0, path);
  url.target = path == std::string_view::npos ? "" : std::string(text.substr(path));
  if (const size_t fragment = url.target.find('#'); fragment != std::string::npos) url.target.resize(fragment);
  if (url.target.empty() || url.target.front() != '/') url.target.insert(0, "/");
  for (const char c : url.target) {
    if (c <= 0x20 || c == 0x7f) return std::nullopt;
  }
  if (authority.find('@') != std::string_view::npos) return std::nullopt;
  std::string_view port;
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    url.host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
    if (!port.empty() && port.front() != ':') return std::nullopt;
    if (!port.empty()) port.remove_prefix(1);
  } else {
    const auto [host, rest] = split_once(authority, ':');
    url.host = host;
    port = rest;
  }
  if (url.host.empty() || !is_clean(url.host)) return std::nullopt;
  if (!port.empty()) {
    const auto number = parse_int(port);
    if (!number || *number < 1 || *number > 65535) return std::nullopt;
    url.port = static_cast<uint16_t>(*number);
  }
  return url;
}

// A connection and what was read from it beyond the last message.
struct HttpClient::Connection final : CoarseTimer {
  Connection(Reactor& reactor, std::unique_ptr<Stream> stream) : reactor(reactor), stream(std::move(stream)) {}
  Reactor& reactor;
  std::unique_ptr<Stream> stream;
  std::string key;
  std::string buffer;
  size_t at = 0;
  bool timed_out = false;
  bool used_before = false;
  bool kept = false;  // waits in the pool; its time there may run out

  void expired() override {
    timed_out = true;
    if (kept) {
      stream->close();
    } else {
      stream->cancel();
    }
  }
  std::string_view buffered() const { return std::string_view(buffer).substr(at); }
  void consume(size_t n) { at += n; }
  // Reads more behind what is buffered. Fails at the end of the stream.
  Task<void> more(Millis limit) {
    if (at > 0) {
      buffer.erase(0, at);
      at = 0;
    }
    const size_t have = buffer.size();
    buffer.resize_and_overwrite(have + kReadSize, [](char*, size_t n) { return n; });
    timed_out = false;
    reactor.arm(*this, limit);
    const Io io = co_await stream->read_some(buffer.data() + have, kReadSize);
    reactor.disarm(*this);
    buffer.resize(have + io.bytes);
    if (io.bytes > 0) co_return;
    if (timed_out) co_await fail(err::timed_out("The server did not answer in time."));
    co_await fail(err::broken("The server closed the connection."));
  }
  Task<void> write(Stream::Buffers buffers, Millis limit) {
    timed_out = false;
    reactor.arm(*this, limit);
    const Io io = co_await stream->write(buffers);
    reactor.disarm(*this);
    if (io.ok()) co_return;
    if (timed_out) co_await fail(err::timed_out("The server did not take the request in time."));
    co_await fail(err::broken(cat("The server closed the connection: ", strerror(io.error), ".")));
  }
};

struct HttpClient::Pool {
  Pool(Reactor& reactor, HttpClientOptions o) : reactor(reactor), options(std::move(o)) {}
  Reactor& reactor;
  const HttpClientOptions options;
  std::unique_ptr<TlsClient> tls;
  std::map<std::string, std::deque<std::unique_ptr<Connection>>> unused;

  std::unique_ptr<Connection> take(const std::string& key) {
    auto& kept = unused[key];
    while (!kept.empty()) {
      auto connection = std::move(kept.back());  // the freshest
      kept.pop_back();
      connection->kept = false;
      reactor.disarm(*connection);
      if (connection->stream->is_open()) return connection;
    }
    return nullptr;
  }
  void give_back(std::unique_ptr<Connection> connection) {
    auto& kept = unused[connection->key];
    std::erase_if(kept, [](const auto& c) { return !c->stream->is_open(); });
    if (kept.size() >= options.kept_each || !connection->buffered().empty()) return;
    connection->kept = true;
    connection->used_before = true;
    reactor.arm(*connection, options.keep_time);
    kept.push_back(std::move(connection));
  }
  Task<std::unique_ptr<Connection>> connect(const Url url, const std::string unix_path) {
    std::unique_ptr<Stream> stream;
    if (!unix_path.empty()) {
      stream = co_await connect_unix(unix_path, options.connect_time);
    } else if (url.secure) {
      if (!tls) tls = std::make_unique<TlsClient>(options.tls);
      stream = co_await tls->connect(url.host, url.port, options.connect_time);
    } else {
      stream = co_await connect_tcp(url.host, url.port, options.connect_time);
    }
    co_return std::make_unique<Connection>(reactor, std::move(stream));
  }
};

// Reads the answer's body by its framing, and gives the connection back at its end.
class HttpClient::ResponseBody final : public ByteSource {
 public:
  enum class Framing : uint8_t { kLength, kChunked, kUntilClose };

  ResponseBody(std::shared_ptr<Pool> pool, std::unique_ptr<Connection> connection, Framing framing, uint64_t length,
               bool keep)
      : pool_(std::move(pool)),
        connection_(std::move(connection)),
        framing_(framing),
        left_(length),
        length_(length),
        keep_(keep) {
    if (framing_ == Framing::kLength && left_ == 0) end();
  }

  std::optional<uint64_t> size() const override {
    return framing_ == Framing::kLength ? std::optional(length_) : std::nullopt;
  }

  Task<std::optional<std::string>> next() override {
    if (!connection_) co_return std::nullopt;
    auto part = co_await as_result(framing_ == Framing::kChunked ? next_chunk() : next_piece());
    if (!part) {
      connection_.reset();
      co_await fail_with(std::move(part.error()));
    }
    co_return std::move(*part);
  }

 private:
  void end() {
    if (keep_) {
      pool_->give_back(std::move(connection_));
    }
    connection_.reset();
  }

  Task<std::optional<std::string>> next_piece() {
    Connection& c = *connection_;
    if (c.buffered().empty()) {
      auto more = co_await as_result(c.more(pool_->options.idle_time));
      if (!more) {
        if (framing_ == Framing::kUntilClose && !c.timed_out) {
          end();
          co_return std::nullopt;
        }
        co_await fail_with(std::move(more.error()));
      }
    }
    std::string out(
        c.buffered().substr(0, framing_ == Framing::kLength ? std::min<uint64_t>(left_, kBodyPiece) : kBodyPiece));
    c.consume(out.size());
    if (framing_ == Framing::kLength) {
      left_ -= out.size();
      if (left_ == 0) end();
    }
    co_return out;
  }

  // A line without its end; lines of more than 8 KB are refused.
  Task<std::string> line() {
    Connection& c = *connection_;
    while (true) {
      const size_t end = c.buffered().find('\n');
      if (end != std::string_view::npos) {
        std::string out(c.buffered().substr(0, end));
        c.consume(end + 1);
        if (!out.empty() && out.back() == '\r') out.pop_back();
        co_return out;
      }
      if (c.buffered().size() > 8192) co_return err::broken("The server's chunked coding is malformed.");
      co_await c.more(pool_->options.idle_time);
    }
  }

  Task<std::optional<std::string>> next_chunk() {
    Connection& c = *connection_;
    while (left_ == 0) {
      if (in_chunk_) {
        if (!(co_await line()).empty()) co_return err::broken("The server's chunked coding is malformed.");
        in_chunk_ = false;
      }
      const std::string size = co_await line();
      const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), left_, 16);
      if (error != std::errc() || left_ > (1ull << 60) ||
          (end != size.data() + size.size() && *end != ';' && *end != ' ')) {
        co_return err::broken("The server's chunked coding is malformed.");
      }
      in_chunk_ = true;
      if (left_ == 0) {
        for (int fields = 0; !(co_await line()).empty();) {
          if (++fields > 128) co_return err::broken("The server's trailer is too large.");
        }
        this->end();
        co_return std::nullopt;
      }
    }
    if (c.buffered().empty()) co_await c.more(pool_->options.idle_time);
    std::string out(c.buffered().substr(0, std::min<uint64_t>(left_, kBodyPiece)));
    c.consume(out.size());
    left_ -= out.size();
    co_return out;
  }

  std::shared_ptr<Pool> pool_;
  std::unique_ptr<Connection> connection_;  // null once over
  const Framing framing_;
  uint64_t left_;
  const uint64_t length_;
  const bool keep_;
  bool in_chunk_ = false;
};

HttpClient::HttpClient(Reactor& reactor, HttpClientOptions options)
    : pool_(std::make_shared<Pool>(reactor, std::move(options))) {}

HttpClient::~HttpClient() { pool_->unused.clear(); }

namespace {

// Status line and fields of one head, or nothing when it is malformed.
bool parse_response_head(std::string_view text, ClientResponse& out, bool& old) {
  bool first = true;
  for (std::string_view line : split(text, '\n')) {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (first) {
      first = false;
      if (line.size() < 12 || !line.starts_with("HTTP/1.") || line[8] != ' ') return false;
      old = line[7] == '0';
      const auto status = parse_int(line.substr(9, 3));
      if (!status || *status < 100) return false;
      out.status = static_cast<uint16_t>(*status);
      out.reason = line.size() > 13 ? line.substr(13) : "";
    } else if (!line.empty()) {
      const size_t colon = line.find(':');
      if (colon == std::string_view::npos || colon == 0) return false;
      out.headers.emplace_back(line.substr(0, colon), trim(line.substr(colon + 1)));
    }
  }
  return !first;
}

std::string request_head(const ClientRequest& request, const Url& url) {
  std::string head = cat(request.method, " ", url.target, " HTTP/1.1\r\n");
  if (find_field(request.headers, "host").empty()) {
    const bool v6 = url.host.find(':') != std::string::npos;
    append(head, "Host: ", v6 ? "[" : "", url.host, v6 ? "]" : "");
    if (url.port != (url.secure ? 443 : 80)) append(head, ":", url.port);
    head += "\r\n";
  }
  for (const auto& [name, value] : request.headers) {
    if (equals_ignoring_case(name, "content-length") || equals_ignoring_case(name, "transfer-encoding")) continue;
    append(head, name, ": ", value, "\r\n");
  }
  const bool bodyless = request.body.empty() && !request.stream;
  if (request.stream && !request.stream->size()) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (!bodyless || request.method == "POST" || request.method == "PUT" || request.method == "PATCH") {
    append(head, "Content-Length: ", request.stream ? *request.stream->size() : request.body.size(), "\r\n");
  }
  head += "\r\n";
  return head;
}

bool is_valid(const ClientRequest& request) {
  if (request.method.empty() || !is_clean(request.method) || request.method.find(' ') != std::string::npos)
    return false;
  return std::all_of(request.headers.begin(), request.headers.end(), [](const auto& field) {
    return !field.first.empty() && is_clean(field.first) && is_clean(field.second) &&
           field.first.find_first_of(": ") == std::string::npos;
  });
}

}  // namespace

Task<ClientResponse> HttpClient::send(ClientRequest request) {
  const auto pool = pool_;
  const HttpClientOptions& options = pool->options;
  const auto url = parse_url(request.url);
  if (!url) co_return err::unreachable(cat("Not an http or https address: ", request.url));
  if (!is_valid(request)) co_return err::broken("A header field of the request is malformed.");
  const std::string key = cat(url->secure ? "s" : "p", url->host, ":", url->port, "|", request.unix_path);
  const std::string head = request_head(request, *url);

  while (true) {
    auto connection = pool->take(key);
    if (!connection) {
      connection = co_await pool->connect(*url, request.unix_path);
      connection->key = key;
    }
    Connection& c = *connection;
    // Sends and reads the head; a failure before the first byte of an answer may mean that a kept connection was stale.
    ClientResponse response;
    bool old = false;
    auto attempt =
        co_await as_result([](Connection& c, const ClientRequest& request, const std::string& head,
                              const HttpClientOptions& options, ClientResponse& response, bool& old) -> Task<void> {
          const std::array<iovec, 2> start{piece(head), piece(request.stream ? std::string_view() : request.body)};
          co_await c.write(start, options.idle_time);
          if (request.stream) {
            const bool chunked = !request.stream->size();
            uint64_t left = request.stream->size().value_or(0);
            while (auto part = co_await request.stream->next()) {
              if (part->empty()) continue;
              if (!chunked && part->size() > left)
                co_await fail(err::broken("The request's body is longer than announced."));
              left -= chunked ? 0 : part->size();
              char size[20];
              const int digits = chunked ? snprintf(size, sizeof size, "%zx\r\n", part->size()) : 0;
              const std::array<iovec, 3> pieces{piece({size, static_cast<size_t>(digits)}), piece(*part),
                                                piece(chunked ? "\r\n" : "")};
              co_await c.write(pieces, options.idle_time);
            }
            if (left > 0) co_await fail(err::broken("The request's body is shorter than announced."));
            const iovec last = piece("0\r\n\r\n");
            if (chunked) co_await c.write({&last, 1}, options.idle_time);
          }
          size_t interim = 0;  // bytes of answers before the answer, which count as though they were its head
          while (true) {
            size_t end;
            while ((end = c.buffered().find("\r\n\r\n")) == std::string_view::npos) {
              if (interim + c.buffered().size() > options.most_head)
                co_await fail(err::broken("The server's header fields are too large."));
              co_await c.more(options.answer_time);
            }
            response = {};
            if (!parse_response_head(c.buffered().substr(0, end), response, old)) {
              co_await fail(err::broken("The server's answer is not HTTP."));
            }
            c.consume(end + 4);
            if (response.status >= 200 || response.status == 101) co_return;
            interim += end + 4;
            if (interim > options.most_head) co_await fail(err::broken("The server's interim answers are too many."));
          }
        }(c, request, head, options, response, old));
    if (!attempt) {
      const bool stale = c.used_before && !c.timed_out && c.buffered().empty() && !request.stream;
      if (stale) continue;
      co_await fail_with(std::move(attempt.error()));
    }

    const std::string_view options_of_connection = find_field(response.headers, "connection");
    const bool keep = old ? lists(options_of_connection, "keep-alive") : !lists(options_of_connection, "close");
    using Framing = ResponseBody::Framing;
    Framing framing = Framing::kUntilClose;
    uint64_t length = 0;
    if (request.method == "HEAD" || response.status == 204 || response.status == 304) {
      framing = Framing::kLength;
    } else if (!find_field(response.headers, "transfer-encoding").empty()) {
      if (lists(find_field(response.headers, "transfer-encoding"), "chunked")) framing = Framing::kChunked;
    } else if (const std::string_view text = find_field(response.headers, "content-length"); !text.empty()) {
      const auto number = parse_int(text);
      if (!number || *number < 0) co_return err::broken("The server's Content-Length is malformed.");
      framing = Framing::kLength;
      length = static_cast<uint64_t>(*number);
    }
    response.body = std::make_shared<ResponseBody>(pool, std::move(connection), framing, length,
                                                   keep && framing != Framing::kUntilClose && response.status != 101);
    co_return response;
  }
}

Task<HttpClient::Whole> HttpClient::fetch(ClientRequest request, size_t most) {
  ClientResponse response = co_await send(std::move(request));
  Whole out{response.status, std::move(response.headers), {}};
  out.body =
      co_await read_all(*response.body, most, err::broken(cat("The server's answer is larger than ", most, " bytes.")));
  co_return out;
}

}  // namespace virga::rt
