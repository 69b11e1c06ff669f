// HTTP/2 and TLS over real sockets, with nghttp2's client half and with our own HTTP client.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <thread>

#include "base/str.h"
#include "front/server.h"
#include "rt/http_client.h"
#include "rt/tls.h"

namespace virga::front {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

struct Answer {
  std::map<std::string, std::string> headers, trailers;
  std::string body;
  int informational = 0;
  bool closed = false;
  uint32_t error = 0;
};

// A blocking client. Window updates are automatic unless `hold_windows`.
class Http2Client {
 public:
  explicit Http2Client(uint16_t port, bool hold_windows = false) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    timeval limit{5, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    nghttp2_session_callbacks* callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* n, size_t ns, const uint8_t* v,
                      size_t vs, uint8_t, void* self) {
          Answer& a = static_cast<Http2Client*>(self)->answers[frame->hd.stream_id];
          const std::string name(reinterpret_cast<const char*>(n), ns), value(reinterpret_cast<const char*>(v), vs);
          if (name == ":status" && value[0] == '1') {
            ++a.informational;
          } else if (a.headers.contains(":status") && frame->headers.cat == NGHTTP2_HCAT_HEADERS && name != ":status" &&
                     a.informational == 0) {
            a.trailers[name] = value;
          } else {
            a.headers[name] = value;
          }
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks, [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* self) {
          static_cast<Http2Client*>(self)->answers[id].body.append(reinterpret_cast<const char*>(data), size);
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        callbacks, [](nghttp2_session*, int32_t id, uint32_t error, void* self) {
          Answer& a = static_cast<Http2Client*>(self)->answers[id];
          a.closed = true;
          a.error = error;
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks,
                                                         [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
                                                           if (frame->hd.type == NGHTTP2_GOAWAY)
                                                             static_cast<Http2Client*>(self)->goaway = true;
                                                           return 0;
                                                         });
    nghttp2_option* option;
    nghttp2_option_new(&option);
    if (hold_windows) nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_client_new2(&session_, callbacks, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, 0, nullptr, 0);
  }
  ~Http2Client() {
    nghttp2_session_del(session_);
    ::close(fd_);
  }

  int32_t submit(Fields fields, std::string body = {}) {
    std::vector<nghttp2_nv> nv;
    for (auto& [n, v] : fields) {
      nv.push_back({reinterpret_cast<uint8_t*>(n.data()), reinterpret_cast<uint8_t*>(v.data()), n.size(), v.size(), 0});
    }
    nghttp2_data_provider provider{};
    if (!body.empty()) {
      bodies_.push_back(std::make_unique<std::string>(std::move(body)));
      provider.source.ptr = bodies_.back().get();
      provider.read_callback = [](nghttp2_session*, int32_t, uint8_t* into, size_t room, uint32_t* flags,
                                  nghttp2_data_source* source, void*) -> ssize_t {
        auto& left = *static_cast<std::string*>(source->ptr);
        const size_t n = std::min(room, left.size());
        memcpy(into, left.data(), n);
        left.erase(0, n);
        if (left.empty()) *flags |= NGHTTP2_DATA_FLAG_EOF;
        return static_cast<ssize_t>(n);
      };
    }
    return nghttp2_submit_request(session_, nullptr, nv.data(), nv.size(), provider.read_callback ? &provider : nullptr,
                                  this);
  }
  int32_t get(const std::string& path) {
    return submit({{":method", "GET"}, {":scheme", "http"}, {":authority", "h"}, {":path", path}});
  }
  int32_t post(const std::string& path, std::string body, Fields more = {}) {
    Fields fields{{":method", "POST"}, {":scheme", "http"}, {":authority", "h"}, {":path", path}};
    fields.insert(fields.end(), more.begin(), more.end());
    return submit(std::move(fields), std::move(body));
  }
  void reset(int32_t id) { nghttp2_submit_rst_stream(session_, 0, id, NGHTTP2_CANCEL); }

  void send() {
    const uint8_t* bytes;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(session_, &bytes)) > 0) {
      for (ssize_t sent = 0; sent < n;) {
        const ssize_t w = ::send(fd_, bytes + sent, static_cast<size_t>(n - sent), MSG_NOSIGNAL);
        if (w <= 0) return;
        sent += w;
      }
    }
  }
  bool pump() {
    send();
    uint8_t buffer[65536];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    return n > 0 && nghttp2_session_mem_recv(session_, buffer, static_cast<size_t>(n)) >= 0;
  }
  const Answer& wait(int32_t id) {
    while (!answers[id].closed && pump()) {
    }
    return answers[id];
  }
  std::map<int32_t, Answer> answers;
  bool goaway = false;

 private:
  int fd_;
  nghttp2_session* session_;
  std::vector<std::unique_ptr<std::string>> bodies_;
};

class Pieces final : public ByteSource {
 public:
  explicit Pieces(int count) : left_(count) {}
  Task<std::optional<std::string>> next() override {
    co_await sleep_for(Millis(1));
    if (left_ == 0) co_return std::nullopt;
    --left_;
    co_return std::string(10'000, 'p');
  }

 private:
  int left_;
};

constexpr ErrorShape kTooLarge{"TooLarge", 413, Fault::kSender, {}};

Task<wire::HttpResponse> serve(wire::HttpRequest& r) {
  wire::HttpResponse out;
  out.headers.add("X-Version", cat(r.version, r.secure ? " secure" : ""));
  if (r.path == "/echo") {
    auto body = co_await as_result(read_all(*r.body, 64 << 20, Error{&kTooLarge, "too large", nullptr, {}}));
    out.body = body ? *body : describe(body.error());
  } else if (r.path == "/stream") {
    out.stream = std::make_shared<Pieces>(30);
    out.trailers.add("X-End", "yes");
  } else if (r.path == "/proxy") {
    out.stream = r.body;
  } else if (r.path == "/slow") {
    co_await sleep_for(Millis(200));
    out.body = "slow";
  } else if (r.path == "/none") {
    out.status = 204;
  } else {
    out.body = cat(r.method, " ", r.path, " ", r.query, " ", r.host());
  }
  co_return out;
}

class Http2Test : public testing::Test {
 protected:
  void begin(Limits limits = {}) {
    reactors.start();
    server = std::make_unique<Server>(reactors, ServerOptions{.limits = limits});
    port = server->listen("127.0.0.1", 0, {serve, nullptr});
  }
  rt::Reactors reactors{2};
  std::unique_ptr<Server> server;
  uint16_t port = 0;
};

TEST_F(Http2Test, ServesManyStreamsAtOnce) {
  begin();
  Http2Client client(port);
  std::vector<int32_t> ids;
  ids.push_back(client.get("/slow"));
  for (int i = 0; i < 50; ++i) ids.push_back(client.get(cat("/p?", i)));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(client.wait(ids[i + 1]).body, cat("GET /p ", i, " h"));
  EXPECT_EQ(client.wait(ids[0]).body, "slow");
  const Answer& a = client.answers[ids[1]];
  EXPECT_EQ(a.headers.at(":status"), "200");
  EXPECT_EQ(a.headers.at("x-version"), "20");
  EXPECT_EQ(a.headers.at("server"), "Virga");
  EXPECT_EQ(a.headers.at("content-length"), "10");
  EXPECT_EQ(client.wait(client.get("/none")).headers.at(":status"), "204");
}

TEST_F(Http2Test, CarriesBodiesLargerThanAnyWindow) {
  begin();
  Http2Client client(port);
  const std::string big(3 << 20, 'b');
  EXPECT_TRUE(client.wait(client.post("/echo", big)).body == big);
  EXPECT_TRUE(client.wait(client.post("/proxy", big)).body == big);
  const Answer& ignored = client.wait(client.post("/ignore", big));
  EXPECT_EQ(ignored.headers.at(":status"), "200");
  EXPECT_EQ(ignored.body, "POST /ignore  h");
  EXPECT_TRUE(client.wait(client.post("/echo", big)).body == big);
}

TEST_F(Http2Test, StreamsWithTrailersAndContinues) {
  begin();
  Http2Client client(port);
  const Answer& a = client.wait(client.get("/stream"));
  EXPECT_EQ(a.body.size(), 300'000u);
  EXPECT_EQ(a.trailers.at("x-end"), "yes");
  const Answer& b = client.wait(client.post("/echo", "x", {{"expect", "100-continue"}}));
  EXPECT_EQ(b.headers.at(":status"), "200");
}

TEST_F(Http2Test, RefusesLargeHeadsAndRapidResets) {
  Limits limits;
  limits.head.bytes = 8 * 1024;
  limits.http2_resets = 50;
  begin(limits);
  {
    Http2Client client(port);
    Fields fields{{":method", "GET"}, {":scheme", "http"}, {":authority", "h"}, {":path", "/"}};
    for (int i = 0; i < 6; ++i) fields.emplace_back(cat("x-", i), std::string(2000, 'x'));
    EXPECT_EQ(client.wait(client.submit(fields)).headers.at(":status"), "431");
    EXPECT_EQ(client.wait(client.get("/")).headers.at(":status"), "200");
  }
  Http2Client client(port);
  for (int i = 0; i < 1000 && !client.goaway; ++i) {
    const int32_t id = client.get("/slow");
    client.send();
    client.reset(id);
    client.send();
  }
  while (!client.goaway && client.pump()) {
  }
  EXPECT_TRUE(client.goaway);
}

TEST_F(Http2Test, FinishesStreamsWhenItStops) {
  begin();
  Http2Client client(port);
  const int32_t id = client.get("/slow");
  client.send();
  std::thread stopper([&] {
    std::this_thread::sleep_for(Millis(50));
    EXPECT_TRUE(server->stop(Millis(5000)));
  });
  EXPECT_EQ(client.wait(id).body, "slow");
  EXPECT_TRUE(client.goaway);
  stopper.join();
}

TEST_F(Http2Test, DropsAClientThatGoesWhileHandlersRun) {
  begin();
  {
    Http2Client client(port);
    client.get("/slow");
    client.get("/stream");
    client.post("/echo", std::string(100, 'x'), {{"content-length", "200"}});
    client.send();
    client.pump();
  }
  EXPECT_TRUE(server->stop(Millis(3000)));
}

TEST_F(Http2Test, SpeaksTlsToOurClient) {
  begin();
  const rt::Certificate certificate = rt::self_signed({"localhost", "127.0.0.1"}, 1);
  auto tls = std::make_shared<rt::TlsServer>(certificate);
  const uint16_t secure = server->listen("127.0.0.1", 0, {serve, nullptr}, tls);
  const auto result =
      rt::run_on(reactors[0], [](uint16_t port, uint16_t plain, std::string roots) -> Task<std::string> {
        rt::HttpClientOptions options;
        options.tls = {.roots_pem = roots, .system_roots = false};
        rt::HttpClient client(*rt::Reactor::here(), options);
        std::string out;
        for (int i = 0; i < 3; ++i) {
          auto answer = co_await client.fetch({.url = cat("https://127.0.0.1:", port, "/a?b")}, 1000);
          append(out, answer.status, " ", answer.body, " ", rt::find_field(answer.headers, "x-version"), "\n");
        }
        rt::ClientRequest big{
            .method = "POST", .url = cat("https://127.0.0.1:", port, "/echo"), .body = std::string(2 << 20, 'z')};
        append(out, (co_await client.fetch(std::move(big), 4 << 20)).body.size(), "\n");
        rt::ClientRequest chunked{
            .method = "POST", .url = cat("http://127.0.0.1:", plain, "/proxy"), .stream = std::make_shared<Pieces>(5)};
        append(out, (co_await client.fetch(std::move(chunked), 100'000)).body.size(), "\n");
        rt::TlsClient strict({.system_roots = false});
        auto refused = co_await as_result(strict.connect("127.0.0.1", port, Millis(2000)));
        append(out, refused ? "accepted" : error_of(refused)->message);
        co_return out;
      }(secure, port, certificate.chain_pem));
  ASSERT_TRUE(result) << describe(result.error());
  const std::string once = cat("200 GET /a b 127.0.0.1:", secure, " 11 secure\n");
  EXPECT_TRUE(result->starts_with(cat(once, once, once, 2 << 20, "\n50000\n"))) << *result;
  EXPECT_NE(result->find("self-signed certificate"), std::string::npos) << *result;
  EXPECT_EQ(server->stats().accepted, 3u);  // the three fetches and the large one shared a connection
}

}  // namespace
}  // namespace virga::front
