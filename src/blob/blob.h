// Large values: written streaming, made visible by a transaction, read by range, checksummed, swept when unreferenced.
//
//   auto writer = blobs.create();                 co_await writer->write(chunk); …
//   blob::Ref ref = co_await writer->finish();    // durable on disk, visible to nobody
//   co_await db.transact([&](Txn& tx) { blobs.keep(tx, ref); tx.put(key, encode(record with ref)); … });
//
// A blob that no committed transaction kept is swept after a while, as is one that a transaction dropped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/source.h"
#include "kv/db.h"

namespace virga::blob {

// Names a blob; stored inside services' records. Blobs of at most kInlineMost bytes live in the Ref itself.
inline constexpr size_t kInlineMost = 4096;
struct Ref {
  std::string id;     // empty: inline
  std::string bytes;  // the content when inline
  uint64_t size = 0;
  uint32_t crc32c = 0;  // of the whole content
  template <class A>
  void fields(A& a) {
    a(1, id);
    a(2, bytes);
    a(3, size);
    a(4, crc32c);
  }
};

class Writer {
 public:
  virtual ~Writer() = default;  // without finish(): the half-written blob is removed
  virtual Task<void> write(std::string_view bytes) = 0;
  virtual Task<Ref> finish() = 0;
};

class Store {
 public:
  virtual ~Store() = default;
  virtual std::unique_ptr<Writer> create() = 0;
  // `length` bytes from `offset`; fails with an exception when the content does not match its checksums.
  virtual Body read(const Ref& ref, uint64_t offset = 0, uint64_t length = UINT64_MAX) = 0;
  // A blob made of others, in order, without copying where the engine can: multipart uploads.
  virtual Task<Ref> concat(std::vector<Ref> parts) = 0;
  // A reference is counted: a blob kept twice must be dropped twice.
  virtual Task<void> keep(kv::Txn& tx, const Ref& ref) = 0;
  virtual Task<void> drop(kv::Txn& tx, const Ref& ref) = 0;
  // Where a non-inline blob's bytes lie as one plain file, for mounting and mapping; empty when inline.
  virtual std::string path(const Ref& ref) const = 0;
  // Removes what nothing refers to. Runs by itself; exposed for tests. Returns how many it removed.
  virtual Task<size_t> sweep() = 0;
};

struct FileOptions {
  Micros unkept_grace = std::chrono::hours(1);  // how long a finished blob may wait for the transaction that keeps it
  Micros dropped_grace = std::chrono::minutes(1);  // how long readers that found a blob may take to open it
};
// Local files below `directory`, which belongs to this process alone. `db` holds the reference counts and must outlive
// the store, as the executors that the store was used on must outlive its last use.
std::unique_ptr<Store> open_files(std::string directory, kv::Db& db, FileOptions options = {});

}  // namespace virga::blob
