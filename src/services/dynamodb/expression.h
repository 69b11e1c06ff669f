// Condition, filter, key-condition, projection and update expressions, as trees. Pure: parsing and checking need the
// request only, evaluation an item only. Errors are ValidationExceptions in AWS's words and order.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/dynamodb/attribute_value.h"
#include "services/dynamodb/path.h"

namespace virga::dynamodb {

enum class NodeKind : uint8_t {
  kPath,
  kValue,
  kFunction,
  kPlus,
  kMinus,  // operands
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kBetween,
  kIn,  // conditions over operands
  kAnd,
  kOr,
  kNot,  // conditions over conditions
};
enum class Function : uint8_t {
  kAttributeExists,
  kAttributeNotExists,
  kAttributeType,
  kBeginsWith,
  kContains,
  kSize,  // of conditions
  kIfNotExists,
  kListAppend,  // of updates
  kUnknown,
};

struct Node {
  NodeKind kind = NodeKind::kPath;
  Function function = Function::kUnknown;
  Path path;              // of kPath; of a parsed, unchecked tree placeholders stand in it
  View value;             // of kValue: borrowed from the request
  std::string_view text;  // of a function its name, of a value its placeholder: borrowed from the expression
  std::vector<Node> children;
};
std::string_view spelling(NodeKind kind);  // "=", "BETWEEN", …

// The #names and :values of one request, and which of them its expressions used. Borrows both.
class Placeholders {
 public:
  // Null where the request has none. Throws on empty maps, malformed keys and malformed values.
  Placeholders(const std::map<std::string, std::string>* names, const Item* values, Wording wording = Wording::kOlder);
  const std::string* name(std::string_view placeholder);  // null when not defined; counts as used otherwise
  View value(std::string_view placeholder);
  // Throws when one was given that no expression used.
  void check_all_used() const;

 private:
  const std::map<std::string, std::string>* names_;
  const Item* values_;
  std::vector<std::string_view> used_names_;
  std::vector<bool> used_values_;
};

// Which parameter an expression came in: it is named in messages, and decides what is allowed.
enum class ExpressionKind : uint8_t { kCondition, kFilter, kKeyCondition, kProjection, kUpdate, kStatement };
std::string_view name_of(ExpressionKind kind);  // "ConditionExpression", …

// A condition, filter or key condition. `text` must outlive the tree.
Node parse_condition(std::string_view text, ExpressionKind kind, Placeholders& placeholders);
bool holds(const Node& condition, View item);
// The checks on the number and types of operands, of the tree of a PartiQL statement.
void check_statement_condition(Node& tree);

std::vector<Path> parse_projection(std::string_view text, Placeholders& placeholders);

enum class UpdateKind : uint8_t { kSet, kRemove, kAdd, kDelete };
struct UpdateAction {
  UpdateKind kind;
  Path path;
  Node value;           // not of kRemove
  bool legacy = false;  // of AttributeUpdates, whose words differ and which adds to lists too
};
std::vector<UpdateAction> parse_update(std::string_view text, Placeholders& placeholders);

// The type an operand has whatever the item; nothing when that depends on the item.
std::optional<Type> known_type(const Node& node);

// Every path that a tree mentions.
void collect_paths(const Node& node, std::vector<const Path*>& out);

namespace detail {
// The syntax only: trees with placeholders unresolved and nothing checked.
struct RawCondition {
  Node tree;
  bool redundant_parentheses = false;
};
struct RawUpdate {
  std::vector<UpdateAction> actions;
  std::string repeated_section;  // empty: none
};
RawCondition parse_condition_syntax(std::string_view text, ExpressionKind kind);
std::vector<Path> parse_projection_syntax(std::string_view text);
RawUpdate parse_update_syntax(std::string_view text);
Function function_named(std::string_view name);
}  // namespace detail

}  // namespace virga::dynamodb
