#include "services/dynamodb/partiql.h"

#include <algorithm>
#include <charconv>

#include "base/str.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/limits.h"

namespace virga::dynamodb {

namespace {

constexpr int kMaxDepth = 64;

[[noreturn]] void malformed(std::string_view what) {
  throw validation(cat("Statement wasn't well formed, can't be processed: ", what));
}

enum class TokenKind : uint8_t { kEnd, kWord, kQuoted, kString, kNumber, kParameter, kSymbol };
struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
};

bool is_word(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || (!first && c >= '0' && c <= '9');
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::vector<Token> tokens_of(std::string_view text) {
  std::vector<Token> out;
  size_t at = 0;
  const auto peek = [&](size_t ahead) { return at + ahead < text.size() ? text[at + ahead] : '\0'; };
  while (at < text.size()) {
    const char c = text[at];
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      ++at;
    } else if (c == '\'' || c == '"') {
      // The quote itself is written twice within.
      std::string content;
      for (++at;; ++at) {
        if (at >= text.size()) malformed("Unterminated string or quoted identifier");
        if (text[at] == c && peek(1) == c) {
          ++at;
        } else if (text[at] == c) {
          break;
        }
        content += text[at];
      }
      ++at;
      out.push_back({c == '"' ? TokenKind::kQuoted : TokenKind::kString, std::move(content)});
    } else if (is_word(c, true)) {
      const size_t begin = at;
      while (at < text.size() && is_word(text[at], false)) ++at;
      out.push_back({TokenKind::kWord, std::string(text.substr(begin, at - begin))});
    } else if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
      const size_t begin = at;
      while (is_digit(peek(0)) || peek(0) == '.') ++at;
      const bool sign = peek(1) == '+' || peek(1) == '-';
      if ((peek(0) == 'e' || peek(0) == 'E') && is_digit(peek(sign ? 2 : 1))) {
        at += sign ? 2 : 1;
        while (is_digit(peek(0))) ++at;
      }
      out.push_back({TokenKind::kNumber, std::string(text.substr(begin, at - begin))});
    } else if (c == '?') {
      out.push_back({TokenKind::kParameter, "?"});
      ++at;
    } else {
      static constexpr std::string_view kPairs[] = {"<=", ">=", "<>", "!=", "<<", ">>"};
      size_t length = 1;
      for (const std::string_view pair : kPairs) {
        if (text.substr(at, 2) == pair) length = 2;
      }
      // Characters stay whole: the refusal repeats the symbol.
      while (at + length < text.size() && (text[at + length] & 0xc0) == 0x80) ++length;
      out.push_back({TokenKind::kSymbol, std::string(text.substr(at, length))});
      at += length;
    }
  }
  out.push_back({});
  return out;
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
    } else if (take_word("DELETE")) {
      remove();
    } else {
      unexpected();
    }
    take(";");
    if (peek().kind != TokenKind::kEnd) unexpected();
    if (used_ != parameters_.size()) wrong_count();
    return std::move(out_);
  }

 private:
  const Token& peek() const { return tokens_[at_]; }
  Token next() {
    const Token token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  [[noreturn]] void unexpected() const {
    if (peek().kind == TokenKind::kEnd) malformed("Unexpected end of statement");
    malformed(cat("Unexpected token: ", peek().text));
  }
  [[noreturn]] static void wrong_count() {
    throw validation("Number of parameters in request and statement don't match.");
  }
  bool at(std::string_view symbol) const { return peek().kind == TokenKind::kSymbol && peek().text == symbol; }
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
  void expect_word(std::string_view word) {
    if (!take_word(word)) unexpected();
  }
  std::string name() {
    if (peek().kind != TokenKind::kWord && peek().kind != TokenKind::kQuoted) unexpected();
    return next().text;
  }

  struct Deeper {
    explicit Deeper(int& depth) : depth(depth) {
      if (++depth > kMaxDepth) malformed("The statement is nested too deeply");
    }
    ~Deeper() { --depth; }
    int& depth;
  };
  void count_operator() {
    if (++operators_ > kMaxOperators) malformed("The statement contains too many operators");
  }

  void select() {
    out_.kind = StatementKind::kSelect;
    if (!take("*")) {
      do {
        out_.projection.push_back(path());
      } while (take(","));
    }
    expect_word("FROM");
    source(true);
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

  void source(bool with_index) {
    out_.table = name();
    if (with_index && take(".")) out_.index = name();
  }

  void insert() {
    out_.kind = StatementKind::kInsert;
    expect_word("INTO");
    source(false);
    expect_word("VALUE");
    const AttributeValue value = literal();
    if (!value.view().is(Type::kM)) malformed("INSERT needs a map of attributes");
    out_.item = Item::of_bytes(value.bytes());
  }

  void update() {
    out_.kind = StatementKind::kUpdate;
    source(false);
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
    if (take_word("WHERE")) out_.where = condition();
    returning();
  }

  void remove() {
    out_.kind = StatementKind::kDelete;
    expect_word("FROM");
    source(false);
    if (take_word("WHERE")) out_.where = condition();
    returning();
    if (out_.returning != Returning::kNone && out_.returning != Returning::kAllOld) {
      malformed("DELETE can only return ALL OLD *");
    }
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
    if (adds || at_word("set_delete")) {
      next();
      expect("(");
      if (path() != action.path) malformed("set_add and set_delete change the attribute that they are assigned to");
      expect(",");
      action.kind = adds ? UpdateKind::kAdd : UpdateKind::kDelete;
      action.value = value_node(literal());
      expect(")");
      const bool number = adds && action.value.value.is(Type::kN);
      if (!action.value.value.is_set() && !number) malformed("set_add and set_delete take a set");
      return action;
    }
    action.value = sum();
    return action;
  }

  Node sum() {
    Node left = term();
    while (at("+") || at("-")) {
      count_operator();
      Node node{.kind = next().text == "+" ? NodeKind::kPlus : NodeKind::kMinus};
      node.children.push_back(std::move(left));
      node.children.push_back(term());
      left = std::move(node);
    }
    return left;
  }

  Node term() {
    const Deeper deeper(depth_);
    for (const auto& [word, function] :
         {std::pair{"list_append", Function::kListAppend}, {"if_not_exists", Function::kIfNotExists}}) {
      if (!at_word(word) || !(tokens_[at_ + 1].kind == TokenKind::kSymbol && tokens_[at_ + 1].text == "(")) continue;
      next();
      return call(function, word, [&](size_t) { return sum(); });
    }
    return operand();
  }

  template <class Argument>
  Node call(Function function, std::string_view word, Argument argument) {
    Node node{.kind = NodeKind::kFunction, .function = function, .text = word};
    expect("(");
    for (size_t i = 0; i < 2; ++i) {
      if (i) expect(",");
      node.children.push_back(argument(i));
    }
    expect(")");
    return node;
  }

  Node condition() {
    Node left = conjunction();
    while (take_word("OR")) left = both(NodeKind::kOr, std::move(left), conjunction());
    return left;
  }
  Node conjunction() {
    Node left = negation();
    while (take_word("AND")) left = both(NodeKind::kAnd, std::move(left), negation());
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
    for (const auto& [word, function] : {std::pair{"begins_with", Function::kBeginsWith},
                                         {"contains", Function::kContains},
                                         {"attribute_type", Function::kAttributeType}}) {
      if (!at_word(word)) continue;
      next();
      Node node = call(function, word, [&](size_t) { return operand(); });
      const Node& type = node.children[1];
      if (function == Function::kAttributeType &&
          (type.kind != NodeKind::kValue || !type.value.is(Type::kS) || !type_named(type.value.content()))) {
        malformed("attribute_type needs the name of a type");
      }
      return node;
    }
    Node left = operand();
    if (take_word("IS")) {
      const bool no = take_word("NOT");
      Node test = is_test(std::move(left));
      return no ? negated(std::move(test)) : std::move(test);
    }
    const bool no = take_word("NOT");
    if (take_word("BETWEEN")) {
      Node node{.kind = NodeKind::kBetween};
      node.children.push_back(std::move(left));
      node.children.push_back(operand());
      expect_word("AND");
      node.children.push_back(operand());
      return no ? negated(std::move(node)) : std::move(node);
    }
    if (take_word("IN")) {
      Node node = membership(std::move(left));
      return no ? negated(std::move(node)) : std::move(node);
    }
    static constexpr std::pair<std::string_view, NodeKind> kComparisons[] = {
        {"=", NodeKind::kEq},  {"<>", NodeKind::kNe}, {"!=", NodeKind::kNe}, {"<", NodeKind::kLt},
        {"<=", NodeKind::kLe}, {">", NodeKind::kGt},  {">=", NodeKind::kGe}};
    for (const auto& [symbol, kind] : kComparisons) {
      if (no || !take(symbol)) continue;
      Node node{.kind = kind};
      node.children.push_back(std::move(left));
      node.children.push_back(operand());
      return node;
    }
    unexpected();
  }

  Node is_test(Node left) {
    Node node{.kind = NodeKind::kFunction};
    node.children.push_back(std::move(left));
    if (take_word("MISSING")) {
      node.function = Function::kAttributeNotExists;
      node.text = "attribute_not_exists";
    } else if (take_word("NULL")) {
      node.function = Function::kAttributeType;
      node.text = "attribute_type";
      node.children.push_back(value_node(AttributeValue::string("NULL")));
    } else {
      unexpected();
    }
    if (node.children[0].kind != NodeKind::kPath) malformed("IS needs an attribute");
    return node;
  }

  Node membership(Node left) {
    Node node{.kind = NodeKind::kIn};
    node.children.push_back(std::move(left));
    const std::string close = take("(") ? ")" : "]";
    if (close == "]") expect("[");
    do {
      node.children.push_back(operand());
      if (node.children.size() > kMaxInOperands + 1) malformed("IN takes at most 100 values");
    } while (take(","));
    expect(close);
    return node;
  }

  // A path, size(path) or a value.
  Node operand() {
    const Deeper deeper(depth_);
    const bool identifier = peek().kind == TokenKind::kQuoted || (peek().kind == TokenKind::kWord && !at_word("true") &&
                                                                  !at_word("false") && !at_word("null"));
    if (!identifier) return value_node(literal());
    if (at_word("size") && tokens_[at_ + 1].kind == TokenKind::kSymbol && tokens_[at_ + 1].text == "(") {
      next();
      expect("(");
      Node node{.kind = NodeKind::kFunction, .function = Function::kSize, .text = "size"};
      node.children.push_back(operand());
      if (node.children[0].kind != NodeKind::kPath) malformed("size needs an attribute");
      expect(")");
      return node;
    }
    return Node{.kind = NodeKind::kPath, .path = path()};
  }

  Path path() {
    Path out;
    out.push_back({name()});
    while (true) {
      if (take(".")) {
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
      if (out.size() > kMaxPathDepth) malformed("The document path has too many nesting elements");
    }
    return out;
  }

  Node value_node(AttributeValue value) {
    out_.values.push_back(std::move(value));
    return Node{.kind = NodeKind::kValue, .value = out_.values.back().view()};
  }

  AttributeValue literal() {
    const Deeper deeper(depth_);
    std::string bytes;
    switch (peek().kind) {
      case TokenKind::kString:
        return AttributeValue::string(next().text);
      case TokenKind::kNumber:
        return number(next().text);
      case TokenKind::kParameter: {
        next();
        if (used_ == parameters_.size()) wrong_count();
        const AttributeValue& value = parameters_[used_++];
        check_well_formed(value);
        return value;
      }
      case TokenKind::kWord:
        if (take_word("null")) {
          append_null(bytes);
          return AttributeValue::of_bytes(std::move(bytes));
        }
        if (!at_word("true") && !at_word("false")) unexpected();
        append_boolean(bytes, equals_ignoring_case(next().text, "true"));
        return AttributeValue::of_bytes(std::move(bytes));
      default:
        break;
    }
    if (take("-")) return number("-" + (peek().kind == TokenKind::kNumber ? next().text : std::string("x")));
    if (take("<<")) return set();
    ContainerBuilder builder;
    if (take("[")) {
      while (!take("]")) {
        if (builder.size()) expect(",");
        builder.add(literal().bytes());
      }
      builder.finish('L', bytes);
      return AttributeValue::of_bytes(std::move(bytes));
    }
    if (!take("{")) unexpected();
    std::vector<std::pair<std::string, AttributeValue>> entries;
    while (!take("}")) {
      if (!entries.empty()) expect(",");
      if (peek().kind != TokenKind::kString && peek().kind != TokenKind::kQuoted) unexpected();
      std::string key = next().text;
      expect(":");
      entries.emplace_back(std::move(key), literal());
    }
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i && entries[i].first == entries[i - 1].first) malformed(cat("Duplicate attribute: ", entries[i].first));
      builder.add_entry(entries[i].first, entries[i].second.bytes());
    }
    builder.finish('M', bytes);
    return AttributeValue::of_bytes(std::move(bytes));
  }

  static AttributeValue number(const std::string& text) {
    const auto parsed = Number::parse(text);
    if (!parsed) throw validation(message_of(parsed.error(), text));
    return AttributeValue::number(*parsed);
  }

  AttributeValue set() {
    std::vector<AttributeValue> elements;
    while (!take(">>")) {
      if (!elements.empty()) expect(",");
      elements.push_back(literal());
    }
    if (elements.empty()) malformed("A set may not be empty");
    const Type of = elements[0].view().type();
    const auto type = of == Type::kS ? Type::kSS : of == Type::kN ? Type::kNS : Type::kBS;
    std::vector<std::string_view> contents;
    for (const AttributeValue& element : elements) {
      if (!element.view().is(of) || (of != Type::kS && of != Type::kN && of != Type::kB)) {
        malformed("A set holds strings, numbers or binaries, all of one type");
      }
      if (std::find(contents.begin(), contents.end(), element.view().content()) != contents.end()) {
        malformed("A set may not contain duplicates");
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
  int depth_ = 0;
  Statement out_;
};

void split(const Node& node, std::vector<Conjunct>& out) {
  if (node.kind == NodeKind::kAnd) {
    for (const Node& child : node.children) split(child, out);
    return;
  }
  const bool by_path = !node.children.empty() && node.children[0].kind == NodeKind::kPath &&
                       std::all_of(node.children.begin() + 1, node.children.end(),
                                   [](const Node& child) { return child.kind == NodeKind::kValue; });
  out.push_back({&node, by_path ? &node.children[0].path : nullptr});
}

bool is_about(const Conjunct& conjunct, std::string_view attribute) {
  return conjunct.path && conjunct.path->size() == 1 && (*conjunct.path)[0].name == attribute;
}

}  // namespace

Statement parse_statement(std::string_view text, const std::vector<AttributeValue>& parameters) {
  return Parser(text, parameters).statement();
}

std::vector<Conjunct> conjuncts_of(const Statement& statement) {
  std::vector<Conjunct> out;
  if (statement.where) split(*statement.where, out);
  return out;
}

std::vector<View> equal_values(const Statement& statement, std::string_view attribute) {
  std::vector<View> out;
  for (const Conjunct& conjunct : conjuncts_of(statement)) {
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
