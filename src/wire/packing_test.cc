#include "wire/packing.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/str.h"
#include "wire/test_model.h"

namespace virga::wire {
namespace {

std::string accepted(std::string_view header) {
  const auto packing = accepted_packing(header);
  return !packing ? "" : *packing == Packing::kGzip ? "gzip" : "deflate";
}

// What DynamoDB answers with, as ScyllaDB's Alternator tests found it.
TEST(Packing, IsWhatTheClientPrefers) {
  for (const auto nothing :
       {"", "identity", "br", "x-gzip", "gzip ;q=0", "identity;q=0", "*;q=0", "br;q=0.8,*;q=0", "\"gzip\"", "gzip br",
        "gzip:q=1", "gzip;q= 0;q=1", "gzip; q=0;q=1", "gzip;nq=0;q=1", "gzip;q=-1"})
    EXPECT_EQ(accepted(nothing), "") << nothing;
  for (const auto gzip : {"gzip", "GZIP, identity", "gzip, deflate", "dog, gzip ,, cat", "gzip;q=0.8, deflate;q=0.5",
                          "*", "*, deflate;q=0.5", "*, identity", "*;q=0.5,identity", "gzip;q=0.5,identity;q=0.8",
                          "deflate;q=0.5, gzip;q=31", "gzip;q=31,deflate;q=51", "deflate;q=0.5, gzip;q=1;q=0.2",
                          "deflate;q=0.5,gzip;q=0.x", "deflate;q=0.5,gzip;q=0. x", "deflate;q=-0.5,gzip;q=0.2",
                          "gzip;q =0;q=1", "gzip;q=0, gzip;q=1, gzip;q=0", "br,gzip;q=0.0001"})
    EXPECT_EQ(accepted(gzip), "gzip") << gzip;
  for (const auto deflate : {"deflate", "br, identity, deflate, gzip", "br, gzip;q=0, deflate; q = 0.5 , identity;q=0",
                             "*, deflate", "*, gzip;q=0.5", "deflate;q=0.5, gzip;q=0.2", "deflate;q=0.5,gzip;q=0."})
    EXPECT_EQ(accepted(deflate), "deflate") << deflate;
}

TEST(Packing, IsOfLargeAnswersOfServicesThatPack) {
  ServiceModel packs = test::kService;
  packs.packs = true;
  HttpRequest request;
  HttpResponse small, large;
  small.body = std::string(4096, 'x');
  large.body = std::string(4097, 'x');
  EXPECT_FALSE(packing_for(&packs, request, large));
  request.headers.add("Accept-Encoding", "deflate");
  EXPECT_FALSE(packing_for(&packs, request, small));
  EXPECT_FALSE(packing_for(&test::kService, request, large));
  EXPECT_FALSE(packing_for(nullptr, request, large));
  ASSERT_EQ(packing_for(&packs, request, large), Packing::kDeflate);

  large.headers.add("x-amz-crc32", "1");
  pack(large, Packing::kDeflate);
  EXPECT_EQ(large.headers.get("content-encoding"), "deflate");
  EXPECT_EQ(large.headers.joined("x-amz-crc32"), cat(crc32(large.body)));
  EXPECT_EQ(gunzip(large.body, 5000, Packing::kDeflate), std::string(4097, 'x'));
}

TEST(Packing, UnpacksWhatServicesTake) {
  ServiceModel packs = test::kService;
  packs.packs = true;
  const auto result = [&](const ServiceModel& service, std::string_view coding, std::string_view body) -> std::string {
    HttpRequest request;
    request.headers.add("Content-Encoding", coding);
    try {
      return unpacked(Protocol::kJson10, service, request, body).value_or("as it came");
    } catch (const GzipError& error) {
      return cat(not_unpacked(Protocol::kJson10, service, error.what()).shape->status);
    } catch (const Error& error) {
      return cat(error.shape->status);
    }
  };
  EXPECT_EQ(result(packs, "gzip", gzip("{}")), "{}");
  EXPECT_EQ(result(packs, "gzip", gzip("")), "");
  EXPECT_EQ(result(packs, "deflate", gzip("{}", Packing::kDeflate)), "{}");
  EXPECT_EQ(result(packs, "deflate", gzip("{", Packing::kDeflate) + gzip("}", Packing::kDeflate)), "500");
  EXPECT_EQ(result(packs, "gzip", gzip("{}") + "junk"), "500");
  EXPECT_EQ(result(packs, "garbage", "{}"), "500");
  EXPECT_EQ(result(packs, "amz-1.0", "{}"), "as it came");
  EXPECT_EQ(result(test::kService, "gzip", gzip("{}")), "{}");
  EXPECT_EQ(result(test::kService, "gzip", "{}"), "400");
  EXPECT_EQ(result(test::kService, "deflate", "{}"), "as it came");
}

}  // namespace
}  // namespace virga::wire
