#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "services/lambda/model.h"

namespace virga::lambda {

// One call of one version, after authorisation and routing.
struct Call {
  FunctionId id;
  std::shared_ptr<const VersionRecord> version;
  std::optional<int32_t> reserved;  // the function's reserved concurrency
  int32_t unreserved = 0;           // what the account has for functions without
  std::string invoked_arn;          // with the qualifier the caller used
  std::string request_id, payload, client_context, trace;
  std::string tenant;   // of a function whose instances serve one each
  bool stream = false;  // the caller takes a streamed answer as it comes
  bool tail = false;    // the caller wants the end of the log, so the invocation's end
};
// Fails with InvalidParameterValueException when a tenant is missing, or too much.
void check_tenant(const Call& call);
std::optional<Error> refusal_by_tenant(const Call& call);

}  // namespace virga::lambda
