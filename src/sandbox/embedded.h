// Files that are part of the binary: what runtimes/ holds, by path below it. Generated at build time.
#pragma once

#include <span>
#include <string_view>

namespace virga::sandbox {

struct EmbeddedFile {
  std::string_view path;  // "python/bootstrap.py"
  std::string_view bytes;
};
std::span<const EmbeddedFile> embedded_files();

}  // namespace virga::sandbox
