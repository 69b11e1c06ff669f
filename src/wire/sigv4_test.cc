#include "wire/sigv4.h"

#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/str.h"

namespace virga::wire::sigv4 {
namespace {

constexpr std::string_view kVectors =
#include "wire/testdata/sigv4_vectors.inc"
    ;
constexpr std::string_view kSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const Time kNow = *parse_iso8601("2024-05-01T12:00:00Z");

HttpRequest request_of(std::string_view method, std::string_view target, Headers headers = {}) {
  HttpRequest r;
  r.method = method;
  r.target = target;
  const auto [path, query] = split_once(target, '?');
  r.path = path;
  r.query = query;
  r.headers = std::move(headers);
  return r;
}

std::string hash_of(std::string_view body) { return hex_encode(sha256(body)); }

// The code of the Error that `f` throws, with its message.
template <class F>
std::string refusal(F f) {
  try {
    f();
  } catch (const Error& e) {
    return cat(e.shape->code, ' ', e.shape->status, ": ", e.message);
  }
  return "accepted";
}

void check(const HttpRequest& r, Flavour flavour, std::string_view body, Time now = kNow,
           std::string_view secret = kSecret) {
  const auto s = find_signature(r, peek_claim(r), flavour);
  ASSERT_TRUE(s);
  verify(*s, r, hash_of(body), derive_key(secret, *s), now, flavour);
}

TEST(SigV4, AcceptsWhatBotocoreSigns) {
  const Json vectors = Json::parse(kVectors);
  ASSERT_GT(vectors.as_array().size(), 10u);
  for (const Json& v : vectors.as_array()) {
    SCOPED_TRACE(v.string_or("name"));
    Headers headers;
    for (const Json& h : v.find("headers")->as_array())
      headers.add(h.as_array()[0].as_string(), h.as_array()[1].as_string());
    HttpRequest r = request_of(v.string_or("method"), v.string_or("target"), headers);
    const Flavour flavour = v.find("s3")->as_bool() ? Flavour::kS3 : Flavour::kJson;
    // As routing does; version 4 signs the path that was sent, version 2 the bucket too.
    if (r.host().starts_with("bucket.")) r.path = cat("/bucket", r.path);
    const std::string body = v.string_or("body");
    EXPECT_EQ(refusal([&] { check(r, flavour, body); }), "accepted");
    const auto scope = peek_claim(r).scope;
    ASSERT_TRUE(scope);
    EXPECT_EQ(scope->service, v.string_or("service"));
    EXPECT_EQ(scope->region, v.string_or("region"));
    EXPECT_EQ(scope->access_key, "AKIDEXAMPLE");

    // Anything signed that changes must break it.
    EXPECT_NE(refusal([&] { check(r, flavour, body, kNow, "another secret"); }), "accepted");
    HttpRequest other = r;
    other.method = "DELETE";
    EXPECT_NE(refusal([&] { check(other, flavour, body); }), "accepted");
    other = r;
    other.path += "x";
    other.target = cat(other.path, "?", other.query);
    EXPECT_NE(refusal([&] { check(other, flavour, body); }), "accepted");
    other = r;
    other.query += other.query.empty() ? "acl" : "&acl=1";
    EXPECT_NE(refusal([&] { check(other, flavour, body); }), "accepted");
    other = r;
    other.headers.set("host", "evil.example.com");
    // Version 2 signs no host but for the bucket in it.
    if (!scope->version2()) EXPECT_NE(refusal([&] { check(other, flavour, body); }), "accepted");
    const auto s = find_signature(r, peek_claim(r), flavour);
    if (s->payload == Payload::kBodyHash || s->payload == Payload::kStatedHash) {
      EXPECT_NE(refusal([&] { check(r, flavour, body + "x"); }), "accepted");
    }
  }
}

HttpRequest signed_request(Flavour flavour, std::string_view body = "{}", Time at = kNow, std::string_view token = "") {
  Headers headers;
  headers.add("Host", "example.com");
  headers.add("X-Amz-Target", "DynamoDB_20120810.GetItem");
  HttpRequest r = request_of("POST", "/", headers);
  sign(r, {"AKID", std::string(kSecret), std::string(token)}, "us-east-1", "dynamodb", hash_of(body), at, flavour);
  return r;
}

TEST(SigV4, SignsWhatItVerifies) {
  for (Flavour flavour : {Flavour::kS3, Flavour::kJson, Flavour::kRest, Flavour::kQuery}) {
    const HttpRequest r = signed_request(flavour, "{}", kNow, "token/+=");
    EXPECT_EQ(refusal([&] { check(r, flavour, "{}"); }), "accepted");
    EXPECT_EQ(find_signature(r, peek_claim(r), flavour)->session_token, "token/+=");

    Headers headers;
    headers.add("host", "b.localhost:4566");
    HttpRequest get = request_of("GET", "/a%20b/c?x=%20y&acl", headers);
    presign(get, {"AKID", std::string(kSecret), "t+k"}, "eu-west-1", "s3", 900, kNow, flavour);
    EXPECT_EQ(refusal([&] { check(get, flavour, ""); }), "accepted");
    EXPECT_EQ(find_signature(get, peek_claim(get), flavour)->session_token, "t+k");
    EXPECT_NE(refusal([&] { check(get, flavour, "", kNow + std::chrono::seconds(901)); }), "accepted");
  }
}

TEST(SigV4, NothingMeansAnonymous) {
  EXPECT_FALSE(find_signature(request_of("GET", "/"), {}, Flavour::kS3));
  Headers bearer;
  bearer.add("authorization", "Bearer abc");
  EXPECT_FALSE(find_signature(request_of("GET", "/", bearer), {}, Flavour::kRest));
  EXPECT_FALSE(peek_claim(request_of("GET", "/?X-Amz=1")).scope);
}

TEST(SigV4, ClockSkew) {
  const auto late = kNow + std::chrono::minutes(16), early = kNow - std::chrono::minutes(16);
  const HttpRequest s3 = signed_request(Flavour::kS3), json = signed_request(Flavour::kJson);
  EXPECT_EQ(refusal([&] { check(s3, Flavour::kS3, "{}", late); }),
            "RequestTimeTooSkewed 403: The difference between the request time and the current time is too large.");
  EXPECT_EQ(refusal([&] { check(s3, Flavour::kS3, "{}", early); }).substr(0, 20), "RequestTimeTooSkewed");
  EXPECT_EQ(refusal([&] { check(json, Flavour::kJson, "{}", late); }),
            "InvalidSignatureException 400: Signature expired: 20240501T120000Z is now earlier than 20240501T120100Z "
            "(20240501T121600Z - 15 min.)");
  EXPECT_EQ(
      refusal([&] { check(json, Flavour::kJson, "{}", early); }),
      "InvalidSignatureException 400: Signature not yet current: 20240501T120000Z is still later than 20240501T115900Z "
      "(20240501T114400Z + 15 min.)");
  EXPECT_EQ(refusal([&] { check(json, Flavour::kJson, "{}", kNow + std::chrono::minutes(14)); }), "accepted");
}

TEST(SigV4, RefusalsInEachFamilysWords) {
  const auto wrong = [](Flavour f) { return refusal([&] { check(signed_request(f), f, "{}", kNow, "wrong"); }); };
  EXPECT_EQ(wrong(Flavour::kS3).substr(0, 26), "SignatureDoesNotMatch 403:");
  EXPECT_EQ(wrong(Flavour::kJson).substr(0, 30), "InvalidSignatureException 400:");
  EXPECT_EQ(wrong(Flavour::kRest).substr(0, 30), "InvalidSignatureException 403:");
  EXPECT_EQ(wrong(Flavour::kQuery).substr(0, 26), "SignatureDoesNotMatch 403:");

  const auto broken = [](Flavour f, std::string_view authorization) {
    HttpRequest r = signed_request(f);
    r.headers.set("authorization", authorization);
    return refusal([&] { check(r, f, "{}"); });
  };
  EXPECT_EQ(broken(Flavour::kS3, "AWS4-OTHER AKID:sig"),
            "InvalidRequest 400: The authorization mechanism you have provided is not supported. Please use "
            "AWS4-HMAC-SHA256.");
  EXPECT_EQ(broken(Flavour::kS3, "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0"),
            "AuthorizationHeaderMalformed 400: The authorization header is malformed; the Credential is mal-formed; "
            "expecting "
            "\"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".");
  EXPECT_EQ(broken(Flavour::kJson, "AWS4-HMAC-SHA256 Credential=a/20240501/r/s/aws4_request, SignedHeaders=host")
                .substr(0, 91),
            "IncompleteSignatureException 400: Authorization header requires 'Signature' parameter. (Has");
  EXPECT_EQ(
      broken(Flavour::kJson,
             "AWS4-HMAC-SHA256 Credential=a/20240501/r/s/aws4_request, SignedHeaders=x-amz-date, Signature=0"),
      "IncompleteSignatureException 400: 'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
  EXPECT_EQ(broken(Flavour::kQuery,
                   "AWS4-HMAC-SHA256 Credential=a/20240430/r/s/aws4_request, "
                   "SignedHeaders=host;x-amz-date;x-amz-target, Signature=0"),
            "IncompleteSignature 400: Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
            "from HTTP: "
            "'20240430' != '20240501', from '20240501T120000Z'.");

  HttpRequest extra = signed_request(Flavour::kS3);
  extra.headers.add("x-amz-acl", "public-read");
  EXPECT_EQ(refusal([&] { check(extra, Flavour::kS3, "{}"); }),
            "AccessDenied 403: There were headers present in the request which were not signed");
  EXPECT_EQ(
      refusal([&] { check(signed_request(Flavour::kS3), Flavour::kS3, "other"); }),
      "XAmzContentSHA256Mismatch 400: The provided 'x-amz-content-sha256' header does not match what was computed.");

  EXPECT_EQ(unknown_key(Flavour::kS3, "A").shape->code, "InvalidAccessKeyId");
  EXPECT_EQ(unknown_key(Flavour::kJson, "A").shape->query_code, "InvalidClientTokenId");
  EXPECT_EQ(expired_token(Flavour::kQuery, "t").shape->code, "ExpiredToken");
  EXPECT_EQ(missing_authentication(Flavour::kRest).message, "Missing Authentication Token");
}

TEST(SigV4, PresignedLimits) {
  const auto with = [](std::string_view expires) {
    return refusal([&] {
      HttpRequest r = request_of(
          "GET", cat("/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20240501%2Fr%2Fs3%2Faws4_request&"
                     "X-Amz-Date=20240501T120000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=00&X-Amz-Expires=",
                     expires));
      r.headers.add("host", "h");
      check(r, Flavour::kS3, "");
    });
  };
  EXPECT_EQ(with("604801").substr(0, 37), "AuthorizationQueryParametersError 400");
  EXPECT_EQ(with("-1"), "AuthorizationQueryParametersError 400: X-Amz-Expires must be non-negative");
  EXPECT_EQ(with("x"), "AuthorizationQueryParametersError 400: X-Amz-Expires should be a number");
  EXPECT_EQ(with("").substr(0, 37), "AuthorizationQueryParametersError 400");
  EXPECT_EQ(with("604800").substr(0, 21), "SignatureDoesNotMatch");

  Headers headers;
  headers.add("host", "h");
  HttpRequest r = request_of("GET", "/k", headers);
  presign(r, {"A", std::string(kSecret), ""}, "us-east-1", "s3", 60, kNow, Flavour::kS3);
  EXPECT_EQ(refusal([&] { check(r, Flavour::kS3, "", kNow + std::chrono::seconds(61)); }),
            "AccessDenied 403: Request has expired");
  EXPECT_EQ(refusal([&] { check(r, Flavour::kS3, "", kNow - std::chrono::minutes(20)); }),
            "AccessDenied 403: Request is not valid yet");
}

// A link to mybucket's key "other/k" is none to the key k of the bucket other, whatever host it is sent to.
TEST(SigV4, Version2BindsTheBucket) {
  const std::string text = "GET\n\n\n1714564860\n/mybucket/other/k";
  const std::string signature = percent_encode(base64_encode(hmac_sha1(kSecret, text)));
  const auto with = [&](std::string_view host, std::string_view path, std::string_view more = "") {
    HttpRequest r = request_of("GET", cat(path, "?AWSAccessKeyId=AKID&Expires=1714564860&Signature=", signature, more));
    r.headers.add("host", host);
    return refusal([&] { check(r, Flavour::kS3, ""); }).substr(0, 21);
  };
  EXPECT_EQ(with("h", "/mybucket/other/k"), "accepted");
  EXPECT_EQ(with("mybucket.evil", "/other/k"), "SignatureDoesNotMatch");
  // What counts as a header later is signed, in whatever case it is written.
  EXPECT_EQ(with("h", "/mybucket/other/k", "&X-Amz-Meta-A=1"), "SignatureDoesNotMatch");
  EXPECT_EQ(with("h", "/mybucket/other/k", "&Content-Type=text/html"), "SignatureDoesNotMatch");
}

// A presigned request can't be given another target: the header that names the operation is signed or refused.
TEST(SigV4, PresignedTakesNoUnsignedTarget) {
  Headers headers;
  headers.add("host", "h");
  HttpRequest r = request_of("POST", "/", headers);
  presign(r, {"A", std::string(kSecret), ""}, "us-east-1", "dynamodb", 60, kNow, Flavour::kJson);
  EXPECT_EQ(refusal([&] { check(r, Flavour::kJson, ""); }), "accepted");
  r.headers.add("x-amz-target", "DynamoDB_20120810.DeleteTable");
  EXPECT_EQ(refusal([&] { check(r, Flavour::kJson, ""); }),
            "IncompleteSignatureException 400: 'x-amz-target' must be a 'SignedHeader' in the AWS Authorization.");
}

TEST(SigV4, CanonicalForms) {
  EXPECT_EQ(canonical_uri("/a%20b", Flavour::kJson), "/a%2520b");
  EXPECT_EQ(canonical_uri("/a//../b/.", Flavour::kJson), "/b");
  EXPECT_EQ(canonical_uri("", Flavour::kJson), "/");
  EXPECT_EQ(canonical_uri("/a//../b(1)+", Flavour::kS3), "/a//../b%281%29%2B");
  EXPECT_EQ(canonical_query("b=1&a=%7e&a&B=%2f&X-Amz-Signature=x"), "B=%2F&a=&a=~&b=1");
  HttpRequest r = request_of("GET", "/");
  r.headers.add("X-A", " one  two ");
  r.headers.add("x-a", "three");
  EXPECT_EQ(canonical_request(r, "x-a", "h", "/", ""), "GET\n/\n\nx-a:one two,three\n\nx-a\nh");
}

// The worked example of AWS's documentation of chunked uploads.
TEST(SigV4, ChunkChain) {
  SignedRequest seed;
  static_cast<Scope&>(seed) = {"AKIAIOSFODNN7EXAMPLE", "20130524", "us-east-1", "s3"};
  seed.timestamp = "20130524T000000Z";
  seed.signature = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
  KeyCache cache(2);
  ChunkVerifier chain(seed, cache.derive("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", seed));
  EXPECT_TRUE(chain.verify_chunk(hash_of(std::string(65536, 'a')),
                                 "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"));
  EXPECT_TRUE(chain.verify_chunk(hash_of(std::string(1024, 'a')),
                                 "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"));
  EXPECT_TRUE(chain.verify_chunk(hash_of(""), "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"));
  EXPECT_FALSE(chain.verify_chunk(hash_of(""), "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"));
}

}  // namespace
}  // namespace virga::wire::sigv4
