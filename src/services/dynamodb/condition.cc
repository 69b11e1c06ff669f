#include "services/dynamodb/condition.h"

#include "base/str.h"
#include "services/dynamodb/expression.h"

namespace virga::dynamodb {

bool values_equal(View a, View b) { return a.present() && b.present() && a == b; }

bool begins_with(View value, View prefix) {
  if (!value.present() || !prefix.present() || value.type() != prefix.type()) return false;
  if (!value.is(Type::kS) && !value.is(Type::kB)) return false;
  return value.content().starts_with(prefix.content());
}

bool contains(View value, View part) {
  if (!value.present() || !part.present()) return false;
  switch (value.type()) {
    case Type::kS:
    case Type::kB:
      return value.type() == part.type() && value.content().find(part.content()) != std::string_view::npos;
    case Type::kSS:
      return part.is(Type::kS) && value.set_contains(part.content());
    case Type::kNS:
      return part.is(Type::kN) && value.set_contains(part.content());
    case Type::kBS:
      return part.is(Type::kB) && value.set_contains(part.content());
    case Type::kL:
      for (size_t i = 0; i < value.size(); ++i) {
        if (value.at(i) == part) return true;
      }
      return false;
    case Type::kN:
    case Type::kBool:
    case Type::kNull:
    case Type::kM:
      return false;
  }
  return false;
}

std::optional<size_t> size_of(View value) {
  if (!value.present()) return std::nullopt;
  switch (value.type()) {
    case Type::kS:
      return count_characters(value.content());
    case Type::kB:
      return value.content().size();
    case Type::kSS:
    case Type::kNS:
    case Type::kBS:
    case Type::kL:
    case Type::kM:
      return value.size();
    case Type::kN:
    case Type::kBool:
    case Type::kNull:
      return std::nullopt;
  }
  return std::nullopt;
}

namespace {

// An operand's value. `scratch` holds what is computed rather than found.
View evaluate(const Node& node, View item, std::string& scratch) {
  if (node.kind == NodeKind::kValue) return node.value;
  if (node.kind == NodeKind::kPath) return resolve(item, node.path);
  std::string inner;
  const auto size = size_of(evaluate(node.children[0], item, inner));
  if (!size) return {};
  scratch.clear();
  append_number(scratch, Number(static_cast<int64_t>(*size)));
  return View(scratch);
}

bool ordered(NodeKind kind, View a, View b) {
  const auto order = compare(a, b);
  if (!order) return false;
  switch (kind) {
    case NodeKind::kLt:
      return *order < 0;
    case NodeKind::kLe:
      return *order <= 0;
    case NodeKind::kGt:
      return *order > 0;
    case NodeKind::kGe:
      return *order >= 0;
    default:
      return false;
  }
}

bool function_holds(const Node& node, View item) {
  std::string a_scratch, b_scratch;
  const View first = evaluate(node.children[0], item, a_scratch);
  const View second = node.children.size() > 1 ? evaluate(node.children[1], item, b_scratch) : View();
  switch (node.function) {
    case Function::kAttributeExists:
      return first.present();
    case Function::kAttributeNotExists:
      return !first.present();
    case Function::kAttributeType:
      return first.present() && name_of(first.type()) == second.content();
    case Function::kBeginsWith:
      return begins_with(first, second);
    case Function::kContains:
      return contains(first, second);
    case Function::kSize:
    case Function::kIfNotExists:
    case Function::kListAppend:
    case Function::kUnknown:
      return false;  // refused when parsed
  }
  return false;
}

}  // namespace

bool holds(const Node& node, View item) {
  switch (node.kind) {
    case NodeKind::kAnd:
      for (const Node& child : node.children) {
        if (!holds(child, item)) return false;
      }
      return true;
    case NodeKind::kOr:
      for (const Node& child : node.children) {
        if (holds(child, item)) return true;
      }
      return false;
    case NodeKind::kNot:
      return !holds(node.children[0], item);
    case NodeKind::kFunction:
      return function_holds(node, item);
    case NodeKind::kPath:
    case NodeKind::kValue:
    case NodeKind::kPlus:
    case NodeKind::kMinus:
      return false;
    default:
      break;
  }
  std::string a_scratch, b_scratch, c_scratch;
  const View first = evaluate(node.children[0], item, a_scratch);
  const View second = evaluate(node.children[1], item, b_scratch);
  switch (node.kind) {
    case NodeKind::kEq:
      return values_equal(first, second);
    case NodeKind::kNe:
      return !values_equal(first, second);
    case NodeKind::kBetween:
      return ordered(NodeKind::kGe, first, second) &&
             ordered(NodeKind::kLe, first, evaluate(node.children[2], item, c_scratch));
    case NodeKind::kIn:
      for (size_t i = 1; i < node.children.size(); ++i) {
        if (values_equal(first, evaluate(node.children[i], item, b_scratch))) return true;
      }
      return false;
    default:
      return ordered(node.kind, first, second);
  }
}

}  // namespace virga::dynamodb
