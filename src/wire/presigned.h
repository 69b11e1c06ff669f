// What S3's presigned URLs have of their own: Signature Version 2, which SDKs still sign URLs with by default, and
// headers that came as query parameters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "wire/http.h"

namespace virga::wire::sigv2 {

struct Presigned {
  std::string access_key, signature, session_token;
  int64_t expires = 0;  // seconds since 1970
};

// The signature in a URL's AWSAccessKeyId, Signature and Expires; nothing when it has none. Throws Error when they are
// malformed. Signatures of this version in a header are refused by sigv4::find_signature.
std::optional<Presigned> find(const HttpRequest& request);

// Throws Error unless the signature is right and the URL has not expired. request.path begins with the bucket, also
// where the client named it by its host.
void verify(const Presigned& presigned, const HttpRequest& request, std::string_view secret, Time now);

std::string string_to_sign(const HttpRequest& request, std::string_view expires);
std::string sign(std::string_view secret, std::string_view to_sign);

}  // namespace virga::wire::sigv2

namespace virga::wire {

// Signers of URLs move x-amz-* headers into the query: puts them where operations look for headers. After verification.
void take_headers_from_query(HttpRequest& request);

}  // namespace virga::wire
