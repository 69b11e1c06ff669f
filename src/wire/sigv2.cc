// Signature Version 2 of S3: boto3 still presigns with it unless told otherwise, and old tools know nothing else.
#include <algorithm>
#include <map>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/str.h"
#include "wire/sigv4_parts.h"

namespace virga::wire::sigv4::detail {

namespace {

// The query parameters that are part of what is signed.
constexpr std::string_view kSubresources[] = {"accelerate",
                                              "acl",
                                              "analytics",
                                              "cors",
                                              "delete",
                                              "encryption",
                                              "intelligent-tiering",
                                              "inventory",
                                              "legal-hold",
                                              "lifecycle",
                                              "location",
                                              "logging",
                                              "metrics",
                                              "notification",
                                              "object-lock",
                                              "ownershipControls",
                                              "partNumber",
                                              "policy",
                                              "policyStatus",
                                              "publicAccessBlock",
                                              "replication",
                                              "requestPayment",
                                              "response-cache-control",
                                              "response-content-disposition",
                                              "response-content-encoding",
                                              "response-content-language",
                                              "response-content-type",
                                              "response-expires",
                                              "restore",
                                              "retention",
                                              "select",
                                              "select-type",
                                              "tagging",
                                              "torrent",
                                              "uploadId",
                                              "uploads",
                                              "versionId",
                                              "versioning",
                                              "versions",
                                              "website"};

using Parameters = std::vector<std::pair<std::string, std::optional<std::string>>>;

Parameters parameters_of(std::string_view query) {
  Parameters out;
  for (const std::string_view piece : split(query, '&')) {
    if (piece.empty()) continue;
    const auto [name, value] = split_once(piece, '=');
    const auto decoded_name = percent_decode(name);
    const auto decoded_value = percent_decode(value, true);
    if (!decoded_name || !decoded_value) continue;
    const bool has_value = piece.size() > name.size();
    out.emplace_back(*decoded_name, has_value ? std::optional(*decoded_value) : std::nullopt);
  }
  return out;
}

const std::string* value_of(const Parameters& parameters, std::string_view name) {
  for (const auto& [key, value] : parameters) {
    if (key == name && value) return &*value;
  }
  return nullptr;
}

std::string resource(std::string_view path, const Parameters& parameters) {
  std::vector<std::string> kept;
  for (const auto& [name, value] : parameters) {
    if (std::find(std::begin(kSubresources), std::end(kSubresources), name) == std::end(kSubresources)) continue;
    kept.push_back(value ? cat(name, '=', *value) : name);
  }
  std::sort(kept.begin(), kept.end());
  std::string out(path);
  for (size_t i = 0; i < kept.size(); ++i) append(out, i == 0 ? '?' : '&', kept[i]);
  return out;
}

}  // namespace

bool is_version2(const HttpRequest& request) {
  const std::string* header = request.headers.find("authorization");
  if (header) return header->starts_with("AWS ");
  return request.query.find("AWSAccessKeyId=") != std::string::npos &&
         request.query.find("Signature=") != std::string::npos;
}

std::optional<SignedRequest> parse_version2(const HttpRequest& request) {
  SignedRequest out;
  out.service = "s3";
  out.payload = Payload::kUnsigned;
  if (const std::string* header = request.headers.find("authorization")) {
    const auto [key, signature] = split_once(trim(std::string_view(*header).substr(4)), ':');
    out.access_key = key;
    out.signature = signature;
    const std::string* date = request.headers.find("x-amz-date");
    if (!date) date = request.headers.find("date");
    std::optional<Time> at = date ? parse_http_date(*date) : std::nullopt;
    if (!at && date) at = parse_amz_date(*date);
    if (!at || key.empty() || signature.empty()) return std::nullopt;
    out.signed_at = *at;
    out.timestamp = *date;
    out.session_token = request.headers.get("x-amz-security-token");
    return out;
  }
  const Parameters parameters = parameters_of(request.query);
  const std::string *key = value_of(parameters, "AWSAccessKeyId"), *signature = value_of(parameters, "Signature"),
                    *expires = value_of(parameters, "Expires");
  const auto seconds = expires ? parse_int(*expires) : std::nullopt;
  if (!key || !signature || !seconds || *seconds < 0 || *seconds > 1'000'000'000'000) return std::nullopt;
  out.presigned = true;
  out.access_key = *key;
  out.signature = *signature;
  out.timestamp = *expires;
  out.signed_at = Time::from_seconds(*seconds);  // the end of its validity: the beginning is not said
  if (const std::string* token = value_of(parameters, "x-amz-security-token")) out.session_token = *token;
  return out;
}

void verify_version2(const SignedRequest& s, const HttpRequest& request, std::string_view secret, Time now) {
  if (s.presigned) {
    if (now > s.signed_at) refuse_expired(Flavour::kS3, s, now);
  } else if (s.signed_at > now + kMaxSkew || s.signed_at < now - kMaxSkew) {
    refuse_skew(Flavour::kS3, s, now);
  }
  const Parameters parameters = parameters_of(request.query);
  // A presigned URL carries in its query the headers that were signed with it, where the client need not send them.
  // Later they count as headers in whatever case they are written, so in every case they must be signed.
  std::map<std::string, std::string> amz;
  for (const auto& [name, value] : request.headers.fields()) {
    const std::string low = lower(name);
    if (!low.starts_with("x-amz-")) continue;
    std::string& all = amz[low];
    if (!all.empty()) all += ',';
    all += trim(value);
  }
  const auto header_or_query = [&](std::string_view name) {
    std::string out(request.headers.get(name));
    for (const auto& [key, value] : parameters) {
      if (out.empty() && s.presigned && value && equals_ignoring_case(key, name)) out = *value;
    }
    return out;
  };
  if (s.presigned) {
    for (const auto& [name, value] : parameters) {
      if (const std::string low = lower(name); low.starts_with("x-amz-") && value) amz.try_emplace(low, *value);
    }
  }
  const std::string date = s.presigned ? s.timestamp : amz.contains("x-amz-date") ? "" : s.timestamp;
  std::string head = cat(request.method, '\n', header_or_query("content-md5"), '\n', header_or_query("content-type"),
                         '\n', date, '\n');
  for (const auto& [name, value] : amz) append(head, name, ':', value, '\n');

  // Virtual hosts are paths already: routing put the bucket that the host names in front of request.path.
  const std::string signature = base64_encode(hmac_sha1(secret, cat(head, resource(request.path, parameters))));
  if (equal_constant_time(signature, s.signature)) return;
  refuse_signature(Flavour::kS3, s, cat(head, resource(request.path, parameters)), "");
}

}  // namespace virga::wire::sigv4::detail
