// Templates of any text: read, transformed, checked, resolved and planned. Whatever comes in is a stack's definition or
// a refusal, never another exception and never a crash.
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/error.h"
#include "services/cloudformation/changes.h"
#include "services/cloudformation/prepare.h"
#include "services/cloudformation/resources/openapi.h"

using namespace virga;
using namespace virga::cloudformation;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    auto prepared = std::make_unique<Prepared>();
    prepare(*prepared, text, {},
            {"000000000000", "us-east-1", "aws", "arn:aws:cloudformation:us-east-1:000000000000:stack/s/1", "s", {}},
            nullptr);
    live_outputs(*prepared, prepared->resolver);
    needed_capabilities(prepared->root);
    plan_changes({}, prepared->resources, {}, [](std::string_view, std::string_view) { return Recreation::kNever; });
    for (const LiveResource& resource : prepared->resources) {
      const Json* body = resource.properties.find("Body");
      if (body && body->is_object()) read_openapi(*body);
    }
  } catch (const Error&) {
  }
  return 0;
}
