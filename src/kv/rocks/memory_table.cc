#include "kv/rocks/memory_table.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/encoding.h"
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
  uint64_t order = 0;

  Key() = default;
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
  // What a look at the key and at a link will need.
  void prefetch(int level) const {
    __builtin_prefetch(links() - 1 - level);
    __builtin_prefetch(entry());
    __builtin_prefetch(entry() + 48);
  }
  // Kept where its first link will be, until it is linked.
  int height() const { return static_cast<int>(reinterpret_cast<uintptr_t>(next(0))); }
  void set_height(int height) { set_next(0, reinterpret_cast<Node*>(static_cast<uintptr_t>(height))); }
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
  using Places = std::array<Node*, kMostLevels>;  // on each level
  List() {
    for (auto& link : head_) link = nullptr;
  }
  // The first node with a key not before `key`; fills in the last before it on each level.
  Node* find(const Key& key, Places* before = nullptr) const {
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
  void insert(Node* node) {
    Places before;
    before.fill(head());
    find(node->key(), &before);
    link(node, before);
  }
  void insert(std::span<Node* const> nodes) {
    std::array<Search, 8> searches;
    for (; !nodes.empty(); nodes = nodes.subspan(std::min(nodes.size(), searches.size()))) {
      const std::span some(searches.data(), std::min(nodes.size(), searches.size()));
      for (size_t i = 0; i < some.size(); ++i) some[i].begin(*this, nodes[i]);
      for (bool going = true; going;) {
        going = false;
        for (Search& search : some) going |= search.step();
      }
      for (const Search& search : some) {
        // Others of these may have come between.
        Places before = search.before;
        const int height = search.node->height();
        for (int level = 0; level < height; ++level) {
          Node*& at = before[static_cast<size_t>(level)];
          for (Node* next = at->next(level); next && next->key() < search.key; next = at->next(level)) at = next;
        }
        link(search.node, before);
      }
    }
  }
  // Fills an empty list with nodes that are in order.
  template <class Nodes>
  void fill(const Nodes& nodes) {
    Places last;
    last.fill(head());
    int highest = 1;
    for (const auto& entry : nodes) {
      const int height = entry.node->height();
      highest = std::max(highest, height);
      for (size_t level = 0; level < static_cast<size_t>(height); ++level) {
        last[level]->set_next(static_cast<int>(level), entry.node);
        last[level] = entry.node;
      }
    }
    last[0]->set_next(0, nullptr);
    height_.store(highest, std::memory_order_relaxed);
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
  // find(), a step at a time: to a node that is on its way from memory meanwhile.
  struct Search {
    Node* node;
    Key key;
    Node *at, *next, *beyond;
    int level;
    Places before;

    void begin(const List& list, Node* inserted) {
      node = inserted;
      key = node->key();
      at = list.head();
      before.fill(at);
      beyond = nullptr;
      level = list.height_.load(std::memory_order_relaxed) - 1;
      look();
    }
    // False when all is found.
    bool step() {
      if (level < 0) return false;
      if (next->key() < key) {
        at = next;
      } else {
        beyond = next;
        before[static_cast<size_t>(level--)] = at;
      }
      return look();
    }

   private:
    // Goes down to a node that it doesn't know to be beyond.
    bool look() {
      for (; level >= 0; before[static_cast<size_t>(level--)] = at) {
        next = at->next(level);
        if (next == beyond) continue;
        next->prefetch(level);
        return true;
      }
      return false;
    }
  };
  void link(Node* node, const Places& before) {
    const int height = node->height();
    if (height > height_.load(std::memory_order_relaxed)) height_.store(height, std::memory_order_relaxed);
    for (int level = 0; level < height; ++level) {
      Node* const previous = before[static_cast<size_t>(level)];
      node->set_next(level, previous->next(level));
      previous->set_next(level, node);
    }
  }

  // A node that has links only.
  Node* head() const { return reinterpret_cast<Node*>(const_cast<std::atomic<Node*>*>(head_.data() + kMostLevels)); }

  std::array<std::atomic<Node*>, kMostLevels> head_;
  std::atomic<int> height_ = 1;
};

// Nodes on their way into order, with eight bytes of their keys beside them: nodes lie all over the memory, and looking
// into one takes longer than anything else.
struct Unsorted {
  Node* node;
  uint64_t part = 0;
  bool ended = false;  // the key has no more bytes than that

  void look(size_t at) {
    const std::string_view user = node->key().user;
    const std::string_view rest = user.substr(std::min(at, user.size()), sizeof part);
    char bytes[sizeof part] = {};
    std::memcpy(bytes, rest.data(), rest.size());
    part = read_be64(bytes);
    ended = rest.size() < sizeof part;
  }
};

// Sorts nodes whose keys are the same before `at`.
void sort(std::span<Unsorted> nodes, size_t at = 0) {
  constexpr size_t kMostParts = 64;  // more of them are compared as a whole
  for (Unsorted& node : nodes) node.look(at);
  // Nodes with the same part stay in the order of the memory, in which they come.
  const auto before = [](const auto& a, const auto& b) {
    return std::pair(a.part, a.node) < std::pair(b.part, b.node);
  };
  if (!std::is_sorted(nodes.begin(), nodes.end(), before)) std::sort(nodes.begin(), nodes.end(), before);
  for (auto begin = nodes.begin(); begin != nodes.end();) {
    const auto end = std::find_if(begin, nodes.end(), [&](const auto& node) { return node.part != begin->part; });
    const std::span same(begin, end);
    begin = end;
    if (same.size() == 1) continue;
    const bool ended = std::any_of(same.begin(), same.end(), [](const auto& node) { return node.ended; });
    if (!ended && at < kMostParts * sizeof(uint64_t)) {
      sort(same, at + sizeof(uint64_t));
    } else {
      std::sort(same.begin(), same.end(), [](const auto& a, const auto& b) { return a.node->key() < b.node->key(); });
    }
  }
}

// The memory of entries, in blocks that go from a table that is in a file to the next one: memory that comes anew costs
// the processor more than what is written to it.
class Blocks {
 public:
  static constexpr size_t kSize = 128 << 10;
  using Block = std::unique_ptr<char[]>;

  explicit Blocks(size_t most_kept) : most_kept_(most_kept) {}
  Block take() {
    {
      const std::lock_guard lock(mutex_);
      writing_ = true;
      if (!kept_.empty()) {
        Block block = std::move(kept_.back());
        kept_.pop_back();
        return block;
      }
    }
    return std::make_unique_for_overwrite<char[]>(kSize);
  }
  // None is kept while nobody writes.
  void give(std::vector<Block> blocks) {
    const std::lock_guard lock(mutex_);
    for (; writing_ && !blocks.empty() && kept_.size() < most_kept_; blocks.pop_back())
      kept_.push_back(std::move(blocks.back()));
  }
  void rest() {
    std::vector<Block> freed;
    const std::lock_guard lock(mutex_);
    writing_ = false;
    freed.swap(kept_);
  }

 private:
  const size_t most_kept_;
  std::mutex mutex_;
  std::vector<Block> kept_;
  bool writing_ = false;
};

// What a table's entries lie in. For one writer.
class Memory {
#if __has_feature(address_sanitizer)
  static constexpr size_t kMostInBlock = 0;
#else
  static constexpr size_t kMostInBlock = Blocks::kSize / 4;
#endif

 public:
  explicit Memory(std::shared_ptr<Blocks> blocks) : blocks_(std::move(blocks)) {}
  Memory(const Memory&) = delete;
  ~Memory() { blocks_->give(std::move(taken_)); }

  // Aligned for links.
  char* allocate(size_t bytes) {
    bytes += -bytes % sizeof(Node*);
    // What would leave much of a block unused lies alone; so does all that the sanitizer is to see the ends of.
    if (bytes > kMostInBlock) return add(large_, std::make_unique_for_overwrite<char[]>(bytes), bytes);
    if (bytes > left_) {
      next_ = add(taken_, blocks_->take(), Blocks::kSize);
      left_ = Blocks::kSize;
    }
    left_ -= bytes;
    return std::exchange(next_, next_ + bytes);
  }
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  char* add(std::vector<Blocks::Block>& to, Blocks::Block block, size_t bytes) {
    bytes_.store(bytes_.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
    return to.emplace_back(std::move(block)).get();
  }

  const std::shared_ptr<Blocks> blocks_;
  std::vector<Blocks::Block> taken_, large_;
  char* next_ = nullptr;
  size_t left_ = 0;
  std::atomic<size_t> bytes_ = 0;
};

// The writer's: what waits for its place.
struct Gathered {
  std::string last;  // empty: nothing waits
  std::vector<Node*> nodes;
};

class MemoryTable final : public rocksdb::MemTableRep {
 public:
  MemoryTable(rocksdb::Allocator* allocator, std::shared_ptr<Blocks> blocks, bool collects, Gathered& gathered)
      : MemTableRep(allocator),
        memory_(std::move(blocks)),
        gathered_(gathered),
        collects_(collects),
        random_(random_u64() | 1) {}

  KeyHandle Allocate(const size_t bytes, char** out) override {
    const int height = next_height();
    const size_t links = static_cast<size_t>(height) * sizeof(Node*);
    char* const memory = memory_.allocate(links + bytes);
    for (int i = 0; i < height; ++i) new (memory + static_cast<size_t>(i) * sizeof(Node*)) std::atomic<Node*>(nullptr);
    *out = memory + links;
    auto* const node = reinterpret_cast<Node*>(*out);
    node->set_height(height);
    return node;
  }
  void Insert(KeyHandle handle) override {
    auto* const node = static_cast<Node*>(handle);
    if (collects_.load(std::memory_order_acquire)) {
      const std::lock_guard lock(mutex_);
      if (collects_.load(std::memory_order_relaxed)) {
        collected_.push_back({node});
        return;
      }
    }
    if (gathered_.last.empty()) return list_.insert(node);
    gathered_.nodes.push_back(node);
    if (node->key().user != gathered_.last) return;
    gathered_.last.clear();
    list_.insert(gathered_.nodes);
    gathered_.nodes.clear();
  }
  bool Contains(const char* entry) const override {
    const Key key = reinterpret_cast<const Node*>(entry)->key();
    const Node* const found = list().find(key);
    return found && !(key < found->key());
  }
  size_t ApproximateMemoryUsage() override { return memory_.bytes(); }
  Iterator* GetIterator(rocksdb::Arena* arena) override {
    if (!arena) return new Place(list());
    return new (arena->AllocateAligned(sizeof(Place), 0, nullptr)) Place(list());
  }
  // RocksDB 7.8 asks for one of these, without an arena, to look a single key up, and never deletes it: it lives in the
  // thread.
  Iterator* GetDynamicPrefixIterator(rocksdb::Arena* arena) override {
    if (arena) return GetIterator(arena);
    alignas(Lookup) thread_local char memory[sizeof(Lookup)];
    return new (memory) Lookup(list());
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

  // For a reader: puts what was collected in order.
  const List& list() const {
    if (!collects_.load(std::memory_order_acquire)) return list_;
    const std::lock_guard lock(mutex_);
    if (collects_.load(std::memory_order_relaxed)) {
      sort(collected_);
      list_.fill(collected_);
      collected_ = {};
      collects_.store(false, std::memory_order_release);
    }
    return list_;
  }

  // Each level has a quarter of the nodes of the one below.
  int next_height() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return 1 + std::min(__builtin_ctzll(random_ | 1ull << 62) / 2, kMostLevels - 1);
  }

  Memory memory_;
  mutable List list_;
  Gathered& gathered_;
  mutable std::atomic<bool> collects_;
  mutable std::mutex mutex_;  // of what follows, while it collects
  mutable std::vector<Unsorted> collected_;
  uint64_t random_;
};

class Tables final : public MemoryTables {
 public:
  explicit Tables(size_t most_kept) : blocks_(std::make_shared<Blocks>(most_kept / Blocks::kSize)) {}
  void opened() override { opening_ = false; }
  void gather_until(std::string_view last) override {
    gathered_.last = last;
    gathered_.nodes.clear();  // of a batch that failed
  }
  void rest() override { blocks_->rest(); }
  using MemTableRepFactory::CreateMemTableRep;
  const char* Name() const override { return "VirgaMemoryTable"; }
  rocksdb::MemTableRep* CreateMemTableRep(const rocksdb::MemTableRep::KeyComparator&, rocksdb::Allocator* allocator,
                                          const rocksdb::SliceTransform*, rocksdb::Logger*) override {
    return new MemoryTable(allocator, blocks_, opening_, gathered_);
  }

 private:
  const std::shared_ptr<Blocks> blocks_;
  std::atomic<bool> opening_ = true;
  Gathered gathered_;
};

}  // namespace

std::shared_ptr<MemoryTables> memory_tables(size_t most_kept) { return std::make_shared<Tables>(most_kept); }

}  // namespace virga::kv
