#include "kv/rocks/memory_table.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

#include "base/id.h"

// What RocksDB's own tables allocate their iterators from; its header is not installed.
class rocksdb::Arena {
 public:
  char* AllocateAligned(size_t bytes, size_t huge_page_size, Logger* logger);
};

namespace virga::kv {

namespace {

using rocksdb::KeyHandle;
using rocksdb::Slice;

// A key as RocksDB keeps it: the user's, then eight bytes, little-endian, of which the greater comes first.
struct Key {
  std::string_view user;
  uint64_t order;

  explicit Key(std::string_view internal) : user(internal.substr(0, internal.size() - 8)) {
    std::memcpy(&order, user.data() + user.size(), sizeof order);
  }
  bool operator<(const Key& other) const {
    const int difference = user.compare(other.user);
    return difference != 0 ? difference < 0 : order > other.order;
  }
};

constexpr int kMostLevels = 12;

// Its entry (the key's length as a varint, the key, the value) begins where the node does; the links are before it.
class Node {
 public:
  Node* next(int level) const { return links()[-1 - level].load(std::memory_order_acquire); }
  void set_next(int level, Node* node) { links()[-1 - level].store(node, std::memory_order_release); }
  const char* entry() const { return reinterpret_cast<const char*>(this); }
  Key key() const {
    const auto* at = reinterpret_cast<const unsigned char*>(this);
    uint32_t size = *at & 0x7f;
    for (int shift = 7; *at++ & 0x80; shift += 7) size |= uint32_t{*at & 0x7fu} << shift;
    return Key({reinterpret_cast<const char*>(at), size});
  }

 private:
  using Link = std::atomic<Node*>;
  Link* links() const { return reinterpret_cast<Link*>(const_cast<Node*>(this)); }
};

class List {
 public:
  List() {
    for (auto& link : head_) link = nullptr;
  }
  // The first node with a key not before `key`; fills in the last before it on each level.
  Node* find(const Key& key, std::array<Node*, kMostLevels>* before = nullptr) const {
    Node* at = head();
    Node* beyond = nullptr;  // known not to be before the key: levels often lead to the same node
    for (int level = height_.load(std::memory_order_relaxed) - 1; level >= 0; --level) {
      Node* next = at->next(level);
      while (next && next != beyond && next->key() < key) {
        at = next;
        next = at->next(level);
      }
      beyond = next;
      if (before) (*before)[static_cast<size_t>(level)] = at;
    }
    return beyond;
  }
  void insert(Node* node, int height) {
    std::array<Node*, kMostLevels> before;
    before.fill(head());
    find(node->key(), &before);
    if (height > height_.load(std::memory_order_relaxed)) height_.store(height, std::memory_order_relaxed);
    for (int level = 0; level < height; ++level) {
      Node* const previous = before[static_cast<size_t>(level)];
      node->set_next(level, previous->next(level));
      previous->set_next(level, node);
    }
  }
  Node* first() const { return head()->next(0); }
  // The last node with a key before `key`, or the last of all.
  Node* last_before(const Key* key) const {
    Node* at = head();
    for (int level = height_.load(std::memory_order_relaxed) - 1; level >= 0; --level) {
      for (Node* next = at->next(level); next && (!key || next->key() < *key); next = at->next(level)) at = next;
    }
    return at == head() ? nullptr : at;
  }

 private:
  // A node that has links only.
  Node* head() const { return reinterpret_cast<Node*>(const_cast<std::atomic<Node*>*>(head_.data() + kMostLevels)); }

  std::array<std::atomic<Node*>, kMostLevels> head_;
  std::atomic<int> height_ = 1;
};

class MemoryTable final : public rocksdb::MemTableRep {
 public:
  explicit MemoryTable(rocksdb::Allocator* allocator) : MemTableRep(allocator), random_(random_u64() | 1) {}

  KeyHandle Allocate(const size_t bytes, char** out) override {
    const int height = next_height();
    const size_t links = static_cast<size_t>(height) * sizeof(Node*);
    char* memory = nullptr;
    MemTableRep::Allocate(links + bytes + sizeof(Node*) - 1, &memory);
    memory += -reinterpret_cast<uintptr_t>(memory) % sizeof(Node*);
    for (int i = 0; i < height; ++i) new (memory + static_cast<size_t>(i) * sizeof(Node*)) std::atomic<Node*>(nullptr);
    *out = memory + links;
    // Its height, until it is inserted.
    auto* const node = reinterpret_cast<Node*>(*out);
    node->set_next(0, reinterpret_cast<Node*>(static_cast<uintptr_t>(height)));
    return node;
  }
  void Insert(KeyHandle handle) override {
    auto* const node = static_cast<Node*>(handle);
    list_.insert(node, static_cast<int>(reinterpret_cast<uintptr_t>(node->next(0))));
  }
  bool Contains(const char* entry) const override {
    const Key key = reinterpret_cast<const Node*>(entry)->key();
    const Node* const found = list_.find(key);
    return found && !(key < found->key());
  }
  size_t ApproximateMemoryUsage() override { return 0; }  // all of it is the allocator's
  Iterator* GetIterator(rocksdb::Arena* arena) override {
    if (!arena) return new Place(list_);
    return new (arena->AllocateAligned(sizeof(Place), 0, nullptr)) Place(list_);
  }
  // RocksDB 7.8 asks for one of these, without an arena, to look a single key up, and never deletes it: it lives in the
  // thread.
  Iterator* GetDynamicPrefixIterator(rocksdb::Arena* arena) override {
    if (arena) return GetIterator(arena);
    alignas(Lookup) thread_local char memory[sizeof(Lookup)];
    return new (memory) Lookup(list_);
  }

 private:
  class Place : public Iterator {
   public:
    explicit Place(const List& list) : list_(list) {}
    bool Valid() const override { return node_ != nullptr; }
    const char* key() const override { return node_->entry(); }
    void Next() override { node_ = node_->next(0); }
    void Prev() override {
      const Key key = node_->key();
      node_ = list_.last_before(&key);
    }
    void Seek(const Slice& key, const char* entry) override { node_ = list_.find(sought(key, entry)); }
    void SeekForPrev(const Slice& slice, const char* entry) override {
      const Key key = sought(slice, entry);
      node_ = list_.find(key);
      if (!node_ || key < node_->key()) node_ = list_.last_before(&key);
    }
    void SeekToFirst() override { node_ = list_.first(); }
    void SeekToLast() override { node_ = list_.last_before(nullptr); }

   private:
    // Either is given.
    static Key sought(const Slice& key, const char* entry) {
      return entry ? reinterpret_cast<const Node*>(entry)->key() : Key({key.data(), key.size()});
    }
    const List& list_;
    Node* node_ = nullptr;
  };

  struct Lookup final : Place {
    using Place::Place;
    static void operator delete(void*) {}
  };

  // Each level has a quarter of the nodes of the one below.
  int next_height() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return 1 + std::min(__builtin_ctzll(random_ | 1ull << 62) / 2, kMostLevels - 1);
  }

  List list_;
  uint64_t random_;
};

class Tables final : public rocksdb::MemTableRepFactory {
 public:
  using MemTableRepFactory::CreateMemTableRep;
  const char* Name() const override { return "VirgaMemoryTable"; }
  rocksdb::MemTableRep* CreateMemTableRep(const rocksdb::MemTableRep::KeyComparator&, rocksdb::Allocator* allocator,
                                          const rocksdb::SliceTransform*, rocksdb::Logger*) override {
    return new MemoryTable(allocator);
  }
};

}  // namespace

std::shared_ptr<rocksdb::MemTableRepFactory> memory_tables() { return std::make_shared<Tables>(); }

}  // namespace virga::kv
