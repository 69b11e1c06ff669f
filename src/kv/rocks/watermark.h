// The number of the last acknowledged commit, kept beside the database in a file that is never synced. It can only lag
// behind what is durable, so a database that opens with less has lost commits that somebody was told are safe: a cut or
// rotten write-ahead log, which RocksDB by itself takes for a crash and passes over in silence.
#pragma once

#include <string>

#include "kv/db.h"

namespace virga::kv {

class Watermark {
 public:
  // Throws std::runtime_error when `recovered` is less than what was acknowledged.
  Watermark(const std::string& directory, Version recovered);
  ~Watermark();
  Watermark(const Watermark&) = delete;
  void acknowledge(Version version);

 private:
  int fd_ = -1;
};

}  // namespace virga::kv
