#include "services/cloudformation/template_url.h"

#include "base/encoding.h"
#include "base/str.h"

namespace virga::cloudformation {

namespace {

std::string_view host_of(std::string_view url) {
  const size_t start = url.find("://");
  std::string_view rest = start == std::string_view::npos ? url : url.substr(start + 3);
  return rest.substr(0, rest.find('/'));
}
std::string_view without_port(std::string_view host) { return host.substr(0, host.rfind(':')); }

// The bucket that a virtual host names; empty for a host that takes buckets in the path.
std::string bucket_of(std::string_view host, std::string_view base_host) {
  for (const std::string_view mark : {".s3.", ".s3-"}) {
    const size_t at = host.find(mark);
    if (at != std::string_view::npos) return std::string(host.substr(0, at));
  }
  if (host.size() > base_host.size() + 1 && host.ends_with(base_host) &&
      host[host.size() - base_host.size() - 1] == '.') {
    const std::string_view front = host.substr(0, host.size() - base_host.size() - 1);
    return front == "s3" ? "" : std::string(front);
  }
  return "";
}

bool is_ours(std::string_view host, std::string_view base_host) {
  return host.starts_with("s3.") || host.starts_with("s3-") || host == base_host ||
         host.ends_with(cat(".", base_host)) || host == "localhost" || host == "127.0.0.1" ||
         host.find(".s3.") != std::string_view::npos || host.find(".s3-") != std::string_view::npos;
}

}  // namespace

std::optional<ObjectAddress> template_address(std::string_view url, std::string_view base_url) {
  const bool bare = url.starts_with("s3://");
  if (!bare && !url.starts_with("http://") && !url.starts_with("https://")) return std::nullopt;
  const std::string_view host = host_of(url);
  std::string_view path = url.substr(url.find("://") + 3 + host.size());
  const auto [route, query] = split_once(path, '?');
  ObjectAddress out;
  for (const std::string_view parameter : split(query, '&')) {
    const auto [name, value] = split_once(parameter, '=');
    if (name == "versionId") out.version = percent_decode(value).value_or("");
  }
  std::string_view rest = route;
  if (rest.starts_with('/')) rest.remove_prefix(1);
  if (bare) {
    out.bucket = host;
  } else {
    const std::string_view base_host = without_port(host_of(base_url));
    const std::string_view name = host.find(':') == std::string_view::npos ? host : without_port(host);
    if (!is_ours(name, base_host)) return std::nullopt;
    out.bucket = bucket_of(name, base_host);
    if (out.bucket.empty()) {
      const auto [bucket, key] = split_once(rest, '/');
      out.bucket = bucket;
      rest = key;
    }
  }
  const auto key = percent_decode(rest);
  if (!key || key->empty() || out.bucket.empty()) return std::nullopt;
  out.key = *key;
  return out;
}

}  // namespace virga::cloudformation
