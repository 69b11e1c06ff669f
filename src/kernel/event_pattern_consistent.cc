// Whether a rule's fields can all be had from the same elements of the arrays they share. Elements form a tree, so the
// question is answered level by level: a field found in an element itself binds nothing further; fields found only
// below it are gathered by the array they lie in, and one element of each such array has to satisfy all of them. The
// arrays of one element don't depend on each other.
#include <algorithm>

#include "base/str.h"
#include "kernel/event_pattern_compile.h"

namespace virga::kernel::pattern {

bool passes(const Test& test, const Value& value) {
  const std::string_view text = value.text;
  const bool string = value.kind == Value::Kind::kString, number = value.kind == Value::Kind::kNumber;
  const auto any = [&](const auto& all, const auto& f) { return std::any_of(all.begin(), all.end(), f); };
  switch (test.kind) {
    case Test::Kind::kString: {
      if (!string) return false;
      if (text == test.text) return true;
      const auto wanted = parse_address(test.text);
      if (!wanted) return false;
      const auto address = parse_address(text);
      return address && address->v6 == wanted->v6 && address->key == wanted->key;
    }
    case Test::Kind::kNumber: {
      if (!number) return false;
      const auto n = comparable_number(text);
      return n && test.number ? *n == *test.number : !n && !test.number && text == test.text;
    }
    case Test::Kind::kLiteral:
      return value.kind == Value::Kind::kLiteral && text == test.text;
    case Test::Kind::kPrefix:
      return string && text.starts_with(test.text);
    case Test::Kind::kSuffix:
      return string && text.ends_with(test.text);
    case Test::Kind::kFolded:
      return string && fold_case(text) == test.text;
    case Test::Kind::kFoldedPrefix:
      return string && fold_case(text).starts_with(test.text);
    case Test::Kind::kFoldedSuffix:
      return string && fold_case(text).ends_with(test.text);
    case Test::Kind::kWildcard:
      return string && test.wildcards[0].matches(text);
    case Test::Kind::kRange: {
      const auto n = number ? comparable_number(text) : std::nullopt;
      if (!n) return false;
      const Key key = order_key(*n);
      return test.from <= key && key <= test.to;
    }
    case Test::Kind::kNetwork: {
      const auto address = string ? parse_address(text) : std::nullopt;
      return address && address->v6 == test.v6 && test.from <= address->key && address->key <= test.to;
    }
    case Test::Kind::kExists:
      return true;
    case Test::Kind::kButStrings:
      return !string || !std::binary_search(test.texts.begin(), test.texts.end(), text);
    case Test::Kind::kButNumbers: {
      const auto n = number ? comparable_number(text) : std::nullopt;
      return !n || !std::binary_search(test.texts.begin(), test.texts.end(), cat(*n + 0.0));
    }
    case Test::Kind::kButFolded:
      return !string || !std::binary_search(test.texts.begin(), test.texts.end(), fold_case(text));
    case Test::Kind::kButPrefix:
      return !string || !any(test.texts, [&](const std::string& t) { return text.starts_with(t); });
    case Test::Kind::kButSuffix:
      return !string || !any(test.texts, [&](const std::string& t) { return text.ends_with(t); });
    case Test::Kind::kButWildcard:
      return !string || !any(test.wildcards, [&](const Wildcard& w) { return w.matches(text); });
  }
  return false;
}

namespace {

// One value of a condition's field: where it is, and whether it passes.
struct Item {
  uint32_t condition;
  uint32_t element;
  bool passes;
};
struct Need {
  uint32_t condition;
  bool may_be_absent;
};

class Solver {
 public:
  explicit Solver(const std::vector<Element>& elements) : elements_(elements) {}

  enum class Outcome { kNo, kFree, kAnchored };  // anchored: a field was found, so that the element is chosen

  Outcome solve(uint32_t at, const std::vector<Need>& needs, const std::vector<Item>& items) {
    bool anchored = false;
    std::vector<Need> below;
    for (const Need& need : needs) {
      bool found = false, here = false, passes_below = false, below_at_all = false;
      for (const Item& item : items) {
        if (item.condition != need.condition) continue;
        if (item.element == at) {
          here = true;
          found |= item.passes;
        } else {
          below_at_all = true;
          passes_below |= item.passes;
        }
      }
      if (found) {
        anchored = true;
        continue;
      }
      const bool may_be_absent = need.may_be_absent && !here;
      const bool deeper = may_be_absent ? below_at_all : passes_below;
      if (deeper) {
        below.push_back({need.condition, may_be_absent});
      } else if (!may_be_absent) {
        return Outcome::kNo;
      }
    }
    if (below.empty()) return anchored ? Outcome::kAnchored : Outcome::kFree;
    return arrays(at, below, items) ? Outcome::kAnchored : Outcome::kNo;
  }

  // A condition had values in two arrays side by side: arrays within arrays, or names with dots.
  bool mixed() const { return mixed_; }

  bool agree(uint32_t a, uint32_t b) const {
    while (elements_[a].depth > elements_[b].depth) a = elements_[a].parent;
    while (elements_[b].depth > elements_[a].depth) b = elements_[b].parent;
    if (a == b) return true;
    while (elements_[a].parent != elements_[b].parent) {
      a = elements_[a].parent;
      b = elements_[b].parent;
    }
    return elements_[a].array != elements_[b].array;
  }

 private:
  const std::vector<Element>& elements_;
  bool mixed_ = false;

  bool arrays(uint32_t at, const std::vector<Need>& needs, const std::vector<Item>& items) {
    struct Placed {
      uint32_t array, child;
      Item item;
    };
    std::vector<Placed> placed;
    for (const Item& item : items) {
      const auto need =
          std::find_if(needs.begin(), needs.end(), [&](const Need& n) { return n.condition == item.condition; });
      if (need == needs.end() || item.element == at || (!item.passes && !need->may_be_absent)) continue;
      uint32_t child = item.element;
      while (elements_[child].parent != at) child = elements_[child].parent;
      placed.push_back({elements_[child].array, child, item});
    }
    std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
      return std::pair(a.array, a.child) < std::pair(b.array, b.child);
    });
    std::vector<std::pair<uint32_t, uint32_t>> home;  // condition, array
    for (size_t i = 0; i < placed.size();) {
      size_t end = i;
      std::vector<Need> here;
      for (; end < placed.size() && placed[end].array == placed[i].array; ++end) {
        const uint32_t condition = placed[end].item.condition;
        const auto known =
            std::find_if(here.begin(), here.end(), [&](const Need& n) { return n.condition == condition; });
        if (known != here.end()) continue;
        for (const auto& [other, array] : home) mixed_ |= other == condition;
        if (mixed_) return false;
        home.emplace_back(condition, placed[i].array);
        here.push_back(
            *std::find_if(needs.begin(), needs.end(), [&](const Need& n) { return n.condition == condition; }));
      }
      bool found = false;
      while (i < end) {
        const uint32_t child = placed[i].child;
        std::vector<Item> inside;
        for (; i < end && placed[i].child == child; ++i) inside.push_back(placed[i].item);
        if (!found) found = solve(child, here, inside) == Outcome::kAnchored;
        if (mixed_) return false;
      }
      if (!found) return false;
    }
    return true;
  }
};

constexpr int kMostTries = 20'000;

// Tries every choice, within a bound: for the events that Solver calls mixed.
class Search {
 public:
  Search(const Solver& solver, const std::vector<Need>& needs, const std::vector<Item>& items)
      : solver_(solver), needs_(needs), items_(items) {}

  bool from(size_t need) {
    if (--left_ < 0) return false;
    if (need == needs_.size()) return nothing_present();
    for (const Item& item : items_) {
      if (item.condition != needs_[need].condition || !item.passes) continue;
      if (!agrees(item.element)) continue;
      chosen_.push_back(item.element);
      if (from(need + 1)) return true;
      chosen_.pop_back();
    }
    if (!needs_[need].may_be_absent) return false;
    absent_.push_back(needs_[need].condition);
    if (from(need + 1)) return true;
    absent_.pop_back();
    return false;
  }

 private:
  const Solver& solver_;
  const std::vector<Need>& needs_;
  const std::vector<Item>& items_;
  std::vector<uint32_t> chosen_, absent_;
  int left_ = kMostTries;

  bool agrees(uint32_t element) const {
    return std::all_of(chosen_.begin(), chosen_.end(), [&](uint32_t c) { return solver_.agree(c, element); });
  }
  bool nothing_present() const {
    return std::none_of(items_.begin(), items_.end(), [&](const Item& item) {
      return std::find(absent_.begin(), absent_.end(), item.condition) != absent_.end() && agrees(item.element);
    });
  }
};

}  // namespace

bool consistent(const Conjunction& conjunction, std::span<const uint32_t> paths, const Fields& fields) {
  std::vector<Need> needs;
  std::vector<Item> items;
  bool in_arrays = false;
  for (uint32_t c = 0; c < conjunction.size(); ++c) {
    const Condition& condition = *conjunction[c];
    needs.push_back({c, condition.may_be_absent});
    for (uint32_t v = fields.first[paths[c]]; v != kNone; v = fields.values[v].next) {
      const Value& value = fields.values[v];
      in_arrays |= value.element != 0;
      const bool passed = std::any_of(condition.tests.begin(), condition.tests.end(),
                                      [&](const Test& test) { return pattern::passes(test, value); });
      if (passed || condition.may_be_absent) items.push_back({c, value.element, passed});
    }
  }
  if (!in_arrays) return true;  // the machine has looked at everything but elements
  Solver solver(fields.elements);
  const auto outcome = solver.solve(0, needs, items);
  if (solver.mixed()) return Search(solver, needs, items).from(0);
  return outcome != Solver::Outcome::kNo;
}

}  // namespace virga::kernel::pattern
