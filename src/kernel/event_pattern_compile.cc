#include "kernel/event_pattern_compile.h"

#include <bit>
#include <map>

#include "base/str.h"

namespace virga::kernel {

struct PatternScratch::State {
  pattern::Fields fields;
  std::vector<uint32_t> stack;
  std::vector<uint64_t> seen_state, seen_rule;  // the event in which each was last reached
  uint64_t event = 0;
};

PatternScratch::PatternScratch() : state_(std::make_unique<State>()) {}
PatternScratch::~PatternScratch() = default;
PatternScratch::PatternScratch(PatternScratch&&) noexcept = default;
PatternScratch& PatternScratch::operator=(PatternScratch&&) noexcept = default;

namespace pattern {
namespace {

int literal_index(std::string_view text) { return text == "null" ? 0 : text == "true" ? 1 : 2; }

// The key of a number in a TextIndex: its bits when it can be compared, else its text.
struct NumberKey {
  char bytes[8];
  std::string_view view;
  NumberKey(const std::optional<double>& number, std::string_view text) : view(text) {
    if (!number) return;
    const auto bits = std::bit_cast<uint64_t>(*number + 0.0);
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(bits >> (8 * i));
    view = {bytes, 8};
  }
  NumberKey(const NumberKey&) = delete;
};

}  // namespace

void Compiled::Edge::add(const Test& test, uint32_t target) {
  switch (test.kind) {
    case Test::Kind::kString:
      strings.add(test.text, target);
      if (const auto address = parse_address(test.text)) {
        (address->v6 ? networks6 : networks4).add(address->key, address->key, target);
      }
      return;
    case Test::Kind::kNumber:
      numbers.add(std::string(NumberKey(test.number, test.text).view), target);
      return;
    case Test::Kind::kLiteral:
      literals[literal_index(test.text)].push_back(target);
      return;
    case Test::Kind::kPrefix:
      prefixes.add(test.text, target);
      return;
    case Test::Kind::kSuffix:
      suffixes.add(test.text, target);
      return;
    case Test::Kind::kFolded:
      folded.add(test.text, target);
      return;
    case Test::Kind::kFoldedPrefix:
      folded_prefixes.add(test.text, target);
      return;
    case Test::Kind::kFoldedSuffix:
      folded_suffixes.add(test.text, target);
      return;
    case Test::Kind::kWildcard: {
      const std::vector<std::string>& pieces = test.wildcards[0].pieces;
      if (pieces.size() == 1) {
        strings.add(pieces[0], target);
      } else {
        const bool literal = std::ranges::any_of(pieces, [](const std::string& piece) { return !piece.empty(); });
        (literal ? wildcards : others).emplace_back(&test, target);
      }
      return;
    }
    case Test::Kind::kRange:
      ranges.add(test.from, test.to, target);
      return;
    case Test::Kind::kNetwork:
      (test.v6 ? networks6 : networks4).add(test.from, test.to, target);
      return;
    case Test::Kind::kExists:
      any.push_back(target);
      return;
    default:
      others.emplace_back(&test, target);
  }
}

void Compiled::Edge::freeze() {
  strings.freeze();
  numbers.freeze();
  folded.freeze();
  prefixes.freeze();
  suffixes.freeze();
  folded_prefixes.freeze();
  folded_suffixes.freeze();
  std::map<std::string_view, size_t> common;
  for (const auto& [test, target] : wildcards) {
    for (const std::string& piece : test->wildcards[0].pieces) ++common[piece];
  }
  for (uint32_t i = 0; i < wildcards.size(); ++i) {
    const std::string* best = nullptr;
    for (const std::string& piece : wildcards[i].first->wildcards[0].pieces) {
      if (piece.empty()) continue;
      const auto rank = [&](const std::string& p) { return std::pair(common[p], SIZE_MAX - p.size()); };
      if (!best || rank(piece) < rank(*best)) best = &piece;
    }
    wildcard_pieces.add(*best, i);
  }
  wildcard_pieces.freeze();
  ranges.freeze();
  networks4.freeze();
  networks6.freeze();
  folds = !folded.empty() || !folded_prefixes.empty() || !folded_suffixes.empty();
  addresses = !networks4.empty() || !networks6.empty();
  numeric = !numbers.empty() || !ranges.empty();
}

template <class F>
void Compiled::probe(const Edge& edge, const Value& value, const F& hit) {
  for (uint32_t target : edge.any) hit(target);
  switch (value.kind) {
    case Value::Kind::kString:
      if (!edge.strings.empty()) edge.strings.find(value.text, hash_of(value.text), hit);
      if (!edge.prefixes.empty()) edge.prefixes.find(value.text, hit);
      if (!edge.suffixes.empty()) edge.suffixes.find(value.text, hit);
      if (!edge.wildcards.empty()) {
        const auto try_it = [&](uint32_t position) {
          const auto& [test, target] = edge.wildcards[position];
          if (passes(*test, value)) hit(target);
        };
        edge.wildcard_pieces.find(value.text, try_it);
      }
      if (edge.folds) {
        const std::string folded = fold_case(value.text);
        if (!edge.folded.empty()) edge.folded.find(folded, hash_of(folded), hit);
        if (!edge.folded_prefixes.empty()) edge.folded_prefixes.find(folded, hit);
        if (!edge.folded_suffixes.empty()) edge.folded_suffixes.find(folded, hit);
      }
      if (edge.addresses) {
        if (const auto address = parse_address(value.text)) {
          (address->v6 ? edge.networks6 : edge.networks4).find(address->key, hit);
        }
      }
      break;
    case Value::Kind::kNumber:
      if (edge.numeric) {
        const auto number = comparable_number(value.text);
        if (!edge.numbers.empty()) {
          const NumberKey key(number, value.text);
          edge.numbers.find(key.view, hash_of(key.view), hit);
        }
        if (number) edge.ranges.find(order_key(*number), hit);
      }
      break;
    case Value::Kind::kLiteral:
      for (uint32_t target : edge.literals[literal_index(value.text)]) hit(target);
      break;
  }
  for (const auto& [test, target] : edge.others) {
    if (passes(*test, value)) hit(target);
  }
}

Compiled::Compiled(std::vector<std::shared_ptr<const Rule>> rules) : rules_(std::move(rules)) { build(); }

void Compiled::build() {
  std::vector<uint32_t> popularity;
  paths_.resize(rules_.size());
  for (size_t r = 0; r < rules_.size(); ++r) {
    for (const Conjunction& conjunction : rules_[r]->alternatives) {
      std::vector<uint32_t>& ids = paths_[r].emplace_back();
      for (const ConditionPtr& condition : conjunction) {
        ids.push_back(tree_.add(condition->path));
        popularity.resize(tree_.paths());
        ++popularity[ids.back()];
      }
    }
  }
  // While building, an edge is a path and a list of tests; states know their children by both.
  struct Child {
    const Condition* condition;
    uint32_t state;
  };
  std::vector<std::map<std::pair<uint32_t, std::string_view>, Child>> children(1);
  states_.resize(1);
  std::vector<uint32_t> order;
  for (uint32_t r = 0; r < rules_.size(); ++r) {
    for (uint32_t a = 0; a < rules_[r]->alternatives.size(); ++a) {
      const Conjunction& conjunction = rules_[r]->alternatives[a];
      const std::vector<uint32_t>& ids = paths_[r][a];
      order.resize(conjunction.size());
      for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
      std::sort(order.begin(), order.end(), [&](uint32_t x, uint32_t y) {
        return std::pair(popularity[ids[y]], ids[x]) < std::pair(popularity[ids[x]], ids[y]);
      });
      uint32_t state = 0;
      for (uint32_t i : order) {
        const Condition& condition = *conjunction[i];
        const auto [found, added] = children[state].try_emplace({ids[i], condition.canonical});
        if (added) {
          found->second = {&condition, static_cast<uint32_t>(children.size())};
          state = found->second.state;
          children.emplace_back();
          states_.emplace_back();
        } else {
          state = found->second.state;
        }
      }
      states_[state].terminals.push_back({r, a});
    }
  }
  for (size_t s = 0; s < states_.size(); ++s) {
    State& state = states_[s];
    for (const auto& [key, child] : children[s]) {
      if (child.condition->may_be_absent) state.absents.emplace_back(key.first, child.state);
      if (child.condition->tests.empty()) continue;
      if (state.edges.empty() || state.edges.back().path != key.first) state.edges.emplace_back().path = key.first;
      for (const Test& test : child.condition->tests) state.edges.back().add(test, child.state);
    }
    for (Edge& edge : state.edges) edge.freeze();
  }
}

void Compiled::match(std::string_view event, PatternScratch& scratch, std::vector<uint32_t>& matched) const {
  PatternScratch::State& s = *scratch.state_;
  matched.clear();
  if (!s.fields.read(tree_, event)) return;
  // Marks of other machines' events are older than this one, whatever they stand for.
  if (s.seen_state.size() < states_.size()) s.seen_state.resize(states_.size());
  if (s.seen_rule.size() < rules_.size()) s.seen_rule.resize(rules_.size());
  const uint64_t now = ++s.event;
  const Fields& fields = s.fields;
  const bool arrays = fields.elements.size() > 1;
  const auto reach = [&](uint32_t state) {
    if (s.seen_state[state] == now) return;
    s.seen_state[state] = now;
    s.stack.push_back(state);
  };
  s.stack.clear();
  reach(0);
  while (!s.stack.empty()) {
    const State& state = states_[s.stack.back()];
    s.stack.pop_back();
    for (const Terminal& terminal : state.terminals) {
      if (s.seen_rule[terminal.rule] == now) continue;
      if (arrays && !consistent(rules_[terminal.rule]->alternatives[terminal.alternative],
                                paths_[terminal.rule][terminal.alternative], fields)) {
        continue;
      }
      s.seen_rule[terminal.rule] = now;
      matched.push_back(terminal.rule);
    }
    for (const auto& [path, next] : state.absents) {
      bool absent = true;
      // Values inside elements of arrays may turn out to be in others than the rule's: consistent() decides.
      for (uint32_t v = fields.first[path]; v != kNone && absent; v = fields.values[v].next) {
        absent = fields.values[v].element != 0;
      }
      if (absent) reach(next);
    }
    const auto follow = [&](const Edge& edge) {
      for (uint32_t v = fields.first[edge.path]; v != kNone; v = fields.values[v].next) {
        probe(edge, fields.values[v], reach);
      }
    };
    if (state.edges.size() <= 8 || state.edges.size() <= fields.present.size()) {
      for (const Edge& edge : state.edges) follow(edge);
    } else {
      for (uint32_t path : fields.present) {
        const auto edge = std::lower_bound(state.edges.begin(), state.edges.end(), path,
                                           [](const Edge& e, uint32_t p) { return e.path < p; });
        if (edge != state.edges.end() && edge->path == path) follow(*edge);
      }
    }
  }
}

}  // namespace pattern
}  // namespace virga::kernel
