#include "front/http1_parser.h"

#include <gtest/gtest.h>

#include "base/str.h"

namespace virga::front {
namespace {

using Status = HeadParser::Status;

struct Parsed {
  Status status;
  int code = 0;
  RequestHead head;
  size_t size = 0;
  std::string text;  // what the views point into
};

Parsed parse(std::string text, HeadLimits limits = {}) {
  Parsed p;
  p.text = std::move(text);
  HeadParser parser(limits);
  p.status = parser.parse(p.text);
  p.code = parser.refusal().status;
  p.head = parser.head();
  p.size = parser.size();
  return p;
}
int refused(const std::string& text, HeadLimits limits = {}) {
  const Parsed p = parse(text, limits);
  return p.status == Status::kRefused ? p.code : 0;
}

TEST(HeadParser, TakesAnOrdinaryRequest) {
  const std::string text =
      "POST /a/b?x=1 HTTP/1.1\r\nHost: h:80\r\nX-Two:  v w \t\r\nContent-Length: 12\r\nEmpty:\r\n\r\nbody";
  const Parsed p = parse(text);
  ASSERT_EQ(p.status, Status::kDone);
  EXPECT_EQ(p.head.method, "POST");
  EXPECT_EQ(p.head.target, "/a/b?x=1");
  EXPECT_EQ(p.head.content_length, 12u);
  EXPECT_TRUE(p.head.keep_alive);
  ASSERT_EQ(p.head.fields.size(), 4u);
  EXPECT_EQ(p.head.fields[1].second, "v w");
  EXPECT_EQ(p.head.fields[3].second, "");
  EXPECT_EQ(p.size, text.size() - 4);
}

TEST(HeadParser, GivesTheSameForEverySplit) {
  const std::string text =
      "\r\nPUT /k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\nExpect: 100-continue\r\n\r\n";
  for (size_t step = 1; step <= 7; ++step) {
    HeadLimits limits;
    HeadParser parser(limits);
    Status status = Status::kMore;
    size_t have = 0;
    while (status == Status::kMore && have < text.size()) {
      have = std::min(have + step, text.size());
      status = parser.parse(std::string_view(text).substr(0, have));
      if (have < text.size()) EXPECT_EQ(status, Status::kMore) << have;
    }
    ASSERT_EQ(status, Status::kDone);
    EXPECT_TRUE(parser.head().chunked);
    EXPECT_TRUE(parser.head().expects_continue);
    EXPECT_EQ(parser.size(), text.size());
  }
}

TEST(HeadParser, RefusesWhatTwoReadersCouldReadDifferently) {
  const auto post = [](std::string_view fields) { return cat("POST / HTTP/1.1\r\nHost: h\r\n", fields, "\r\n"); };
  EXPECT_EQ(refused(post("Content-Length: 1\r\nContent-Length: 1\r\n")), 400);
  EXPECT_EQ(refused(post("Content-Length: 1\r\nContent-Length: 2\r\n")), 400);
  EXPECT_EQ(refused(post("Content-Length: 1, 1\r\n")), 400);
  EXPECT_EQ(refused(post("Content-Length: +1\r\n")), 400);
  EXPECT_EQ(refused(post("Content-Length: 0x1\r\n")), 400);
  EXPECT_EQ(refused(post("Content-Length:\r\n")), 400);
  EXPECT_EQ(refused(post("Content-Length: 99999999999999999999\r\n")), 400);
  EXPECT_EQ(refused(post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")), 400);
  EXPECT_EQ(refused(post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n")), 400);
  EXPECT_EQ(refused(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")), 400);
  EXPECT_EQ(refused(post("Transfer-Encoding: gzip, chunked\r\n")), 501);
  EXPECT_EQ(refused(post("Transfer-Encoding: xchunked\r\n")), 501);
  EXPECT_EQ(refused(post("Transfer-Encoding: \"chunked\"\r\n")), 501);
  EXPECT_EQ(refused(post("Transfer-Encoding : chunked\r\n")), 400);
  EXPECT_EQ(refused(post(" Transfer-Encoding: chunked\r\n")), 400);
  EXPECT_EQ(refused(post("X: a\r\n b\r\n")), 400);
  EXPECT_EQ(refused(post("X: a\nY: b\r\n")), 400);
  EXPECT_EQ(refused(post("X: a\rY: b\r\n")), 400);
  EXPECT_EQ(refused(post(std::string_view("X: a\0b\r\n", 8))), 400);
  EXPECT_EQ(refused(post("X\x7f: a\r\n")), 400);
  EXPECT_EQ(refused(post(": a\r\n")), 400);
  EXPECT_EQ(refused(post("no colon\r\n")), 400);
  EXPECT_EQ(refused(post("Host: h\r\n")), 400);
  EXPECT_EQ(refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

TEST(HeadParser, RefusesMalformedRequestLines) {
  for (const std::string_view line :
       {"GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1", "G(T / HTTP/1.1", "GET /\x01 HTTP/1.1",
        "GET /\xc3\xa9 HTTP/1.1", "GET / http/1.1", "GET / HTTP/1.1x", "GET x HTTP/1.1", "GET * HTTP/1.1",
        "CONNECT h:1 HTTP/1.1", "GET /a b HTTP/1.1"}) {
    EXPECT_EQ(refused(cat(line, "\r\nHost: h\r\n\r\n")), 400) << line;
  }
  EXPECT_EQ(refused("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), 505);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(refused("GET / HTTP/1.1\nHost: h\n\n"), 400);
  EXPECT_EQ(refused("\x16\x03\x01\x02\n"), 400);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\n\r\n"), 417);
}

TEST(HeadParser, KnowsTheFormsOfATarget) {
  const Parsed absolute = parse("GET http://other:8/p?q HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_EQ(absolute.status, Status::kDone);
  EXPECT_EQ(absolute.head.target, "/p?q");
  EXPECT_EQ(absolute.head.authority, "other:8");
  EXPECT_EQ(parse("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").status, Status::kDone);
}

TEST(HeadParser, KeepsToItsLimits) {
  HeadLimits limits{.bytes = 200, .fields = 3, .target = 50};
  EXPECT_EQ(refused(cat("GET /", std::string(60, 'a'), " HTTP/1.1\r\nHost: h\r\n\r\n"), limits), 414);
  EXPECT_EQ(refused(std::string(300, 'a'), limits), 414);
  EXPECT_EQ(refused(cat("GET / HTTP/1.1\r\nHost: h\r\nX: ", std::string(300, 'a')), limits), 431);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 1\r\nC: 1\r\n\r\n", limits), 431);
}

TEST(HeadParser, ReadsConnectionOptions) {
  EXPECT_FALSE(parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: foo, Close\r\n\r\n").head.keep_alive);
  EXPECT_FALSE(parse("GET / HTTP/1.0\r\n\r\n").head.keep_alive);
  EXPECT_TRUE(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").head.keep_alive);
  EXPECT_TRUE(parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\n\r\n").head.upgrades);
}

struct Chunked {
  std::string body;
  ChunkedDecoder::Status status;
  size_t rest = 0;
  std::vector<std::pair<std::string, std::string>> trailers;
};

Chunked decode(std::string_view text, size_t step) {
  ChunkedDecoder decoder;
  Chunked out;
  size_t at = 0;
  std::string_view in;
  while (true) {
    std::string_view data;
    out.status = decoder.step(in, data);
    if (out.status == ChunkedDecoder::Status::kData) {
      out.body += data;
      continue;
    }
    if (out.status == ChunkedDecoder::Status::kMore && at < text.size()) {
      EXPECT_TRUE(in.empty());
      in = text.substr(at, step);
      at += in.size();
      continue;
    }
    out.rest = text.size() - at + in.size();
    out.trailers = decoder.trailers();
    return out;
  }
}

TEST(ChunkedDecoder, GivesTheSameForEverySplit) {
  const std::string text =
      "4\r\nWiki\r\n5;name=\"v\"\r\npedia\r\n0E\r\n in\r\n\r\nchunks.\r\n0\r\nX-Sum: abc\r\nY:\r\n\r\nGET";
  for (size_t step = 1; step < text.size(); ++step) {
    const Chunked c = decode(text, step);
    ASSERT_EQ(c.status, ChunkedDecoder::Status::kDone) << step;
    EXPECT_EQ(c.body, "Wikipedia in\r\n\r\nchunks.");
    ASSERT_EQ(c.trailers.size(), 2u);
    EXPECT_EQ(c.trailers[0].second, "abc");
    if (step == text.size() - 1) EXPECT_EQ(c.rest, 3u);
  }
}

TEST(ChunkedDecoder, RefusesMalformedCoding) {
  for (const std::string_view text :
       {"\r\n", "g\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", " 1\r\na\r\n", "1\na\r\n0\r\n\r\n", "1\r\nab\r\n", "1\r\na\n",
        "1\r\naX\r\n", "1000000000000000\r\n", "1 x\r\na\r\n", "1;a\rb\r\na\r\n0\r\n\r\n", "0\r\nbad trailer\r\n\r\n",
        "0\r\n: x\r\n\r\n", "0\r\na : x\r\n\r\n", "0\r\n folded\r\n\r\n"}) {
    EXPECT_EQ(decode(text, 1).status, ChunkedDecoder::Status::kRefused) << text;
    EXPECT_EQ(decode(text, 100).status, ChunkedDecoder::Status::kRefused) << text;
  }
  EXPECT_EQ(decode(cat("1;", std::string(5000, 'x')), 64).status, ChunkedDecoder::Status::kRefused);
}

}  // namespace
}  // namespace virga::front
