#include "services/lambda/catalog.h"

#include <variant>

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

// `find` looks into what is known (a pointer to the answer or null), `read` into the store, `keep` remembers: each for
// `part` of the function.
template <class T, class Part, class Find, class Read, class Keep>
Lookup<T> Catalog::get(const Home& home, const std::string& function, const Part& part, Find find, Read read,
                       Keep keep) {
  const std::string key = key_of(home, function);
  std::lock_guard lock(mutex_);
  if (const auto known = known_.find(key); known != known_.end()) {
    if (const T* found = find(known->second, part)) return Lookup<T>::known(*found);
  }
  return Lookup<T>::reading(this->read<T>(home, function, part, generation_, read, keep));
}

template <class T, class Part, class Read, class Keep>
Task<T> Catalog::read(Home home, std::string function, Part part, uint64_t generation, Read read, Keep keep) {
  const auto snapshot = db_.snapshot();
  std::string key = key_of(home, function);
  T value = co_await read(Store(*snapshot, std::move(home)), std::move(function), part);
  std::lock_guard lock(mutex_);
  if (generation == generation_) {
    make_room();
    keep(known_[std::move(key)], part, value);
  }
  co_return std::move(value);
}

Lookup<std::shared_ptr<const FunctionRecord>> Catalog::function(const Home& home, const std::string& name) {
  using Ptr = std::shared_ptr<const FunctionRecord>;
  return get<Ptr>(
      home, name, std::monostate(),
      [](const Known& known, std::monostate) { return known.record ? &*known.record : nullptr; },
      [](Store store, std::string function, std::monostate) -> Task<Ptr> {
        auto record = co_await store.find_function(std::move(function));
        co_return record ? std::make_shared<const FunctionRecord>(std::move(*record)) : nullptr;
      },
      [](Known& known, std::monostate, const Ptr& record) { known.record = record; });
}

Lookup<std::shared_ptr<const VersionRecord>> Catalog::version(const Home& home, const std::string& function,
                                                              uint64_t version) {
  using Ptr = std::shared_ptr<const VersionRecord>;
  return get<Ptr>(
      home, function, version,
      [](const Known& known, uint64_t number) {
        const auto found = known.versions.find(number);
        return found == known.versions.end() ? nullptr : &found->second;
      },
      [](Store store, std::string name, uint64_t number) -> Task<Ptr> {
        auto record = co_await store.find_version(std::move(name), number);
        co_return record ? std::make_shared<const VersionRecord>(std::move(*record)) : nullptr;
      },
      [](Known& known, uint64_t number, const Ptr& record) { known.versions[number] = record; });
}

Lookup<std::shared_ptr<const AliasRecord>> Catalog::alias(const Home& home, const std::string& function,
                                                          const std::string& alias) {
  using Ptr = std::shared_ptr<const AliasRecord>;
  return get<Ptr>(
      home, function, alias,
      [](const Known& known, const std::string& name) {
        const auto found = known.aliases.find(name);
        return found == known.aliases.end() ? nullptr : &found->second;
      },
      [](Store store, std::string function, std::string name) -> Task<Ptr> {
        auto record = co_await store.find_alias(std::move(function), std::move(name));
        co_return record ? std::make_shared<const AliasRecord>(std::move(*record)) : nullptr;
      },
      [](Known& known, const std::string& name, const Ptr& record) { known.aliases[name] = record; });
}

Lookup<std::optional<std::string>> Catalog::policy(const Home& home, const std::string& function,
                                                   const std::string& qualifier) {
  using Document = std::optional<std::string>;
  return get<Document>(
      home, function, qualifier,
      [](const Known& known, const std::string& name) {
        const auto found = known.policies.find(name);
        return found == known.policies.end() ? nullptr : &found->second;
      },
      [](Store store, std::string function, std::string name) -> Task<Document> {
        auto record = co_await store.find_policy(std::move(function), std::move(name));
        co_return record ? Document(std::move(record->document)) : std::nullopt;
      },
      [](Known& known, const std::string& name, const Document& document) { known.policies[name] = document; });
}

Lookup<int32_t> Catalog::set_aside(const Home& home) {
  const std::string key = cat(home.account, ":", home.region);
  std::lock_guard lock(mutex_);
  if (const auto found = set_aside_.find(key); found != set_aside_.end()) return Lookup<int32_t>::known(found->second);
  return Lookup<int32_t>::reading(read_set_aside(home, generation_));
}

Task<int32_t> Catalog::read_set_aside(Home home, uint64_t generation) {
  std::string key = cat(home.account, ":", home.region);
  const auto snapshot = db_.snapshot();
  const int32_t sum = co_await Store(*snapshot, std::move(home)).set_aside();
  std::lock_guard lock(mutex_);
  if (generation == generation_) {
    if (set_aside_.size() >= kMostParts) set_aside_.clear();
    set_aside_[std::move(key)] = sum;
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

}  // namespace virga::lambda
