// Where a sanitizer's reports of the launcher go, and of what it forks: processes that may open no file of the host,
// and have process ids of their own. Their standard error is the launcher's report file, beside Virga's own reports,
// until they execute a program.
#pragma once

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#include <unistd.h>

#include "sandbox/jail/fd.h"
#endif

namespace virga::sandbox::jail {

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
inline void keep_reports() {
  const Fd file(::open(__sanitizer_get_report_path(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (file) ::dup2(file.get(), STDERR_FILENO);
  __sanitizer_set_report_fd(reinterpret_cast<void*>(STDERR_FILENO));
}
#else
inline constexpr bool kSanitized = false;
inline void keep_reports() {}
#endif

}  // namespace virga::sandbox::jail
