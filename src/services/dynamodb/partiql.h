// PartiQL as DynamoDB speaks it: one statement becomes the same trees that expressions become. Pure.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/dynamodb/expression.h"

namespace virga::dynamodb {

enum class StatementKind : uint8_t { kSelect, kInsert, kUpdate, kDelete, kExists };

// What RETURNING asks for; kNone when it does not.
enum class Returning : uint8_t { kNone, kAllOld, kAllNew, kModifiedOld, kModifiedNew };

struct Statement {
  Statement() = default;
  // Moved, never copied: the trees borrow from `values`.
  Statement(Statement&&) = default;
  Statement& operator=(Statement&&) = default;
  StatementKind kind = StatementKind::kSelect;
  std::string table;
  std::string index;             // of a select; empty: the table itself
  std::vector<Path> projection;  // of a select; empty: everything
  std::optional<Node> where;
  std::optional<std::string> order_by;
  bool descending = false;
  std::vector<UpdateAction> actions;  // of an update
  Item item;                          // of an insert
  Returning returning = Returning::kNone;
  // What the trees borrow their values from: stays where it is when the statement is moved.
  std::deque<AttributeValue> values;
};

// Throws ValidationException. Each ? of the text takes one of `parameters`, in order, and all are taken.
Statement parse_statement(std::string_view text, const std::vector<AttributeValue>& parameters);

// What the conditions that must all hold say of one attribute.
struct Conjunct {
  const Node* node;
  const Path* path;  // of a comparison with values; null for everything else
};
std::vector<Conjunct> conjuncts_of(const Statement& statement);
// The same of each alternative that OR leaves: an item that is selected satisfies one of them. None where there would
// be too many.
std::vector<std::vector<Conjunct>> alternatives_of(const Statement& statement);
// The values that `attribute` must equal, by = or IN; empty when the conditions do not say.
std::vector<View> equal_values(const std::vector<Conjunct>& conjuncts, std::string_view attribute);
inline std::vector<View> equal_values(const Statement& statement, std::string_view attribute) {
  return equal_values(conjuncts_of(statement), attribute);
}
// The key that equalities name in full; nothing when they don't.
std::optional<Item> key_in(const Statement& statement, const std::string& hash, const std::string& range);
// The conditions beside those equalities.
std::optional<Node> rest_of(const Statement& statement, const std::string& hash, const std::string& range);

}  // namespace virga::dynamodb
