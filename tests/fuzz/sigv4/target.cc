// Signatures found in and checked against arbitrary requests: only an Error may come out, never a success by accident;
// what we sign, we accept.
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/str.h"
#include "wire/sigv4.h"

using namespace virga;
using namespace virga::wire;

namespace {

// "METHOD target\nName: value\n…\n\nbody"
HttpRequest request_of(std::string_view text, std::string& body) {
  HttpRequest r;
  auto [line, rest] = split_once(text, '\n');
  const auto [method, target] = split_once(line, ' ');
  r.method = method;
  r.target = target;
  const auto [path, query] = split_once(target, '?');
  r.path = path;
  r.query = query;
  while (!rest.empty()) {
    const auto [header, more] = split_once(rest, '\n');
    rest = more;
    if (header.empty()) break;
    const auto [name, value] = split_once(header, ':');
    r.headers.add(name, trim(value));
  }
  body = rest;
  return r;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string body;
  const HttpRequest request = request_of({reinterpret_cast<const char*>(data), size}, body);
  const Time now = Time::from_seconds(1'714'564'800);
  const std::string hash = hex_encode(sha256(body));
  for (const auto flavour :
       {sigv4::Flavour::kS3, sigv4::Flavour::kJson, sigv4::Flavour::kRest, sigv4::Flavour::kQuery}) {
    (void)sigv4::peek_claim(request);
    try {
      const auto found = sigv4::find_signature(request, sigv4::peek_claim(request), flavour);
      if (found) {
        sigv4::verify(*found, request, hash, sigv4::derive_key("a secret nobody has", *found), now, flavour);
        abort();
      }
    } catch (const Error&) {
    }
    // Headers that a client can't send whole are no client's.
    HttpRequest ours = request;
    ours.headers.remove("authorization");
    ours.headers.set("host", "example.com");
    for (const std::string_view name : {"x-amz-content-sha256", "x-amz-date", "x-amz-security-token"})
      ours.headers.remove(name);
    bool sane = ours.query.find("X-Amz-") == std::string::npos && ours.query.find('%') == std::string::npos;
    for (const auto& [name, value] : ours.headers.fields()) {
      sane &= !name.empty() && std::all_of(name.begin(), name.end(),
                                           [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; });
    }
    if (!sane) continue;
    sigv4::sign(ours, {"AKID", "secret", ""}, "us-east-1", "s3", hash, now, flavour);
    try {
      const auto found = sigv4::find_signature(ours, sigv4::peek_claim(ours), flavour);
      if (!found) abort();
      sigv4::verify(*found, ours, hash, sigv4::derive_key("secret", *found), now, flavour);
    } catch (const Error& e) {
      if (e.shape->code == "SignatureDoesNotMatch" || e.shape->code == "InvalidSignatureException") abort();
    }
  }
  return 0;
}
