// The table of commits that are not in a file yet: a skip list for one writer and any number of readers. Debian's
// library checks its own at every step, which takes as long as the steps, and compares keys through three calls.
#pragma once

#include <rocksdb/memtablerep.h>

#include <memory>
#include <string_view>

namespace virga::kv {

// Until `opened()` its tables only collect what they are given, which is what the log holds, and put it in order when
// somebody reads for the first time: that takes a fraction of the time of as many insertions.
class MemoryTables : public rocksdb::MemTableRepFactory {
 public:
  virtual void opened() = 0;
  // What the writer inserts from now on waits until `last` is inserted, with which everything finds its place: a search
  // waits for memory at each step, and several can wait at the same time.
  virtual void gather_until(std::string_view last) = 0;
  // Nobody writes for a while: gives back the memory that is kept for the next table.
  virtual void rest() = 0;
};
// Up to `most_kept` bytes go from tables that are in files to the next ones.
std::shared_ptr<MemoryTables> memory_tables(size_t most_kept);

}  // namespace virga::kv
