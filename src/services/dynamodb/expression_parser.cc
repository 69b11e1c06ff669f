#include <algorithm>
#include <charconv>

#include "base/str.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/expression.h"
#include "services/dynamodb/limits.h"

namespace virga::dynamodb::detail {

namespace {

enum class TokenKind : uint8_t { kEnd, kWord, kName, kValue, kInteger, kSymbol };
struct Token {
  TokenKind kind;
  std::string_view text;
  size_t begin;
};

bool is_word_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_word_part(char c) { return is_word_start(c) || (c >= '0' && c <= '9') || c == '_'; }

std::vector<Token> tokens_of(std::string_view text) {
  std::vector<Token> out;
  size_t at = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      ++at;
      continue;
    }
    const size_t begin = at++;
    TokenKind kind = TokenKind::kSymbol;
    if (is_word_start(c) || c == '#' || c == ':') {
      kind = c == '#' ? TokenKind::kName : c == ':' ? TokenKind::kValue : TokenKind::kWord;
      while (at < text.size() && is_word_part(text[at])) ++at;
      if (kind != TokenKind::kWord && at == begin + 1) kind = TokenKind::kSymbol;
    } else if (c >= '0' && c <= '9') {
      kind = TokenKind::kInteger;
      while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    } else if ((c == '<' && at < text.size() && (text[at] == '=' || text[at] == '>')) ||
               (c == '>' && at < text.size() && text[at] == '=')) {
      ++at;
    } else {
      // A character outside ASCII is one token.
      while (at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) ++at;
    }
    out.push_back({kind, text.substr(begin, at - begin), begin});
  }
  out.push_back({TokenKind::kEnd, "<EOF>", text.size()});
  return out;
}

class Parser {
 public:
  Parser(std::string_view text, ExpressionKind kind) : text_(text), kind_(kind) {
    if (text.empty()) refuse("The expression can not be empty;");
    if (text.size() > kMaxExpression) {
      const bool tells = kind != ExpressionKind::kUpdate;
      refuse(cat("Expression size has exceeded the maximum allowed size;",
                 tells ? cat(" expression size: ", text.size()) : std::string()));
    }
    tokens_ = tokens_of(text);
  }

  RawCondition condition() {
    Node node = or_condition();
    require_condition(node);
    expect_end();
    return {std::move(node), redundant_};
  }

  std::vector<Path> projection() {
    std::vector<Path> out;
    do {
      out.push_back(path());
    } while (take(","));
    expect_end();
    return out;
  }

  RawUpdate update() {
    RawUpdate out;
    bool seen[4] = {};
    do {
      const auto section = section_at(peek());
      if (!section) syntax_error();
      const std::string name = upper(next().text);
      if (seen[static_cast<int>(*section)] && out.repeated_section.empty()) out.repeated_section = name;
      seen[static_cast<int>(*section)] = true;
      do {
        UpdateAction action{*section, update_path(), {}};
        if (*section == UpdateKind::kSet) {
          expect("=");
          action.value = set_value();
        } else if (*section != UpdateKind::kRemove) {
          if (peek().kind != TokenKind::kValue) syntax_error();
          action.value = value();
        }
        out.actions.push_back(std::move(action));
      } while (take(","));
    } while (peek().kind != TokenKind::kEnd);
    return out;
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw validation(cat("Invalid ", name_of(kind_), ": ", what));
  }

  // Names the token met and its surroundings, from the token before to the one after.
  [[noreturn]] void syntax_error() const {
    const size_t first = at_ ? at_ - 1 : at_;
    const size_t last = std::min(at_ + 1, tokens_.size() - 1);
    const size_t begin = tokens_[first].begin;
    const size_t end =
        tokens_[last].kind == TokenKind::kEnd ? text_.size() : tokens_[last].begin + tokens_[last].text.size();
    refuse(cat("Syntax error; token: \"", peek().text, "\", near: \"", trim(text_.substr(begin, end - begin)), "\""));
  }

  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  const Token& next() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool at_symbol(std::string_view text) const { return peek().kind == TokenKind::kSymbol && peek().text == text; }
  bool take(std::string_view symbol) {
    if (!at_symbol(symbol)) return false;
    next();
    return true;
  }
  void expect(std::string_view symbol) {
    if (!take(symbol)) syntax_error();
  }
  void expect_end() {
    if (peek().kind != TokenKind::kEnd) syntax_error();
  }
  bool at_keyword(std::string_view keyword) const {
    return peek().kind == TokenKind::kWord && equals_ignoring_case(peek().text, keyword);
  }
  static std::optional<UpdateKind> section_at(const Token& token) {
    if (token.kind != TokenKind::kWord) return std::nullopt;
    if (equals_ignoring_case(token.text, "SET")) return UpdateKind::kSet;
    if (equals_ignoring_case(token.text, "REMOVE")) return UpdateKind::kRemove;
    if (equals_ignoring_case(token.text, "ADD")) return UpdateKind::kAdd;
    if (equals_ignoring_case(token.text, "DELETE")) return UpdateKind::kDelete;
    return std::nullopt;
  }
  bool at_structure_word() const {
    if (kind_ == ExpressionKind::kUpdate) return section_at(peek()).has_value();
    if (kind_ == ExpressionKind::kProjection) return false;
    return at_keyword("AND") || at_keyword("OR") || at_keyword("NOT") || at_keyword("BETWEEN") || at_keyword("IN");
  }

  void count_operator() {
    if (++operators_ > kMaxOperators) {
      refuse(cat("The expression contains too many operators; operator count: ", operators_,
                 ", maximum operator count: ", kMaxOperators));
    }
  }
  struct Deeper {
    Parser& parser;
    explicit Deeper(Parser& p) : parser(p) {
      if (++parser.depth_ > kMaxExpressionDepth) parser.refuse("The expression has too many nesting levels;");
    }
    ~Deeper() { --parser.depth_; }
  };

  static bool is_condition(const Node& node) {
    if (node.kind == NodeKind::kFunction) return true;  // which ones may stand alone is checked later
    return node.kind >= NodeKind::kEq;
  }
  void require_condition(const Node& node) const {
    if (!is_condition(node)) syntax_error();
  }

  Node or_condition() {
    Node first = and_condition();
    if (!at_keyword("OR")) return first;
    require_condition(first);
    Node out{.kind = NodeKind::kOr};
    out.children.push_back(std::move(first));
    while (at_keyword("OR")) {
      next();
      count_operator();
      out.children.push_back(and_condition());
      require_condition(out.children.back());
    }
    last_was_group_ = false;
    return out;
  }

  Node and_condition() {
    Node first = not_condition();
    if (!at_keyword("AND")) return first;
    require_condition(first);
    Node out{.kind = NodeKind::kAnd};
    out.children.push_back(std::move(first));
    while (at_keyword("AND")) {
      next();
      count_operator();
      out.children.push_back(not_condition());
      require_condition(out.children.back());
    }
    last_was_group_ = false;
    return out;
  }

  Node not_condition() {
    if (!at_keyword("NOT")) return comparison();
    const Deeper deeper(*this);
    next();
    count_operator();
    Node out{.kind = NodeKind::kNot};
    out.children.push_back(not_condition());
    require_condition(out.children.back());
    last_was_group_ = false;
    return out;
  }

  Node comparison() {
    Node first = primary();
    const Token& token = peek();
    if (token.kind == TokenKind::kSymbol) {
      for (NodeKind kind : {NodeKind::kEq, NodeKind::kNe, NodeKind::kLt, NodeKind::kLe, NodeKind::kGt, NodeKind::kGe}) {
        if (token.text != spelling(kind)) continue;
        require_operand(first);
        next();
        count_operator();
        Node out{.kind = kind};
        out.children.push_back(std::move(first));
        out.children.push_back(operand());
        return out;
      }
    }
    if (at_keyword("BETWEEN")) {
      require_operand(first);
      next();
      count_operator();
      Node out{.kind = NodeKind::kBetween};
      out.children.push_back(std::move(first));
      out.children.push_back(operand());
      if (!at_keyword("AND")) syntax_error();
      next();
      out.children.push_back(operand());
      return out;
    }
    if (at_keyword("IN")) {
      require_operand(first);
      next();
      count_operator();
      Node out{.kind = NodeKind::kIn};
      out.children.push_back(std::move(first));
      expect("(");
      do {
        out.children.push_back(operand());
      } while (take(","));
      expect(")");
      if (out.children.size() - 1 > kMaxInOperands) {
        refuse(
            cat("The IN operator is provided with too many operands; number of operands: ", out.children.size() - 1));
      }
      return out;
    }
    return first;
  }

  void require_operand(const Node& node) const {
    if (node.kind >= NodeKind::kEq) syntax_error();
  }

  // A parenthesised condition or operand, or a bare operand. Leaves in last_was_group_ whether it was just a group.
  Node primary() {
    if (at_symbol("(")) {
      const Deeper deeper(*this);
      next();
      Node inner = or_condition();
      const bool group_within = last_was_group_;
      expect(")");
      if (group_within) redundant_ = true;
      last_was_group_ = true;
      // (a).b and (a)[0] continue the path.
      if (inner.kind == NodeKind::kPath && (at_symbol(".") || at_symbol("["))) {
        steps(inner.path);
        last_was_group_ = false;
      }
      return inner;
    }
    Node out = bare_operand();
    last_was_group_ = false;
    return out;
  }

  Node operand() {
    Node out = primary();
    require_operand(out);
    last_was_group_ = false;
    return out;
  }

  Node bare_operand() {
    const Token& token = peek();
    if (token.kind == TokenKind::kValue) return value();
    if (at_structure_word()) syntax_error();
    if (token.kind == TokenKind::kWord && peek(1).kind == TokenKind::kSymbol && peek(1).text == "(") return function();
    Node out{.kind = NodeKind::kPath};
    out.path = path();
    return out;
  }

  Node value() { return Node{.kind = NodeKind::kValue, .text = next().text}; }

  Node function() {
    const Deeper deeper(*this);
    Node out{.kind = NodeKind::kFunction, .text = next().text};
    out.function = function_named(out.text);
    count_operator();
    expect("(");
    do {
      out.children.push_back(kind_ == ExpressionKind::kUpdate ? update_operand() : operand());
    } while (take(","));
    expect(")");
    return out;
  }

  Path path() {
    Path out;
    name_step(out);
    steps(out);
    return out;
  }
  Path update_path() {
    if (at_structure_word()) syntax_error();
    return path();
  }

  void name_step(Path& out) {
    if (peek().kind != TokenKind::kWord && peek().kind != TokenKind::kName) syntax_error();
    if (at_structure_word()) syntax_error();
    out.push_back({std::string(next().text)});
  }

  void steps(Path& out) {
    for (;;) {
      if (take(".")) {
        name_step(out);
      } else if (at_symbol("[")) {
        next();
        if (peek().kind != TokenKind::kInteger) syntax_error();
        const std::string_view digits = next().text;
        int64_t index = 0;
        const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), index);
        if (parsed.ec != std::errc() || index > INT32_MAX) {
          refuse(cat("List index is not within the allowable range; index: [", digits, "]"));
        }
        expect("]");
        out.push_back({{}, index});
      } else {
        break;
      }
      if (out.size() > kMaxPathDepth) {
        refuse(cat("The document path has too many nesting levels; nesting levels: ", out.size()));
      }
    }
  }

  Node set_value() {
    Node first = update_operand();
    if (!at_symbol("+") && !at_symbol("-")) return first;
    Node out{.kind = next().text == "+" ? NodeKind::kPlus : NodeKind::kMinus};
    count_operator();
    out.children.push_back(std::move(first));
    out.children.push_back(update_operand());
    return out;
  }

  Node update_operand() {
    if (at_symbol("(")) {
      const Deeper deeper(*this);
      next();
      Node inner = set_value();
      expect(")");
      return inner;
    }
    return bare_operand();
  }

  std::string_view text_;
  ExpressionKind kind_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  size_t operators_ = 0;
  int depth_ = 0;
  bool last_was_group_ = false;
  bool redundant_ = false;
};

}  // namespace

Function function_named(std::string_view name) {
  if (name == "attribute_exists") return Function::kAttributeExists;
  if (name == "attribute_not_exists") return Function::kAttributeNotExists;
  if (name == "attribute_type") return Function::kAttributeType;
  if (name == "begins_with") return Function::kBeginsWith;
  if (name == "contains") return Function::kContains;
  if (name == "size") return Function::kSize;
  if (name == "if_not_exists") return Function::kIfNotExists;
  if (name == "list_append") return Function::kListAppend;
  return Function::kUnknown;
}

RawCondition parse_condition_syntax(std::string_view text, ExpressionKind kind) {
  return Parser(text, kind).condition();
}
std::vector<Path> parse_projection_syntax(std::string_view text) {
  return Parser(text, ExpressionKind::kProjection).projection();
}
RawUpdate parse_update_syntax(std::string_view text) { return Parser(text, ExpressionKind::kUpdate).update(); }

}  // namespace virga::dynamodb::detail
