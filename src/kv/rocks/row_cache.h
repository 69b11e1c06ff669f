// Rows that are read again and again, whole, so that a read of one looks into no table of RocksDB. A block of the block
// cache holds a hot row beside cold neighbours; here only rows that were read twice are kept.
//
// It is consistent by construction. An entry says since which version it is the row's value. The committing thread
// takes a row out, and remembers the version, before anybody can read at it; a reader puts in what it found only if the
// row was not written after the instant it read. So whoever finds an entry not newer than his instant finds what the
// store has for him, and everybody else asks the store.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "kv/db.h"

namespace virga::kv {

class RowCache {
 public:
  // Keeps up to `bytes`; with zero nothing.
  explicit RowCache(size_t bytes);
  ~RowCache();

  // The row as readers at `version` see it; nothing when that is not known.
  std::optional<std::string> find(std::string_view key, Version version);
  // A reader at `version` found `value`.
  void found(std::string_view key, std::string_view value, Version version);
  // The commit `version` changes the row, or any row. Called before anybody reads at `version`.
  void changes(std::string_view key, Version version);
  void changes_everything(Version version);

  size_t bytes() const;

 private:
  struct Entry;
  struct Shard;
  static constexpr size_t kShards = 16;

  Shard& shard_of(size_t hash);

  const size_t bytes_;  // of a shard
  std::unique_ptr<Shard[]> shards_;
};

}  // namespace virga::kv
