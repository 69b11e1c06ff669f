#include "kernel/signer.h"

#include "wire/sigv4.h"

namespace virga::kernel {

namespace sigv4 = wire::sigv4;

Task<std::optional<Principal>> signer_of(Authorizer& authorizer, const wire::HttpRequest& request,
                                         std::string body_sha256, std::string service, Time now) {
  constexpr auto kFlavour = sigv4::Flavour::kRest;
  const auto signature = sigv4::find_signature(request, sigv4::peek_claim(request), kFlavour);
  if (!signature) co_return std::nullopt;
  if (signature->service != service || sigv4::is_chunked(signature->payload))
    co_await fail(sigv4::wrong_service(kFlavour, *signature, service, signature->presigned));
  auto credential = co_await authorizer.find_credential(signature->access_key, signature->session_token);
  if (!credential) co_await fail(sigv4::unknown_key(kFlavour, signature->access_key));
  if (credential->expires.micros && credential->expires < now)
    co_await fail(sigv4::expired_token(kFlavour, signature->session_token));
  sigv4::verify(*signature, request, body_sha256, sigv4::derive_key(credential->secret, *signature), now, kFlavour);
  co_return std::move(credential->principal);
}

}  // namespace virga::kernel
