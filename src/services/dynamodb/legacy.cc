#include "services/dynamodb/legacy.h"

#include <algorithm>

#include "base/str.h"
#include "services/dynamodb/condition.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/limits.h"

namespace virga::dynamodb {

namespace {

Node path_node(const std::string& name) {
  Node node{.kind = NodeKind::kPath};
  node.path.push_back({name});
  return node;
}
Node value_node(View value) { return Node{.kind = NodeKind::kValue, .value = value}; }
Node function_node(Function function, const std::string& name, const std::vector<View>& values) {
  Node node{.kind = NodeKind::kFunction, .function = function};
  node.children.push_back(path_node(name));
  for (const View value : values) node.children.push_back(value_node(value));
  return node;
}
Node operator_node(NodeKind kind, const std::string& name, const std::vector<View>& values) {
  Node node{.kind = kind};
  node.children.push_back(path_node(name));
  for (const View value : values) node.children.push_back(value_node(value));
  return node;
}

Node node_of(ComparisonOperator op, const std::string& name, const std::vector<View>& values) {
  switch (op) {
    case ComparisonOperator::EQ:
      return operator_node(NodeKind::kEq, name, values);
    case ComparisonOperator::NE:
      return operator_node(NodeKind::kNe, name, values);
    case ComparisonOperator::IN:
      return operator_node(NodeKind::kIn, name, values);
    case ComparisonOperator::LE:
      return operator_node(NodeKind::kLe, name, values);
    case ComparisonOperator::LT:
      return operator_node(NodeKind::kLt, name, values);
    case ComparisonOperator::GE:
      return operator_node(NodeKind::kGe, name, values);
    case ComparisonOperator::GT:
      return operator_node(NodeKind::kGt, name, values);
    case ComparisonOperator::BETWEEN:
      return operator_node(NodeKind::kBetween, name, values);
    case ComparisonOperator::NOT_NULL:
      return function_node(Function::kAttributeExists, name, {});
    case ComparisonOperator::NULL_:
      return function_node(Function::kAttributeNotExists, name, {});
    case ComparisonOperator::CONTAINS:
      return function_node(Function::kContains, name, values);
    case ComparisonOperator::NOT_CONTAINS: {
      // Of an attribute that is not there it holds no more than CONTAINS does.
      Node absent{.kind = NodeKind::kNot};
      absent.children.push_back(function_node(Function::kContains, name, values));
      Node node{.kind = NodeKind::kAnd};
      node.children.push_back(function_node(Function::kAttributeExists, name, {}));
      node.children.push_back(std::move(absent));
      return node;
    }
    case ComparisonOperator::BEGINS_WITH:
      return function_node(Function::kBeginsWith, name, values);
  }
  return {};
}

void check_arguments(ComparisonOperator op, const std::vector<View>& values) {
  const auto fits = [&] {
    switch (op) {
      case ComparisonOperator::NULL_:
      case ComparisonOperator::NOT_NULL:
        return values.empty();
      case ComparisonOperator::BETWEEN:
        return values.size() == 2;
      case ComparisonOperator::IN:
        return !values.empty();
      default:
        return values.size() == 1;
    }
  };
  if (!fits()) {
    throw invalid_parameter(cat("Invalid number of argument(s) for the ", to_string(op), " ComparisonOperator"));
  }
  for (const View value : values) {
    if (value.type() != values[0].type())
      throw invalid_parameter("AttributeValues inside AttributeValueList must be of same type");
  }
  for (const View value : values) {
    const Type type = value.type();
    const bool scalar = type == Type::kS || type == Type::kN || type == Type::kB;
    const bool set = value.is_set();
    bool valid = true;
    switch (op) {
      case ComparisonOperator::EQ:
      case ComparisonOperator::NE:
        break;
      case ComparisonOperator::BEGINS_WITH:
        valid = type == Type::kS || type == Type::kB;
        break;
      case ComparisonOperator::NULL_:
      case ComparisonOperator::NOT_NULL:
        break;
      default:
        valid = scalar && !set;
    }
    if (!valid) {
      throw invalid_parameter(
          cat("ComparisonOperator ", to_string(op), " is not valid for ", name_of(type), " AttributeValue type"));
    }
  }
  if (op == ComparisonOperator::BETWEEN) {
    if (const auto order = compare(values[0], values[1]); order && *order > 0) {
      throw validation(
          "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound");
    }
  }
}

void check_attribute_name(const std::string& name) {
  if (name.empty()) throw invalid_parameter("Empty attribute name");
}

std::vector<View> views_of(const std::optional<std::vector<AttributeValue>>& values) {
  std::vector<View> out;
  if (values) {
    for (const AttributeValue& value : *values) {
      check_well_formed(value, Wording::kCurrent);
      out.push_back(value);
    }
  }
  return out;
}

std::optional<Node> combine(std::vector<Node> nodes, std::optional<ConditionalOperator> combined) {
  if (nodes.empty()) return std::nullopt;
  Node out{.kind = combined == ConditionalOperator::OR ? NodeKind::kOr : NodeKind::kAnd};
  out.children = std::move(nodes);
  return out;
}

}  // namespace

std::optional<Node> condition_of(const std::map<std::string, ExpectedAttributeValue>& expected,
                                 std::optional<ConditionalOperator> combined) {
  std::vector<Node> nodes;
  for (const auto& [name, e] : expected) {
    if (e.attribute_value_list && e.value) {
      throw invalid_parameter(cat("Value and AttributeValueList cannot be used together for Attribute: ", name));
    }
    if (e.comparison_operator) {
      if (e.exists)
        throw invalid_parameter(cat("Exists and ComparisonOperator cannot be used together for Attribute: ", name));
      const ComparisonOperator op = *e.comparison_operator;
      if (op != ComparisonOperator::NULL_ && op != ComparisonOperator::NOT_NULL && !e.attribute_value_list &&
          !e.value) {
        throw invalid_parameter(cat("Value or AttributeValueList must be used with ComparisonOperator: ", to_string(op),
                                    " for Attribute: ", name));
      }
      std::vector<View> values = views_of(e.attribute_value_list);
      if (e.value) {
        check_well_formed(*e.value, Wording::kCurrent);
        values.push_back(*e.value);
      }
      check_arguments(op, values);
      nodes.push_back(node_of(op, name, values));
      continue;
    }
    if (e.attribute_value_list) {
      throw invalid_parameter(
          cat("AttributeValueList can only be used with a ComparisonOperator for Attribute: ", name));
    }
    const bool exists = e.exists.value_or(true);
    if (exists && !e.value) {
      throw invalid_parameter(
          cat("Value must be provided when Exists is ", e.exists ? "true" : "null", " for Attribute: ", name));
    }
    if (!exists && e.value)
      throw invalid_parameter(cat("Value cannot be used when Exists is false for Attribute: ", name));
    if (e.value) {
      check_well_formed(*e.value, Wording::kCurrent);
      nodes.push_back(node_of(ComparisonOperator::EQ, name, {e.value->view()}));
    } else {
      nodes.push_back(node_of(ComparisonOperator::NULL_, name, {}));
    }
  }
  return combine(std::move(nodes), combined);
}

std::optional<Node> condition_of(const std::map<std::string, Condition>& filter,
                                 std::optional<ConditionalOperator> combined) {
  std::vector<Node> nodes;
  for (const auto& [name, condition] : filter) {
    const std::vector<View> values = views_of(condition.attribute_value_list);
    check_arguments(condition.comparison_operator, values);
    nodes.push_back(node_of(condition.comparison_operator, name, values));
  }
  return combine(std::move(nodes), combined);
}

std::vector<UpdateAction> actions_of(const std::map<std::string, AttributeValueUpdate>& updates) {
  std::vector<UpdateAction> actions;
  for (const auto& [name, update] : updates) {
    check_attribute_name(name);
    const AttributeAction action = update.action.value_or(AttributeAction::PUT);
    if (!update.value) {
      if (action != AttributeAction::DELETE) {
        throw invalid_parameter("Only DELETE action is allowed when no attribute value is specified");
      }
      actions.push_back({UpdateKind::kRemove, {{name}}, {}});
      continue;
    }
    check_well_formed(*update.value, Wording::kCurrent);
    const View value = *update.value;
    const Type type = value.type();
    const bool set = value.is_set();
    if (action == AttributeAction::DELETE && !set) {
      throw invalid_parameter(cat("DELETE action with value is not supported for the type ", name_of(type)));
    }
    if (action == AttributeAction::ADD && !set && type != Type::kN && type != Type::kL) {
      throw invalid_parameter(cat("ADD action is not supported for the type ", name_of(type)));
    }
    const UpdateKind kind = action == AttributeAction::PUT   ? UpdateKind::kSet
                            : action == AttributeAction::ADD ? UpdateKind::kAdd
                                                             : UpdateKind::kDelete;
    actions.push_back({kind, {{name}}, value_node(value), /*legacy=*/true});
  }
  return actions;
}

std::vector<Path> paths_of(const std::vector<std::string>& attributes_to_get) {
  std::vector<Path> paths;
  for (const std::string& name : attributes_to_get) {
    check_attribute_name(name);
    for (const Path& path : paths) {
      if (path[0].name == name) throw invalid_parameter(cat("Duplicate value in attribute name: ", name));
    }
    paths.push_back({{name}});
  }
  return paths;
}

namespace {

[[noreturn]] void bad_operator(std::string_view what) {
  throw validation(cat("Invalid operator used in KeyConditionExpression: ", what));
}

void add_key_condition(const Node& node, std::vector<KeyCondition>& out) {
  switch (node.kind) {
    case NodeKind::kAnd:
      for (const Node& child : node.children) add_key_condition(child, out);
      return;
    case NodeKind::kOr:
    case NodeKind::kNot:
    case NodeKind::kIn:
    case NodeKind::kNe:
      bad_operator(spelling(node.kind));
    case NodeKind::kFunction:
      if (node.function != Function::kBeginsWith) bad_operator(node.text);
      break;
    default:
      break;
  }
  const std::string_view name = node.kind == NodeKind::kFunction ? node.text : spelling(node.kind);
  if ((node.kind == NodeKind::kBetween || node.kind == NodeKind::kFunction) &&
      node.children[0].kind != NodeKind::kPath) {
    throw validation(cat("Invalid condition in KeyConditionExpression: ", name,
                         " operator must have the key attribute as its first operand"));
  }
  KeyCondition condition;
  bool reversed = false;
  for (size_t i = 0; i < node.children.size(); ++i) {
    const Node& child = node.children[i];
    if (child.kind == NodeKind::kFunction) throw validation("KeyConditionExpressions cannot contain nested operations");
    if (child.kind == NodeKind::kValue) {
      condition.values.push_back(child.value);
      continue;
    }
    if (!condition.attribute.empty()) {
      throw validation("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition");
    }
    if (child.path.size() > 1) throw validation("KeyConditionExpressions cannot have conditions on nested attributes");
    condition.attribute = child.path[0].name;
    reversed = i != 0;
  }
  if (condition.attribute.empty())
    throw validation("Invalid condition in KeyConditionExpression: No key attribute specified");
  for (const KeyCondition& other : out) {
    if (other.attribute == condition.attribute)
      throw validation(
          "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key");
  }
  condition.comparison = node.kind;
  if (reversed) {
    switch (node.kind) {
      case NodeKind::kLt:
        condition.comparison = NodeKind::kGt;
        break;
      case NodeKind::kLe:
        condition.comparison = NodeKind::kGe;
        break;
      case NodeKind::kGt:
        condition.comparison = NodeKind::kLt;
        break;
      case NodeKind::kGe:
        condition.comparison = NodeKind::kLe;
        break;
      default:
        break;
    }
  }
  out.push_back(std::move(condition));
}

}  // namespace

bool satisfies(View value, const KeyCondition& condition) {
  if (condition.comparison == NodeKind::kFunction) return begins_with(value, condition.values[0]);
  Node node{.kind = condition.comparison};
  node.children.push_back(value_node(value));
  for (const View v : condition.values) node.children.push_back(value_node(v));
  return holds(node, Item().view());
}

namespace {
void check_condition_count(size_t count) {
  if (count == 0 || count > kMostKeyConditions) throw validation("Conditions can be of length 1 or 2 only");
}
}  // namespace

std::vector<KeyCondition> key_conditions_of(const Node& expression) {
  std::vector<KeyCondition> out;
  add_key_condition(expression, out);
  check_condition_count(out.size());
  return out;
}

std::vector<KeyCondition> key_conditions_of(const std::map<std::string, Condition>& conditions) {
  std::vector<KeyCondition> out;
  for (const auto& [name, condition] : conditions) {
    KeyCondition c{name, NodeKind::kEq, views_of(condition.attribute_value_list)};
    check_arguments(condition.comparison_operator, c.values);
    switch (condition.comparison_operator) {
      case ComparisonOperator::EQ:
        break;
      case ComparisonOperator::LE:
        c.comparison = NodeKind::kLe;
        break;
      case ComparisonOperator::LT:
        c.comparison = NodeKind::kLt;
        break;
      case ComparisonOperator::GE:
        c.comparison = NodeKind::kGe;
        break;
      case ComparisonOperator::GT:
        c.comparison = NodeKind::kGt;
        break;
      case ComparisonOperator::BETWEEN:
        c.comparison = NodeKind::kBetween;
        break;
      case ComparisonOperator::BEGINS_WITH:
        c.comparison = NodeKind::kFunction;
        break;
      case ComparisonOperator::NE:
      case ComparisonOperator::IN:
      case ComparisonOperator::NOT_NULL:
      case ComparisonOperator::NULL_:
      case ComparisonOperator::CONTAINS:
      case ComparisonOperator::NOT_CONTAINS:
        c.comparison = NodeKind::kNot;
        break;
    }
    out.push_back(std::move(c));
  }
  check_condition_count(out.size());
  return out;
}

void check_not_mixed(const std::vector<std::string_view>& expressions, const std::vector<std::string_view>& others) {
  if (expressions.empty() || others.empty()) return;
  const auto list = [](const std::vector<std::string_view>& names) {
    std::string out;
    for (const std::string_view name : names) append(out, out.empty() ? "" : ", ", name);
    return out;
  };
  throw validation(
      cat("Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {",
          list(others), "} Expression parameters: {", list(expressions), "}"));
}

}  // namespace virga::dynamodb
