#include "base/encoding.h"
#include "base/json.h"
#include "base/str.h"
#include "wire/sigv4_parts.h"

namespace virga::wire::sigv4 {

namespace {

using ShapeTable = ErrorShape[4];  // by Flavour

// One refusal in four spellings. Services of the query days that now speak JSON tell old clients the old code.
constexpr ShapeTable kMismatch = {{"SignatureDoesNotMatch", 403},
                                  {"InvalidSignatureException", 400, Fault::kSender, "SignatureDoesNotMatch"},
                                  {"InvalidSignatureException", 403, Fault::kSender, "SignatureDoesNotMatch"},
                                  {"SignatureDoesNotMatch", 403}};
constexpr ShapeTable kUnknownKey = {{"InvalidAccessKeyId", 403},
                                    {"UnrecognizedClientException", 400, Fault::kSender, "InvalidClientTokenId"},
                                    {"UnrecognizedClientException", 403, Fault::kSender, "InvalidClientTokenId"},
                                    {"InvalidClientTokenId", 403}};
constexpr ShapeTable kMissing = {
    {"AccessDenied", 403},
    {"MissingAuthenticationTokenException", 400, Fault::kSender, "MissingAuthenticationToken"},
    {"MissingAuthenticationTokenException", 403, Fault::kSender, "MissingAuthenticationToken"},
    {"MissingAuthenticationToken", 403}};
constexpr ShapeTable kIncomplete = {{"AuthorizationHeaderMalformed", 400},
                                    {"IncompleteSignatureException", 400, Fault::kSender, "IncompleteSignature"},
                                    {"IncompleteSignatureException", 403, Fault::kSender, "IncompleteSignature"},
                                    {"IncompleteSignature", 400}};
constexpr ShapeTable kIncompleteQuery = {{"AuthorizationQueryParametersError", 400},
                                         {"IncompleteSignatureException", 400, Fault::kSender, "IncompleteSignature"},
                                         {"IncompleteSignatureException", 403, Fault::kSender, "IncompleteSignature"},
                                         {"IncompleteSignature", 400}};
constexpr ShapeTable kExpiredToken = {{"ExpiredToken", 400},
                                      {"ExpiredTokenException", 400, Fault::kSender, "ExpiredToken"},
                                      {"ExpiredTokenException", 403, Fault::kSender, "ExpiredToken"},
                                      {"ExpiredToken", 403}};
constexpr ErrorShape kInvalidToken = {"InvalidToken", 400};
constexpr ErrorShape kSkewed = {"RequestTimeTooSkewed", 403};
constexpr ErrorShape kDenied = {"AccessDenied", 403};
constexpr ErrorShape kBodyMismatch = {"XAmzContentSHA256Mismatch", 400};
constexpr ErrorShape kInvalidRequest = {"InvalidRequest", 400};
constexpr ErrorShape kInvalidArgument = {"InvalidArgument", 400};

const ErrorShape& pick(const ShapeTable& table, Flavour flavour) { return table[static_cast<size_t>(flavour)]; }

Error make(const ErrorShape& shape, std::string message, Json::Object members = {}) {
  Error error{&shape, std::move(message), nullptr, {}};
  if (!members.empty()) error.members = std::make_shared<const Json>(Json(std::move(members)));
  return error;
}

std::string spaced_hex(std::string_view bytes) {
  const std::string hex = hex_encode(bytes);
  std::string out;
  out.reserve(hex.size() * 3 / 2);
  for (size_t i = 0; i < hex.size(); i += 2) {
    if (i > 0) out += ' ';
    out.append(hex, i, 2);
  }
  return out;
}

}  // namespace

Flavour flavour_of(std::string_view service_id, Protocol protocol) {
  if (service_id == "s3") return Flavour::kS3;
  switch (protocol) {
    case Protocol::kRestJson:
      return Flavour::kRest;
    case Protocol::kQuery:
    case Protocol::kEc2Query:
    case Protocol::kRestXml:
      return Flavour::kQuery;
    case Protocol::kJson10:
    case Protocol::kJson11:
    case Protocol::kCbor:
      return Flavour::kJson;
  }
  return Flavour::kJson;
}

Error missing_authentication(Flavour flavour) {
  switch (flavour) {
    case Flavour::kS3:
      return make(kDenied, "Access Denied");
    case Flavour::kRest:
      return make(pick(kMissing, flavour), "Missing Authentication Token");
    default:
      return make(pick(kMissing, flavour), "Request is missing Authentication Token");
  }
}

Error unknown_key(Flavour flavour, std::string_view access_key) {
  if (flavour == Flavour::kS3)
    return make(kUnknownKey[0], "The AWS Access Key Id you provided does not exist in our records.",
                {{"AWSAccessKeyId", access_key}});
  return make(pick(kUnknownKey, flavour), "The security token included in the request is invalid.");
}

Error invalid_token(Flavour flavour, std::string_view token) {
  if (flavour == Flavour::kS3)
    return make(kInvalidToken, "The provided token is malformed or otherwise invalid.", {{"Token-0", token}});
  return make(pick(kUnknownKey, flavour), "The security token included in the request is invalid.");
}

Error expired_token(Flavour flavour, std::string_view token) {
  if (flavour == Flavour::kS3) return make(kExpiredToken[0], "The provided token has expired.", {{"Token-0", token}});
  return make(pick(kExpiredToken, flavour), "The security token included in the request is expired");
}

Error wrong_service(Flavour flavour, const Scope& scope, std::string_view expected, bool presigned) {
  if (flavour == Flavour::kS3) {
    const std::string tail =
        cat("incorrect service \"", scope.service, "\". This endpoint belongs to \"", expected, "\".");
    if (presigned) return make(kIncompleteQuery[0], cat("Error parsing the X-Amz-Credential parameter; ", tail));
    return make(kIncomplete[0], cat("The authorization header is malformed; ", tail));
  }
  return make(pick(kMismatch, flavour), cat("Credential should be scoped to correct service: '", expected, "'. "));
}

Error chunk_mismatch() {
  return make(kMismatch[0],
              "The request signature we calculated does not match the signature you provided. Check your key and "
              "signing method.");
}

namespace detail {

void refuse_header(Flavour flavour, std::string_view s3_text, std::string_view text) {
  if (flavour == Flavour::kS3) throw make(kIncomplete[0], cat("The authorization header is malformed; ", s3_text));
  throw make(pick(kIncomplete, flavour), std::string(text));
}

void refuse_query(Flavour flavour, std::string_view s3_text, std::string_view text) {
  if (flavour == Flavour::kS3) throw make(kIncompleteQuery[0], std::string(s3_text));
  throw make(pick(kIncompleteQuery, flavour), std::string(text));
}

void refuse_algorithm(Flavour flavour) {
  if (flavour == Flavour::kS3)
    throw make(kInvalidRequest,
               "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.");
  throw make(pick(kIncomplete, flavour), "Unsupported AWS 'algorithm': only 'AWS4-HMAC-SHA256' is served.");
}

void refuse_version2() {
  throw make(kDenied, "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters");
}

void refuse_missing_hash() {
  throw make(kInvalidRequest, "Missing required header for this request: x-amz-content-sha256");
}

void refuse_bad_hash() {
  throw make(kInvalidArgument,
             "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
             "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
             {{"ArgumentName", "x-amz-content-sha256"}});
}

void refuse_unsigned_headers(std::string_view names) {
  throw make(kDenied, "There were headers present in the request which were not signed", {{"HeadersNotSigned", names}});
}

void refuse_signature(Flavour flavour, const SignedRequest& s, std::string_view to_sign, std::string_view canonical) {
  if (flavour != Flavour::kS3)
    throw make(
        pick(kMismatch, flavour),
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
        "Key and signing method. Consult the service documentation for details.");
  throw make(kMismatch[0],
             "The request signature we calculated does not match the signature you provided. Check your key and "
             "signing method.",
             {{"AWSAccessKeyId", s.access_key},
              {"StringToSign", to_sign},
              {"SignatureProvided", s.signature},
              {"StringToSignBytes", spaced_hex(to_sign)},
              {"CanonicalRequest", canonical},
              {"CanonicalRequestBytes", spaced_hex(canonical)}});
}

void refuse_skew(Flavour flavour, const SignedRequest& s, Time now) {
  if (flavour == Flavour::kS3)
    throw make(kSkewed, "The difference between the request time and the current time is too large.",
               {{"RequestTime", s.timestamp},
                {"ServerTime", iso8601(Time::from_seconds(now.seconds()))},
                {"MaxAllowedSkewMilliseconds", std::to_string(std::chrono::milliseconds(kMaxSkew).count())}});
  if (s.signed_at > now) refuse_not_yet(flavour, s, now);
  throw make(pick(kMismatch, flavour), cat("Signature expired: ", s.timestamp, " is now earlier than ",
                                           amz_date(now - kMaxSkew), " (", amz_date(now), " - 15 min.)"));
}

void refuse_expired(Flavour flavour, const SignedRequest& s, Time now) {
  const Time end = s.signed_at + std::chrono::seconds(s.expires);
  if (flavour == Flavour::kS3) {
    Json::Object members = {{"Expires", iso8601(end)}, {"ServerTime", iso8601(Time::from_seconds(now.seconds()))}};
    if (!s.version2()) members.insert(members.begin(), {"X-Amz-Expires", std::to_string(s.expires)});
    throw make(kDenied, "Request has expired", std::move(members));
  }
  throw make(pick(kMismatch, flavour),
             cat("Signature expired: ", amz_date(end), " is now earlier than ", amz_date(now)));
}

void refuse_not_yet(Flavour flavour, const SignedRequest& s, Time now) {
  if (flavour == Flavour::kS3)
    throw make(kDenied, "Request is not valid yet",
               {{"X-Amz-Date", s.timestamp}, {"ServerTime", iso8601(Time::from_seconds(now.seconds()))}});
  throw make(pick(kMismatch, flavour), cat("Signature not yet current: ", s.timestamp, " is still later than ",
                                           amz_date(now + kMaxSkew), " (", amz_date(now), " + 15 min.)"));
}

void refuse_body(Flavour flavour, const SignedRequest& s, std::string_view body_sha256) {
  if (flavour == Flavour::kS3)
    throw make(kBodyMismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.",
               {{"ClientComputedContentSHA256", s.payload_hash}, {"S3ComputedContentSHA256", body_sha256}});
  throw make(pick(kMismatch, flavour),
             "The value of x-amz-content-sha256 does not match the hash of the request's body.");
}

}  // namespace detail

}  // namespace virga::wire::sigv4
