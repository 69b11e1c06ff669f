// The reference engine: a map whose values keep their versions for as long as a view can see them. Commits are
// immediate, so a single thread sees a fixed order of events.
#include <deque>
#include <map>
#include <mutex>
#include <stdexcept>

#include "kv/engine.h"

namespace virga::kv {

namespace {

class MemDb final : public Engine {
 public:
  explicit MemDb(MemOptions options);
  ~MemDb() override { newest_.reset(); }

  Task<bool> commit(Txn& txn) override;
  Task<void> checkpoint(std::string directory) override {
    throw std::runtime_error("the memory store keeps no files: a checkpoint needs a store on disk");
    co_return;
  }
  Stats stats() const override {
    std::lock_guard lock(mutex_);
    Stats stats = stats_;
    stats.memory_bytes = bytes_;
    return stats;
  }
  void inject(int count) {
    std::lock_guard lock(mutex_);
    inject_ = count;
  }

 protected:
  std::shared_ptr<const View> newest(Purpose purpose) override {
    std::lock_guard lock(mutex_);
    if (purpose == Purpose::kTransaction) newest_->transactions.fetch_add(1);
    return newest_;
  }

 private:
  struct State {
    Version version;
    std::optional<std::string> value;  // none: erased
  };
  using Rows = std::map<std::string, std::vector<State>, std::less<>>;  // states oldest first
  struct MemView;
  struct MemCursor;

  static const std::string* visible(const std::vector<State>& states, Version at) {
    for (auto state = states.rbegin(); state != states.rend(); ++state) {
      if (state->version <= at) return state->value ? &*state->value : nullptr;
    }
    return nullptr;
  }
  void write(std::string key, std::optional<std::string> value, Version version);
  void collect();

  mutable std::mutex mutex_;
  LiveViews live_;
  Rows rows_;
  std::deque<std::pair<Version, std::string>> garbage_;  // keys with states that a commit of that version replaced
  ConflictWindow window_;
  Version version_ = 0;
  std::shared_ptr<const View> newest_;
  Stats stats_;
  uint64_t bytes_ = 0;
  int inject_;
};

struct MemDb::MemView final : View {
  MemView(Version version, MemDb& db) : View(version, db.live_), db(db) {}
  std::optional<std::string> get(std::string_view key) const override {
    std::lock_guard lock(db.mutex_);
    const auto row = db.rows_.find(key);
    if (row == db.rows_.end()) return std::nullopt;
    const std::string* value = visible(row->second, version());
    return value ? std::optional(*value) : std::nullopt;
  }
  std::unique_ptr<Cursor> cursor(const Range& range, bool reverse) const override;
  MemDb& db;
};

MemDb::MemDb(MemOptions options) : newest_(std::make_shared<MemView>(0, *this)), inject_(options.inject_conflicts) {}

// Rows come and go between moves, so each move looks its place up anew.
struct MemDb::MemCursor final : Cursor {
  MemCursor(const MemView& view, Range range, bool reverse) : view(view), range(std::move(range)), reverse(reverse) {
    skip_to(reverse ? this->range.end : this->range.begin);
  }
  bool valid() const override { return current.has_value(); }
  std::string_view key() const override { return current->key; }
  std::string_view value() const override { return current->value; }
  void next() override { skip_to(reverse ? current->key : key_after(current->key)); }
  void skip_to(std::string_view to) override {
    std::lock_guard lock(view.db.mutex_);
    const Rows& rows = view.db.rows_;
    auto row = rows.lower_bound(to);
    std::optional<Entry> found;
    if (reverse) {
      while (!found && row != rows.begin() && (--row)->first >= range.begin) {
        if (const auto* value = visible(row->second, view.version())) found = Entry{row->first, *value};
      }
    } else {
      for (; !found && row != rows.end() && row->first < range.end; ++row) {
        if (const auto* value = visible(row->second, view.version())) found = Entry{row->first, *value};
      }
    }
    current = std::move(found);
  }

  const MemView& view;
  const Range range;
  const bool reverse;
  std::optional<Entry> current;
};

std::unique_ptr<Cursor> MemDb::MemView::cursor(const Range& range, bool reverse) const {
  return std::make_unique<MemCursor>(*this, range, reverse);
}

void MemDb::write(std::string key, std::optional<std::string> value, Version version) {
  auto row = rows_.find(key);
  if (row == rows_.end()) {
    if (!value) return;
    bytes_ += key.size();
    row = rows_.emplace(key, std::vector<State>()).first;
  }
  bytes_ += value ? value->size() : 0;
  if (!row->second.empty() || !value) garbage_.emplace_back(version, std::move(key));
  row->second.push_back({version, std::move(value)});
}

// Drops the states that no view sees any more.
void MemDb::collect() {
  const Version oldest = live_.oldest(version_);
  for (; !garbage_.empty() && garbage_.front().first <= oldest; garbage_.pop_front()) {
    const auto row = rows_.find(garbage_.front().second);
    if (row == rows_.end()) continue;
    auto& states = row->second;
    size_t dead = 0;
    while (dead + 1 < states.size() && states[dead + 1].version <= oldest) ++dead;
    if (dead + 1 == states.size() && !states[dead].value && states[dead].version <= oldest) ++dead;
    for (size_t i = 0; i < dead; ++i) bytes_ -= states[i].value ? states[i].value->size() : 0;
    states.erase(states.begin(), states.begin() + static_cast<std::ptrdiff_t>(dead));
    if (states.empty()) {
      bytes_ -= row->first.size();
      rows_.erase(row);
    }
  }
}

Task<bool> MemDb::commit(Txn& txn) {
  const auto& mine = static_cast<BufferedTxn&>(txn);
  const WriteSet& writes = mine.writes();
  if (writes.empty()) co_return true;

  WatchRegistry::Waker wake;
  std::shared_ptr<const View> replaced;  // dropped without the lock
  {
    std::lock_guard lock(mutex_);
    if (inject_ > 0 || window_.conflicts(mine.reads(), mine.version())) {
      if (inject_ > 0) --inject_;
      ++stats_.conflicts;
      co_return false;
    }
    const Version version = ++version_;
    std::vector<Change> changes;
    std::deque<std::string> positioned;
    for (const auto& [begin, end] : writes.erased().all()) {
      for (auto row = rows_.lower_bound(begin); row != rows_.end() && row->first < end; ++row) {
        if (row->second.back().value) write(row->first, std::nullopt, version);
      }
      window_.add_range({begin, end}, version);
      changes.push_back({version, begin, true, end});
    }
    for (const auto& [key, value] : writes.points()) {
      write(key, value, version);
      window_.add(key, version);
      changes.push_back({version, key});
    }
    uint16_t order = 0;
    for (const OrderedPut& put : writes.ordered()) {
      const std::string& key = positioned.emplace_back(put.prefix + position_of(version, order++));
      write(key, put.value, version);
      window_.add(key, version);
      changes.push_back({version, key});
    }
    ++stats_.commits;
    ++stats_.syncs;
    stats_.bytes_written += writes.bytes();
    replaced = std::exchange(newest_, std::shared_ptr<const View>(std::make_shared<MemView>(version, *this)));
    window_.prune(live_.oldest_transaction(version));
    collect();
    wake = watches_->publish(changes);
  }
  for (const Resume& resume : wake) resume.later();
  co_return true;
}

}  // namespace

std::unique_ptr<Db> open_mem(MemOptions options) { return std::make_unique<MemDb>(options); }

void inject_conflicts(Db& mem, int count) {
  auto* db = dynamic_cast<MemDb*>(&mem);
  if (!db) throw std::invalid_argument("conflicts can be injected into the memory store only");
  db->inject(count);
}

}  // namespace virga::kv
