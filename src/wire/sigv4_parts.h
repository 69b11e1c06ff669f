// What the files of sigv4 share.
#pragma once

#include <string>
#include <string_view>

#include "wire/sigv4.h"

namespace virga::wire::sigv4::detail {

inline constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
inline constexpr std::string_view kEmptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

// What is wrong with a signature's form; `text` is the tail of S3's sentence, or the whole of the others'.
[[noreturn]] void refuse_header(Flavour flavour, std::string_view s3_text, std::string_view text);
[[noreturn]] void refuse_query(Flavour flavour, std::string_view s3_text, std::string_view text);
[[noreturn]] void refuse_algorithm(Flavour flavour);
[[noreturn]] void refuse_version2();      // a Version 2 signature with a part missing
[[noreturn]] void refuse_missing_hash();  // S3 without x-amz-content-sha256
[[noreturn]] void refuse_bad_hash();      // x-amz-content-sha256 is neither a hash nor a known word
[[noreturn]] void refuse_unsigned_headers(std::string_view names);
[[noreturn]] void refuse_signature(Flavour flavour, const SignedRequest& s, std::string_view to_sign,
                                   std::string_view canonical);
[[noreturn]] void refuse_skew(Flavour flavour, const SignedRequest& s, Time now);
[[noreturn]] void refuse_expired(Flavour flavour, const SignedRequest& s, Time now);
[[noreturn]] void refuse_not_yet(Flavour flavour, const SignedRequest& s, Time now);
[[noreturn]] void refuse_body(Flavour flavour, const SignedRequest& s, std::string_view body_sha256);

// Signature Version 2 (sigv2.cc), of S3 alone. Its key is the secret itself.
bool is_version2(const HttpRequest& request);
std::optional<SignedRequest> parse_version2(const HttpRequest& request);  // nothing: malformed
void verify_version2(const SignedRequest& s, const HttpRequest& request, std::string_view secret, Time now);

}  // namespace virga::wire::sigv4::detail
