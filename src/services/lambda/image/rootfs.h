// The file system of an image, made of its layers in a folder of the host. Names and links of an archive are followed
// inside that folder only, whatever they say.
#pragma once

#include <string>
#include <string_view>

#include "base/tar.h"

namespace virga::lambda::image {

class Rootfs {
 public:
  // Makes `directory`, which must not exist.
  explicit Rootfs(std::string directory);
  ~Rootfs();
  Rootfs(const Rootfs&) = delete;

  // What a layer hides of those below it.
  void remove(std::string_view path);
  void clear(std::string_view directory);
  // What a layer brings, in the order of its archive. Devices and pipes are left out, as are set-user-id bits; files
  // are readable by everybody, as code is.
  void add(const TarEntry& entry);
  void write(std::string_view bytes);
  // After the last layer: makes real folders and files where a sandbox mounts its own.
  void finish();

 private:
  struct Place {
    int parent = -1;  // owned by parent_
    std::string name;
  };
  // Where `path` lies: its folder, which is made unless `existing`, and its last name. No name: there is none. Good
  // until something is removed, or the next call.
  Place place(std::string_view path, bool existing = false);
  int open_folder(const std::string& path);
  void remove_at(const Place& place);
  void make_folder(std::string_view path);
  void forget_parent();
  void close_file();

  std::string directory_;
  int root_ = -1;
  std::string parent_path_;
  int parent_ = -1;
  int file_ = -1;
  TarEntry entry_;
};

// The parts of a name of the archive; "." and empty ones are dropped. Throws ImageError for ".." and what is too long.
std::vector<std::string> parts_of(std::string_view path);

}  // namespace virga::lambda::image
