// Who signed a request to something a user made (a function URL, an API with IAM authorisation): what the door does for
// AWS's own APIs, for endpoints that ask for it.
#pragma once

#include <optional>
#include <string>

#include "kernel/authorize.h"
#include "wire/http.h"

namespace virga::kernel {

// The principal whose key signed `request` for `service` ("lambda", "execute-api"); nothing when it is not signed.
// Fails with AWS's refusal of a wrong, expired or unknown signature, and of bodies signed by the chunk.
Task<std::optional<Principal>> signer_of(Authorizer& authorizer, const wire::HttpRequest& request,
                                         std::string body_sha256, std::string service, Time now);

}  // namespace virga::kernel
