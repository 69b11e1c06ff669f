// The table of commits that are not in a file yet: a skip list for one writer and any number of readers. Debian's
// library checks its own at every step, which takes as long as the steps, and compares keys through three calls.
#pragma once

#include <memory>

#include <rocksdb/memtablerep.h>

namespace virga::kv {

std::shared_ptr<rocksdb::MemTableRepFactory> memory_tables();

}  // namespace virga::kv
