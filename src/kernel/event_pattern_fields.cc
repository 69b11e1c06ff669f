#include "kernel/event_pattern_fields.h"

#include <bit>
#include <cstring>

#include "base/json.h"

namespace virga::kernel::pattern {
namespace {

constexpr int kMostDepth = 128;

inline uint64_t load(const char* p, size_t n) {
  uint64_t v = 0;
  std::memcpy(&v, p, n);
  return v;
}

constexpr uint64_t repeat(unsigned char c) { return 0x0101010101010101ULL * c; }
// A bit in each byte of `v` that is zero, exact for the lowest one.
constexpr uint64_t zero_bytes(uint64_t v) { return (v - repeat(1)) & ~v & repeat(0x80); }

class Reader {
 public:
  Reader(const PathTree& tree, std::string_view text, Fields& out)
      : tree_(tree), at_(text.data()), end_(text.data() + text.size()), out_(out) {}

  bool event() {
    space();
    return peek() == '{' && object(PathTree::kRoot, 0, 0) && (space(), at_ == end_);
  }

 private:
  const PathTree& tree_;
  const char* at_;
  const char* end_;
  Fields& out_;

  char peek() const { return at_ < end_ ? *at_ : '\0'; }
  void space() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }

  // From behind the opening quote to behind the closing one: what is between, and whether it has escapes.
  bool string(std::string_view& text, bool& escapes) {
    const char* const from = at_;
    escapes = false;
    while (true) {
      while (end_ - at_ >= 8) {
        const uint64_t v = load(at_, 8);
        const uint64_t hit = zero_bytes(v ^ repeat('"')) | zero_bytes(v ^ repeat('\\'));
        if (hit) {
          at_ += std::countr_zero(hit) / 8;
          break;
        }
        at_ += 8;
      }
      while (at_ < end_ && *at_ != '"' && *at_ != '\\') ++at_;
      if (at_ >= end_) return false;
      if (*at_ == '"') break;
      escapes = true;
      if (end_ - at_ < 2) return false;
      at_ += 2;
    }
    text = {from, static_cast<size_t>(at_ - from)};
    ++at_;
    return true;
  }

  // The string without its escapes, kept in out_.unescaped, which has room for the whole event.
  bool unescape(std::string_view& text) {
    std::string plain;
    try {
      JsonReader reader({text.data() - 1, text.size() + 2});
      reader.read_string(plain);
    } catch (const JsonError&) {
      return false;
    }
    const size_t offset = out_.unescaped.size();
    if (offset + plain.size() > out_.unescaped.capacity()) return false;
    out_.unescaped += plain;
    text = {out_.unescaped.data() + offset, plain.size()};
    return true;
  }

  bool skip() {
    int depth = 0;
    std::string_view ignored;
    bool escapes;
    while (at_ < end_) {
      switch (*at_) {
        case '"':
          ++at_;
          if (!string(ignored, escapes)) return false;
          if (depth == 0) return true;
          break;
        case '{':
        case '[':
          ++depth;
          ++at_;
          break;
        case '}':
        case ']':
          if (depth == 0) return true;  // the end of a scalar, and of what it stood in
          ++at_;
          if (--depth == 0) return true;
          break;
        case ',':
          if (depth == 0) return true;
          ++at_;
          break;
        default:
          ++at_;
      }
    }
    return depth == 0;
  }

  void add(Value::Kind kind, uint32_t path, uint32_t element, std::string_view text) {
    uint32_t& first = out_.first[path];
    if (first == kNone) out_.present.push_back(path);
    out_.values.push_back({kind, path, element, first, text});
    first = static_cast<uint32_t>(out_.values.size() - 1);
  }

  bool scalar(uint32_t path, uint32_t element) {
    if (peek() == '"') {
      ++at_;
      std::string_view text;
      bool escapes;
      if (!string(text, escapes)) return false;
      if (path == kNone) return true;
      if (escapes && !unescape(text)) return false;
      add(Value::Kind::kString, path, element, text);
      return true;
    }
    const char* const from = at_;
    while (at_ < end_ && *at_ != ',' && *at_ != '}' && *at_ != ']' && *at_ > ' ') ++at_;
    const std::string_view text(from, static_cast<size_t>(at_ - from));
    if (text.empty()) return false;
    const bool number = text[0] == '-' || (text[0] >= '0' && text[0] <= '9');
    if (!number && text != "true" && text != "false" && text != "null") return false;
    if (path != kNone) add(number ? Value::Kind::kNumber : Value::Kind::kLiteral, path, element, text);
    return true;
  }

  uint32_t descend(uint32_t node, std::string_view name) {
    const uint32_t found = tree_.child(node, name);
    if (found != kNone || !std::memchr(name.data(), '.', name.size())) return found;
    // A name with dots is the same as steps.
    while (node != kNone) {
      const size_t dot = name.find('.');
      node = tree_.child(node, name.substr(0, dot));
      if (dot == std::string_view::npos) break;
      name.remove_prefix(dot + 1);
    }
    return node;
  }

  bool object(uint32_t node, uint32_t element, int depth) {
    if (depth > kMostDepth) return false;
    ++at_;
    space();
    if (peek() == '}') return ++at_, true;
    while (true) {
      space();
      if (peek() != '"') return false;
      ++at_;
      std::string_view name;
      bool escapes;
      if (!string(name, escapes) || (escapes && !unescape(name))) return false;
      space();
      if (peek() != ':') return false;
      ++at_;
      space();
      const uint32_t below = descend(node, name);
      if (!(below == kNone ? skip() : value(below, element, depth))) return false;
      space();
      const char c = peek();
      ++at_;
      if (c == '}') return true;
      if (c != ',') return false;
    }
  }

  bool value(uint32_t node, uint32_t element, int depth) {
    const char c = peek();
    if (c == '{') return tree_.has_children(node) ? object(node, element, depth + 1) : skip();
    if (c == '[') return array(node, element, depth + 1);
    return scalar(tree_.path_at(node), element);
  }

  bool array(uint32_t node, uint32_t element, int depth) {
    if (depth > kMostDepth) return false;
    const uint32_t id = out_.arrays++;
    ++at_;
    space();
    if (peek() == ']') return ++at_, true;
    for (uint32_t index = 0;; ++index) {
      space();
      const char c = peek();
      if (c == '[' || (c == '{' && tree_.has_children(node))) {
        const auto here = static_cast<uint32_t>(out_.elements.size());
        out_.elements.push_back({element, id, index, out_.elements[element].depth + 1});
        if (!(c == '[' ? array(node, here, depth + 1) : object(node, here, depth + 1))) return false;
      } else if (c == '{') {
        if (!skip()) return false;
      } else if (!scalar(tree_.path_at(node), element)) {
        return false;
      }
      space();
      const char then = peek();
      ++at_;
      if (then == ']') return true;
      if (then != ',') return false;
    }
  }
};

}  // namespace

uint64_t hash_of(std::string_view text, uint64_t seed) {
  constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15ULL;
  uint64_t h = seed * kMultiplier + text.size();
  const char* p = text.data();
  size_t left = text.size();
  const auto mix = [&](uint64_t v) {
    const auto product = static_cast<unsigned __int128>(h ^ v) * kMultiplier;
    h = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  while (left >= 8) {
    mix(load(p, 8));
    p += 8;
    left -= 8;
  }
  if (left) mix(load(p, left) + (uint64_t{left} << 56));
  mix(kMultiplier);
  return h;
}

PathTree::PathTree() : nodes_(1), slots_(16) {}

void PathTree::insert(Slot slot) {
  size_t i = slot.hash & (slots_.size() - 1);
  while (slots_[i].node != kNone) i = (i + 1) & (slots_.size() - 1);
  slots_[i] = std::move(slot);
}

uint32_t PathTree::child(uint32_t node, std::string_view step) const {
  const uint64_t hash = hash_of(step, node + 1);
  for (size_t i = hash & (slots_.size() - 1); slots_[i].node != kNone; i = (i + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[i];
    if (slot.hash == hash && slot.parent == node && slot.step == step) return slot.node;
  }
  return kNone;
}

uint32_t PathTree::add(const std::vector<std::string>& steps) {
  uint32_t node = kRoot;
  for (const std::string& step : steps) {
    uint32_t next = child(node, step);
    if (next == kNone) {
      next = static_cast<uint32_t>(nodes_.size());
      nodes_.emplace_back();
      nodes_[node].children = true;
      if (++used_ * 2 > slots_.size()) {
        std::vector<Slot> old(slots_.size() * 2);
        old.swap(slots_);
        for (Slot& slot : old) {
          if (slot.node != kNone) insert(std::move(slot));
        }
      }
      insert({hash_of(step, node + 1), node, next, step});
    }
    node = next;
  }
  if (nodes_[node].path == kNone) nodes_[node].path = paths_++;
  return nodes_[node].path;
}

bool Fields::read(const PathTree& tree, std::string_view event) {
  if (event.size() >= kNone) return false;
  values.clear();
  for (uint32_t path : present) {
    if (path < first.size()) first[path] = kNone;
  }
  present.clear();
  if (first.size() < tree.paths()) first.resize(tree.paths(), kNone);
  elements.assign(1, Element{});
  arrays = 0;
  unescaped.clear();
  unescaped.reserve(event.size());  // never grows while it is read, so views into it stay
  return Reader(tree, event, *this).event();
}

}  // namespace virga::kernel::pattern
