// An image as it is uploaded: one tar archive, perhaps gzipped, with an OCI layout or what docker save writes in it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/gzip.h"
#include "base/tar.h"
#include "services/lambda/image/manifest.h"

namespace virga::lambda::image {

struct Limits {
  uint64_t bytes = 0;            // of the archive's files, and again of what is in the layers
  uint64_t entries = 1'000'000;  // of all layers
};

class Archive {
 public:
  // The archive's files lie in `folder`, which is made and must not exist, until this is destroyed.
  Archive(std::string folder, Limits limits);
  ~Archive();
  Archive(const Archive&) = delete;

  // Pieces of any size. This and what follows throw ImageError, or std::system_error for the disk's failures.
  void feed(std::string_view bytes);
  // All has been fed: finds the image and checks every digest and limit, before anything is unpacked.
  const Manifest& check();
  // Makes the image's file system at `directory`, which must not exist.
  void unpack(const std::string& directory);

 private:
  // What a layer hides of those below it: whole names, and folders' content.
  struct Hidden {
    std::vector<std::string> names, folders;
  };
  std::optional<std::string> read_document(const std::string& name) const;
  // A file of the archive by its name there, through links.
  const std::string& find(const std::string& name) const;
  Hidden check_layer(const Layer& layer);

  const std::string folder_;
  const Limits limits_;
  std::string begin_;  // until it is known whether it is gzip
  bool known_ = false;
  std::unique_ptr<Gunzip> gunzip_;
  TarReader tar_;
  int file_ = -1;
  uint64_t bytes_ = 0, content_bytes_ = 0, content_entries_ = 0;
  std::map<std::string, std::string> files_;  // by name in the archive: where it lies
  std::map<std::string, std::string> links_;
  Manifest manifest_;
  std::vector<Hidden> hidden_;
};

}  // namespace virga::lambda::image
