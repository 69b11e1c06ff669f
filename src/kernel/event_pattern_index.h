// Finding which of many tests one value passes without trying each. Every index maps to numbers that its user chose,
// and may report one more than once. Internal to event_pattern.*.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/event_pattern_fields.h"

namespace virga::kernel::pattern {

// Texts equal to one.
class TextIndex {
 public:
  void add(std::string text, uint32_t target) { entries_.push_back({hash_of(text), std::move(text), target}); }
  void freeze();
  bool empty() const { return entries_.empty(); }
  template <class F>
  void find(std::string_view text, uint64_t hash, const F& hit) const {
    for (size_t i = slots_[hash & (slots_.size() - 1)]; i < entries_.size(); ++i) {
      const Entry& entry = entries_[i];
      if (((entry.hash ^ hash) & (slots_.size() - 1)) != 0) break;
      if (entry.hash == hash && entry.text == text) hit(entry.target);
    }
  }

 private:
  struct Entry {
    uint64_t hash;
    std::string text;
    uint32_t target;
  };
  std::vector<Entry> entries_;   // by the low bits of the hash
  std::vector<uint32_t> slots_;  // where each of those begins
};

// Texts that begin (or end) one. They are kept in order; those that begin a text are the last one not behind it and its
// own beginnings, or some of these.
class AffixIndex {
 public:
  explicit AffixIndex(bool from_end) : from_end_(from_end) {}
  void add(std::string text, uint32_t target) {
    if (from_end_) std::reverse(text.begin(), text.end());
    entries_.push_back({std::move(text), target, kNone});
  }
  void freeze();
  bool empty() const { return entries_.empty(); }
  template <class F>
  void find(std::string_view text, const F& hit) const {
    size_t low = 0, high = entries_.size();
    while (low < high) {
      const size_t middle = (low + high) / 2;
      if (compare(entries_[middle].text, text) <= 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    for (uint32_t i = low == 0 ? kNone : static_cast<uint32_t>(low - 1); i != kNone; i = entries_[i].shorter) {
      if (begins(entries_[i].text, text)) {
        for (; i != kNone; i = entries_[i].shorter) hit(entries_[i].target);
        return;
      }
    }
  }

 private:
  struct Entry {
    std::string text;  // reversed when from_end_
    uint32_t target;
    uint32_t shorter;  // the longest other entry that begins this one
  };
  const bool from_end_;
  std::vector<Entry> entries_;
  unsigned char at(std::string_view text, size_t i) const {
    return static_cast<unsigned char>(from_end_ ? text[text.size() - 1 - i] : text[i]);
  }
  int compare(std::string_view entry, std::string_view text) const {
    for (size_t i = 0; i < entry.size(); ++i) {
      if (i == text.size()) return 1;
      const int difference = static_cast<unsigned char>(entry[i]) - at(text, i);
      if (difference) return difference;
    }
    return entry.size() == text.size() ? 0 : -1;
  }
  bool begins(std::string_view entry, std::string_view text) const {
    if (entry.size() > text.size()) return false;
    for (size_t i = 0; i < entry.size(); ++i) {
      if (static_cast<unsigned char>(entry[i]) != at(text, i)) return false;
    }
    return true;
  }
};

// Texts that occur anywhere in one: all are looked for at once, in one walk over it (Aho and Corasick's automaton).
// Each target is reported once.
class WithinIndex {
 public:
  void add(std::string text, uint32_t target) { entries_.emplace_back(std::move(text), target); }
  void freeze();
  bool empty() const { return entries_.empty(); }
  template <class F>
  void find(std::string_view text, const F& hit) const {
    std::vector<bool> reported;
    uint32_t node = 0;
    for (const char c : text) {
      node = step(node, c);
      // Of what was reported, all shorter ones were too.
      for (uint32_t n = nodes_[node].ends; n != kNone && (reported.empty() || !reported[n]); n = nodes_[n].shorter) {
        if (reported.empty()) reported.resize(nodes_.size());
        reported[n] = true;
        for (uint32_t i = nodes_[n].first_entry; i < nodes_[n].last_entry; ++i) hit(entries_[i].second);
      }
    }
  }

 private:
  // The beginning of an entry. Its children stand together.
  struct Node {
    uint32_t first_child = 0, children = 0;
    uint32_t back = 0;                         // the longest other node that ends this one's text
    uint32_t ends = kNone, shorter = kNone;    // the longest entry that ends it, and the longest other one
    uint32_t first_entry = 0, last_entry = 0;  // those equal to it
  };
  std::vector<std::pair<std::string, uint32_t>> entries_;
  std::vector<Node> nodes_;
  std::string bytes_;            // of each node: the last of its text
  std::vector<uint32_t> roots_;  // the root's children, by byte; 0: none

  uint32_t child(uint32_t node, char c) const {
    if (node == 0) return roots_[static_cast<unsigned char>(c)];
    const Node& at = nodes_[node];
    const size_t found = std::string_view(bytes_).substr(at.first_child, at.children).find(c);
    return found == std::string_view::npos ? 0 : at.first_child + static_cast<uint32_t>(found);
  }
  uint32_t step(uint32_t node, char c) const {
    uint32_t next = child(node, c);
    while (next == 0 && node != 0) next = child(node = nodes_[node].back, c);
    return next;
  }
};

// Closed intervals that hold a key: in the order of their beginnings, as a balanced tree of the highest ends.
class RangeIndex {
 public:
  void add(Key from, Key to, uint32_t target) { entries_.push_back({from, to, to, target}); }
  void freeze();
  bool empty() const { return entries_.empty(); }
  template <class F>
  void find(Key key, const F& hit) const {
    find(key, 0, entries_.size(), hit);
  }

 private:
  struct Entry {
    Key from, to, highest;
    uint32_t target;
  };
  std::vector<Entry> entries_;
  Key raise(size_t from, size_t to);
  template <class F>
  void find(Key key, size_t from, size_t to, const F& hit) const {
    if (from >= to) return;
    const size_t middle = (from + to) / 2;
    const Entry& entry = entries_[middle];
    if (entry.highest < key) return;
    find(key, from, middle, hit);
    if (entry.from > key) return;
    if (entry.to >= key) hit(entry.target);
    find(key, middle + 1, to, hit);
  }
};

}  // namespace virga::kernel::pattern
