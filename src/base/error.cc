#include "base/error.h"

#include "base/str.h"

namespace virga {

Failure current_failure() noexcept {
  try {
    throw;
  } catch (Error& error) {
    return std::move(error);
  } catch (...) {
    return std::current_exception();
  }
}

std::string describe(const Failure& failure) {
  if (const Error* error = error_of(failure)) {
    return cat(error->shape->code, ": ", error->message, error->internal.empty() ? "" : " [", error->internal,
               error->internal.empty() ? "" : "]");
  }
  try {
    std::rethrow_exception(std::get<std::exception_ptr>(failure));
  } catch (const std::exception& exception) {
    return exception.what();
  } catch (...) {
    return "unknown exception";
  }
}

}  // namespace virga
