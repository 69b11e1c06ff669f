// One instant of a store, as an engine shows it to transactions and readers.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kv/db.h"
#include "kv/write_set.h"

namespace virga::kv {

// Walks a range's entries in key order, or backwards. Stands on the first entry when made.
class Cursor {
 public:
  virtual ~Cursor() = default;
  virtual bool valid() const = 0;
  virtual std::string_view key() const = 0;    // until the next move
  virtual std::string_view value() const = 0;  // until the next move
  virtual void next() = 0;
  // Goes on at the first entry at or after `key`; walking backwards, at the last one before it.
  virtual void skip_to(std::string_view key) = 0;
};

class LiveViews;

// Shared by all who read at this instant. Thread-safe. Reading throws std::runtime_error when the disk fails.
class View {
 public:
  View(Version version, LiveViews& live);
  View(const View&) = delete;
  virtual ~View();
  Version version() const { return version_; }
  virtual std::optional<std::string> get(std::string_view key) const = 0;
  virtual std::unique_ptr<Cursor> cursor(const Range& range, bool reverse) const = 0;

  // How many transactions still have to commit that read here.
  mutable std::atomic<int> transactions = 0;

 private:
  const Version version_;
  LiveViews& live_;
};

// The views that somebody still holds.
class LiveViews {
 public:
  // The oldest version that anybody reads; `none` when nobody does.
  Version oldest(Version none) const;
  // The oldest version whose reads a coming commit may rely on. Transactions only begin at `newest`.
  Version oldest_transaction(Version newest) const;

 private:
  friend class View;
  mutable std::mutex mutex_;
  std::multimap<Version, const View*> views_;
};

// The entries of `range` in `view` as `writes` (null: nothing) change them. `passed`, when given, becomes the part of
// the range that the result depends on: the whole of it, or up to where a limit stopped.
std::vector<Entry> scan_view(const View& view, const WriteSet* writes, Range range, const ScanOptions& options,
                             Range* passed);

}  // namespace virga::kv
