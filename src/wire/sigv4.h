// AWS Signature Version 4 on plain values: finding, checking and making signatures. No I/O, no clock, no key store.
// For S3 also Version 2, which clients still presign with: its scope has neither date nor region, and its key is the
// secret.
//
// The door's use:
//   auto claim = sigv4::peek_claim(request);                       // routing; never throws
//   auto found = sigv4::find_signature(request, claim, flavour);   // nothing: anonymous
//   … look up found->access_key with found->session_token; unknown: throw sigv4::unknown_key(flavour, …)
//   key = keys.derive(secret, *found);
//   sigv4::verify(*found, request, body_sha256_hex, key, now, flavour);
//   is_chunked(found->payload): wrap the body with aws_chunked and a ChunkVerifier(*found, key).
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "wire/http.h"
#include "wire/shape.h"

namespace virga::wire::sigv4 {

// Families of services that spell refusals, and encode paths, their own way.
enum class Flavour : uint8_t {
  kS3,     // path encoded once; x-amz-content-sha256 required; <Code>SignatureDoesNotMatch
  kJson,   // awsJson and CBOR: InvalidSignatureException, 400
  kRest,   // restJson: the same codes, 403
  kQuery,  // query and restXml but S3: SignatureDoesNotMatch, InvalidClientTokenId
};
Flavour flavour_of(std::string_view service_id, Protocol protocol);

inline constexpr std::chrono::minutes kMaxSkew{15};
inline constexpr int64_t kMaxExpires = 604'800;  // seconds a presigned request may stay valid

// What x-amz-content-sha256 says of the body.
enum class Payload : uint8_t {
  kBodyHash,              // not said: the hash of the body itself is signed
  kStatedHash,            // said: the body must have this hash
  kUnsigned,              // UNSIGNED-PAYLOAD
  kChunkSigned,           // STREAMING-AWS4-HMAC-SHA256-PAYLOAD
  kChunkSignedTrailer,    // STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER
  kChunkUnsignedTrailer,  // STREAMING-UNSIGNED-PAYLOAD-TRAILER
};
inline bool is_chunked(Payload p) { return p >= Payload::kChunkSigned; }

struct Scope {
  std::string access_key, date, region, service;
  std::string text() const;  // date/region/service/aws4_request
  bool version2() const { return date.empty(); }
};

struct SignedRequest : Scope {
  bool presigned = false;      // by query parameters, not by the Authorization header
  std::string signed_headers;  // lower case, as listed: host;x-amz-date
  std::string signature;       // lower-case hex
  std::string session_token;   // empty: none
  std::string timestamp;       // as signed: 20240501T120000Z
  Time signed_at;
  int64_t expires = 0;  // seconds; presigned only
  Payload payload = Payload::kBodyHash;
  std::string payload_hash;  // as it stands in the canonical request; empty for kBodyHash
};

// What a request says of its signature, none of it checked. Refers to the request's headers.
struct Claim {
  std::optional<Scope> scope;  // wherever the request carries one and however broken the rest is
  bool by_header = false;      // an Authorization header of Version 4, with these parts, empty where they are missing:
  std::string_view credential, signed_headers, signature;
};
Claim peek_claim(const HttpRequest& request);

// The signature of a request; nothing when it carries none. `claim` is what peek_claim found. Throws Error on a
// malformed one, in the flavour's words.
std::optional<SignedRequest> find_signature(const HttpRequest& request, Claim claim, Flavour flavour);

// Throws Error unless the signature is the one `key` (derive_key) makes and `now` is within its validity. `now` is the
// machine's time: a client's clock knows nothing of a cloud's moved one.
// `body_sha256`: hex hash of the body, needed for kBodyHash and compared with a stated one; empty when the body
// streams, and then check_body is called at its end.
void verify(const SignedRequest& signature, const HttpRequest& request, std::string_view body_sha256,
            std::string_view key, Time now, Flavour flavour);
// Throws Error when a stated hash isn't the body's.
void check_body(const SignedRequest& signature, std::string_view body_sha256, Flavour flavour);

// kDate/kRegion/kService/kSigning: four HMACs, raw bytes. Of a Version 2 scope the secret.
std::string derive_key(std::string_view secret, const Scope& scope);

// Remembers derived keys. Safe from any thread; bounded.
class KeyCache {
 public:
  explicit KeyCache(size_t most = 4096) : most_(most) {}
  std::string derive(std::string_view secret, const Scope& scope);

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, std::string> keys_;
  size_t most_;
};

// The chain of signatures over the chunks of a kChunkSigned* body. False: the signature is wrong, stop.
class ChunkVerifier {
 public:
  ChunkVerifier(const SignedRequest& seed, std::string key);
  bool verify_chunk(std::string_view chunk_sha256_hex, std::string_view signature);
  // `canonical`: "name:value\n" for each trailing header, lower case, sorted, without x-amz-trailer-signature.
  bool verify_trailer(std::string_view canonical, std::string_view signature);
  // The signature the next chunk should carry, for signers; advances the chain.
  std::string sign_chunk(std::string_view chunk_sha256_hex);
  std::string sign_trailer(std::string_view canonical);

 private:
  std::string key_, prefix_, previous_;
};

// --- Signing: the client's half ---

struct Identity {
  std::string access_key, secret, session_token;
};
// The request has its host header. Adds x-amz-date, x-amz-security-token, x-amz-content-sha256 (S3 only) and
// Authorization; every header present is signed but those that proxies change. `payload_hash`: hex, or one of the words
// of Payload.
void sign(HttpRequest& request, const Identity& identity, std::string_view region, std::string_view service,
          std::string_view payload_hash, Time now, Flavour flavour);
// Signs by query parameters: changes request.query and request.target.
void presign(HttpRequest& request, const Identity& identity, std::string_view region, std::string_view service,
             int64_t expires, Time now, Flavour flavour);

// --- Refusals, as each family words them ---

Error missing_authentication(Flavour flavour);                    // a call that needs a signature has none
Error unknown_key(Flavour flavour, std::string_view access_key);  // no such access key, or inactive
Error invalid_token(Flavour flavour, std::string_view token);     // the session token is not one of ours
Error expired_token(Flavour flavour, std::string_view token);     // it was
Error wrong_service(Flavour flavour, const Scope& scope, std::string_view expected, bool presigned);
Error chunk_mismatch();  // a ChunkVerifier said false

// The path that is signed for all services but S3: without empty, "." and ".." segments, keeping a slash at the end.
std::string normalize_path(std::string_view path);

// --- The parts, for tests and fuzzing ---

std::string canonical_uri(std::string_view path, Flavour flavour);
std::string canonical_query(std::string_view query, bool plus_is_space = false);
std::string canonical_request(const HttpRequest& request, std::string_view signed_headers,
                              std::string_view payload_hash, std::string_view uri, std::string_view query);
std::string string_to_sign(std::string_view timestamp, const Scope& scope, std::string_view canonical);

}  // namespace virga::wire::sigv4
