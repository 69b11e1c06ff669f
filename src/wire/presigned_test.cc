#include "wire/presigned.h"

#include <gtest/gtest.h>

#include "base/str.h"

namespace virga::wire {
namespace {

HttpRequest request_of(std::string method, std::string target) {
  HttpRequest out;
  out.method = std::move(method);
  out.target = target;
  const auto [path, query] = split_once(std::string_view(out.target), '?');
  out.path = path;
  out.query = query;
  return out;
}

// Made by botocore's HmacV1QueryAuth for access key "test" and secret "test".
TEST(SignatureVersion2, OfAUrlThatBotocoreSigned) {
  const HttpRequest get =
      request_of("GET", "/b/k?AWSAccessKeyId=test&Signature=jjEZyIOKQMRE4XT%2BC8JQnWcQA7Q%3D&Expires=1795222981");
  const auto presigned = sigv2::find(get);
  ASSERT_TRUE(presigned);
  EXPECT_EQ(presigned->access_key, "test");
  EXPECT_NO_THROW(sigv2::verify(*presigned, get, "test", Time::from_seconds(1795222981)));
  EXPECT_THROW(sigv2::verify(*presigned, get, "test", Time::from_seconds(1795222982)), Error);
  EXPECT_THROW(sigv2::verify(*presigned, get, "other", Time::from_seconds(1795222981)), Error);
  HttpRequest other = get;
  other.path = "/b/other";
  EXPECT_THROW(sigv2::verify(*presigned, other, "test", Time::from_seconds(1795222981)), Error);
}

TEST(SignatureVersion2, SignsHeadersAndWhatIsAddressed) {
  HttpRequest put = request_of(
      "PUT", "/b/k%20x?uploadId=a%2Fb&AWSAccessKeyId=k&x-amz-meta-b=2&content-type=text%2Fplain&partNumber=1&acl");
  put.headers.add("X-Amz-Meta-A", " 1 ");
  put.headers.add("Content-Type", "text/plain");
  EXPECT_EQ(sigv2::string_to_sign(put, "99"),
            "PUT\n\ntext/plain\n99\nx-amz-meta-a:1\nx-amz-meta-b:2\n/b/k%20x?acl&partNumber=1&uploadId=a/b");
}

TEST(SignatureVersion2, NeedsAllItsParameters) {
  EXPECT_FALSE(sigv2::find(request_of("GET", "/b/k?x=y")));
  EXPECT_THROW(sigv2::find(request_of("GET", "/b/k?AWSAccessKeyId=k&Signature=s")), Error);
  EXPECT_THROW(sigv2::find(request_of("GET", "/b/k?AWSAccessKeyId=k&Signature=s&Expires=soon")), Error);
}

TEST(PresignedQuery, BecomesHeaders) {
  HttpRequest put = request_of(
      "PUT", "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=now&x-amz-meta-a=1&x-amz-acl=private&x-id=PutObject");
  put.headers.add("x-amz-acl", "bucket-owner-full-control");
  take_headers_from_query(put);
  EXPECT_EQ(put.headers.get("x-amz-meta-a"), "1");
  EXPECT_EQ(put.headers.get("x-amz-acl"), "bucket-owner-full-control");
  EXPECT_FALSE(put.headers.has("x-amz-date"));
}

}  // namespace
}  // namespace virga::wire
