#include "services/dynamodb/partiql.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <span>

#include "base/str.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/limits.h"
#include "services/dynamodb/partiql_tokens.h"

namespace virga::dynamodb {

namespace {

constexpr int kMaxDepth = 64;

// Words that name nothing unless they are quoted.
constexpr std::string_view kOperators[] = {"IS", "LIKE", "IN", "BETWEEN", "AND", "OR"};
constexpr std::string_view kKeywords[] = {"SELECT",    "FROM",  "WHERE",  "ORDER",  "SET",    "REMOVE",
                                          "RETURNING", "GROUP", "HAVING", "INSERT", "UPDATE", "DELETE"};

bool is_one_of(std::span<const std::string_view> words, std::string_view text) {
  return std::ranges::any_of(words, [&](std::string_view word) { return equals_ignoring_case(word, text); });
}

// The types that IS tells apart, as PartiQL calls them.
std::optional<Type> type_in_partiql(std::string_view name) {
  static constexpr std::pair<std::string_view, Type> kTypes[] = {
      {"BOOL", Type::kBool}, {"BOOLEAN", Type::kBool}, {"STRING", Type::kS},  {"VARCHAR", Type::kS},
      {"CHAR", Type::kS},    {"INT", Type::kN},        {"INTEGER", Type::kN}, {"DECIMAL", Type::kN},
      {"NUMERIC", Type::kN}, {"FLOAT", Type::kN},      {"REAL", Type::kN},    {"LIST", Type::kL},
      {"STRUCT", Type::kM},  {"TUPLE", Type::kM},      {"BLOB", Type::kB},    {"NULL", Type::kNull}};
  for (const auto& [word, type] : kTypes) {
    if (equals_ignoring_case(word, name)) return type;
  }
  return std::nullopt;
}

class Parser {
 public:
  Parser(std::string_view text, const std::vector<AttributeValue>& parameters)
      : tokens_(tokens_of(text)), parameters_(parameters) {}

  Statement statement() {
    if (take_word("EXISTS")) {
      expect("(");
      if (!take_word("SELECT")) unexpected();
      select();
      expect(")");
      out_.kind = StatementKind::kExists;
    } else if (take_word("SELECT")) {
      select();
    } else if (take_word("INSERT")) {
      insert();
    } else if (take_word("UPDATE")) {
      update();
    } else if (take_word("FROM")) {
      update_of_source();
    } else if (take_word("DELETE")) {
      remove();
    } else {
      malformed_statement("Expected data manipulation");
    }
    take(";");
    if (!at_end()) malformed_statement("Unexpected token after expression");
    if (used_ != parameters_.size()) wrong_count();
    if (out_.where) check_statement_condition(*out_.where);
    return std::move(out_);
  }

 private:
  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  Token next() {
    after_infix_ = false;
    const Token token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool at_end() const { return peek().kind == TokenKind::kEnd; }
  [[noreturn]] void unexpected() const {
    if (at_end()) malformed_statement("Unexpected end of statement");
    malformed_statement(cat("Unexpected token: ", peek().text));
  }
  // Where a value or condition should begin.
  [[noreturn]] void unexpected_term() const {
    if (peek().kind == TokenKind::kWord) {
      malformed_statement(is_one_of(kOperators, peek().text) ? "Unexpected operator" : "Unexpected keyword");
    }
    malformed_statement(at_end() && after_infix_ ? "Missing right-hand side expression of infix operator"
                                                 : "Unexpected term");
  }
  [[noreturn]] static void wrong_count() {
    throw validation("Number of parameters in request and statement don't match.");
  }
  bool at(std::string_view symbol, size_t ahead = 0) const {
    return peek(ahead).kind == TokenKind::kSymbol && peek(ahead).text == symbol;
  }
  bool take(std::string_view symbol) {
    if (!at(symbol)) return false;
    next();
    return true;
  }
  void expect(std::string_view symbol) {
    if (!take(symbol)) unexpected();
  }
  bool at_word(std::string_view word) const {
    return peek().kind == TokenKind::kWord && equals_ignoring_case(peek().text, word);
  }
  bool take_word(std::string_view word) {
    if (!at_word(word)) return false;
    next();
    return true;
  }
  bool take_infix(std::string_view operation) {
    after_infix_ = take(operation) || take_word(operation);
    return after_infix_;
  }
  void expect_word(std::string_view word) {
    if (!take_word(word)) unexpected();
  }
  bool at_name() const {
    return peek().kind == TokenKind::kQuoted ||
           (peek().kind == TokenKind::kWord && !is_one_of(kOperators, peek().text) &&
            !is_one_of(kKeywords, peek().text));
  }
  std::string name() {
    if (!at_name()) unexpected();
    return next().text;
  }
  bool at_call() const { return peek().kind == TokenKind::kWord && at("(", 1); }
  // `what` the function that stands here is, in the way it is used.
  [[noreturn]] void refuse_call(std::string_view what) const {
    throw validation(cat(what, ": ", lower(peek().text), place_of(peek())));
  }

  struct Deeper {
    explicit Deeper(int& depth) : depth(depth) {
      if (++depth > kMaxDepth) malformed_statement("The statement is nested too deeply");
    }
    ~Deeper() { --depth; }
    int& depth;
  };
  void count_operator() {
    if (++operators_ > kMaxOperators) malformed_statement("The statement contains too many operators");
  }

  void select() {
    out_.kind = StatementKind::kSelect;
    if (!take("*")) {
      do {
        if (at_call()) throw validation(cat("Unexpected path component", place_of(peek())));
        out_.projection.push_back(path());
      } while (take(","));
    }
    expect_word("FROM");
    if (!at_name()) unexpected_term();
    source();
    refuse_alias();
    if (take_word("WHERE")) out_.where = condition();
    if (take_word("ORDER")) {
      expect_word("BY");
      out_.order_by = name();
      if (take_word("DESC")) {
        out_.descending = true;
      } else {
        take_word("ASC");
      }
    }
  }

  // A table, or an index of one.
  void source() {
    if (!at_name()) malformed_statement("Expected identifier for simple path");
    const Token token = peek();
    std::vector<std::string> parts;
    do {
      parts.push_back(name());
    } while (take("."));
    for (const std::string& part : parts) {
      if (part.empty()) throw validation("Path component cannot be an empty string");
    }
    if (out_.kind == StatementKind::kInsert && parts.size() > 1) {
      throw validation(
          cat("FROM clause may only contain a single table name in data manipulation statements", place_of(token)));
    }
    if (parts.size() > 2) throw validation("A path may contain at most 2 components in the FROM clause");
    out_.table = std::move(parts[0]);
    if (parts.size() == 1) return;
    if (out_.kind != StatementKind::kSelect) throw validation("This operation is not supported on an index");
    out_.index = std::move(parts[1]);
  }
  void refuse_alias() const {
    if (at_word("AS") || at_name()) throw validation("Aliasing is not supported");
  }

  void insert() {
    out_.kind = StatementKind::kInsert;
    expect_word("INTO");
    source();
    if (!take_word("VALUE")) malformed_statement("Unexpected token after expression");
    const AttributeValue value = literal("");
    if (!value.view().is(Type::kM)) malformed_statement("INSERT needs a map of attributes");
    out_.item = Item::of_bytes(value.bytes());
  }

  void update() {
    out_.kind = StatementKind::kUpdate;
    source();
    refuse_alias();
    actions();
    if (take_word("WHERE")) out_.where = condition();
    returning();
  }
  // FROM "table" WHERE … SET …
  void update_of_source() {
    out_.kind = StatementKind::kUpdate;
    source();
    refuse_alias();
    if (take_word("WHERE")) out_.where = condition();
    actions();
    returning();
  }

  void actions() {
    while (true) {
      if (take_word("SET")) {
        do {
          out_.actions.push_back(assignment());
        } while (take(","));
      } else if (take_word("REMOVE")) {
        do {
          out_.actions.push_back({UpdateKind::kRemove, path(), {}});
        } while (take(","));
      } else {
        break;
      }
    }
    if (out_.actions.empty()) unexpected();
    std::vector<const Path*> targets;
    for (const UpdateAction& action : out_.actions) targets.push_back(&action.path);
    check_disjoint(targets, "UpdateExpression");
  }

  void remove() {
    out_.kind = StatementKind::kDelete;
    expect_word("FROM");
    source();
    refuse_alias();
    if (take_word("WHERE")) out_.where = condition();
    returning();
    if (out_.returning == Returning::kNone || out_.returning == Returning::kAllOld) return;
    throw validation(cat("Invalid returning clause: RETURNING ",
                         out_.returning == Returning::kAllNew ? "ALL" : "MODIFIED", " ",
                         out_.returning == Returning::kModifiedOld ? "OLD" : "NEW",
                         " *. Only RETURNING ALL OLD * is allowed in DELETE statements."));
  }

  void returning() {
    if (!take_word("RETURNING")) return;
    const bool all = take_word("ALL");
    if (!all) expect_word("MODIFIED");
    const bool old = take_word("OLD");
    if (!old) expect_word("NEW");
    expect("*");
    out_.returning = all ? (old ? Returning::kAllOld : Returning::kAllNew)
                         : (old ? Returning::kModifiedOld : Returning::kModifiedNew);
  }

  UpdateAction assignment() {
    UpdateAction action{UpdateKind::kSet, path(), {}};
    expect("=");
    const bool adds = at_word("set_add");
    if (at_call() && (adds || at_word("set_delete"))) {
      action.kind = adds ? UpdateKind::kAdd : UpdateKind::kDelete;
      change_of_set(action, adds ? "SET_ADD" : "SET_DELETE");
    } else {
      action.value = sum();
    }
    return action;
  }

  void change_of_set(UpdateAction& action, std::string_view name) {
    const Token function = next();
    expect("(");
    const Token first = peek();
    std::vector<Node> arguments = rest_of_call([&] { return sum(); });
    if (arguments.size() != 2) throw validation(cat(name, " must have exactly two arguments", place_of(function)));
    if (arguments[0].kind != NodeKind::kPath || arguments[0].path != action.path) {
      throw validation(cat("The first argument to ", name, " must equal the assignment value", place_of(function)));
    }
    if (arguments[1].kind != NodeKind::kValue || !arguments[1].value.is_set()) {
      throw validation(cat("The second argument to ", name, " must be a value with type SET", place_of(first)));
    }
    action.value = std::move(arguments[1]);
  }

  Node sum() {
    Node left = term();
    while (at("+") || at("-")) {
      count_operator();
      Node node{.kind = at("+") ? NodeKind::kPlus : NodeKind::kMinus};
      take_infix(peek().text);
      node.children.push_back(std::move(left));
      node.children.push_back(term());
      left = std::move(node);
    }
    return left;
  }

  Node term() {
    const Deeper deeper(depth_);
    for (const Function function : {Function::kListAppend, Function::kIfNotExists}) {
      if (!at_call() || detail::function_named(lower(peek().text)) != function) continue;
      Node node = call(function, [&] { return sum(); });
      if (node.children.size() != 2) check_statement_condition(node);
      return node;
    }
    return operand();
  }

  // What follows the opening parenthesis.
  template <class Argument>
  std::vector<Node> rest_of_call(Argument argument) {
    std::vector<Node> out;
    while (!take(")")) {
      if (!out.empty()) expect(",");
      out.push_back(argument());
      if (out.size() > kMaxInOperands) malformed_statement("The function has too many operands");
    }
    return out;
  }
  template <class Argument>
  Node call(Function function, Argument argument) {
    static constexpr std::string_view kNames[] = {
        "attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size",
        "if_not_exists",    "list_append"};
    next();
    expect("(");
    Node node{.kind = NodeKind::kFunction, .function = function, .text = kNames[static_cast<size_t>(function)]};
    node.children = rest_of_call(argument);
    return node;
  }

  Node condition() {
    Node left = conjunction();
    while (take_infix("OR")) left = both(NodeKind::kOr, std::move(left), conjunction());
    return left;
  }
  Node conjunction() {
    Node left = negation();
    while (take_infix("AND")) left = both(NodeKind::kAnd, std::move(left), negation());
    return left;
  }
  Node both(NodeKind kind, Node left, Node right) {
    count_operator();
    Node node{.kind = kind};
    node.children.push_back(std::move(left));
    node.children.push_back(std::move(right));
    return node;
  }
  Node negated(Node inner) {
    Node node{.kind = NodeKind::kNot};
    node.children.push_back(std::move(inner));
    return node;
  }
  Node negation() {
    const Deeper deeper(depth_);
    if (!take_word("NOT")) return predicate();
    count_operator();
    return negated(negation());
  }

  Node predicate() {
    count_operator();
    if (take("(")) {
      Node inner = condition();
      expect(")");
      return inner;
    }
    if (at_call() && !at_word("size")) return function();
    Node left = operand();
    if (take_word("IS")) {
      const bool no = take_word("NOT");
      Node test = is_test(std::move(left));
      return no ? negated(std::move(test)) : std::move(test);
    }
    const bool no = take_word("NOT");
    if (take_infix("BETWEEN")) {
      Node node{.kind = NodeKind::kBetween};
      node.children.push_back(std::move(left));
      node.children.push_back(operand());
      expect_word("AND");
      node.children.push_back(operand());
      return no ? negated(std::move(node)) : std::move(node);
    }
    if (take_infix("IN")) {
      Node node = membership(std::move(left));
      return no ? negated(std::move(node)) : std::move(node);
    }
    static constexpr std::pair<std::string_view, NodeKind> kComparisons[] = {
        {"=", NodeKind::kEq},  {"<>", NodeKind::kNe}, {"!=", NodeKind::kNe}, {"<", NodeKind::kLt},
        {"<=", NodeKind::kLe}, {">", NodeKind::kGt},  {">=", NodeKind::kGe}};
    for (const auto& [symbol, kind] : kComparisons) {
      if (no || !take_infix(symbol)) continue;
      Node node{.kind = kind};
      node.children.push_back(std::move(left));
      node.children.push_back(operand());
      return node;
    }
    unexpected();
  }

  // A function that holds or not; it may be compared with what it is.
  Node function() {
    const Function function = detail::function_named(lower(peek().text));
    if (function >= Function::kSize) refuse_call("Unrecognized function");
    Node node = call(function, [&] { return operand(); });
    const bool equal = at("=");
    if (!equal && !at("<>") && !at("!=")) return node;
    take_infix(peek().text);
    const bool yes = at_word("true");
    if (!yes && !at_word("false")) unexpected();
    next();
    return yes == equal ? std::move(node) : negated(std::move(node));
  }

  Node is_test(Node left) {
    Node node{.kind = NodeKind::kFunction};
    node.children.push_back(std::move(left));
    if (take_word("MISSING")) {
      node.function = Function::kAttributeNotExists;
      node.text = "attribute_not_exists";
    } else {
      const auto type = peek().kind == TokenKind::kWord ? type_in_partiql(peek().text) : std::nullopt;
      if (!type) malformed_statement("Expected type name");
      next();
      node.function = Function::kAttributeType;
      node.text = "attribute_type";
      node.children.push_back(value_node(AttributeValue::string(name_of(*type))));
    }
    if (node.children[0].kind != NodeKind::kPath) malformed_statement("IS needs an attribute");
    return node;
  }

  Node membership(Node left) {
    Node node{.kind = NodeKind::kIn};
    node.children.push_back(std::move(left));
    const std::string close = take("(") ? ")" : "]";
    if (close == "]") expect("[");
    do {
      node.children.push_back(operand());
      if (node.children.size() > kMaxInOperands + 1) malformed_statement("IN takes at most 100 values");
    } while (take(","));
    expect(close);
    return node;
  }

  // A path, size(path) or a value.
  Node operand() {
    const Deeper deeper(depth_);
    if (at_call()) {
      if (!at_word("size")) refuse_call("Unrecognized function");
      return call(Function::kSize, [&] { return operand(); });
    }
    if (!at_name() || at_word("true") || at_word("false") || at_word("null")) return value_node(literal("root"));
    return Node{.kind = NodeKind::kPath, .path = path()};
  }

  Path path() {
    Path out;
    out.push_back({name()});
    while (true) {
      if (take(".")) {
        if (!at_name()) malformed_statement("Invalid path dot component");
        out.push_back({name()});
      } else if (at("[")) {
        next();
        int64_t index = -1;
        const std::string text = peek().text;
        if (peek().kind != TokenKind::kNumber ||
            std::from_chars(text.data(), text.data() + text.size(), index).ptr != text.data() + text.size()) {
          unexpected();
        }
        next();
        out.push_back({"", index});
        expect("]");
      } else {
        break;
      }
      if (out.size() > kMaxPathDepth) malformed_statement("The document path has too many nesting elements");
    }
    return out;
  }

  Node value_node(AttributeValue value) {
    out_.values.push_back(std::move(value));
    return Node{.kind = NodeKind::kValue, .value = out_.values.back().view()};
  }

  // `at`: what messages call the place of the value; nothing: it is an item, whose attributes are values of their own.
  AttributeValue literal(const std::string& at) {
    const Deeper deeper(depth_);
    std::string bytes;
    switch (peek().kind) {
      case TokenKind::kString:
        return AttributeValue::string(next().text);
      case TokenKind::kNumber:
        return number(next().text, at);
      case TokenKind::kParameter:
        next();
        if (used_ == parameters_.size()) wrong_count();
        return parameters_[used_++];
      case TokenKind::kWord:
        if (at_call()) {
          throw validation(cat("Unsupported data type: ", lower(peek().text), " under key ", at, place_of(peek())));
        }
        if (take_word("null")) {
          append_null(bytes);
          return AttributeValue::of_bytes(std::move(bytes));
        }
        if (!at_word("true") && !at_word("false")) unexpected_term();
        append_boolean(bytes, equals_ignoring_case(next().text, "true"));
        return AttributeValue::of_bytes(std::move(bytes));
      default:
        break;
    }
    if (take("-")) return number("-" + (peek().kind == TokenKind::kNumber ? next().text : std::string("x")), at);
    if (take("<<")) return set(at);
    ContainerBuilder builder;
    if (take("[")) {
      while (!take("]")) {
        if (builder.size()) expect(",");
        builder.add(literal(cat(at, "[", builder.size(), "]")).bytes());
      }
      builder.finish('L', bytes);
      return AttributeValue::of_bytes(std::move(bytes));
    }
    if (!take("{")) unexpected_term();
    std::vector<std::pair<std::string, AttributeValue>> entries;
    while (!take("}")) {
      if (!entries.empty()) expect(",");
      if (peek().kind != TokenKind::kString && peek().kind != TokenKind::kQuoted) unexpected();
      std::string key = next().text;
      expect(":");
      std::string place = at.empty() ? "root" : cat(at, ".", key);
      entries.emplace_back(std::move(key), literal(place));
    }
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i && entries[i].first == entries[i - 1].first) {
        malformed_statement(cat("Duplicate attribute: ", entries[i].first));
      }
      builder.add_entry(entries[i].first, entries[i].second.bytes());
    }
    builder.finish('M', bytes);
    return AttributeValue::of_bytes(std::move(bytes));
  }

  static AttributeValue number(const std::string& text, std::string_view at) {
    const auto parsed = Number::parse(text);
    if (!parsed) throw validation(cat(message_of(parsed.error(), text), " under ", at));
    return AttributeValue::number(*parsed);
  }

  AttributeValue set(const std::string& at) {
    std::vector<AttributeValue> elements;
    std::string spelled;
    while (!take(">>")) {
      if (!elements.empty()) expect(",");
      append(spelled, elements.empty() ? "" : ", ", peek().text);
      elements.push_back(literal(cat(at, "[", elements.size(), "]")));
    }
    if (elements.empty()) throw validation("Empty bags are not supported");
    const Type of = elements[0].view().type();
    const auto type = of == Type::kS ? Type::kSS : of == Type::kN ? Type::kNS : Type::kBS;
    std::vector<std::string_view> contents;
    for (const AttributeValue& element : elements) {
      if (!element.view().is(of) || (of != Type::kS && of != Type::kN && of != Type::kB)) {
        malformed_statement("A set holds strings, numbers or binaries, all of one type");
      }
      if (std::find(contents.begin(), contents.end(), element.view().content()) != contents.end()) {
        throw invalid_parameter(cat("Input collection [", spelled, "] contains duplicates."));
      }
      contents.push_back(element.view().content());
    }
    std::string bytes;
    append_set(bytes, type, std::move(contents));
    return AttributeValue::of_bytes(std::move(bytes));
  }

  std::vector<Token> tokens_;
  const std::vector<AttributeValue>& parameters_;
  size_t at_ = 0, used_ = 0, operators_ = 0;
  bool after_infix_ = false;
  int depth_ = 0;
  Statement out_;
};

Conjunct conjunct_of(const Node& node) {
  const bool by_path = !node.children.empty() && node.children[0].kind == NodeKind::kPath &&
                       std::all_of(node.children.begin() + 1, node.children.end(),
                                   [](const Node& child) { return child.kind == NodeKind::kValue; });
  return {&node, by_path ? &node.children[0].path : nullptr};
}

void split(const Node& node, std::vector<Conjunct>& out) {
  if (node.kind != NodeKind::kAnd) return out.push_back(conjunct_of(node));
  for (const Node& child : node.children) split(child, out);
}

constexpr size_t kMostAlternatives = 100;

// What must hold beside what each of `out` says already; false where that are too many alternatives.
bool multiply(const Node& node, std::vector<std::vector<Conjunct>>& out) {
  if (node.kind == NodeKind::kAnd) {
    return std::ranges::all_of(node.children, [&](const Node& child) { return multiply(child, out); });
  }
  if (node.kind != NodeKind::kOr) {
    for (auto& alternative : out) alternative.push_back(conjunct_of(node));
    return true;
  }
  std::vector<std::vector<Conjunct>> all;
  for (const Node& child : node.children) {
    auto some = out;
    if (!multiply(child, some) || all.size() + some.size() > kMostAlternatives) return false;
    std::ranges::move(some, std::back_inserter(all));
  }
  out = std::move(all);
  return true;
}

bool is_about(const Conjunct& conjunct, std::string_view attribute) {
  return conjunct.path && conjunct.path->size() == 1 && (*conjunct.path)[0].name == attribute;
}

}  // namespace

Statement parse_statement(std::string_view text, const std::vector<AttributeValue>& parameters) {
  // What is wrong with a parameter is told before anything about the statement.
  for (const AttributeValue& value : parameters) check_well_formed(value);
  return Parser(text, parameters).statement();
}

std::vector<Conjunct> conjuncts_of(const Statement& statement) {
  std::vector<Conjunct> out;
  if (statement.where) split(*statement.where, out);
  return out;
}

std::vector<std::vector<Conjunct>> alternatives_of(const Statement& statement) {
  std::vector<std::vector<Conjunct>> out(1);
  if (statement.where && !multiply(*statement.where, out)) out.clear();
  return out;
}

std::vector<View> equal_values(const std::vector<Conjunct>& conjuncts, std::string_view attribute) {
  std::vector<View> out;
  for (const Conjunct& conjunct : conjuncts) {
    const NodeKind kind = conjunct.node->kind;
    if (!is_about(conjunct, attribute) || (kind != NodeKind::kEq && kind != NodeKind::kIn)) continue;
    if (!out.empty() && kind == NodeKind::kIn) continue;
    out.clear();
    for (size_t i = 1; i < conjunct.node->children.size(); ++i) out.push_back(conjunct.node->children[i].value);
    if (kind == NodeKind::kEq) return out;
  }
  return out;
}

std::optional<Item> key_in(const Statement& statement, const std::string& hash, const std::string& range) {
  std::vector<std::pair<std::string_view, View>> entries;
  for (const std::string& name : {std::cref(hash), std::cref(range)}) {
    if (name.empty()) continue;
    const std::vector<View> values = equal_values(statement, name);
    if (values.size() != 1) return std::nullopt;
    entries.emplace_back(name == hash ? hash : range, values[0]);
  }
  return make_item(std::move(entries));
}

std::optional<Node> rest_of(const Statement& statement, const std::string& hash, const std::string& range) {
  std::optional<Node> out;
  for (const Conjunct& conjunct : conjuncts_of(statement)) {
    const bool key = conjunct.node->kind == NodeKind::kEq &&
                     (is_about(conjunct, hash) || (!range.empty() && is_about(conjunct, range)));
    if (key) continue;
    if (!out) {
      out = *conjunct.node;
      continue;
    }
    Node node{.kind = NodeKind::kAnd};
    node.children.push_back(std::move(*out));
    node.children.push_back(*conjunct.node);
    out = std::move(node);
  }
  return out;
}

}  // namespace virga::dynamodb
