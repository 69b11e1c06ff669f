// Failures of system calls, as a sentence.
#pragma once

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

#include "base/str.h"

namespace virga::sandbox::jail {

struct SystemError : std::runtime_error {
  int code;
  SystemError(std::string_view what, int error)
      : std::runtime_error(cat(what, ": ", std::string(std::strerror(error)))), code(error) {}
};

// Throws unless `result` is non-negative; gives it back otherwise.
template <class T>
T must(T result, std::string_view what) {
  if (result < 0) throw SystemError(what, errno);
  return result;
}

}  // namespace virga::sandbox::jail
