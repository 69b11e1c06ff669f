// What the tests of the store share.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/str.h"
#include "kv/db.h"

namespace virga::kv {

// A folder that is gone after the test.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "virga-test-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  std::string operator/(std::string_view name) const { return cat(path_, "/", name); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The result of a task run to its end; throws when it failed.
template <class T>
T get(Task<T> task) {
  Result<T> result = run(std::move(task));
  if (!result) throw std::runtime_error(describe(result.error()));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

inline void put(Db& db, std::string key, std::string value) {
  get(db.transact([&](Txn& tx) -> Task<void> {
    tx.put(key, value);
    co_return;
  }));
}

inline std::optional<std::string> read(Db& db, std::string key) {
  const auto reader = db.snapshot();
  return get(reader->get(std::move(key)));
}

inline std::string keys_of(const std::vector<Entry>& entries) {
  std::string out;
  for (const Entry& entry : entries) append(out, entry.key, " ");
  if (!out.empty()) out.pop_back();
  return out;
}

}  // namespace virga::kv
