// The checks that follow parsing, in the order in which AWS makes them: the first kind of mistake in this file's order
// is the one that is told, wherever in the expression it stands.
#include "services/dynamodb/expression.h"

#include <algorithm>

#include "base/str.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/limits.h"
#include "services/dynamodb/reserved_words.h"

namespace virga::dynamodb {

namespace {

// A #name or :value whose key follows the rule for placeholders.
bool is_placeholder(std::string_view key, char sigil) {
  return key.size() > 1 && key[0] == sigil && std::all_of(key.begin() + 1, key.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
         });
}

template <class F>
void for_each_node(Node& node, const F& visit) {
  for (Node& child : node.children) for_each_node(child, visit);
  visit(node);
}

bool is_condition_function(Function f) { return f <= Function::kSize; }
size_t operand_count(Function f) {
  switch (f) {
    case Function::kAttributeExists:
    case Function::kAttributeNotExists:
    case Function::kSize:
      return 1;
    case Function::kAttributeType:
    case Function::kBeginsWith:
    case Function::kContains:
    case Function::kIfNotExists:
    case Function::kListAppend:
      return 2;
    case Function::kUnknown:
      break;
  }
  return 0;
}

// The type an operand is known to have before any item is seen.
std::optional<Type> static_type(const Node& node) {
  if (node.kind == NodeKind::kValue) return node.value.type();
  if (node.kind == NodeKind::kPlus || node.kind == NodeKind::kMinus) return Type::kN;
  if (node.kind == NodeKind::kFunction && node.function == Function::kSize) return Type::kN;
  if (node.kind == NodeKind::kFunction && node.function == Function::kListAppend) return Type::kL;
  return std::nullopt;
}

class Checker {
 public:
  Checker(ExpressionKind kind, Placeholders& placeholders) : kind_(kind), placeholders_(placeholders) {}

  [[noreturn]] void refuse(std::string_view what) const {
    throw validation(kind_ == ExpressionKind::kStatement ? std::string(what)
                                                         : cat("Invalid ", name_of(kind_), ": ", what));
  }

  void known_functions(Node& tree, bool update) {
    for_each_node(tree, [&](Node& node) {
      if (node.kind != NodeKind::kFunction) return;
      if (node.function == Function::kUnknown) refuse(cat("Invalid function name; function: ", node.text));
      if (update && is_condition_function(node.function)) {
        refuse(cat("The function is not allowed in an update expression; function: ", node.text));
      }
      if (!update && !is_condition_function(node.function)) {
        refuse(cat("The function is not allowed in a condition expression; function: ", node.text));
      }
    });
  }

  [[noreturn]] void refuse_place(const Node& node) const {
    refuse(cat("The function is not allowed to be used this way in an expression; function: ", node.text));
  }

  // size() is an operand and every other function is a condition.
  void function_places(const Node& node, bool wants_condition) {
    if (node.kind == NodeKind::kFunction && wants_condition == (node.function == Function::kSize)) {
      refuse_place(node);
    }
    const bool logical = node.kind == NodeKind::kAnd || node.kind == NodeKind::kOr || node.kind == NodeKind::kNot;
    for (const Node& child : node.children) function_places(child, logical);
  }

  void reserved(const Path& path) {
    for (const Step& step : path) {
      if (!step.is_index() && step.name[0] != '#' && is_reserved_word(step.name)) {
        refuse(cat("Attribute name is a reserved keyword; reserved keyword: ", step.name));
      }
    }
  }

  void resolve_names(Path& path) {
    for (Step& step : path) {
      if (step.is_index() || step.name[0] != '#') continue;
      const std::string* name = placeholders_.name(step.name);
      if (!name) {
        refuse(
            cat("An expression attribute name used in the document path is not defined; attribute name: ", step.name));
      }
      step.name = *name;
    }
  }
  void resolve_value(Node& node) {
    node.value = placeholders_.value(node.text);
    if (!node.value.present()) {
      refuse(cat("An expression attribute value used in expression is not defined; attribute value: ", node.text));
    }
  }

  // One comparison, BETWEEN, IN or function with all it contains.
  void condition(Node& node) {
    if (node.kind == NodeKind::kAnd || node.kind == NodeKind::kOr || node.kind == NodeKind::kNot) {
      for (Node& child : node.children) condition(child);
      return;
    }
    for_each_node(node, [&](Node& n) {
      if (n.kind == NodeKind::kPath) resolve_names(n.path);
      if (n.kind == NodeKind::kValue) resolve_value(n);
    });
    for_each_node(node, [&](Node& n) { operand_counts(n); });
    for_each_node(node, [&](Node& n) { distinct_operands(n); });
    for_each_node(node, [&](Node& n) { operand_types(n); });
  }

  void operands(Node& tree) {
    for_each_node(tree, [&](Node& n) { operand_counts(n); });
    for_each_node(tree, [&](Node& n) { operand_types(n); });
  }

  void operand_counts(const Node& node) {
    if (node.kind != NodeKind::kFunction || node.children.size() == operand_count(node.function)) return;
    refuse(cat("Incorrect number of operands for operator or function; operator or function: ", node.text,
               ", number of operands: ", node.children.size()));
  }

  void operand_types(const Node& node) {
    if (node.kind >= NodeKind::kLt && node.kind <= NodeKind::kGe) {
      for (const Node& child : node.children) {
        const auto type = static_type(child);
        if (type && *type != Type::kS && *type != Type::kN && *type != Type::kB) {
          refuse(cat("Incorrect operand type for operator or function; operator or function: ", spelling(node.kind),
                     ", operand type: ", name_of(*type)));
        }
      }
    }
    if (node.kind == NodeKind::kBetween) between(node);
    if (node.kind == NodeKind::kFunction) function_types(node);
  }

  void function_types(const Node& node) {
    const auto wrong_type = [&](std::string_view type) {
      refuse(cat("Incorrect operand type for operator or function; operator or function: ", node.text,
                 ", operand type: ", type));
    };
    const auto type_of = [&](size_t i) { return static_type(node.children[i]); };
    switch (node.function) {
      case Function::kAttributeExists:
      case Function::kAttributeNotExists:
      case Function::kIfNotExists:
        if (node.children[0].kind != NodeKind::kPath) {
          refuse(cat("Operator or function requires a document path; operator or function: ", node.text));
        }
        break;
      case Function::kBeginsWith:
        for (size_t i = 0; i < 2; ++i) {
          if (type_of(i) && *type_of(i) != Type::kS && *type_of(i) != Type::kB) wrong_type(name_of(*type_of(i)));
        }
        break;
      case Function::kAttributeType: {
        if (!type_of(1)) wrong_type("{NS,SS,L,BS,N,M,B,BOOL,NULL,S}");
        if (*type_of(1) != Type::kS) wrong_type(name_of(*type_of(1)));
        const std::string_view name = node.children[1].value.content();
        if (!type_named(name)) {
          refuse(
              cat("Invalid attribute type name found; type: ", name, ", valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"));
        }
        break;
      }
      case Function::kSize:
        if (type_of(0) && (*type_of(0) == Type::kN || *type_of(0) == Type::kBool || *type_of(0) == Type::kNull)) {
          wrong_type(name_of(*type_of(0)));
        }
        break;
      case Function::kListAppend:
        for (size_t i = 0; i < 2; ++i) {
          if (type_of(i) && *type_of(i) != Type::kL) wrong_type(name_of(*type_of(i)));
        }
        break;
      case Function::kContains:
      case Function::kUnknown:
        break;
    }
  }

  // What list_append() makes is no operand of another one.
  void update_function_places(const Node& node, bool within = false) {
    const bool appends = node.kind == NodeKind::kFunction && node.function == Function::kListAppend;
    if (appends && within) refuse_place(node);
    for (const Node& child : node.children) update_function_places(child, within || appends);
  }

  // SET's right-hand side.
  void update_value(Node& node) {
    for_each_node(node, [&](Node& n) {
      if (n.kind == NodeKind::kPlus || n.kind == NodeKind::kMinus) {
        for (const Node& child : n.children) {
          const auto type = static_type(child);
          if (type && *type != Type::kN) {
            refuse(cat("Incorrect operand type for operator or function; operator or function: ", spelling(n.kind),
                       ", operand type: ", name_of(*type)));
          }
        }
      }
      if (n.kind == NodeKind::kFunction) {
        operand_counts(n);
        function_types(n);
      }
    });
  }

  void set_operand(const UpdateAction& action) {
    const Type type = action.value.value.type();
    const bool is_set = type == Type::kSS || type == Type::kNS || type == Type::kBS;
    if (is_set || (action.kind == UpdateKind::kAdd && type == Type::kN)) return;
    refuse(cat("Incorrect operand type for operator or function; operator: ",
               action.kind == UpdateKind::kAdd ? "ADD" : "DELETE", ", operand type: ", long_name_of(type)));
  }

 private:
  void distinct_operands(const Node& node) {
    const bool applies = (node.kind >= NodeKind::kEq && node.kind <= NodeKind::kGe) ||
                         (node.kind == NodeKind::kFunction && node.children.size() == 2);
    if (!applies) return;
    const Node& a = node.children[0];
    const Node& b = node.children[1];
    if (a.kind != NodeKind::kPath || b.kind != NodeKind::kPath || a.path != b.path) return;
    refuse(
        cat("The first operand must be distinct from the remaining operands for this operator or function; operator: ",
            node.kind == NodeKind::kFunction ? node.text : spelling(node.kind), ", first operand: ", describe(a.path)));
  }

  void between(const Node& node) {
    const Node& low = node.children[1];
    const Node& high = node.children[2];
    if (low.kind != NodeKind::kValue || high.kind != NodeKind::kValue) return;
    const auto bounds = [&] {
      return cat("; lower bound operand: AttributeValue: ", dynamodb::describe(low.value),
                 ", upper bound operand: AttributeValue: ", dynamodb::describe(high.value));
    };
    if (low.value.type() != high.value.type()) {
      refuse(cat("The BETWEEN operator requires same data type for lower and upper bounds", bounds()));
    }
    const auto order = compare(low.value, high.value);
    if (!order) {
      refuse(cat("Incorrect operand type for operator or function; operator or function: BETWEEN, operand type: ",
                 name_of(low.value.type())));
    }
    if (*order > 0) {
      refuse(cat("The BETWEEN operator requires upper bound to be greater than or equal to lower bound", bounds()));
    }
  }

  ExpressionKind kind_;
  Placeholders& placeholders_;
};

}  // namespace

std::optional<Type> known_type(const Node& node) {
  if (node.kind == NodeKind::kFunction && node.function == Function::kIfNotExists) return known_type(node.children[1]);
  return static_type(node);
}

std::string_view spelling(NodeKind kind) {
  switch (kind) {
    case NodeKind::kPlus:
      return "+";
    case NodeKind::kMinus:
      return "-";
    case NodeKind::kEq:
      return "=";
    case NodeKind::kNe:
      return "<>";
    case NodeKind::kLt:
      return "<";
    case NodeKind::kLe:
      return "<=";
    case NodeKind::kGt:
      return ">";
    case NodeKind::kGe:
      return ">=";
    case NodeKind::kBetween:
      return "BETWEEN";
    case NodeKind::kIn:
      return "IN";
    case NodeKind::kAnd:
      return "AND";
    case NodeKind::kOr:
      return "OR";
    case NodeKind::kNot:
      return "NOT";
    case NodeKind::kPath:
    case NodeKind::kValue:
    case NodeKind::kFunction:
      break;
  }
  return "";
}

std::string_view name_of(ExpressionKind kind) {
  switch (kind) {
    case ExpressionKind::kCondition:
      return "ConditionExpression";
    case ExpressionKind::kFilter:
      return "FilterExpression";
    case ExpressionKind::kKeyCondition:
      return "KeyConditionExpression";
    case ExpressionKind::kProjection:
      return "ProjectionExpression";
    case ExpressionKind::kUpdate:
      return "UpdateExpression";
    case ExpressionKind::kStatement:
      break;
  }
  return "";
}

namespace {

constexpr std::string_view kNames = "ExpressionAttributeNames", kValues = "ExpressionAttributeValues";

void check_placeholder(std::string_view map, std::string_view key, char mark) {
  if (key.size() > kMaxPlaceholder) {
    throw validation(cat(map, " contains invalid key: The expression attribute map contains a key that is too long; ",
                         "size of key: ", key.size()));
  }
  if (!is_placeholder(key, mark)) throw validation(cat(map, " contains invalid key: Syntax error; key: \"", key, "\""));
}

// Returns the bytes of all of them.
size_t check_names(const std::map<std::string, std::string>& names) {
  if (names.empty()) throw validation(cat(kNames, " must not be empty"));
  size_t bytes = 0;
  for (const auto& [key, name] : names) {
    check_placeholder(kNames, key, '#');
    if (name.empty()) throw validation(cat(kNames, " contains invalid value: Empty attribute name for key ", key));
    bytes += key.size() + name.size();
  }
  return bytes;
}

void check_values(View all, Wording wording) {
  const std::string fault(all.malformed(wording));
  const View named = fault.empty() ? all : all.malformed_names();
  if (named.size() == 0) throw validation(cat(kValues, " must not be empty"));
  for (size_t i = 0; i < named.size(); ++i) check_placeholder(kValues, named.name_at(i), ':');
  if (fault.empty()) return;
  const std::string told = cat(kValues, " contains invalid value: ", fault, " for key ", all.malformed_name());
  if (fault.starts_with("Supplied")) throw uncounted(told);
  if (wording == Wording::kOlder) throw validation(told);
  check_well_formed(all, wording);
}

}  // namespace

Placeholders::Placeholders(const std::map<std::string, std::string>* names, const Item* values, Wording wording)
    : names_(names), values_(values) {
  size_t bytes = names_ ? check_names(*names_) : 0;
  if (values_) {
    check_values(*values_, wording);
    bytes += values_->bytes().size();
    used_values_.resize(values_->view().size());
  }
  if (bytes <= kMaxPlaceholderBytes) return;
  throw validation("Combined size of ExpressionAttributeNames and ExpressionAttributeValues exceeds max size");
}

const std::string* Placeholders::name(std::string_view placeholder) {
  if (!names_) return nullptr;
  const auto found = names_->find(std::string(placeholder));
  if (found == names_->end()) return nullptr;
  if (std::find(used_names_.begin(), used_names_.end(), found->first) == used_names_.end())
    used_names_.push_back(found->first);
  return &found->second;
}

View Placeholders::value(std::string_view placeholder) {
  if (!values_) return {};
  const auto index = values_->view().index_of(placeholder);
  if (!index) return {};
  used_values_[*index] = true;
  return values_->view().at(*index);
}

void Placeholders::check_all_used() const {
  if (names_ && used_names_.size() < names_->size()) {
    std::string unused;
    for (const auto& [key, name] : *names_) {
      if (std::find(used_names_.begin(), used_names_.end(), key) == used_names_.end())
        append(unused, unused.empty() ? "" : ", ", key);
    }
    throw validation(cat("Value provided in ExpressionAttributeNames unused in expressions: keys: {", unused, "}"));
  }
  std::string unused;
  for (size_t i = 0; i < used_values_.size(); ++i) {
    if (!used_values_[i]) append(unused, unused.empty() ? "" : ", ", values_->view().name_at(i));
  }
  if (!unused.empty()) {
    throw validation(cat("Value provided in ExpressionAttributeValues unused in expressions: keys: {", unused, "}"));
  }
}

Node parse_condition(std::string_view text, ExpressionKind kind, Placeholders& placeholders) {
  detail::RawCondition raw = detail::parse_condition_syntax(text, kind);
  Checker checker(kind, placeholders);
  if (raw.redundant_parentheses) checker.refuse("The expression has redundant parentheses;");
  checker.known_functions(raw.tree, false);
  checker.function_places(raw.tree, true);
  for_each_node(raw.tree, [&](Node& node) { checker.reserved(node.path); });
  checker.condition(raw.tree);
  return std::move(raw.tree);
}

void check_statement_condition(Node& tree) {
  Placeholders none(nullptr, nullptr);
  Checker(ExpressionKind::kStatement, none).operands(tree);
}

std::vector<Path> parse_projection(std::string_view text, Placeholders& placeholders) {
  std::vector<Path> paths = detail::parse_projection_syntax(text);
  Checker checker(ExpressionKind::kProjection, placeholders);
  for (const Path& path : paths) checker.reserved(path);
  for (Path& path : paths) checker.resolve_names(path);
  std::vector<const Path*> all;
  for (const Path& path : paths) all.push_back(&path);
  check_disjoint(all, name_of(ExpressionKind::kProjection));
  return paths;
}

std::vector<UpdateAction> parse_update(std::string_view text, Placeholders& placeholders) {
  detail::RawUpdate raw = detail::parse_update_syntax(text);
  Checker checker(ExpressionKind::kUpdate, placeholders);
  for (UpdateAction& action : raw.actions) {
    checker.reserved(action.path);
    for_each_node(action.value, [&](Node& node) { checker.reserved(node.path); });
  }
  for (UpdateAction& action : raw.actions) checker.known_functions(action.value, true);
  for (UpdateAction& action : raw.actions) checker.update_function_places(action.value);
  if (!raw.repeated_section.empty()) {
    checker.refuse(cat("The \"", raw.repeated_section, "\" section can only be used once in an update expression;"));
  }
  for (UpdateAction& action : raw.actions) {
    checker.resolve_names(action.path);
    for_each_node(action.value, [&](Node& node) { checker.resolve_names(node.path); });
  }
  for (UpdateAction& action : raw.actions) {
    for_each_node(action.value, [&](Node& node) {
      if (node.kind == NodeKind::kValue) checker.resolve_value(node);
    });
  }
  std::vector<const Path*> targets;
  for (const UpdateAction& action : raw.actions) targets.push_back(&action.path);
  check_disjoint(targets, name_of(ExpressionKind::kUpdate));
  for (const UpdateAction& action : raw.actions) {
    if (action.kind == UpdateKind::kAdd || action.kind == UpdateKind::kDelete) checker.set_operand(action);
  }
  for (UpdateAction& action : raw.actions) {
    if (action.kind == UpdateKind::kSet) checker.update_value(action.value);
  }
  return std::move(raw.actions);
}

void collect_paths(const Node& node, std::vector<const Path*>& out) {
  if (node.kind == NodeKind::kPath && !node.path.empty()) out.push_back(&node.path);
  for (const Node& child : node.children) collect_paths(child, out);
}

}  // namespace virga::dynamodb
