// The table of commits that are not in a file yet: a skip list for one writer and any number of readers. Debian's
// library checks its own at every step, which takes as long as the steps, and compares keys through three calls.
#pragma once

#include <memory>

#include <rocksdb/memtablerep.h>

namespace virga::kv {

// Until `opened()` its tables only collect what they are given, which is what the log holds, and put it in order when
// somebody reads for the first time: that takes a fraction of the time of as many insertions.
class MemoryTables : public rocksdb::MemTableRepFactory {
 public:
  virtual void opened() = 0;
};
std::shared_ptr<MemoryTables> memory_tables();

}  // namespace virga::kv
