// How the write-ahead log lies on disk. A sync of a file that has grown waits for the file system's journal, and so for
// whatever else the machine changes; a sync of bytes that were there before writes just these. So a log's file is kept
// ahead of what is written to it, filled with zeros, which RocksDB takes for the end when it reads a log that was not
// closed.
//
// Where the file system lets it, what is appended goes to the disk directly, when it is synced, in one call that ends
// when it is there: through the page cache the same takes several times the processor's time. What was never synced is
// lost with the process then, as it always was with the machine.
#pragma once

#include <rocksdb/file_system.h>

#include <memory>

namespace virga::kv {

// `base` with such logs. Its other files are untouched.
std::shared_ptr<rocksdb::FileSystem> with_filled_logs(std::shared_ptr<rocksdb::FileSystem> base);

}  // namespace virga::kv
