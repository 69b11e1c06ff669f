// How the store opens RocksDB: options, and what it says when that fails.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/env.h>

#include <memory>

#include "kv/db.h"
#include "kv/rocks/memory_table.h"

namespace virga::kv {

struct OpenedRocks {
  std::unique_ptr<rocksdb::Env> env;  // what the database writes through
  std::unique_ptr<rocksdb::DB> db;
  std::shared_ptr<rocksdb::Cache> cache;
  std::shared_ptr<MemoryTables> tables;
};
// Throws std::runtime_error with a sentence for people.
OpenedRocks open_rocks_files(const RocksOptions& options);

}  // namespace virga::kv
