// Instances of provided.* runtimes: the program speaks the Runtime API of AWS Lambda over HTTP.
#include "base/str.h"
#include "sandbox/instance.h"

namespace virga::sandbox {

std::shared_ptr<Core> make_custom(Backstage& backstage, Slot slot, const Spec& spec, LogSink log) {
  throw std::runtime_error(cat("the runtime ", spec.runtime, " is not served yet"));
}

}  // namespace virga::sandbox
