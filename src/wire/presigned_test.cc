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
