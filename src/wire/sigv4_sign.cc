#include <algorithm>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/str.h"
#include "wire/sigv4_parts.h"

namespace virga::wire::sigv4 {

using namespace detail;

namespace {

// Headers that proxies and HTTP libraries add or change on the way.
constexpr std::string_view kNeverSigned[] = {"authorization",     "connection", "expect",
                                             "transfer-encoding", "user-agent", "x-amzn-trace-id",
                                             "accept-encoding",   "te",         "upgrade"};

std::string headers_to_sign(const Headers& headers) {
  std::vector<std::string> out;
  for (const auto& [name, value] : headers.fields()) {
    std::string low = lower(name);
    if (std::find(std::begin(kNeverSigned), std::end(kNeverSigned), low) == std::end(kNeverSigned))
      out.push_back(std::move(low));
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return join(out, ";");
}

std::string signature_of(const HttpRequest& request, std::string_view names, std::string_view payload_hash,
                         const Identity& identity, const Scope& scope, std::string_view timestamp, Flavour flavour) {
  const std::string canonical = canonical_request(request, names, payload_hash, canonical_uri(request.path, flavour),
                                                  canonical_query(request.query));
  return hex_encode(hmac_sha256(derive_key(identity.secret, scope), string_to_sign(timestamp, scope, canonical)));
}

}  // namespace

void sign(HttpRequest& request, const Identity& identity, std::string_view region, std::string_view service,
          std::string_view payload_hash, Time now, Flavour flavour) {
  const std::string timestamp = amz_date(now);
  const Scope scope{identity.access_key, timestamp.substr(0, 8), std::string(region), std::string(service)};
  request.headers.remove("authorization");
  request.headers.set("x-amz-date", timestamp);
  if (!identity.session_token.empty()) request.headers.set("x-amz-security-token", identity.session_token);
  if (flavour == Flavour::kS3) request.headers.set("x-amz-content-sha256", payload_hash);
  const auto names = headers_to_sign(request.headers);
  const std::string signature = signature_of(request, names, payload_hash, identity, scope, timestamp, flavour);
  request.headers.set("authorization", cat(kAlgorithm, " Credential=", identity.access_key, '/', scope.text(),
                                           ", SignedHeaders=", names, ", Signature=", signature));
}

void presign(HttpRequest& request, const Identity& identity, std::string_view region, std::string_view service,
             int64_t expires, Time now, Flavour flavour) {
  const std::string timestamp = amz_date(now);
  const Scope scope{identity.access_key, timestamp.substr(0, 8), std::string(region), std::string(service)};
  const auto names = headers_to_sign(request.headers);
  std::string query = request.query;
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!query.empty()) query += '&';
    append(query, name, '=', percent_encode(value));
  };
  add("X-Amz-Algorithm", kAlgorithm);
  add("X-Amz-Credential", cat(identity.access_key, '/', scope.text()));
  add("X-Amz-Date", timestamp);
  add("X-Amz-Expires", std::to_string(expires));
  add("X-Amz-SignedHeaders", names);
  if (!identity.session_token.empty()) add("X-Amz-Security-Token", identity.session_token);
  request.query = std::move(query);
  const std::string_view payload = flavour == Flavour::kS3 ? std::string_view("UNSIGNED-PAYLOAD") : kEmptyHash;
  const std::string signature = signature_of(request, names, payload, identity, scope, timestamp, flavour);
  append(request.query, "&X-Amz-Signature=", signature);
  request.target = cat(request.path, '?', request.query);
}

}  // namespace virga::wire::sigv4
