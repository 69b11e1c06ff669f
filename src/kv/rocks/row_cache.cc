#include "kv/rocks/row_cache.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <utility>

namespace virga::kv {

namespace {

constexpr size_t kWays = 8;           // places that a row may lie in
constexpr size_t kRowWorth = 512;     // bytes of the cache for each place
constexpr size_t kLargestShare = 16;  // a row takes no more than one of so many parts of a shard

template <class T>
struct Freed {
  void operator()(T* memory) const { std::free(memory); }
};
// Zeroed, and not touched before it is used.
template <class T>
using Array = std::unique_ptr<T[], Freed<T>>;
template <class T>
Array<T> zeroed(size_t count) {
  auto* memory = static_cast<T*>(std::calloc(count, sizeof(T)));
  if (!memory) throw std::bad_alloc();
  return Array<T>(memory);
}

}  // namespace

// Followed by the key and the value.
struct RowCache::Entry {
  size_t hash;
  Version since;
  uint32_t key_size, value_size;
  bool used;

  const char* text() const { return reinterpret_cast<const char*>(this + 1); }
  std::string_view key() const { return {text(), key_size}; }
  std::string_view value() const { return {text() + key_size, value_size}; }
  size_t bytes() const { return sizeof(Entry) + key_size + value_size; }
};

struct RowCache::Shard {
  std::mutex mutex;
  size_t places = 0;  // a multiple of kWays
  Array<Entry*> entries;
  Array<Version> written;  // by hash: the last commit that changed a row with it
  Array<uint32_t> seen;    // sets like those of entries: rows that were read lately and not kept
  Version floor = 0;       // of a change of everything
  size_t bytes = 0;
  size_t hand = 0;  // where the search for what to drop goes on

  // Where rows with `hash` lie.
  Entry** set_of(size_t hash) { return &entries[hash / kShards % (places / kWays) * kWays]; }
  size_t slot_of(size_t hash) const { return hash / kShards % places; }
  Entry** find(size_t hash, std::string_view key) {
    Entry** set = set_of(hash);
    for (size_t i = 0; i < kWays; ++i) {
      if (set[i] && set[i]->hash == hash && set[i]->key() == key) return &set[i];
    }
    return nullptr;
  }
  // What is read once is not kept: notes it the first time, the newest in front.
  bool was_seen(size_t hash) {
    const auto name = static_cast<uint32_t>(hash >> 32) | 1;
    uint32_t* set = &seen[hash / kShards % (places / kWays) * kWays];
    if (std::find(set, set + kWays, name) != set + kWays) return true;
    std::copy_backward(set, set + kWays - 1, set + kWays);
    set[0] = name;
    return false;
  }
  void drop(Entry*& place) {
    bytes -= place->bytes();
    std::free(place);
    place = nullptr;
  }
  // Takes away what was not used since the hand last passed, until `most` bytes are left.
  void shrink(size_t most) {
    while (bytes > most) {
      Entry*& entry = entries[hand];
      hand = (hand + 1) % places;
      if (entry && !std::exchange(entry->used, false)) drop(entry);
    }
  }
};

RowCache::RowCache(size_t bytes) : bytes_(bytes / kShards) {
  if (bytes_ < kRowWorth * kWays) return;
  shards_ = std::make_unique<Shard[]>(kShards);
  for (size_t i = 0; i < kShards; ++i) {
    Shard& shard = shards_[i];
    shard.places = bytes_ / kRowWorth / kWays * kWays;
    shard.entries = zeroed<Entry*>(shard.places);
    shard.written = zeroed<Version>(shard.places);
    shard.seen = zeroed<uint32_t>(shard.places);
  }
}

RowCache::~RowCache() { changes_everything(0); }

RowCache::Shard& RowCache::shard_of(size_t hash) { return shards_[hash % kShards]; }

std::optional<std::string> RowCache::find(std::string_view key, Version version) {
  if (!shards_) return std::nullopt;
  const size_t hash = std::hash<std::string_view>()(key);
  Shard& shard = shard_of(hash);
  std::lock_guard lock(shard.mutex);
  Entry** entry = shard.find(hash, key);
  if (!entry || (*entry)->since > version) return std::nullopt;
  (*entry)->used = true;
  return std::string((*entry)->value());
}

void RowCache::found(std::string_view key, std::string_view value, Version version) {
  const size_t size = sizeof(Entry) + key.size() + value.size();
  if (!shards_ || size > bytes_ / kLargestShare) return;
  const size_t hash = std::hash<std::string_view>()(key);
  Shard& shard = shard_of(hash);
  std::lock_guard lock(shard.mutex);
  const size_t slot = shard.slot_of(hash);
  if (version < shard.written[slot] || version < shard.floor) return;
  if (!shard.was_seen(hash) || shard.find(hash, key)) return;
  Entry** set = shard.set_of(hash);
  Entry** place = std::find(set, set + kWays, nullptr);
  if (place == set + kWays) {
    place = std::find_if(set, set + kWays, [](const Entry* entry) { return !entry->used; });
    if (place == set + kWays) place = set + hash / 7 % kWays;
    shard.drop(*place);
  }
  shard.shrink(bytes_ - size);
  void* memory = std::malloc(size);
  if (!memory) return;
  *place =
      new (memory) Entry{hash, version, static_cast<uint32_t>(key.size()), static_cast<uint32_t>(value.size()), true};
  char* text = reinterpret_cast<char*>(*place + 1);
  std::memcpy(text, key.data(), key.size());
  std::memcpy(text + key.size(), value.data(), value.size());
  shard.bytes += size;
}

void RowCache::changes(std::string_view key, Version version) {
  if (!shards_) return;
  const size_t hash = std::hash<std::string_view>()(key);
  Shard& shard = shard_of(hash);
  std::lock_guard lock(shard.mutex);
  shard.written[shard.slot_of(hash)] = version;
  if (Entry** entry = shard.find(hash, key)) shard.drop(*entry);
}

void RowCache::changes_everything(Version version) {
  if (!shards_) return;
  for (size_t i = 0; i < kShards; ++i) {
    Shard& shard = shards_[i];
    std::lock_guard lock(shard.mutex);
    shard.floor = version;
    for (size_t place = 0; place < shard.places; ++place) {
      if (shard.entries[place]) shard.drop(shard.entries[place]);
    }
  }
}

size_t RowCache::bytes() const {
  size_t sum = 0;
  for (size_t i = 0; shards_ && i < kShards; ++i) {
    std::lock_guard lock(shards_[i].mutex);
    sum += shards_[i].bytes;
  }
  return sum;
}

}  // namespace virga::kv
