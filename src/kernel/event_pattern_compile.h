// The machine: a tree of states whose edges are fields. Rules are sorted by how many name a field, so that the fields
// most share stand near the root and what rules have in common is walked once. Internal to event_pattern.*.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "kernel/event_pattern_index.h"

namespace virga::kernel::pattern {

bool passes(const Test& test, const Value& value);

// Whether `conjunction` holds within the same elements of arrays. `paths` are the ids of its conditions' paths.
bool consistent(const Conjunction& conjunction, std::span<const uint32_t> paths, const Fields& fields);

class Compiled {
 public:
  explicit Compiled(std::vector<std::shared_ptr<const Rule>> rules);
  void match(std::string_view event, PatternScratch& scratch, std::vector<uint32_t>& matched) const;

 private:
  struct Edge {
    uint32_t path = 0;
    TextIndex strings, numbers, folded;
    std::vector<uint32_t> literals[3];  // null, true, false
    AffixIndex prefixes{false}, suffixes{true}, folded_prefixes{false}, folded_suffixes{true};
    RangeIndex ranges, networks4, networks6;
    // Wildcards by that piece of theirs which fewest others have; positions in `wildcards`.
    WithinIndex wildcard_pieces;
    std::vector<std::pair<const Test*, uint32_t>> wildcards;
    std::vector<std::pair<const Test*, uint32_t>> others;  // tried one by one
    std::vector<uint32_t> any;                             // exists
    bool folds = false, addresses = false, numeric = false;
    void add(const Test& test, uint32_t target);
    void freeze();
  };
  struct Terminal {
    uint32_t rule, alternative;
  };
  struct State {
    std::vector<Edge> edges;                             // by path
    std::vector<std::pair<uint32_t, uint32_t>> absents;  // path that must have no value, next state
    std::vector<Terminal> terminals;
  };

  std::vector<std::shared_ptr<const Rule>> rules_;
  PathTree tree_;
  std::vector<State> states_;
  std::vector<std::vector<std::vector<uint32_t>>> paths_;  // of each rule, alternative and condition

  void build();
  template <class F>
  static void probe(const Edge& edge, const Value& value, const F& hit);
};

}  // namespace virga::kernel::pattern
