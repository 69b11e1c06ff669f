#include "front/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/str.h"
#include "front/websocket.h"
#include "rt/http_client.h"

namespace virga::front {
namespace {

// A blocking client that says exactly the bytes it is told to.
class Client {
 public:
  explicit Client(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    timeval limit{10, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~Client() { ::close(fd_); }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  void end() { ::shutdown(fd_, SHUT_WR); }
  // Until `count` bytes are there, or the end.
  std::string read(size_t count) {
    while (have_.size() < count && more()) {
    }
    return take(std::min(count, have_.size()));
  }
  std::string read_until(std::string_view mark) {
    size_t at;
    while ((at = have_.find(mark)) == std::string::npos && more()) {
    }
    return take(at == std::string::npos ? have_.size() : at + mark.size());
  }
  std::string read_all() {
    while (more()) {
    }
    return take(have_.size());
  }
  // Head and body of an answer with a content length.
  std::pair<std::string, std::string> answer() {
    std::string head = read_until("\r\n\r\n");
    const size_t at = head.find("content-length: ");
    return {head, at == std::string::npos ? "" : read(std::stoul(head.substr(at + 16)))};
  }

 private:
  bool more() {
    char buffer[65536];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    if (n > 0) have_.append(buffer, static_cast<size_t>(n));
    return n > 0;
  }
  std::string take(size_t n) {
    std::string out = have_.substr(0, n);
    have_.erase(0, n);
    return out;
  }
  int fd_;
  std::string have_;
};

class Pieces final : public ByteSource {
 public:
  Pieces(std::vector<std::string> parts, std::optional<uint64_t> size) : parts_(std::move(parts)), size_(size) {}
  Task<std::optional<std::string>> next() override {
    co_await sleep_for(Millis(1));
    if (at_ == parts_.size()) co_return std::nullopt;
    co_return parts_[at_++];
  }
  std::optional<uint64_t> size() const override { return size_; }

 private:
  std::vector<std::string> parts_;
  std::optional<uint64_t> size_;
  size_t at_ = 0;
};

constexpr ErrorShape kTooLarge{"TooLarge", 413, Fault::kSender, {}};

Task<wire::HttpResponse> serve(wire::HttpRequest& r) {
  wire::HttpResponse out;
  out.headers.add("x-path", r.path);
  if (r.path == "/echo") {
    auto body = co_await as_result(read_all(*r.body, 64 << 20, Error{&kTooLarge, "too large", nullptr, {}}));
    out.body = body ? *body : describe(body.error());
    if (!body) out.status = 400;
    out.headers.add("x-sum", r.trailers.get("x-sum"));
  } else if (r.path == "/chunks") {
    out.stream = std::make_shared<Pieces>(std::vector<std::string>{"one", "two"}, std::nullopt);
    out.trailers.add("x-end", "yes");
  } else if (r.path == "/sized") {
    out.stream = std::make_shared<Pieces>(std::vector<std::string>{"one", "two"}, 6);
  } else if (r.path == "/short") {
    out.stream = std::make_shared<Pieces>(std::vector<std::string>{"one"}, 6);
  } else if (r.path == "/fail") {
    throw std::runtime_error("bug");
  } else if (r.path == "/slow") {
    co_await sleep_for(Millis(300));
    out.body = "slow";
  } else if (r.path == "/split") {
    out.headers.add("x-evil", "a\r\nset-cookie: b");
  } else if (r.path == "/none") {
    out.status = 204;
  } else {
    out.body = cat(r.method, " ", r.target, " ", r.host());
  }
  co_return out;
}

Task<Upgraded> upgrade(wire::HttpRequest& r) {
  Upgraded out;
  out.response.status = r.path == "/ws" ? 101 : 403;
  out.session = [](std::shared_ptr<WebSocket> socket) -> Task<void> {
    while (auto message = co_await socket->receive()) {
      message->data = cat("echo ", message->data);
      co_await socket->send(std::move(*message));
    }
  };
  co_return out;
}

class ServerTest : public testing::Test {
 protected:
  void begin(Limits limits = {}) {
    reactors.start();
    server = std::make_unique<Server>(reactors, ServerOptions{.limits = limits});
    port = server->listen("127.0.0.1", 0, {serve, upgrade});
  }
  std::string ask(std::string_view bytes) {
    Client client(port);
    client.send(bytes);
    return client.read_all();
  }
  rt::Reactors reactors{2};
  std::unique_ptr<Server> server;
  uint16_t port = 0;
};

TEST_F(ServerTest, KeepsAliveAndPipelines) {
  begin();
  Client client(port);
  for (int i = 0; i < 3; ++i) {
    client.send("GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n");
    auto [head, body] = client.answer();
    EXPECT_TRUE(head.starts_with("HTTP/1.1 200 OK\r\n")) << head;
    EXPECT_NE(head.find("server: Virga"), std::string::npos);
    EXPECT_NE(head.find("date: "), std::string::npos);
    EXPECT_EQ(body, "GET /a?b h");
  }
  client.send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 "
      "HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.answer().second, "abc");
  EXPECT_EQ(client.answer().second, "GET /2 h");
  auto [head, body] = client.answer();
  EXPECT_EQ(body, "GET /3 h");
  EXPECT_NE(head.find("connection: close"), std::string::npos);
  EXPECT_EQ(client.read_all(), "");
}

TEST_F(ServerTest, ReadsTornRequests) {
  begin();
  const std::string text =
      "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: "
      "7\r\n\r\n";
  for (size_t cut = 1; cut < text.size(); ++cut) {
    Client client(port);
    client.send(text.substr(0, cut));
    if (cut % 8 == 0) std::this_thread::sleep_for(Millis(1));
    client.send(text.substr(cut));
    auto [head, body] = client.answer();
    ASSERT_EQ(body, "abcde") << cut;
    EXPECT_NE(head.find("x-sum: 7"), std::string::npos);
  }
}

TEST_F(ServerTest, ContinuesOnlyWhenTheBodyIsWanted) {
  begin();
  {
    Client client(port);
    client.send("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    EXPECT_EQ(client.answer().second, "hello");
  }
  Client client(port);
  client.send("PUT /no HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  auto [head, body] = client.answer();
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200"));
  EXPECT_NE(head.find("connection: close"), std::string::npos);
  EXPECT_EQ(client.read_all(), "");
}

TEST_F(ServerTest, StreamsAnswers) {
  begin();
  EXPECT_NE(ask("GET /chunks HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                .find("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\nx-end: yes\r\n\r\n"),
            std::string::npos);
  EXPECT_TRUE(ask("GET /sized HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").ends_with("\r\n\r\nonetwo"));
  EXPECT_TRUE(
      ask("GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").ends_with("connection: close\r\n\r\nonetwo"));
  EXPECT_TRUE(ask("HEAD /sized HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                  .ends_with("content-length: 6\r\nconnection: close\r\n\r\n"));
  EXPECT_EQ(ask("GET /none HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").find("content-length"),
            std::string::npos);
  const std::string broken = ask("GET /short HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(broken.find("six"), std::string::npos);
}

TEST_F(ServerTest, AnswersBugsAndMalformedRequests) {
  begin();
  EXPECT_TRUE(ask("GET /fail HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 500 "));
  EXPECT_TRUE(ask("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
                  .starts_with("HTTP/1.1 400 "));
  EXPECT_EQ(ask("GET /split HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").find("\r\nset-cookie"),
            std::string::npos);
  const std::string bad = ask("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
  EXPECT_TRUE(bad.starts_with("HTTP/1.1 400 "));
  EXPECT_NE(bad.find("connection: close"), std::string::npos);
}

TEST_F(ServerTest, ABodyThatEndsEarlyFailsTheReader) {
  begin();
  Client client(port);
  client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
  client.end();
  EXPECT_NE(client.read_all().find("IncompleteBody"), std::string::npos);
}

TEST_F(ServerTest, DrainsSmallUnreadBodiesAndClosesOnLargeOnes) {
  begin();
  Client client(port);
  client.send(cat("POST /ignored HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n", std::string(100000, 'x')));
  EXPECT_EQ(client.answer().second, "POST /ignored h");
  client.send("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.answer().second, "GET /next h");
  client.send(cat("POST /ignored HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n", std::string(1000000, 'x')));
  auto [head, body] = client.answer();
  EXPECT_NE(head.find("connection: close"), std::string::npos);
  EXPECT_EQ(body, "POST /ignored h");
}

TEST_F(ServerTest, CarriesLargeBodiesBothWays) {
  begin();
  std::string big(9 << 20, 'a');
  for (size_t i = 0; i < big.size(); i += 997) big[i] = static_cast<char>('b' + i % 20);
  Client client(port);
  std::thread writer(
      [&] { client.send(cat("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: ", big.size(), "\r\n\r\n", big)); });
  auto [head, body] = client.answer();
  writer.join();
  EXPECT_TRUE(body == big);
}

TEST_F(ServerTest, TimesOutSlowHeadsAndIdleConnections) {
  Limits limits;
  limits.header_time = Millis(200);
  limits.idle_time = Millis(200);
  limits.body_idle_time = Millis(200);
  begin(limits);
  EXPECT_EQ(ask(""), "");
  EXPECT_TRUE(ask("GET / HT").starts_with("HTTP/1.1 408 "));
  EXPECT_TRUE(ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").ends_with("GET / h"));
  EXPECT_NE(ask("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc").find("RequestTimeout"),
            std::string::npos);
}

TEST_F(ServerTest, RefusesConnectionsOverTheLimit) {
  Limits limits;
  limits.connections = 1;
  begin(limits);
  Client first(port);
  first.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  first.answer();
  EXPECT_TRUE(Client(port).read_all().starts_with("HTTP/1.1 503 "));
  EXPECT_EQ(server->stats().refused, 1u);
}

TEST_F(ServerTest, StopsAfterRequestsUnderWay) {
  begin();
  Client idle(port), busy(port);
  idle.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  idle.answer();
  busy.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  std::this_thread::sleep_for(Millis(50));
  std::thread stopper([&] { EXPECT_TRUE(server->stop(Millis(5000))); });
  EXPECT_EQ(idle.read_all(), "");
  auto [head, body] = busy.answer();
  EXPECT_EQ(body, "slow");
  EXPECT_NE(head.find("connection: close"), std::string::npos);
  busy.end();
  EXPECT_EQ(busy.read_all(), "");
  stopper.join();
}

TEST_F(ServerTest, SaysWhyItCannotListen) {
  begin();
  Server other(reactors, {});
  try {
    other.listen("127.0.0.1", port, {serve, nullptr});
    FAIL();
  } catch (const ListenError& e) {
    EXPECT_NE(std::string_view(e.what()).find("in use"), std::string_view::npos);
  }
  EXPECT_THROW(other.listen("192.0.2.1", 0, {serve, nullptr}), ListenError);
}

TEST_F(ServerTest, AdoptsListeningSockets) {
  Limits limits;
  limits.adopted_connections = 1;
  begin(limits);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(fd, 8), 0);
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  const auto handler = [](wire::HttpRequest&) -> Task<wire::HttpResponse> {
    wire::HttpResponse out;
    out.body = "adopted";
    co_return out;
  };
  const auto id = server->add_listener(fd, reactors[1], {handler, nullptr});
  Client client(ntohs(address.sin_port));
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.answer().second, "adopted");
  // One function's connections are its own matter: beyond its share it is refused, others are not.
  EXPECT_TRUE(Client(ntohs(address.sin_port)).read_all().starts_with("HTTP/1.1 503 "));
  Client other(port);
  other.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(other.answer().first.starts_with("HTTP/1.1 200"));
  server->remove_listener(id);
  EXPECT_EQ(client.read_all(), "");
}

std::string masked(uint8_t first, std::string_view payload) {
  std::string out{static_cast<char>(first), static_cast<char>(0x80 | payload.size())};
  const char mask[4] = {1, 2, 3, 4};
  out.append(mask, 4);
  for (size_t i = 0; i < payload.size(); ++i) out.push_back(static_cast<char>(payload[i] ^ mask[i % 4]));
  return out;
}

constexpr std::string_view kHandshake =
    " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

TEST_F(ServerTest, SpeaksWebSocket) {
  begin();
  Client client(port);
  client.send(cat("GET /ws", kHandshake));
  const std::string head = client.read_until("\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101 ")) << head;
  EXPECT_NE(head.find("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos);
  client.send(masked(0x81, "hi"));
  EXPECT_EQ(client.read(9),
            "\x81\x07"
            "echo hi");
  client.send(cat(masked(0x01, "a"), masked(0x89, "p"), masked(0x80, "b")));
  EXPECT_EQ(client.read(3), "\x8a\x01p");
  EXPECT_EQ(client.read(9),
            "\x81\x07"
            "echo ab");
  client.send(masked(0x88, std::string("\x03\xe8", 2)));
  EXPECT_EQ(client.read_all(), "\x88\x02\x03\xe8");
}

TEST_F(ServerTest, ClosesWebSocketsThatBreakTheRules) {
  begin();
  const auto closes_with = [&](const std::string& frames) -> int {
    Client client(port);
    client.send(cat("GET /ws", kHandshake, frames));
    client.read_until("\r\n\r\n");
    const std::string answer = client.read_all();
    return answer.size() >= 4 && answer[0] == '\x88'
               ? static_cast<uint8_t>(answer[2]) << 8 | static_cast<uint8_t>(answer[3])
               : 0;
  };
  EXPECT_EQ(closes_with(std::string("\x81\x01"
                                    "a",
                                    3)),
            1002);                                                         // not masked
  EXPECT_EQ(closes_with(masked(0xc1, "a")), 1002);                         // reserved bit
  EXPECT_EQ(closes_with(masked(0x83, "a")), 1002);                         // reserved opcode
  EXPECT_EQ(closes_with(masked(0x80, "a")), 1002);                         // continues nothing
  EXPECT_EQ(closes_with(masked(0x09, "a")), 1002);                         // fragmented control frame
  EXPECT_EQ(closes_with(masked(0x81, "\xff")), 1007);                      // not UTF-8
  EXPECT_EQ(closes_with(masked(0x88, std::string("\x03\xed", 2))), 1002);  // a code nobody may send
  EXPECT_EQ(closes_with(std::string("\x82\xff\0\0\0\1\0\0\0\0mask", 14)), 1009);
  EXPECT_TRUE(ask(cat("GET /other", kHandshake)).starts_with("HTTP/1.1 403 "));
  EXPECT_TRUE(ask("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
                  "8\r\n\r\n")
                  .starts_with("HTTP/1.1 426 "));
}

TEST_F(ServerTest, AWebSocketIsSentToFromAnyReactorAndOutlivesItsConnection) {
  reactors.start();
  server = std::make_unique<Server>(reactors, ServerOptions{});
  std::shared_ptr<WebSocket> kept;
  std::atomic<bool> open = false;
  const auto accept = [&](wire::HttpRequest&) -> Task<Upgraded> {
    Upgraded out;
    out.response.status = 101;
    out.session = [&](std::shared_ptr<WebSocket> socket) -> Task<void> {
      kept = socket;
      open = true;
      while (co_await socket->receive()) {
      }
    };
    co_return out;
  };
  port = server->listen("127.0.0.1", 0, {serve, accept});
  Client client(port);
  client.send(cat("GET /ws", kHandshake));
  client.read_until("\r\n\r\n");
  while (!open) std::this_thread::sleep_for(Millis(1));
  for (size_t i = 0; i < reactors.size(); ++i) {
    EXPECT_TRUE(rt::run_on(reactors[i], kept->send({cat("from ", i), false})));
    EXPECT_EQ(client.read(8), cat("\x82\x06", "from ", i));
  }
  client.send(masked(0x81, "held"));
  EXPECT_TRUE(rt::run_on(reactors[0], kept->close(4001, "enough")));
  EXPECT_EQ(client.read(10), cat("\x88\x08", "\x0f\xa1", "enough"));
  client.send(masked(0x88, "\x0f\xa1"));
  EXPECT_EQ(client.read_all(), "");
  EXPECT_TRUE(server->stop(Millis(2000)));
  EXPECT_FALSE(kept->is_open());
  EXPECT_EQ(kept->close_code(), 4001);
  EXPECT_FALSE(rt::run_on(reactors[1], kept->send({"late", true})));
}

TEST_F(ServerTest, ClosesWebSocketsWhenItStops) {
  begin();
  Client client(port);
  client.send(cat("GET /ws", kHandshake));
  client.read_until("\r\n\r\n");
  std::thread stopper([&] { EXPECT_TRUE(server->stop(Millis(5000))); });
  EXPECT_TRUE(client.read(4).ends_with("\x03\xe9"));
  client.send(masked(0x88, "\x03\xe9"));
  client.read_all();
  stopper.join();
}

TEST_F(ServerTest, OurClientTriesAnewOnAStaleConnection) {
  Limits limits;
  limits.idle_time = Millis(100);
  begin(limits);
  const auto result = rt::run_on(reactors[0], [](uint16_t port) -> Task<std::string> {
    rt::HttpClient client(*rt::Reactor::here());
    std::string out = (co_await client.fetch({.url = cat("http://127.0.0.1:", port, "/1")}, 100)).body;
    co_await sleep_for(Millis(500));
    append(out, "|", (co_await client.fetch({.url = cat("http://127.0.0.1:", port, "/chunks")}, 100)).body);
    append(out, "|",
           (co_await client.fetch({.method = "HEAD", .url = cat("http://127.0.0.1:", port, "/sized")}, 100)).body);
    auto large = co_await as_result(client.fetch({.url = cat("http://127.0.0.1:", port, "/sized")}, 3));
    append(out, "|", large ? "" : error_of(large)->message);
    auto broken = co_await as_result(client.fetch({.url = cat("http://127.0.0.1:", port, "/short")}, 100));
    append(out, "|", broken ? "whole" : "broken");
    co_return out;
  }(port));
  ASSERT_TRUE(result) << describe(result.error());
  EXPECT_EQ(*result, cat("GET /1 127.0.0.1:", port, "|onetwo||The server's answer is larger than 3 bytes.|broken"));
}

}  // namespace
}  // namespace virga::front
