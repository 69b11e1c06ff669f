#include "wire/presigned.h"

#include "base/str.h"

namespace virga::wire {
namespace {

// Version 4's own parameters, which are no headers.
bool is_signature_parameter(std::string_view name) {
  return name == "x-amz-algorithm" || name == "x-amz-credential" || name == "x-amz-date" || name == "x-amz-expires" ||
         name == "x-amz-signedheaders" || name == "x-amz-signature" || name == "x-amz-security-token";
}

}  // namespace

void take_headers_from_query(HttpRequest& request) {
  const auto parameters = parse_query(request.query);
  if (!parameters) return;
  for (const auto& [name, value] : *parameters) {
    const std::string low = lower(name);
    const bool header =
        low.starts_with("x-amz-") ? !is_signature_parameter(low) : low == "content-md5" || low == "content-type";
    if (header && !request.headers.has(low)) request.headers.add(low, value);
  }
}

}  // namespace virga::wire
