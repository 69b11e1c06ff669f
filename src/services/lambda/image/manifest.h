// What an image's archive says of itself: an OCI layout's index.json, or docker save's manifest.json. Pure.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace virga::lambda::image {

// An archive that is no image, is damaged, or asks for what is not served; the text says which.
struct ImageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// How the image's program is run, unless the function says otherwise.
struct Settings {
  std::vector<std::string> entry_point, command;
  std::string working_directory;
  std::map<std::string, std::string> environment;
  template <class A>
  void fields(A& a) {
    a(1, entry_point), a(2, command), a(3, working_directory), a(4, environment);
  }
};

struct Layer {
  std::string file;                // in the archive
  std::optional<std::string> hex;  // SHA-256 of the file, when the archive promises it
  std::string content_hex;         // SHA-256 of the tar archive in it
};

struct Manifest {
  std::string digest;  // hex: of the manifest, or of the configuration where there is none (docker save)
  Settings settings;
  std::vector<Layer> layers;  // lowest first
};

// `file` gives the content of one of the archive's files, of at most kMostDocument bytes; nothing when there is none.
inline constexpr size_t kMostDocument = 4 << 20;
using Files = std::function<std::optional<std::string>(const std::string& name)>;
Manifest read_manifest(const Files& file);

}  // namespace virga::lambda::image
