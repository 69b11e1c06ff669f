#include "base/str.h"

#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/id.h"

namespace virga {
namespace {

TEST(Str, Joins) {
  EXPECT_EQ(cat("a", 1, 'b', -2L, 0.5, std::string("c"), true), "a1b-20.5ctrue");
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(split_once("k=v=w", '='), (std::pair<std::string_view, std::string_view>("k", "v=w")));
  EXPECT_EQ(join(std::vector<std::string>{"a", "b"}, ", "), "a, b");
  EXPECT_EQ(trim(" \t a b \n"), "a b");
  EXPECT_EQ(replace_all("aXbX", "X", "--"), "a--b--");
  EXPECT_TRUE(equals_ignoring_case("HoSt", "host"));
}

TEST(Str, ReadsNumbers) {
  EXPECT_EQ(parse_int("-12"), -12);
  EXPECT_EQ(parse_int("+12"), 12);
  for (const auto text : {"", "-", "1x", " 1", "+-1", "99999999999999999999"}) EXPECT_FALSE(parse_int(text)) << text;
  EXPECT_EQ(parse_double("1e3"), 1000);
  EXPECT_FALSE(parse_double("1,0"));
}

TEST(Str, MatchesWildcards) {
  EXPECT_TRUE(matches_wildcard("*", ""));
  EXPECT_TRUE(matches_wildcard("arn:aws:s3:::b/*", "arn:aws:s3:::b/x/y"));
  EXPECT_TRUE(matches_wildcard("a?c*e", "abcdde"));
  EXPECT_TRUE(matches_wildcard("?", "é"));
  EXPECT_TRUE(matches_wildcard("*ab*ab", "xababab"));
  EXPECT_FALSE(matches_wildcard("a*b", "ac"));
  EXPECT_FALSE(matches_wildcard("", "a"));
  EXPECT_FALSE(matches_wildcard(std::string(30, '*') + "b", std::string(10'000, 'a')));
}

TEST(Str, CountsCharacters) {
  EXPECT_EQ(count_characters("aé😀"), 3u);
  EXPECT_TRUE(is_utf8("plain ascii text, é😀"));
  EXPECT_FALSE(is_utf8("\xF4\x90\x80\x80"));
  EXPECT_FALSE(is_utf8("abcdefgh\xFF"));
}

TEST(Encoding, Base64AndHex) {
  EXPECT_EQ(base64_encode("a"), "YQ==");
  EXPECT_EQ(base64_encode("ab"), "YWI=");
  EXPECT_EQ(base64_encode("abc"), "YWJj");
  EXPECT_EQ(base64_decode("YWI="), "ab");
  EXPECT_EQ(base64_decode(""), "");
  EXPECT_FALSE(base64_decode("YWI"));
  EXPECT_FALSE(base64_decode("Y=I="));
  EXPECT_EQ(base64url_encode("\xFB\xFF"), "-_8");
  EXPECT_EQ(base64url_decode("-_8"), "\xFB\xFF");
  EXPECT_EQ(hex_encode("\x01\xAB"), "01ab");
  EXPECT_EQ(hex_decode("01AB"), "\x01\xAB");
  EXPECT_FALSE(hex_decode("0"));
}

TEST(Encoding, Percent) {
  EXPECT_EQ(percent_encode("a b/é~"), "a%20b%2F%C3%A9~");
  EXPECT_EQ(percent_encode("a/b", true), "a/b");
  EXPECT_EQ(percent_decode("a%20b+c"), "a b+c");
  EXPECT_EQ(percent_decode("a+b", true), "a b");
  EXPECT_FALSE(percent_decode("%2"));
  EXPECT_FALSE(percent_decode("%zz"));
}

TEST(Encoding, Checksums) {
  constexpr std::string_view kText = "123456789";
  EXPECT_EQ(crc32(kText), 0xCBF43926u);
  EXPECT_EQ(crc32c(kText), 0xE3069283u);
  EXPECT_EQ(crc64nvme(kText), 0xAE8B14860A799888u);
  EXPECT_EQ(crc32c("6789", crc32c("12345")), 0xE3069283u);
  EXPECT_EQ(crc64nvme("6789", crc64nvme("12345")), 0xAE8B14860A799888u);
  EXPECT_EQ(crc32("6789", crc32("12345")), 0xCBF43926u);
  std::string out;
  append_be16(out, 0x0102);
  append_be32(out, 0x03040506);
  append_be64(out, 0x0708090A0B0C0D0E);
  EXPECT_EQ(hex_encode(out), "0102030405060708090a0b0c0d0e");
  EXPECT_EQ(read_be64(out.data() + 6), 0x0708090A0B0C0D0Eu);
}

TEST(Crypto, Hashes) {
  EXPECT_EQ(hex_encode(md5("")), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(hex_encode(sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex_encode(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_encode(hmac_sha256("key", "The quick brown fox jumps over the lazy dog")),
            "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
  EXPECT_EQ(hex_encode(hmac_sha256(std::string(131, '\xAA'), "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  EXPECT_EQ(hex_encode(hmac_sha1("key", "The quick brown fox jumps over the lazy dog")),
            "de7c9b85b8b78aa6bc8a7a36f70a90701c9db4d9");
  Hasher hasher(HashKind::kSha256);
  hasher.update("a");
  hasher.update("bc");
  EXPECT_EQ(hasher.finish(), sha256("abc"));
}

TEST(Crypto, SealsAndOpens) {
  const std::string key = random_bytes(32);
  const std::string sealed = seal(key, "secret", "for:me");
  EXPECT_EQ(open_sealed(key, sealed, "for:me"), "secret");
  EXPECT_FALSE(open_sealed(key, sealed, "for:you"));
  EXPECT_FALSE(open_sealed(random_bytes(32), sealed, "for:me"));
  std::string damaged = sealed;
  damaged[15] ^= 1;
  EXPECT_FALSE(open_sealed(key, damaged, "for:me"));
  EXPECT_FALSE(open_sealed(key, "short", ""));
  EXPECT_EQ(open_sealed(key, seal(key, "", ""), ""), "");
}

TEST(Id, LooksLikeAws) {
  const std::string id = uuid();
  EXPECT_EQ(id.size(), 36u);
  EXPECT_EQ(id[14], '4');
  EXPECT_NE(id, uuid());
  EXPECT_EQ(random_upper_alnum(16).size(), 16u);
  EXPECT_NE(random_u64(), random_u64());
}

}  // namespace
}  // namespace virga
