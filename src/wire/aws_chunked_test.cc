#include "wire/aws_chunked.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/str.h"

namespace virga::wire {
namespace {

struct Decoded {
  std::string body, code;
  Headers trailers;
};

Decoded decode(std::string_view text, const AwsChunkedOptions& options, size_t step = 1000) {
  Decoded out;
  AwsChunkedDecoder decoder(options);
  try {
    for (size_t at = 0; at < text.size(); at += step) decoder.feed(text.substr(at, step), out.body);
    decoder.finish();
  } catch (const Error& e) {
    out.code = e.shape->code;
  }
  out.trailers = decoder.trailers();
  return out;
}

AwsChunkedOptions unsigned_with(std::string trailer, uint64_t length) {
  AwsChunkedOptions o;
  o.has_trailer = true;
  o.decoded_length = length;
  o.trailer_names = {std::move(trailer)};
  return o;
}

TEST(AwsChunked, DecodesEverySplitAndVerifiesTheChecksum) {
  std::string sum;
  append_be32(sum, crc32("hello world"));
  const std::string good =
      cat("6\r\nhello \r\n5\r\nworld\r\n0\r\nx-amz-checksum-crc32:", base64_encode(sum), "\r\n\r\n");
  for (size_t step = 1; step <= good.size(); ++step) {
    const Decoded d = decode(good, unsigned_with("x-amz-checksum-crc32", 11), step);
    EXPECT_EQ(d.code, "");
    EXPECT_EQ(d.body, "hello world");
    EXPECT_TRUE(d.trailers.has("x-amz-checksum-crc32"));
  }
}

TEST(AwsChunked, RefusesSmallChunksBeforeTheLast) {
  AwsChunkedOptions options;
  options.least_chunk = 8;
  EXPECT_EQ(decode("8\r\n12345678\r\n3\r\nabc\r\n0\r\n\r\n", options).body, "12345678abc");
  EXPECT_EQ(decode("3\r\nabc\r\n0\r\n\r\n", options).code, "");
  EXPECT_EQ(decode("7\r\n1234567\r\n3\r\nabc\r\n0\r\n\r\n", options).code, "InvalidChunkSizeError");
  EXPECT_EQ(decode("8\r\n12345678\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n", options).code, "InvalidChunkSizeError");
}

TEST(AwsChunked, KnowsEveryChecksum) {
  for (const std::string header : {"x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme",
                                   "x-amz-checksum-sha1", "x-amz-checksum-sha256"}) {
    const auto kind = checksum_of_header(upper(header));
    ASSERT_TRUE(kind);
    Checksum sum(*kind);
    sum.update("ab");
    sum.update("c");
    const std::string text = cat("3\r\nabc\r\n0\r\n", header, ": ", sum.finish(), "\n\r\n\r\n");
    EXPECT_EQ(decode(text, unsigned_with(header, 3)).code, "");
    const std::string other = cat("3\r\nabd", text.substr(6));
    EXPECT_EQ(decode(other, unsigned_with(header, 3)).code, "BadDigest");
  }
}

TEST(AwsChunked, SaysWhatIsWrong) {
  const auto code = [](std::string_view text) { return decode(text, unsigned_with("x-amz-checksum-crc32", 3)).code; };
  EXPECT_EQ(code("3\r\nab"), "IncompleteBody");
  EXPECT_EQ(code("2\r\nab\r\n0\r\n\r\n"), "IncompleteBody");
  EXPECT_EQ(code("4\r\nabcd\r\n0\r\n\r\n"), "IncompleteBody");
  EXPECT_EQ(code("3\r\nabcd\r\n0\r\n\r\n"), "InvalidRequest");
  EXPECT_EQ(code("x\r\n"), "InvalidRequest");
  EXPECT_EQ(code("3\nabc\r\n0\r\n\r\n"), "InvalidRequest");
  EXPECT_EQ(code("3\r\nabc\r\n0\r\n\r\n"), "MalformedTrailerError");
  EXPECT_EQ(code("3\r\nabc\r\n0\r\nno colon\r\n\r\n"), "MalformedTrailerError");
  EXPECT_EQ(code("3\r\nabc\r\n0\r\nother:1\r\n\r\n"), "MalformedTrailerError");
  EXPECT_EQ(code("3\r\nabc\r\n0\r\nx-amz-checksum-crc32:short\r\n\r\n"), "InvalidRequest");
}

TEST(AwsChunked, HandsSignaturesToWhoeverKnowsTheKey) {
  std::vector<std::string> hashes, signatures;
  AwsChunkedOptions o;
  o.is_signed = true;
  o.decoded_length = 3;
  o.verify_chunk = [&](std::string_view hash, std::string_view signature) {
    hashes.emplace_back(hash);
    signatures.emplace_back(signature);
    return signature[0] != 'f';
  };
  const std::string a(64, 'a'), b(64, 'b'), f(64, 'f');
  const auto text = [](std::string_view x, std::string_view y) {
    return cat("3;chunk-signature=", x, "\r\nabc\r\n0;chunk-signature=", y, "\r\n\r\n");
  };
  EXPECT_EQ(decode(text(a, b), o).code, "");
  EXPECT_EQ(signatures, (std::vector{a, b}));
  EXPECT_EQ(hashes[0], hex_encode(sha256("abc")));
  EXPECT_EQ(hashes[1], hex_encode(sha256("")));
  EXPECT_EQ(decode(text(f, b), o).code, "SignatureDoesNotMatch");
  EXPECT_EQ(decode(text(a, f), o).code, "SignatureDoesNotMatch");
  EXPECT_EQ(decode("3\r\nabc\r\n0\r\n\r\n", o).code, "InvalidRequest");
}

}  // namespace
}  // namespace virga::wire
