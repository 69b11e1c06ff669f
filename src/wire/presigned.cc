#include "wire/presigned.h"

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/str.h"

namespace virga::wire {
namespace {

using Parameters = std::vector<std::pair<std::string, std::string>>;

constexpr ErrorShape kDenied{"AccessDenied", 403};
constexpr ErrorShape kMismatch{"SignatureDoesNotMatch", 403};

Error make(const ErrorShape& shape, std::string message, Json::Object members = {}) {
  return {&shape, std::move(message), members.empty() ? nullptr : std::make_shared<const Json>(std::move(members)), {}};
}

const std::string* value_of(const Parameters& parameters, std::string_view name) {
  for (const auto& [key, value] : parameters) {
    if (key == name) return &value;
  }
  return nullptr;
}

Parameters parameters_of(const HttpRequest& request) { return parse_query(request.query).value_or(Parameters{}); }

// Parameters that are part of what is addressed. docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
constexpr std::array<std::string_view, 34> kAddressing{"accelerate",
                                                       "acl",
                                                       "analytics",
                                                       "cors",
                                                       "defaultObjectAcl",
                                                       "delete",
                                                       "inventory",
                                                       "lifecycle",
                                                       "location",
                                                       "logging",
                                                       "metrics",
                                                       "notification",
                                                       "object-lock",
                                                       "partNumber",
                                                       "policy",
                                                       "replication",
                                                       "requestPayment",
                                                       "response-cache-control",
                                                       "response-content-disposition",
                                                       "response-content-encoding",
                                                       "response-content-language",
                                                       "response-content-type",
                                                       "response-expires",
                                                       "restore",
                                                       "select",
                                                       "select-type",
                                                       "storageClass",
                                                       "tagging",
                                                       "torrent",
                                                       "uploadId",
                                                       "uploads",
                                                       "versionId",
                                                       "versioning",
                                                       "versions"};

bool is_addressing(std::string_view name) {
  return name == "website" || std::ranges::find(kAddressing, name) != kAddressing.end();
}

// Version 4's own parameters, which are no headers.
bool is_signature_parameter(std::string_view name) {
  return name == "x-amz-algorithm" || name == "x-amz-credential" || name == "x-amz-date" || name == "x-amz-expires" ||
         name == "x-amz-signedheaders" || name == "x-amz-signature" || name == "x-amz-security-token";
}

}  // namespace

namespace sigv2 {

std::optional<Presigned> find(const HttpRequest& request) {
  if (request.query.find("AWSAccessKeyId=") == std::string::npos) return std::nullopt;
  const Parameters parameters = parameters_of(request);
  const std::string *key = value_of(parameters, "AWSAccessKeyId"), *signature = value_of(parameters, "Signature"),
                    *expires = value_of(parameters, "Expires");
  if (!key || !signature || !expires) {
    throw make(kDenied, "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters");
  }
  const auto seconds = parse_int(*expires);
  if (!seconds) throw make(kDenied, "Invalid date (should be seconds since epoch): " + *expires);
  Presigned out{*key, *signature, {}, *seconds};
  for (const auto& [name, value] : parameters) {
    if (equals_ignoring_case(name, "x-amz-security-token")) out.session_token = value;
  }
  if (out.session_token.empty()) out.session_token = request.headers.get("x-amz-security-token");
  return out;
}

std::string string_to_sign(const HttpRequest& request, std::string_view expires) {
  const Parameters parameters = parameters_of(request);
  // Signers put the headers they signed into the query; a client may send them as headers too.
  std::map<std::string, std::string> headers;
  for (const auto& [name, value] : parameters) {
    const std::string low = lower(name);
    if (low.starts_with("x-amz-") || low == "content-md5" || low == "content-type") headers.emplace(low, value);
  }
  std::map<std::string, std::string> sent;
  for (const auto& [name, value] : request.headers.fields()) {
    const std::string low = lower(name);
    if (!low.starts_with("x-amz-") && low != "content-md5" && low != "content-type") continue;
    std::string& text = sent[low];
    append(text, text.empty() ? "" : ",", trim(value));
  }
  for (auto& [name, value] : sent) headers[name] = std::move(value);

  std::string out =
      cat(request.method, "\n", headers["content-md5"], "\n", headers["content-type"], "\n", expires, "\n");
  for (const auto& [name, value] : headers) {
    if (name.starts_with("x-amz-")) append(out, name, ":", value, "\n");
  }
  out += request.path;
  // As they stand in the query, those without a value too.
  std::vector<std::pair<std::string, std::string>> addressing;
  for (const std::string_view part : split(request.query, '&')) {
    const auto [name, value] = split_once(part, '=');
    if (!is_addressing(name)) continue;
    const bool has_value = part.find('=') != std::string_view::npos;
    addressing.emplace_back(name, has_value ? cat(name, "=", percent_decode(value).value_or("")) : std::string(name));
  }
  std::ranges::stable_sort(addressing, {}, [](const auto& part) { return part.first; });
  for (size_t i = 0; i < addressing.size(); ++i) append(out, i == 0 ? "?" : "&", addressing[i].second);
  return out;
}

std::string sign(std::string_view secret, std::string_view to_sign) {
  return base64_encode(hmac_sha1(secret, to_sign));
}

void verify(const Presigned& presigned, const HttpRequest& request, std::string_view secret, Time now) {
  if (now.seconds() > presigned.expires) {
    throw make(kDenied, "Request has expired",
               {{"Expires", iso8601(Time::from_seconds(presigned.expires))},
                {"ServerTime", iso8601(Time::from_seconds(now.seconds()))}});
  }
  const std::string to_sign = string_to_sign(request, cat(presigned.expires));
  if (equal_constant_time(sign(secret, to_sign), presigned.signature)) return;
  throw make(kMismatch,
             "The request signature we calculated does not match the signature you provided. Check your key and "
             "signing method.",
             {{"AWSAccessKeyId", presigned.access_key},
              {"StringToSign", to_sign},
              {"SignatureProvided", presigned.signature}});
}

}  // namespace sigv2

void take_headers_from_query(HttpRequest& request) {
  if (request.query.empty()) return;
  for (const auto& [name, value] : parameters_of(request)) {
    const std::string low = lower(name);
    const bool header =
        low.starts_with("x-amz-") ? !is_signature_parameter(low) : low == "content-md5" || low == "content-type";
    if (header && !request.headers.has(low)) request.headers.add(low, value);
  }
}

}  // namespace virga::wire
