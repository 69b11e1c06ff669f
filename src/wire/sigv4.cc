#include "wire/sigv4.h"

#include <algorithm>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/str.h"
#include "wire/sigv4_parts.h"

namespace virga::wire::sigv4 {

using namespace detail;

namespace {

constexpr size_t kMaxSignedHeaders = 200;

std::string hex_hmac(std::string_view key, std::string_view text) {
  return hex_encode(text_of(hmac_sha256_digest(key, text)));
}

bool is_hex_hash(std::string_view s) {
  return s.size() == 64 && std::all_of(s.begin(), s.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

bool is_date(std::string_view s) {
  return s.size() == 8 && std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Akid/20240501/us-east-1/s3/aws4_request. An access key has no slash.
std::optional<Scope> parse_credential(std::string_view text) {
  const auto [key, after_key] = split_once(text, '/');
  const auto [date, after_date] = split_once(after_key, '/');
  const auto [region, after_region] = split_once(after_date, '/');
  const auto [service, end] = split_once(after_region, '/');
  if (end != "aws4_request" || key.empty() || service.empty()) return std::nullopt;
  return Scope{std::string(key), std::string(date), std::string(region), std::string(service)};
}

// An algorithm, blanks, and name=value pairs separated by commas, blanks around them.
void parse_authorization(std::string_view text, Claim& out) {
  text.remove_prefix(std::min(text.size(), text.find_first_of(" \t")));
  while (!text.empty()) {
    const auto [part, rest] = split_once(text, ',');
    text = rest;
    const auto [name, value] = split_once(trim(part), '=');
    if (name == "Credential") out.credential = value;
    if (name == "SignedHeaders") out.signed_headers = value;
    if (name == "Signature") out.signature = value;
  }
}

// The last value of a query parameter, decoded.
std::optional<std::string> query_value(std::string_view query, std::string_view name) {
  std::optional<std::string> out;
  for (std::string_view piece : split(query, '&')) {
    const auto [raw, value] = split_once(piece, '=');
    if (raw.size() < name.size()) continue;
    const auto decoded = percent_decode(raw);
    if (!decoded || *decoded != name) continue;
    if (auto v = percent_decode(value)) out = std::move(*v);
  }
  return out;
}

bool may_be_presigned(const HttpRequest& request) {
  return request.query.find("X-Amz-Algorithm") != std::string::npos ||
         request.query.find("X-Amz-Credential") != std::string::npos ||
         request.query.find("X-Amz-Signature") != std::string::npos;
}

void read_payload(SignedRequest& out, const std::string* stated, Flavour flavour) {
  if (!stated) {
    if (flavour != Flavour::kS3) return;  // kBodyHash
    if (!out.presigned) refuse_missing_hash();
    out.payload = Payload::kUnsigned;
    out.payload_hash = "UNSIGNED-PAYLOAD";
    return;
  }
  out.payload_hash = *stated;
  if (*stated == "UNSIGNED-PAYLOAD") {
    out.payload = Payload::kUnsigned;
  } else if (*stated == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") {
    out.payload = Payload::kChunkSigned;
  } else if (*stated == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER") {
    out.payload = Payload::kChunkSignedTrailer;
  } else if (*stated == "STREAMING-UNSIGNED-PAYLOAD-TRAILER") {
    out.payload = Payload::kChunkUnsignedTrailer;
  } else if (is_hex_hash(*stated)) {
    out.payload = Payload::kStatedHash;
  } else if (flavour == Flavour::kS3) {
    refuse_bad_hash();
  } else {
    out.payload_hash.clear();  // elsewhere the header means nothing unless it is a hash
  }
}

bool read_signed_headers(SignedRequest& out, std::string_view text) {
  if (text.front() == ';' || text.back() == ';' || text.find(";;") != text.npos) return false;
  if (std::ranges::count(text, ';') >= kMaxSignedHeaders) return false;
  out.signed_headers = lower(text);
  return true;
}

SignedRequest from_header(const HttpRequest& request, Claim fields, Flavour flavour) {
  const std::string& header = *request.headers.find("authorization");
  if (!trim(header).starts_with("AWS4-HMAC-SHA256 ")) refuse_algorithm(flavour);
  SignedRequest out;
  const std::string* amz_date_header = request.headers.find("x-amz-date");
  const std::string* date_header = request.headers.find("date");

  std::string missing;
  if (fields.credential.empty()) missing += "Authorization header requires 'Credential' parameter. ";
  if (fields.signature.empty()) missing += "Authorization header requires 'Signature' parameter. ";
  if (fields.signed_headers.empty()) missing += "Authorization header requires 'SignedHeaders' parameter. ";
  if (!amz_date_header && !date_header)
    missing += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
  if (!missing.empty()) {
    missing += cat("(Hashed with SHA-256 and encoded with Base64) Authorization=", base64_encode(sha256(header)));
    const std::string_view which =
        fields.credential.empty()       ? "the authorization component \"Credential=...\" is missing"
        : fields.signed_headers.empty() ? "the authorization component \"SignedHeaders=...\" is missing"
        : fields.signature.empty()      ? "the authorization component \"Signature=...\" is missing"
                                        : "a valid Date or x-amz-date header is required";
    refuse_header(flavour, which, missing);
  }
  if (!fields.scope)
    refuse_header(
        flavour, "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
        cat("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '",
            fields.credential, "'"));
  static_cast<Scope&>(out) = std::move(*fields.scope);
  if (!is_date(out.date))
    refuse_header(flavour,
                  cat("incorrect date format \"", out.date,
                      "\". This date in the credential must be in the format \"yyyyMMdd\"."),
                  "Credential must have a date of the form yyyyMMdd.");
  if (!read_signed_headers(out, fields.signed_headers))
    refuse_header(flavour, "the SignedHeaders component is mal-formed.", "SignedHeaders is malformed.");
  out.signature = std::string(fields.signature);

  const std::optional<Time> at = amz_date_header ? parse_amz_date(*amz_date_header) : [&]() -> std::optional<Time> {
    if (auto t = parse_amz_date(*date_header)) return t;
    return parse_http_date(*date_header);
  }();
  if (!at)
    refuse_header(
        flavour, "a valid Date or x-amz-date header is required",
        cat("Date must be in ISO-8601 'basic format'. Got '", amz_date_header ? *amz_date_header : *date_header,
            "'. See http://en.wikipedia.org/wiki/ISO_8601"));
  out.signed_at = *at;
  if (amz_date_header) {
    out.timestamp = *amz_date_header;  // it has that form
  } else {
    out.timestamp = amz_date(*at);
  }
  if (const std::string* token = request.headers.find("x-amz-security-token")) out.session_token = *token;
  read_payload(out, request.headers.find("x-amz-content-sha256"), flavour);
  return out;
}

SignedRequest from_query(const HttpRequest& request, Flavour flavour) {
  SignedRequest out;
  out.presigned = true;
  const auto algorithm = query_value(request.query, "X-Amz-Algorithm");
  const auto credential = query_value(request.query, "X-Amz-Credential");
  const auto date = query_value(request.query, "X-Amz-Date");
  const auto expires = query_value(request.query, "X-Amz-Expires");
  const auto headers = query_value(request.query, "X-Amz-SignedHeaders");
  const auto signature = query_value(request.query, "X-Amz-Signature");
  if (algorithm && *algorithm != kAlgorithm) {
    refuse_query(flavour, "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256\"",
                 cat("Unsupported AWS 'algorithm': '", *algorithm, "'."));
  }
  std::string missing;
  const auto need = [&](const std::optional<std::string>& value, std::string_view name) {
    if (!value || value->empty()) append(missing, "AWS query-string parameters must include '", name, "'. ");
  };
  need(algorithm, "X-Amz-Algorithm");
  need(credential, "X-Amz-Credential");
  need(signature, "X-Amz-Signature");
  need(headers, "X-Amz-SignedHeaders");
  need(date, "X-Amz-Date");
  if (flavour == Flavour::kS3) need(expires, "X-Amz-Expires");
  if (!missing.empty()) {
    refuse_query(
        flavour,
        "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
        "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        cat(missing, "Re-examine the query-string parameters."));
  }
  auto scope = parse_credential(*credential);
  if (!scope || !is_date(scope->date)) {
    refuse_query(
        flavour,
        "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting "
        "\"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
        cat("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '",
            *credential, "'"));
  }
  static_cast<Scope&>(out) = std::move(*scope);
  if (!read_signed_headers(out, *headers))
    refuse_query(flavour, "X-Amz-SignedHeaders is mal-formed.", "X-Amz-SignedHeaders is malformed.");
  out.signature = *signature;
  const auto at = parse_amz_date(*date);
  if (!at)
    refuse_query(flavour, "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
                 cat("Date must be in ISO-8601 'basic format'. Got '", *date, "'."));
  out.signed_at = *at;
  out.timestamp = amz_date(*at);

  out.expires = std::chrono::seconds(kMaxSkew).count();
  if (expires && !expires->empty()) {
    const auto seconds = parse_int(*expires);
    if (!seconds) refuse_query(flavour, "X-Amz-Expires should be a number", "X-Amz-Expires should be a number");
    if (*seconds < 0) refuse_query(flavour, "X-Amz-Expires must be non-negative", "X-Amz-Expires must be non-negative");
    if (*seconds > kMaxExpires) {
      constexpr std::string_view kTooLong =
          "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
          "604800 seconds";
      refuse_query(flavour, kTooLong, kTooLong);
    }
    out.expires = *seconds;
  }
  if (auto token = query_value(request.query, "X-Amz-Security-Token")) out.session_token = std::move(*token);
  const auto stated = query_value(request.query, "X-Amz-Content-Sha256");
  read_payload(out, stated ? &*stated : request.headers.find("x-amz-content-sha256"), flavour);
  return out;
}

// Calls `f` with each name of a list like host;x-amz-date, until it says true; whether it did.
template <class F>
bool any_name(std::string_view list, F f) {
  while (!list.empty()) {
    const auto [name, rest] = split_once(list, ';');
    if (f(name)) return true;
    list = rest;
  }
  return false;
}

bool is_signed(const SignedRequest& s, std::string_view name) {
  return any_name(s.signed_headers, [&](std::string_view each) { return each == name; });
}

// Headers that change what a request means must be part of what was signed.
void check_coverage(const SignedRequest& s, const HttpRequest& request, Flavour flavour) {
  if (!is_signed(s, "host") && !is_signed(s, ":authority")) {
    if (flavour == Flavour::kS3) refuse_unsigned_headers("host");
    refuse_header(flavour, "", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
  }
  std::string unsigned_names;
  for (const auto& [name, value] : request.headers.fields()) {
    if (!equals_ignoring_case(std::string_view(name).substr(0, 6), "x-amz-")) continue;
    if (is_signed(s, name)) continue;  // most clients send it in lower case
    const std::string low = lower(name);
    if (is_signed(s, low)) continue;
    if (s.presigned && low == "x-amz-content-sha256") continue;
    if (flavour != Flavour::kS3 && low != "x-amz-target" && low != "x-amz-date") continue;
    if (!unsigned_names.empty()) unsigned_names += ", ";
    unsigned_names += low;
  }
  if (unsigned_names.empty()) return;
  if (flavour == Flavour::kS3) refuse_unsigned_headers(unsigned_names);
  refuse_header(flavour, "", cat("'", unsigned_names, "' must be a 'SignedHeader' in the AWS Authorization."));
}

void check_time(const SignedRequest& s, Time now, Flavour flavour) {
  if (s.presigned) {
    if (s.signed_at > now + kMaxSkew) refuse_not_yet(flavour, s, now);
    if (now > s.signed_at + std::chrono::seconds(s.expires)) refuse_expired(flavour, s, now);
  } else if (s.signed_at > now + kMaxSkew || s.signed_at < now - kMaxSkew) {
    refuse_skew(flavour, s, now);
  }
  const std::string_view day = std::string_view(s.timestamp).substr(0, 8);
  if (s.date == day) return;
  refuse_header(
      flavour, cat("Invalid credential date \"", s.date, "\". This date is not the same as X-Amz-Date: \"", day, "\"."),
      cat("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '", s.date,
          "' != '", day, "', from '", s.timestamp, "'."));
}

// Whether a value is signed as it stands. What blanks there may be besides spaces comes before them in ASCII; they are
// looked for without a way out of the loop, many characters at a time.
bool has_single_blanks(std::string_view value) {
  if (value.empty()) return true;
  bool odd = value.front() == ' ' || value.back() == ' ';
  for (const unsigned char c : value) odd |= c < ' ';
  return !odd && value.find("  ") == value.npos;
}

// A header's values as they are signed: joined by commas, each run of blanks one space.
void append_value(std::string& out, const Headers& headers, std::string_view name) {
  bool first = true;
  for (const auto& [field, value] : headers.fields()) {
    if (field.size() != name.size() || !equals_ignoring_case(field, name)) continue;
    if (!first) out += ',';
    first = false;
    if (has_single_blanks(value)) {
      out += value;
      continue;
    }
    bool space = false;
    const size_t start = out.size();
    for (char c : value) {
      if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f') {
        space = true;
      } else {
        if (space && out.size() > start) out += ' ';
        space = false;
        out += c;
      }
    }
  }
}

}  // namespace

std::string Scope::text() const { return cat(date, '/', region, '/', service, "/aws4_request"); }

Claim peek_claim(const HttpRequest& request) {
  Claim out;
  const std::string_view header = trim(request.headers.get("authorization"));
  if (header.starts_with("AWS4-")) {
    out.by_header = true;
    parse_authorization(header, out);
    out.scope = parse_credential(out.credential);
  } else if (may_be_presigned(request)) {
    if (const auto credential = query_value(request.query, "X-Amz-Credential"))
      out.scope = parse_credential(*credential);
  } else if (is_version2(request)) {
    if (auto old = parse_version2(request)) out.scope = std::move(*old);
  }
  return out;
}

std::optional<SignedRequest> find_signature(const HttpRequest& request, Claim claim, Flavour flavour) {
  const bool by_query = may_be_presigned(request);
  if (claim.by_header) {
    if (by_query && query_value(request.query, "X-Amz-Algorithm") && flavour == Flavour::kS3) {
      // Which of the two to believe is not ours to choose.
      refuse_query(flavour,
                   "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query "
                   "string parameter "
                   "or the Authorization header should be specified",
                   "");
    }
    return from_header(request, std::move(claim), flavour);
  }
  if (request.headers.get("authorization").starts_with("AWS ") && flavour != Flavour::kS3) refuse_algorithm(flavour);
  if (by_query) return from_query(request, flavour);
  if (flavour != Flavour::kS3 || !is_version2(request)) return std::nullopt;
  auto old = parse_version2(request);
  if (!old) refuse_version2();
  return old;
}

std::string normalize_path(std::string_view path) {
  // Each segment to be removed follows a slash and is one, or begins with a dot.
  if (path.starts_with('/') && path.find("//") == path.npos && path.find("/.") == path.npos) return std::string(path);
  std::vector<std::string_view> kept;
  for (std::string_view segment : split(path, '/')) {
    if (segment.empty() || segment == ".") continue;
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else {
      kept.push_back(segment);
    }
  }
  std::string out;
  for (std::string_view segment : kept) {
    out += '/';
    out += segment;
  }
  if (path.ends_with('/') || out.empty()) out += '/';
  return out;
}

std::string canonical_uri(std::string_view path, Flavour flavour) {
  if (path.empty()) return "/";
  if (flavour != Flavour::kS3) return percent_encode(normalize_path(path), true);
  const auto decoded = percent_decode(path);
  return decoded ? percent_encode(*decoded, true) : std::string(path);
}

std::string canonical_query(std::string_view query, bool plus_is_space) {
  if (query.empty()) return {};
  std::vector<std::pair<std::string, std::string>> pairs;
  const auto recode = [&](std::string_view text) {
    auto decoded = percent_decode(text, plus_is_space);
    return percent_encode(decoded ? std::string_view(*decoded) : text);
  };
  for (std::string_view piece : split(query, '&')) {
    if (piece.empty()) continue;
    const auto [name, value] = split_once(piece, '=');
    std::string coded = recode(name);
    if (coded == "X-Amz-Signature") continue;
    pairs.emplace_back(std::move(coded), recode(value));
  }
  std::sort(pairs.begin(), pairs.end());
  std::string out;
  for (const auto& [name, value] : pairs) {
    if (!out.empty()) out += '&';
    append(out, name, '=', value);
  }
  return out;
}

std::string canonical_request(const HttpRequest& request, std::string_view signed_headers,
                              std::string_view payload_hash, std::string_view uri, std::string_view query) {
  std::string out;
  out.reserve(768);
  append(out, request.method, '\n', uri, '\n', query, '\n');
  any_name(signed_headers, [&](std::string_view name) {
    out += name;
    out += ':';
    append_value(out, request.headers, name == ":authority" ? "host" : name);
    out += '\n';
    return false;
  });
  append(out, '\n', signed_headers, '\n', payload_hash);
  return out;
}

std::string string_to_sign(std::string_view timestamp, const Scope& scope, std::string_view canonical) {
  std::string out;
  out.reserve(192);
  append(out, kAlgorithm, '\n', timestamp, '\n', scope.date, '/', scope.region, '/', scope.service, "/aws4_request\n");
  append_hex(out, text_of(sha256_digest(canonical)));
  return out;
}

std::string derive_key(std::string_view secret, const Scope& scope) {
  if (scope.version2()) return std::string(secret);
  return hmac_sha256(
      hmac_sha256(hmac_sha256(hmac_sha256(cat("AWS4", secret), scope.date), scope.region), scope.service),
      "aws4_request");
}

void check_body(const SignedRequest& s, std::string_view body_sha256, Flavour flavour) {
  if (s.payload == Payload::kStatedHash && !equals_ignoring_case(s.payload_hash, body_sha256))
    refuse_body(flavour, s, body_sha256);
}

// The path as the client sent and signed it: routing puts the bucket that a host names in front of request.path.
static std::string_view signed_path(const HttpRequest& request) {
  if (!request.target.starts_with('/')) return request.path;
  return std::string_view(request.target).substr(0, request.target.find('?'));
}

void verify(const SignedRequest& s, const HttpRequest& request, std::string_view body_sha256, std::string_view key,
            Time now, Flavour flavour) {
  if (s.version2()) return verify_version2(s, request, key, now);
  check_coverage(s, request, flavour);
  check_time(s, now, flavour);
  const std::string_view hash = s.payload == Payload::kBodyHash ? (body_sha256.empty() ? kEmptyHash : body_sha256)
                                                                : std::string_view(s.payload_hash);
  const std::string_view path = signed_path(request);
  const std::string uri = canonical_uri(path, flavour);
  const std::string query = canonical_query(request.query);
  const auto attempt = [&](std::string_view with_uri, std::string_view with_query, std::string* text,
                           std::string* canonical) {
    std::string c = canonical_request(request, s.signed_headers, hash, with_uri, with_query);
    std::string t = string_to_sign(s.timestamp, s, c);
    const bool equal = equal_constant_time(hex_hmac(key, t), s.signature);
    if (text) *text = std::move(t);
    if (canonical) *canonical = std::move(c);
    return equal;
  };
  std::string to_sign, canonical;
  bool good = attempt(uri, query, &to_sign, &canonical);
  // Some clients sign the path of an object exactly as they send it, and some send a blank in a query as '+'. Either
  // text names the same thing, so accepting both loses nothing.
  if (!good && flavour == Flavour::kS3 && path != uri) good = attempt(std::string(path), query, nullptr, nullptr);
  if (!good && request.query.find('+') != std::string::npos)
    good = attempt(uri, canonical_query(request.query, true), nullptr, nullptr);
  if (!good) refuse_signature(flavour, s, to_sign, canonical);
  if (!body_sha256.empty()) check_body(s, body_sha256, flavour);
}

std::string KeyCache::derive(std::string_view secret, const Scope& scope) {
  if (scope.version2()) return std::string(secret);
  std::string name = cat(scope.date, '/', scope.region, '/', scope.service, '/', secret);
  {
    std::lock_guard lock(mutex_);
    if (auto it = keys_.find(name); it != keys_.end()) return it->second;
  }
  std::string key = derive_key(secret, scope);
  std::lock_guard lock(mutex_);
  if (keys_.size() >= most_) keys_.clear();  // old days' keys never come back
  keys_.emplace(std::move(name), key);
  return key;
}

ChunkVerifier::ChunkVerifier(const SignedRequest& seed, std::string key)
    : key_(std::move(key)), prefix_(cat('\n', seed.timestamp, '\n', seed.text(), '\n')), previous_(seed.signature) {}

std::string ChunkVerifier::sign_chunk(std::string_view chunk_sha256_hex) {
  previous_ =
      hex_hmac(key_, cat("AWS4-HMAC-SHA256-PAYLOAD", prefix_, previous_, '\n', kEmptyHash, '\n', chunk_sha256_hex));
  return previous_;
}

std::string ChunkVerifier::sign_trailer(std::string_view canonical) {
  previous_ = hex_hmac(key_, cat("AWS4-HMAC-SHA256-TRAILER", prefix_, previous_, '\n', hex_encode(sha256(canonical))));
  return previous_;
}

bool ChunkVerifier::verify_chunk(std::string_view chunk_sha256_hex, std::string_view signature) {
  return equal_constant_time(sign_chunk(chunk_sha256_hex), signature);
}

bool ChunkVerifier::verify_trailer(std::string_view canonical, std::string_view signature) {
  return equal_constant_time(sign_trailer(canonical), signature);
}

}  // namespace virga::wire::sigv4
