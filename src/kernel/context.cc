#include "kernel/context.h"

#include "base/str.h"

namespace virga::kernel {

Principal root_of(std::string_view account) {
  Principal out;
  out.kind = Principal::Kind::kRoot;
  out.account = account;
  out.arn = cat("arn:aws:iam::", account, ":root");
  out.user_id = account;
  return out;
}

Principal service_principal(std::string_view service, std::string_view account) {
  Principal out;
  out.kind = Principal::Kind::kService;
  out.account = account;
  out.service = service;
  out.arn = service;
  out.user_id = service;
  return out;
}

std::string arn(const Ctx& ctx, std::string_view service, std::string_view resource) {
  return cat("arn:", ctx.partition, ':', service, ':', ctx.region, ':', ctx.account, ':', resource);
}

std::string global_arn(const Ctx& ctx, std::string_view service, std::string_view resource) {
  // Bucket names are global: S3's ARNs name no account.
  return cat("arn:", ctx.partition, ':', service,
             "::", service == "s3" ? std::string_view() : std::string_view(ctx.account), ':', resource);
}

std::optional<Arn> parse_arn(std::string_view text) {
  if (!text.starts_with("arn:")) return std::nullopt;
  std::string_view parts[5];
  std::string_view rest = text;
  for (auto& part : parts) {
    const size_t colon = rest.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    part = rest.substr(0, colon);
    rest.remove_prefix(colon + 1);
  }
  // Everything here is in one partition: were another taken for it, what a policy says of a thing's ARN could be
  // evaded.
  if (parts[1] != "aws" || parts[2].empty() || rest.empty()) return std::nullopt;
  return Arn{std::string(parts[1]), std::string(parts[2]), std::string(parts[3]), std::string(parts[4]),
             std::string(rest)};
}

}  // namespace virga::kernel
