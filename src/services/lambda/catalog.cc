#include "services/lambda/catalog.h"

#include "base/str.h"
#include "kv/key.h"

namespace virga::lambda {
namespace {
// Records kept. A version with its environment and inline code is some 10 KB at most, mostly far less.
constexpr size_t kMostParts = 8192;
}  // namespace

std::string Catalog::key_of(const Home& home, std::string_view function) {
  return cat(home.account, ":", home.region, ":", function);
}

// With the lock held. Everything goes at once: what is in use comes back with its next call.
void Catalog::make_room() {
  if (++parts_ <= kMostParts) return;
  known_.clear();
  parts_ = 1;
}

// `find` looks into what is known (a pointer to the answer or null), `read` into the store, `keep` remembers.
template <class T, class Find, class Read, class Keep>
Task<T> Catalog::get(Home home, std::string function, Find find, Read read, Keep keep) {
  std::string key = key_of(home, function);
  uint64_t generation;
  {
    std::lock_guard lock(mutex_);
    if (const auto known = known_.find(key); known != known_.end()) {
      if (const T* found = find(known->second)) co_return *found;
    }
    generation = generation_;
  }
  const auto snapshot = db_.snapshot();
  T value = co_await read(Store(*snapshot, std::move(home)));
  std::lock_guard lock(mutex_);
  if (generation == generation_) {
    make_room();
    keep(known_[std::move(key)], value);
  }
  co_return std::move(value);
}

Task<std::shared_ptr<const FunctionRecord>> Catalog::function(Home home, std::string name) {
  using Ptr = std::shared_ptr<const FunctionRecord>;
  co_return co_await get<Ptr>(
      std::move(home), name, [](const Known& known) { return known.record ? &*known.record : nullptr; },
      [&](Store store) -> Task<Ptr> {
        auto record = co_await store.find_function(name);
        co_return record ? std::make_shared<const FunctionRecord>(std::move(*record)) : nullptr;
      },
      [](Known& known, const Ptr& record) { known.record = record; });
}

Task<std::shared_ptr<const VersionRecord>> Catalog::version(Home home, std::string function, uint64_t version) {
  using Ptr = std::shared_ptr<const VersionRecord>;
  co_return co_await get<Ptr>(
      std::move(home), function,
      [&](const Known& known) {
        const auto found = known.versions.find(version);
        return found == known.versions.end() ? nullptr : &found->second;
      },
      [&](Store store) -> Task<Ptr> {
        auto record = co_await store.find_version(function, version);
        co_return record ? std::make_shared<const VersionRecord>(std::move(*record)) : nullptr;
      },
      [&](Known& known, const Ptr& record) { known.versions[version] = record; });
}

Task<std::shared_ptr<const AliasRecord>> Catalog::alias(Home home, std::string function, std::string alias) {
  using Ptr = std::shared_ptr<const AliasRecord>;
  co_return co_await get<Ptr>(
      std::move(home), function,
      [&](const Known& known) {
        const auto found = known.aliases.find(alias);
        return found == known.aliases.end() ? nullptr : &found->second;
      },
      [&](Store store) -> Task<Ptr> {
        auto record = co_await store.find_alias(function, alias);
        co_return record ? std::make_shared<const AliasRecord>(std::move(*record)) : nullptr;
      },
      [&](Known& known, const Ptr& record) { known.aliases[alias] = record; });
}

Task<std::optional<std::string>> Catalog::policy(Home home, std::string function, std::string qualifier) {
  using Document = std::optional<std::string>;
  co_return co_await get<Document>(
      std::move(home), function,
      [&](const Known& known) {
        const auto found = known.policies.find(qualifier);
        return found == known.policies.end() ? nullptr : &found->second;
      },
      [&](Store store) -> Task<Document> {
        auto record = co_await store.find_policy(function, qualifier);
        co_return record ? Document(std::move(record->document)) : std::nullopt;
      },
      [&](Known& known, const Document& document) { known.policies[qualifier] = document; });
}

Task<int32_t> Catalog::set_aside(Home home) {
  const std::string key = cat(home.account, ":", home.region);
  uint64_t generation;
  {
    std::lock_guard lock(mutex_);
    if (const auto found = set_aside_.find(key); found != set_aside_.end()) co_return found->second;
    generation = generation_;
  }
  const auto snapshot = db_.snapshot();
  const int32_t sum = co_await Store(*snapshot, std::move(home)).set_aside();
  std::lock_guard lock(mutex_);
  if (generation == generation_) {
    if (set_aside_.size() >= kMostParts) set_aside_.clear();
    set_aside_[key] = sum;
  }
  co_return sum;
}

void Catalog::forget_set_aside(const Home& home) {
  std::lock_guard lock(mutex_);
  ++generation_;
  set_aside_.erase(cat(home.account, ":", home.region));
}

void Catalog::forget(const Home& home, const std::string& function) {
  std::lock_guard lock(mutex_);
  ++generation_;
  const auto found = known_.find(key_of(home, function));
  if (found == known_.end()) return;
  const Known& known = found->second;
  parts_ -= known.record.has_value() + known.versions.size() + known.aliases.size() + known.policies.size();
  known_.erase(found);
}

void Catalog::forget_all() {
  std::lock_guard lock(mutex_);
  ++generation_;
  known_.clear();
  set_aside_.clear();
  parts_ = 0;
}

std::vector<std::string> Catalog::key_prefixes() {
  std::vector<std::string> prefixes;
  for (const std::string_view kind : {"f", "v", "a", "p", "r", "c"})
    prefixes.push_back(kv::KeyWriter("lambda").raw(kind).take());
  return prefixes;
}

}  // namespace virga::lambda
