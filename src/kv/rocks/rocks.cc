#include "kv/rocks/rocks.h"

#include <rocksdb/cache.h>
#include <rocksdb/perf_context.h>
#include <rocksdb/perf_level.h>
#include <rocksdb/utilities/checkpoint.h>

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "base/encoding.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/str.h"
#include "kv/rocks/open.h"

namespace virga::kv {

namespace {

constexpr std::string_view kFormatKey = "\xffmeta/format";
constexpr std::string_view kVersionKey = "\xffmeta/version";
// Of everything that services keep. 2: records of log streams hold several events, keys of indexes several attributes.
// A build reads what earlier formats hold.
constexpr uint64_t kFormat = 2;

// A batch is written and synced as one: larger ones only make everybody in them wait longer.
constexpr size_t kMostBatchBytes = 8 << 20;
constexpr size_t kMostBatchMembers = 1024;
constexpr size_t kMostInTurn = 16;
constexpr std::chrono::seconds kRestsAfter{1};
// An erased range with up to this many keys is written key by key: range tombstones slow every later read down.
constexpr size_t kMostSingleErases = 1024;
// Commits are refused while less is free. RocksDB must not meet a full disk: its log file takes no write after one that
// failed (an assertion ends the process), and it starts another only when its memory table holds something.
constexpr uint64_t kReserve = 32 << 20;

bool has_room(int directory, uint64_t bytes) {
  struct statvfs info;
  return ::fstatvfs(directory, &info) != 0 || uint64_t{info.f_bavail} * info.f_frsize > kReserve + bytes;
}

rocksdb::Slice slice(std::string_view s) { return {s.data(), s.size()}; }
std::string_view view_of(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

std::string be64(uint64_t v) {
  std::string out;
  append_be64(out, v);
  return out;
}

void check_read(const rocksdb::Status& status) {
  if (!status.ok()) throw std::runtime_error(cat("the store could not be read: ", status.ToString()));
}

}  // namespace

// Counts the dead entries that an iterator's move on this thread walks over.
class Passed {
 public:
  Passed() : level_(rocksdb::GetPerfLevel()) {
    rocksdb::SetPerfLevel(rocksdb::PerfLevel::kEnableCount);
    before_ = now();
  }
  ~Passed() { rocksdb::SetPerfLevel(level_); }
  uint64_t count() const { return now() - before_; }

 private:
  static uint64_t now() {
    const auto* context = rocksdb::get_perf_context();
    return context->internal_delete_skipped_count + context->internal_key_skipped_count;
  }
  const rocksdb::PerfLevel level_;
  uint64_t before_;
};

struct RocksDb::RocksView final : View {
  RocksView(Version version, RocksDb& engine)
      : View(version, engine.live_), engine(engine), db(*engine.db_), snapshot(db.GetSnapshot()) {}
  ~RocksView() override { db.ReleaseSnapshot(snapshot); }
  std::optional<std::string> get(std::string_view key) const override {
    if (key >= kReserved) return std::nullopt;
    if (auto known = engine.rows_.find(key, version())) return known;
    rocksdb::ReadOptions options;
    options.snapshot = snapshot;
    std::string value;
    const rocksdb::Status status = db.Get(options, slice(key), &value);
    if (status.IsNotFound()) return std::nullopt;
    check_read(status);
    engine.rows_.found(key, value, version());
    return value;
  }
  std::unique_ptr<Cursor> cursor(const Range& range, bool reverse) const override;

  RocksDb& engine;
  rocksdb::DB& db;
  const rocksdb::Snapshot* const snapshot;
};

struct RocksDb::RocksCursor final : Cursor {
  RocksCursor(const RocksView& view, const Range& r, bool reverse)
      : view(view), range(r), lower(range.begin), upper(range.end), reverse(reverse) {
    rocksdb::ReadOptions options;
    options.snapshot = view.snapshot;
    options.iterate_lower_bound = &lower;
    options.iterate_upper_bound = &upper;
    rows.reset(view.db.NewIterator(options));
    if (reverse) {
      rows->SeekToLast();
      check_read(rows->status());
    } else {
      seek_forward(range.begin);
    }
  }
  bool valid() const override { return rows->Valid(); }
  std::string_view key() const override { return view_of(rows->key()); }
  std::string_view value() const override { return view_of(rows->value()); }
  void next() override {
    if (reverse) {
      rows->Prev();
    } else if (!view.engine.gaps_.empty()) {
      return seek_after();
    } else {
      here.assign(rows->key().data(), rows->key().size());
      const Passed passed;
      rows->Next();
      if (worth_a_gap(passed)) remember(key_after(here));
    }
    check_read(rows->status());
  }
  void skip_to(std::string_view key) override {
    if (!reverse) return seek_forward(key);
    rows->SeekForPrev(slice(key));
    if (rows->Valid() && view_of(rows->key()) == key) rows->Prev();
    check_read(rows->status());
  }

 private:
  void seek_forward(std::string_view from) {
    view.engine.seek(*rows, from, range.end, view.version());
    check_read(rows->status());
  }
  // The next row, over a gap if one begins here.
  void seek_after() {
    const std::string after = key_after(view_of(rows->key()));
    const std::string start = view.engine.gaps_.skip(after, view.version());
    const Passed passed;
    if (start == after) {
      rows->Next();
    } else {
      rows->Seek(start);
    }
    if (worth_a_gap(passed)) remember(after);
    check_read(rows->status());
  }
  bool worth_a_gap(const Passed& passed) const { return passed.count() >= view.engine.options_.gap_worth; }
  void remember(std::string_view from) {
    if (!rows->status().ok()) return;
    view.engine.gaps_.add(from, rows->Valid() ? key() : std::string_view(range.end), view.version());
  }

  const RocksView& view;
  const Range range;
  const rocksdb::Slice lower, upper;
  const bool reverse;
  std::unique_ptr<rocksdb::Iterator> rows;
  std::string here;  // kept for its memory
};

std::unique_ptr<Cursor> RocksDb::RocksView::cursor(const Range& range, bool reverse) const {
  return std::make_unique<RocksCursor>(*this, range, reverse);
}

// Moves `rows` to the first row at or after `from`; remembers the gap when that took long. The iterator ends at `end`.
void RocksDb::seek(rocksdb::Iterator& rows, std::string_view from, std::string_view end, Version version) {
  const std::string start = gaps_.skip(from, version);
  const Passed passed;
  rows.Seek(start);
  if (passed.count() < options_.gap_worth || !rows.status().ok()) return;
  gaps_.add(from, rows.Valid() ? view_of(rows.key()) : end, version);
}

RocksDb::RocksDb(RocksOptions options) : options_(std::move(options)), rows_(options_.cache_bytes / 2) {
  auto opened = open_rocks_files(options_);
  env_ = std::move(opened.env);
  db_ = std::move(opened.db);
  cache_ = std::move(opened.cache);
  tables_ = std::move(opened.tables);
  folder_ = ::open(options_.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  read_state();
  watermark_.emplace(options_.directory, last_version_);
  newest_ = std::make_shared<RocksView>(last_version_, *this);
  published_ = last_version_;
  // What former processes wrote is before everything that can be waited for here.
  watches_->start_at(last_version_);
  gaps_.start_at(last_version_);
  thread_ = std::thread([this] { commit_loop(); });
}

RocksDb::~RocksDb() {
  {
    std::lock_guard lock(queue_mutex_);
    stopping_ = true;
    queue_wake_.notify_one();
  }
  thread_.join();
  newest_.reset();
  // A small log replays faster at the next start than a flush takes now.
  uint64_t unflushed = 0;
  if (db_->GetIntProperty("rocksdb.cur-size-active-mem-table", &unflushed) && unflushed > (2 << 20)) {
    (void)db_->Flush(rocksdb::FlushOptions());
  }
  (void)db_->Close();
  if (folder_ >= 0) ::close(folder_);
}

void RocksDb::read_state() {
  std::string format;
  // Durable with the first commit, which is after it in the log.
  const auto name_format = [&] {
    const rocksdb::Status written = db_->Put({}, slice(kFormatKey), be64(kFormat));
    if (written.ok()) return;
    throw std::runtime_error(
        cat("The data folder ", options_.directory, " can't be written: ", written.ToString(), "."));
  };
  rocksdb::Status status = db_->Get({}, slice(kFormatKey), &format);
  if (status.IsNotFound()) return name_format();
  check_read(status);
  const uint64_t number = format.size() == 8 ? read_be64(format.data()) : 0;
  if (number == 0)
    throw std::runtime_error(
        cat("The data in ", options_.directory, " is damaged: it names no format. Restore it from a snapshot."));
  if (number > kFormat) {
    throw std::runtime_error(cat("The data in ", options_.directory, " has format ", number,
                                 " and this build reads up to ", kFormat,
                                 ". It was written by a newer build: use that one."));
  }
  if (number < kFormat) name_format();
  std::string version;
  status = db_->Get({}, slice(kVersionKey), &version);
  if (status.IsNotFound()) return;
  check_read(status);
  if (version.size() != 8)
    throw std::runtime_error(
        cat("The data in ", options_.directory, " is damaged: it names no version. Restore it from a snapshot."));
  last_version_ = read_be64(version.data());
}

std::shared_ptr<const View> RocksDb::newest(Purpose purpose) {
  std::lock_guard lock(newest_mutex_);
  if (purpose == Purpose::kTransaction) newest_->transactions.fetch_add(1, std::memory_order_relaxed);
  return newest_;
}

// What a turn of an executor commits, on its way to the queue: it is handed over at the turn's end, because a batch
// costs the same however many are in it, and no answer could leave before that anyway. A long turn hands over in parts,
// so that the disk has work meanwhile. Goes with the work that was posted to the executor, also when that never runs.
struct RocksDb::Turn {
  Turn(RocksDb& db, Executor* executor) : db(db), executor(executor) { current = this; }
  ~Turn() { leave(); }
  // Commits from now on belong to the next turn: an executor may destroy what it ran much later.
  void end() {
    leave();
    hand_over();
  }
  void add(Pending& pending) {
    commits.add(pending);
    if (++count >= kMostInTurn) hand_over();
  }
  void hand_over() {
    if (!commits.head) return;
    db.enqueue(std::exchange(commits, {}));
    count = 0;
  }
  void leave() {
    if (current == this) current = nullptr;
  }
  static thread_local Turn* current;

  RocksDb& db;
  Executor* const executor;
  Chain commits;
  size_t count = 0;
};
thread_local RocksDb::Turn* RocksDb::Turn::current = nullptr;

struct RocksDb::Enqueue {
  RocksDb& db;
  Pending& pending;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    pending.handle = handle;
    pending.executor = Executor::current();
    if (pending.executor && !Turn::current) {
      pending.executor->post([turn = std::make_unique<Turn>(db, pending.executor)] { turn->end(); });
    }
    Turn* const turn = Turn::current;
    if (turn && &turn->db == &db && turn->executor == pending.executor) return turn->add(pending);
    Chain alone;
    alone.add(pending);
    // Once queued, the commit thread may finish and the frame that holds this awaiter be gone.
    db.enqueue(alone);
  }
  void await_resume() const noexcept {}
};

void RocksDb::enqueue(Chain commits) {
  std::lock_guard lock(queue_mutex_);
  queue_.add(commits);
  queue_wake_.notify_one();
}

Task<bool> RocksDb::commit(Txn& txn) {
  auto& mine = static_cast<BufferedTxn&>(txn);
  if (mine.writes().empty()) co_return true;
  Pending pending{.txn = &mine};
  co_await Enqueue{*this, pending};
  if (pending.error) std::rethrow_exception(pending.error);
  co_return pending.committed;
}

void RocksDb::commit_loop() {
  std::unique_lock lock(queue_mutex_);
  Batch batch;
  while (true) {
    const auto awake = [&] { return queue_.head || stopping_; };
    if (!queue_wake_.wait_for(lock, kRestsAfter, awake)) {
      tables_->rest();
      queue_wake_.wait(lock, awake);
    }
    if (!queue_.head) return;
    take(batch);
    lock.unlock();
    for (Pending* pending : batch.members) add(batch, *pending);
    if (!batch.accepted.empty()) write(batch);
    complete(batch.members);
    batch.clear();
    lock.lock();
  }
}

void RocksDb::Batch::clear() {
  constexpr size_t kMostKept = 1 << 20;
  if (writes.GetDataSize() > kMostKept) {
    *this = Batch();
    return;
  }
  writes.Clear();
  changes.clear();
  puts.clear();
  keys.clear();
  members.clear();
  accepted.clear();
}

// Whatever has queued up while the last batch was on its way: nobody waits for others to come.
void RocksDb::take(Batch& batch) {
  size_t bytes = 0;
  while (queue_.head && batch.members.size() < kMostBatchMembers && bytes < kMostBatchBytes) {
    Pending* pending = queue_.take();
    bytes += pending->txn->writes().bytes();
    batch.members.push_back(pending);
  }
}

void RocksDb::add(Batch& batch, Pending& pending) {
  const BufferedTxn& txn = *pending.txn;
  if (window_.conflicts(txn.reads(), txn.version())) {
    conflicts_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const Version version = ++last_version_;
  const WriteSet& writes = txn.writes();
  for (const auto& [begin, end] : writes.erased().all()) erase_range(batch, begin, end, version);
  const auto put = [&](std::string_view key, std::string_view value) {
    batch.writes.Put(slice(key), slice(value));
    batch.puts.push_back(key);
    window_.add(key, version);
    batch.changes.push_back({version, key});
  };
  for (const auto& [key, value] : writes.points()) {
    if (value) {
      put(key, *value);
    } else {
      batch.writes.Delete(slice(key));
      window_.add(key, version);
      batch.changes.push_back({version, key});
    }
  }
  uint16_t order = 0;
  for (const OrderedPut& ordered : writes.ordered()) {
    put(batch.keys.emplace_back(ordered.prefix + position_of(version, order++)), ordered.value);
  }
  batch.accepted.push_back(&pending);
  batch.last = version;
}

void RocksDb::erase_range(Batch& batch, const std::string& begin, const std::string& end, Version version) {
  std::vector<std::string> keys;
  {
    const rocksdb::Slice upper = end;
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &upper;
    options.fill_cache = false;
    const std::unique_ptr<rocksdb::Iterator> rows(db_->NewIterator(options));
    seek(*rows, begin, end, published_);
    for (; rows->Valid() && keys.size() <= kMostSingleErases; rows->Next()) keys.push_back(rows->key().ToString());
    // What can't be listed is erased as a range.
    if (!rows->status().ok() || !window_.knows(published_)) keys.resize(kMostSingleErases + 1);
  }
  // Earlier transactions of this batch are not in the database yet.
  window_.written_after(begin, end, published_, [&](const std::string& key) { keys.push_back(key); });
  if (keys.size() > kMostSingleErases) {
    batch.writes.DeleteRange(begin, end);
    window_.add_range({begin, end}, version);
    batch.changes.push_back({version, begin, true, end});
    return;
  }
  for (std::string& key : keys) {
    batch.writes.Delete(key);
    window_.add(key, version);
    batch.changes.push_back({version, batch.keys.emplace_back(std::move(key))});
  }
}

void RocksDb::write(Batch& batch) {
  batch.writes.Put(slice(kVersionKey), be64(batch.last));
  KILL_POINT("kv.rocks.before_write");
  const auto begun = std::chrono::steady_clock::now();
  rocksdb::WriteOptions durable;
  durable.sync = true;
  const auto attempt = [&] {
    if (FAULT("kv.rocks.write_fails")) return rocksdb::Status::IOError("injected fault");
    // A store that lies, for the tests that must catch it.
    if (FAULT("kv.rocks.write_is_lost")) return rocksdb::Status::OK();
    tables_->gather_until(kVersionKey);
    return db_->Write(durable, &batch.writes);
  };
  const bool room = has_room(folder_, batch.writes.GetDataSize());
  rocksdb::Status status = room ? attempt() : rocksdb::Status::NoSpace("less than 32 MB are left for the store");
  if (!status.ok() && room && begun - last_resume_ > std::chrono::milliseconds(200)) {
    // After a failed write RocksDB refuses all others until told to go on, which works once the disk does. From a full
    // disk it recovers by itself some seconds after there is space again, and is busy until then.
    last_resume_ = begun;
    if (db_->Resume().ok()) status = attempt();
  }
  if (!status.ok()) {
    if (!failing_) log_error("kv", "Commits can't be written", {{"status", status.ToString()}});
    failing_ = true;
    const auto error = std::make_exception_ptr(std::runtime_error(cat(
        status.IsNoSpace() ? "the disk is full, nothing was saved: " : "the store could not write, nothing was saved: ",
        status.ToString())));
    for (Pending* pending : batch.accepted) pending->error = error;
    // The failed commits' numbers are used up, and the conflict window holds their keys: transactions must begin after
    // them.
    publish(last_version_);
    return;
  }
  if (failing_) log_info("kv", "Commits can be written again");
  failing_ = false;
  KILL_POINT("kv.rocks.after_write");
  gaps_.committed(batch.puts, batch.last);
  for (const Change& change : batch.changes) {
    change.range ? rows_.changes_everything(change.version) : rows_.changes(change.key, change.version);
  }
  publish(batch.last);
  watermark_->acknowledge(batch.last);
  commits_.fetch_add(batch.accepted.size(), std::memory_order_relaxed);
  syncs_.fetch_add(1, std::memory_order_relaxed);
  bytes_written_.fetch_add(batch.writes.GetDataSize(), std::memory_order_relaxed);
  for (Pending* pending : batch.accepted) pending->committed = true;
  for (const Resume& resume : watches_->publish(batch.changes)) resume.later();
  KILL_POINT("kv.rocks.after_publish");
}

void RocksDb::publish(Version version) {
  std::shared_ptr<const View> view = std::make_shared<RocksView>(version, *this);
  {
    std::lock_guard lock(newest_mutex_);
    newest_.swap(view);
  }
  published_ = version;
  window_.prune(live_.oldest_transaction(version));
}

// One post for each executor, whatever the size of the batch.
void RocksDb::complete(const std::vector<Pending*>& members) {
  std::vector<std::pair<Executor*, Chain>> chains;
  for (Pending* pending : members) {
    auto chain =
        std::find_if(chains.begin(), chains.end(), [&](const auto& c) { return c.first == pending->executor; });
    if (chain == chains.end()) chain = chains.insert(chain, {pending->executor, {}});
    chain->second.add(*pending);
  }
  for (const auto& [executor, all] : chains) {
    auto resume_all = [chain = Chain(all)]() mutable {
      while (chain.head) chain.take()->handle.resume();  // which ends the frame that holds it
    };
    if (executor) {
      executor->post(std::move(resume_all));
    } else {
      resume_all();
    }
  }
}

Task<void> RocksDb::checkpoint(std::string directory) {
  co_await workers_.run([&] {
    rocksdb::Checkpoint* made = nullptr;
    rocksdb::Status status = rocksdb::Checkpoint::Create(db_.get(), &made);
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
    // A small write-ahead log is copied; a large one is flushed first, so that only links are made.
    constexpr uint64_t kFlushAbove = 4 << 20;
    if (status.ok()) status = checkpoint->CreateCheckpoint(directory, kFlushAbove);
    if (!status.ok())
      throw std::runtime_error(cat("the checkpoint ", directory, " could not be made: ", status.ToString()));
  });
}

Db::Stats RocksDb::stats() const {
  Stats stats;
  stats.commits = commits_.load(std::memory_order_relaxed);
  stats.conflicts = conflicts_.load(std::memory_order_relaxed);
  stats.syncs = syncs_.load(std::memory_order_relaxed);
  stats.bytes_written = bytes_written_.load(std::memory_order_relaxed);
  const auto property = [&](const char* name) {
    uint64_t value = 0;
    db_->GetIntProperty(name, &value);
    return value;
  };
  stats.memory_bytes = property("rocksdb.cur-size-all-mem-tables") + property("rocksdb.estimate-table-readers-mem") +
                       cache_->GetUsage() + rows_.bytes();
  stats.disk_bytes = property("rocksdb.total-sst-files-size") + property("rocksdb.cur-size-all-mem-tables");
  return stats;
}

std::unique_ptr<Db> open_rocks(RocksOptions options) { return std::make_unique<RocksDb>(std::move(options)); }

}  // namespace virga::kv
