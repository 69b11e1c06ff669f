// Arbitrary documents parse or are refused with a sentence, and evaluate without harm; a Deny of everything beats them
// all.
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include "base/str.h"
#include "kernel/policy.h"

using namespace virga;
namespace policy = virga::kernel::policy;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  kernel::Principal caller;
  caller.kind = kernel::Principal::Kind::kUser;
  caller.account = "111111111111";
  caller.arn = "arn:aws:iam::111111111111:user/ann";
  caller.user_id = "AIDAANN";
  policy::Request request{&caller, "s3:GetObject", "arn:aws:s3:::bucket/key", {}};
  request.keys = {{"aws:username", {"ann"}},
                  {"aws:sourceip", {"10.0.0.1"}},
                  {"aws:tagkeys", {"a", "b"}},
                  {"aws:epochtime", {"1714564800"}}};
  static const auto deny = policy::parse(
      R"({"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}})", policy::Type::kIdentity);
  for (const auto type : {policy::Type::kIdentity, policy::Type::kResource}) {
    try {
      const auto document = policy::parse(text, type);
      policy::Policies all;
      if (type == policy::Type::kIdentity) {
        all.identity.push_back(document);
      } else {
        all.resource = document;
      }
      (void)policy::evaluate(all, request);
      all.identity.push_back(deny);
      if (policy::evaluate(all, request).decision != policy::Decision::kExplicitDeny) abort();
    } catch (const std::invalid_argument&) {
    }
  }
  return 0;
}
