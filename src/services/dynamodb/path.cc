#include "services/dynamodb/path.h"

#include <algorithm>

#include "base/str.h"
#include "services/dynamodb/errors.h"

namespace virga::dynamodb {

std::string describe(const Path& path) {
  std::string out = "[";
  for (size_t i = 0; i < path.size(); ++i) {
    if (i) out += ", ";
    if (path[i].is_index()) {
      append(out, "[", path[i].index, "]");
    } else {
      out += path[i].name;
    }
  }
  return out += "]";
}

View resolve(View item, const Path& path) {
  View value = item;
  for (const Step& step : path) {
    if (!value.present()) return {};
    if (step.is_index()) {
      if (!value.is(Type::kL) || static_cast<size_t>(step.index) >= value.size()) return {};
      value = value.at(static_cast<size_t>(step.index));
    } else {
      if (!value.is(Type::kM)) return {};
      value = value.find(step.name);
    }
  }
  return value;
}

void check_disjoint(const std::vector<const Path*>& paths, std::string_view expression) {
  // An overlap anywhere is told before a conflict anywhere.
  std::string conflict;
  for (size_t b = 1; b < paths.size(); ++b) {
    for (size_t a = 0; a < b; ++a) {
      const Path& one = *paths[a];
      const Path& two = *paths[b];
      const size_t shorter = std::min(one.size(), two.size());
      size_t i = 0;
      while (i < shorter && one[i] == two[i]) ++i;
      const std::string which = "; must remove or rewrite one of these paths; path one: ";
      if (i == shorter) {
        throw validation(cat("Invalid ", expression, ": Two document paths overlap with each other", which,
                             describe(one), ", path two: ", describe(two)));
      }
      if (one[i].is_index() != two[i].is_index() && conflict.empty()) {
        conflict = cat("Invalid ", expression, ": Two document paths conflict with each other", which, describe(one),
                       ", path two: ", describe(two));
      }
    }
  }
  if (!conflict.empty()) throw validation(conflict);
}

void PathSet::add(const Path& path) {
  PathSet* at = this;
  for (const Step& step : path) {
    auto child =
        std::find_if(at->children_.begin(), at->children_.end(), [&](const Child& c) { return c.step == step; });
    if (child == at->children_.end()) {
      at->children_.push_back({step, {}});
      child = at->children_.end() - 1;
    }
    at = &child->below;
  }
  at->whole_ = true;
}

bool PathSet::append_projected(View value, std::string& out) const {
  if (whole_) {
    out += value.bytes();
    return true;
  }
  ContainerBuilder builder;
  std::string scratch;
  if (value.is(Type::kM)) {
    std::vector<const Child*> wanted;
    for (const Child& child : children_) {
      if (!child.step.is_index()) wanted.push_back(&child);
    }
    std::sort(wanted.begin(), wanted.end(), [](const Child* a, const Child* b) { return a->step.name < b->step.name; });
    for (const Child* child : wanted) {
      const View part = value.find(child->step.name);
      scratch.clear();
      if (part.present() && child->below.append_projected(part, scratch)) builder.add_entry(child->step.name, scratch);
    }
  } else if (value.is(Type::kL)) {
    std::vector<const Child*> wanted;
    for (const Child& child : children_) {
      if (child.step.is_index() && static_cast<size_t>(child.step.index) < value.size()) wanted.push_back(&child);
    }
    std::sort(wanted.begin(), wanted.end(),
              [](const Child* a, const Child* b) { return a->step.index < b->step.index; });
    for (const Child* child : wanted) {
      scratch.clear();
      if (child->below.append_projected(value.at(static_cast<size_t>(child->step.index)), scratch))
        builder.add(scratch);
    }
  }
  if (builder.size() == 0) return false;
  builder.finish(value.is(Type::kM) ? 'M' : 'L', out);
  return true;
}

Item PathSet::project(View item) const {
  std::string bytes;
  return append_projected(item, bytes) ? Item::of_bytes(std::move(bytes)) : Item();
}

}  // namespace virga::dynamodb
