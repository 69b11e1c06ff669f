#include "blob/files.h"

#include <stdexcept>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/str.h"
#include "blob/file_io.h"
#include "kv/key.h"
#include "kv/record.h"

// Keys:
//   blob / ref / <id>    References: how many committed records hold the blob
//   blob / free / <id>   empty; the blob has no references any more
namespace virga::blob {

namespace {

constexpr size_t kRemoveAtOnce = 100;

struct References {
  uint64_t count = 0;
  bool removing = false;  // the files are about to go: nobody may refer to it any more
  template <class A>
  void fields(A& a) {
    a(1, count);
    a(2, removing);
  }
};

std::string reference_key(const std::string& id) { return kv::KeyWriter("blob").text("ref").text(id); }
std::string free_prefix() { return kv::KeyWriter("blob").text("free"); }
std::string free_key(const std::string& id) { return kv::KeyWriter("blob").text("free").text(id); }

}  // namespace

FileStore::FileStore(std::string directory, kv::Db& db, FileOptions options)
    : folder_(std::move(directory)), db_(db), options_(options) {}

std::string FileStore::begin_blob() {
  std::string id = hex_encode(random_bytes(16));
  std::lock_guard lock(mutex_);
  writing_.insert(id);
  return id;
}

void FileStore::finished_blob(const std::string& id) {
  {
    std::lock_guard lock(mutex_);
    writing_.erase(id);
    unkept_.emplace(id, std::chrono::steady_clock::now());
  }
  sweep_within(options_.unkept_grace);
}

void FileStore::abandoned_blob(const std::string& id) {
  std::lock_guard lock(mutex_);
  writing_.erase(id);
}

std::unique_ptr<Writer> FileStore::create() {
  bool first;
  {
    std::lock_guard lock(mutex_);
    first = !swept_leftovers_;
  }
  if (first) sweep_within(options_.dropped_grace);
  return std::make_unique<FileWriter>(shared_from_this());
}

Body FileStore::read(const Ref& ref, uint64_t offset, uint64_t length) {
  offset = std::min(offset, ref.size);
  length = std::min(length, ref.size - offset);
  if (ref.id.empty()) return body_of(ref.bytes.substr(offset, length));
  return std::make_shared<FileSource>(shared_from_this(), ref, offset, length);
}

std::string FileStore::path(const Ref& ref) const { return ref.id.empty() ? "" : folder_.path_of(ref.id); }

Task<Ref> FileStore::concat(std::vector<Ref> parts) {
  std::erase_if(parts, [](const Ref& part) { return part.size == 0; });
  if (parts.size() == 1) co_return parts[0];
  uint64_t size = 0;
  bool aligned = true;
  for (const Ref& part : parts) {
    aligned = aligned && size % kBlock == 0;
    size += part.size;
  }
  if (aligned && size > kInlineMost) co_return co_await concat_aligned(parts);
  // Blocks shift, so their sums change with them: the content passes through here.
  const auto writer = create();
  for (const Ref& part : parts) {
    const Body body = read(part, 0, UINT64_MAX);
    while (const auto chunk = co_await body->next()) co_await writer->write(*chunk);
  }
  co_return co_await writer->finish();
}

Task<Ref> FileStore::concat_aligned(const std::vector<Ref>& parts) {
  // Removes the file unless finished.
  struct Guard {
    FileStore& store;
    std::string id;
    bool done = false;
    ~Guard() {
      if (done) return;
      store.pool().post([&store = store, id = id] {
        try {
          store.folder().remove(id);
        } catch (const std::exception&) {
        }
        store.abandoned_blob(id);
      });
    }
  } guard{*this, begin_blob()};
  File file;
  BlockSums sums;
  // One job for each part, so that a long copy does not hold a thread from others' short reads.
  for (const Ref& part : parts) {
    co_await pool_.run([&] {
      if (!file) file = folder_.create(guard.id);
      if (part.id.empty()) {
        file.write(part.bytes);
        sums.update(part.bytes);
      } else {
        file.append_from(folder_.open(folder_.path_of(part.id)), part.size);
        sums.append(folder_.read_sums(part, 0, blocks_of(part.size)), part.size);
        file.start_writeback(sums.size() - part.size, part.size);
      }
    });
  }
  co_await pool_.run([&] { folder_.seal(guard.id, file, sums); });
  guard.done = true;
  finished_blob(guard.id);
  co_return Ref{.id = guard.id, .bytes = {}, .size = sums.size(), .crc32c = sums.whole()};
}

Task<void> FileStore::keep(kv::Txn& tx, const Ref& ref) {
  if (ref.id.empty()) co_return;
  const auto row = co_await tx.get(reference_key(ref.id));
  References references = row ? kv::decode<References>(*row) : References{};
  // Reading the row makes this conflict with a sweep that decides to remove the blob at the same time.
  if (references.removing || (!row && !folder_.exists(ref.id))) {
    throw std::runtime_error(cat("blob: ", ref.id, " is gone: it was swept before a transaction kept it"));
  }
  if (row && references.count == 0) tx.erase(free_key(ref.id));
  ++references.count;
  tx.put(reference_key(ref.id), kv::encode(references));
  tx.on_commit([self = shared_from_this(), id = ref.id] {
    std::lock_guard lock(self->mutex_);
    self->unkept_.erase(id);
    self->dropped_.erase(id);
  });
}

Task<void> FileStore::drop(kv::Txn& tx, const Ref& ref) {
  if (ref.id.empty()) co_return;
  const auto row = co_await tx.get(reference_key(ref.id));
  References references = row ? kv::decode<References>(*row) : References{};
  if (references.count == 0) throw std::logic_error(cat("blob: ", ref.id, " is dropped more often than it was kept"));
  --references.count;
  tx.put(reference_key(ref.id), kv::encode(references));
  if (references.count > 0) co_return;
  tx.put(free_key(ref.id), "");
  tx.on_commit([self = shared_from_this(), id = ref.id] {
    {
      std::lock_guard lock(self->mutex_);
      self->dropped_.emplace(id, std::chrono::steady_clock::now());
    }
    self->sweep_within(self->options_.dropped_grace);
  });
}

// Removal takes three steps, so that neither a crash nor a racing keep() can leave a record without its blob: mark the
// blobs as going (in conflict with any keep), unlink the files, forget the marks.
Task<size_t> FileStore::remove(std::vector<std::string> ids) {
  std::vector<std::string> going;
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    going.clear();
    for (const std::string& id : ids) {
      const auto row = co_await tx.get(reference_key(id));
      if (row && kv::decode<References>(*row).count > 0) {
        tx.erase(free_key(id));
        continue;
      }
      tx.put(reference_key(id), kv::encode(References{.count = 0, .removing = true}));
      tx.put(free_key(id), "");
      going.push_back(id);
    }
  });
  co_await pool_.run([&] {
    for (const std::string& id : going) folder_.remove(id);
  });
  KILL_POINT("blob.after_remove");
  co_await db_.transact([&](kv::Txn& tx) -> Task<void> {
    for (const std::string& id : going) {
      tx.erase(reference_key(id));
      tx.erase(free_key(id));
    }
    co_return;
  });
  std::lock_guard lock(mutex_);
  for (const std::string& id : going) dropped_.erase(id);
  for (const std::string& id : ids) unkept_.erase(id);
  co_return going.size();
}

Task<std::vector<std::string>> FileStore::dropped_long_ago() {
  std::vector<std::string> due;
  const std::string prefix = free_prefix();
  kv::Range range = kv::prefix_range(prefix);
  while (true) {
    const auto rows = co_await db_.snapshot()->scan(range, {.limit = 1000});
    const Instant now = std::chrono::steady_clock::now();
    std::lock_guard lock(mutex_);
    for (const kv::Entry& row : rows) {
      kv::KeyReader key(row.key);
      key.text();
      key.text();
      const std::string id = key.text();
      // No reader of this process can hold what was dropped before it started.
      const auto seen = dropped_.find(id);
      if (seen == dropped_.end() || now - seen->second >= options_.dropped_grace) due.push_back(id);
    }
    if (rows.size() < 1000) co_return due;
    range.begin = rows.back().key + '\0';
  }
}

// Files that a former process wrote and that no record refers to.
Task<std::vector<std::string>> FileStore::leftovers() {
  auto ids = co_await pool_.run([&] { return folder_.list(); });
  {
    std::lock_guard lock(mutex_);
    std::erase_if(ids, [&](const std::string& id) { return writing_.contains(id) || unkept_.contains(id); });
  }
  // Taken after the look above: what left unkept_ since then is in this snapshot.
  const auto reader = db_.snapshot();
  std::vector<std::string> out;
  for (std::string& id : ids) {
    if (!co_await reader->get(reference_key(id))) out.push_back(std::move(id));
  }
  co_return out;
}

Task<size_t> FileStore::sweep() {
  bool first;
  std::vector<std::string> due;
  {
    std::lock_guard lock(mutex_);
    if (sweeping_) co_return 0;
    sweeping_ = true;
    first = !swept_leftovers_;
    const Instant now = std::chrono::steady_clock::now();
    for (const auto& [id, finished] : unkept_) {
      if (now - finished >= options_.unkept_grace) due.push_back(id);
    }
  }
  const auto work = [&]() -> Task<size_t> {
    if (first) {
      auto more = co_await leftovers();
      due.insert(due.end(), more.begin(), more.end());
    }
    auto dropped = co_await dropped_long_ago();
    due.insert(due.end(), dropped.begin(), dropped.end());
    size_t removed = 0;
    for (size_t at = 0; at < due.size(); at += kRemoveAtOnce) {
      const auto end = due.begin() + static_cast<std::ptrdiff_t>(std::min(at + kRemoveAtOnce, due.size()));
      removed += co_await remove({due.begin() + static_cast<std::ptrdiff_t>(at), end});
    }
    co_return removed;
  };
  auto removed = co_await as_result(work());
  std::optional<Micros> again;
  {
    std::lock_guard lock(mutex_);
    sweeping_ = false;
    if (removed) swept_leftovers_ = true;
    if (!dropped_.empty()) {
      again = options_.dropped_grace;
    } else if (!unkept_.empty()) {
      again = options_.unkept_grace;
    }
  }
  if (again) sweep_within(*again);
  if (!removed) co_await fail_with(std::move(removed.error()));
  co_return *removed;
}

void FileStore::sweep_within(Micros delay) {
  Executor* executor = Executor::current();
  if (!executor) return;
  const Instant at = std::chrono::steady_clock::now() + delay + std::chrono::milliseconds(100);
  std::shared_ptr<Timer> timer;
  {
    std::lock_guard lock(mutex_);
    const auto pending = timer_.lock();
    if (pending && pending->at <= at + std::chrono::seconds(1)) return;
    timer_ = timer = std::make_shared<Timer>(at);
  }
  executor->post_after(
      delay + std::chrono::milliseconds(100), [self = weak_from_this(), timer = std::move(timer)]() mutable {
        const auto store = self.lock();
        if (!store) return;
        {
          std::lock_guard lock(store->mutex_);
          if (store->timer_.lock() == timer) store->timer_.reset();
        }
        start_background("blob", [](std::shared_ptr<FileStore> kept) -> Task<void> { co_await kept->sweep(); }(store));
      });
}

namespace {
// The store shares itself with writers, readers and timers; this is the handle that app/ owns.
class Handle final : public Store {
 public:
  explicit Handle(std::shared_ptr<FileStore> store) : store_(std::move(store)) {}
  std::unique_ptr<Writer> create() override { return store_->create(); }
  Body read(const Ref& ref, uint64_t offset, uint64_t length) override { return store_->read(ref, offset, length); }
  Task<Ref> concat(std::vector<Ref> parts) override { return store_->concat(std::move(parts)); }
  Task<void> keep(kv::Txn& tx, const Ref& ref) override { return store_->keep(tx, ref); }
  Task<void> drop(kv::Txn& tx, const Ref& ref) override { return store_->drop(tx, ref); }
  std::string path(const Ref& ref) const override { return store_->path(ref); }
  Task<size_t> sweep() override { return store_->sweep(); }

 private:
  std::shared_ptr<FileStore> store_;
};
}  // namespace

std::unique_ptr<Store> open_files(std::string directory, kv::Db& db, FileOptions options) {
  return std::make_unique<Handle>(std::make_shared<FileStore>(std::move(directory), db, options));
}

}  // namespace virga::blob
