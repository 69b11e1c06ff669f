#include "services/dynamodb/update.h"

#include <algorithm>
#include <map>

#include "base/str.h"
#include "services/dynamodb/errors.h"

namespace virga::dynamodb {

namespace {

constexpr std::string_view kWrongType = "An operand in the update expression has an incorrect data type";
constexpr std::string_view kTypeMismatch = "Type mismatch for attribute to update";
constexpr std::string_view kNoAttribute =
    "The provided expression refers to an attribute that does not exist in the item";
constexpr std::string_view kNoPath = "The document path provided in the update expression is invalid for update";

Number checked(std::expected<Number, NumberFault> result) {
  if (result) return *result;
  // Also of a sum that would need more digits than there are.
  const bool digits = result.error() == NumberFault::kTooManyDigits;
  throw validation(message_of(digits ? NumberFault::kOverflow : result.error(), ""));
}

// A value under change. Only the containers on a changed path are taken apart; everything else stays encoded.
class Draft {
 public:
  explicit Draft(View value) : bytes_(value.bytes()) {}

  bool opened() const { return open_; }
  View view() const { return View(bytes_); }  // while not opened
  Type type() const { return View(bytes_).type(); }

  Draft* find(const Step& step) {
    if (!open()) return nullptr;
    if (step.is_index()) {
      if (!list_kind() || static_cast<size_t>(step.index) >= list_.size()) return nullptr;
      auto& element = list_[static_cast<size_t>(step.index)];
      return element ? &*element : nullptr;
    }
    if (list_kind()) return nullptr;
    const auto entry = map_.find(step.name);
    return entry == map_.end() ? nullptr : &entry->second;
  }

  // False when this is no container of the step's kind.
  bool set(const Step& step, View value) {
    if (!open() || step.is_index() != list_kind()) return false;
    if (!step.is_index()) {
      map_.insert_or_assign(step.name, Draft(value));
    } else if (static_cast<size_t>(step.index) < list_.size()) {
      list_[static_cast<size_t>(step.index)] = Draft(value);
    } else {
      // Beyond the end: appended, in the order of the indexes.
      beyond_.insert_or_assign(step.index, Draft(value));
    }
    return true;
  }

  bool remove(const Step& step) {
    if (!open() || step.is_index() != list_kind()) return false;
    if (!step.is_index()) {
      map_.erase(step.name);
    } else if (static_cast<size_t>(step.index) < list_.size()) {
      list_[static_cast<size_t>(step.index)].reset();  // keeps its place until all actions are done
    }
    return true;
  }

  void append_to(std::string& out) const {
    if (!open_) {
      out += bytes_;
      return;
    }
    ContainerBuilder builder;
    std::string scratch;
    for (const auto& element : list_) {
      if (!element) continue;
      element->append_to(builder.data());
      builder.end_element();
    }
    for (const auto& [index, element] : beyond_) {
      element.append_to(builder.data());
      builder.end_element();
    }
    for (const auto& [name, value] : map_) {
      scratch.clear();
      value.append_to(scratch);
      builder.add_entry(name, scratch);
    }
    builder.finish(list_kind() ? 'L' : 'M', out);
  }

 private:
  bool list_kind() const { return bytes_[0] == 'L'; }
  bool open() {
    if (open_) return true;
    const View view(bytes_);
    if (!view.is(Type::kL) && !view.is(Type::kM)) return false;
    for (size_t i = 0; i < view.size(); ++i) {
      if (list_kind()) {
        list_.emplace_back(Draft(view.at(i)));
      } else {
        map_.emplace(std::string(view.name_at(i)), Draft(view.at(i)));
      }
    }
    bytes_.resize(1);  // the tag still tells the kind
    open_ = true;
    return true;
  }

  std::string bytes_;
  bool open_ = false;
  std::vector<std::optional<Draft>> list_;
  std::map<int64_t, Draft> beyond_;
  std::map<std::string, Draft> map_;
};

AttributeValue joined(View a, View b) {
  ContainerBuilder builder;
  for (size_t i = 0; i < a.size(); ++i) builder.add(a.at(i).bytes());
  for (size_t i = 0; i < b.size(); ++i) builder.add(b.at(i).bytes());
  std::string bytes;
  builder.finish('L', bytes);
  return AttributeValue::of_bytes(std::move(bytes));
}

// SET's right-hand side. Throws when it has no value.
AttributeValue evaluate(const Node& node, View item) {
  switch (node.kind) {
    case NodeKind::kValue:
      return AttributeValue(node.value);
    case NodeKind::kPath: {
      const View found = resolve(item, node.path);
      if (!found.present()) throw validation(std::string(kNoAttribute));
      return AttributeValue(found);
    }
    case NodeKind::kPlus:
    case NodeKind::kMinus: {
      const AttributeValue a = evaluate(node.children[0], item);
      const AttributeValue b = evaluate(node.children[1], item);
      if (!a.view().is(Type::kN) || !b.view().is(Type::kN)) throw validation(std::string(kWrongType));
      const Number right = b.view().number();
      return AttributeValue::number(
          checked(Number::add(a.view().number(), node.kind == NodeKind::kPlus ? right : right.negated())));
    }
    default:
      break;
  }
  if (node.function == Function::kIfNotExists) {
    const View found = resolve(item, node.children[0].path);
    return found.present() ? AttributeValue(found) : evaluate(node.children[1], item);
  }
  const AttributeValue a = evaluate(node.children[0], item);
  const AttributeValue b = evaluate(node.children[1], item);
  if (!a.view().is(Type::kL) || !b.view().is(Type::kL)) throw validation(std::string(kWrongType));
  return joined(a, b);
}

void apply_one(const UpdateAction& action, View item, const std::optional<AttributeValue>& value, Draft& draft) {
  Draft* parent = &draft;
  for (size_t i = 0; i + 1 < action.path.size(); ++i) {
    parent = parent->find(action.path[i]);
    if (!parent) throw validation(std::string(kNoPath));
  }
  const Step& last = action.path.back();
  const auto require = [](bool fits) {
    if (!fits) throw validation(std::string(kNoPath));
  };
  if (action.kind == UpdateKind::kSet) return require(parent->set(last, *value));
  if (action.kind == UpdateKind::kRemove) return require(parent->remove(last));
  const View existing = resolve(item, action.path);
  const View operand = action.value.value;
  if (existing.present() && existing.type() != operand.type()) {
    throw validation(std::string(action.legacy ? kTypeMismatch : kWrongType));
  }
  if (action.kind == UpdateKind::kAdd) {
    return require(parent->set(last, existing.present() ? add_values(existing, operand) : AttributeValue(operand)));
  }
  if (!existing.present()) {
    // Nothing to delete from, but the path must still lead to a container.
    Draft probe = *parent;
    return require(probe.remove(last));
  }
  if (const auto rest = subtract_set(existing, operand)) {
    require(parent->set(last, *rest));
  } else {
    require(parent->remove(last));
  }
}

size_t size_of(const Step& step) { return step.is_index() ? cat(step.index).size() : step.name.size(); }

size_t size_of_target(const Path& path) {
  size_t total = size_of(path[0]);
  for (size_t i = 1; i < path.size(); ++i) total += 4 + size_of(path[i]);
  return total;
}

size_t size_of_operand(const Node& node) {
  if (node.kind == NodeKind::kValue) return node.value.stored_size();
  if (node.kind == NodeKind::kPath) {
    size_t total = 1;
    for (const Step& step : node.path) total += 14 + size_of(step);
    return total;
  }
  size_t total = node.kind == NodeKind::kPlus ? 34 : node.function == Function::kIfNotExists ? 39 : 37;
  for (const Node& child : node.children) total += size_of_operand(child);
  return total;
}

}  // namespace

size_t statement_size(const std::vector<UpdateAction>& actions) {
  size_t total = 3;
  for (const UpdateAction& action : actions) {
    const bool writes = action.kind == UpdateKind::kSet || action.kind == UpdateKind::kAdd;
    total += (writes ? 19 + size_of_operand(action.value) : 1) + size_of_target(action.path);
  }
  return total;
}

AttributeValue add_values(View a, View b) {
  if (a.is(Type::kN)) return AttributeValue::number(checked(Number::add(a.number(), b.number())));
  if (a.is(Type::kL)) return joined(a, b);
  std::vector<std::string_view> contents;
  for (size_t i = 0; i < a.size(); ++i) contents.push_back(a.element(i));
  for (size_t i = 0; i < b.size(); ++i) {
    if (!a.set_contains(b.element(i))) contents.push_back(b.element(i));
  }
  std::string bytes;
  append_set(bytes, a.type(), std::move(contents));
  return AttributeValue::of_bytes(std::move(bytes));
}

std::optional<AttributeValue> subtract_set(View from, View what) {
  std::vector<std::string_view> contents;
  for (size_t i = 0; i < from.size(); ++i) {
    if (!what.set_contains(from.element(i))) contents.push_back(from.element(i));
  }
  if (contents.empty()) return std::nullopt;
  std::string bytes;
  append_set(bytes, from.type(), std::move(contents));
  return AttributeValue::of_bytes(std::move(bytes));
}

Item updated_item(const std::vector<UpdateAction>& actions, View item) {
  std::vector<std::optional<AttributeValue>> values(actions.size());
  for (size_t i = 0; i < actions.size(); ++i) {
    if (actions[i].kind == UpdateKind::kSet) values[i] = evaluate(actions[i].value, item);
  }
  Draft draft(item);
  for (size_t i = 0; i < actions.size(); ++i) apply_one(actions[i], item, values[i], draft);
  std::string bytes;
  draft.append_to(bytes);
  return Item::of_bytes(std::move(bytes));
}

}  // namespace virga::dynamodb
