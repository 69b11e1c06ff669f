#include "services/dynamodb/partiql_tokens.h"

#include <algorithm>

#include "base/str.h"
#include "services/dynamodb/errors.h"

namespace virga::dynamodb {

namespace {

bool is_word(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || (!first && c >= '0' && c <= '9');
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<Token> tokens() {
    while (skip_blanks(), at_ < text_.size()) {
      const size_t begin = at_;
      Token token = next();
      token.line = line_;
      token.column = column_;
      pass(begin);
      token.length = column_ - token.column;
      out_.push_back(std::move(token));
    }
    out_.push_back({TokenKind::kEnd, "", line_, column_});
    return std::move(out_);
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  // AWS says nothing of what it cannot read.
  [[noreturn]] static void unreadable() { malformed_statement(""); }

  // Counts what was read since `begin`.
  void pass(size_t begin) {
    for (; begin < at_; ++begin) {
      if (text_[begin] == '\n') {
        ++line_;
        column_ = 1;
      } else if ((text_[begin] & 0xc0) != 0x80) {
        ++column_;
      }
    }
  }

  void skip_blanks() {
    const size_t begin = at_;
    while (at_ < text_.size()) {
      if (peek() == ' ' || peek() == '\t' || peek() == '\r' || peek() == '\n') {
        ++at_;
      } else if (peek() == '-' && peek(1) == '-') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (peek() == '/' && peek(1) == '*') {
        const size_t end = text_.find("*/", at_ + 2);
        if (end == std::string_view::npos) unreadable();
        at_ = end + 2;
      } else {
        break;
      }
    }
    pass(begin);
  }

  Token next() {
    const char c = peek();
    if (c == '\'' || c == '"') return quoted(c);
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
    const size_t begin = at_;
    if (is_word(c, true)) {
      while (is_word(peek(), false)) ++at_;
      return {TokenKind::kWord, std::string(text_.substr(begin, at_ - begin))};
    }
    ++at_;
    if (c == '?') return {TokenKind::kParameter, "?"};
    static constexpr std::string_view kPairs[] = {"<=", ">=", "<>", "!=", "<<", ">>"};
    if (std::ranges::find(kPairs, text_.substr(begin, 2)) != std::end(kPairs)) {
      ++at_;
    } else if (std::string_view("+-*/%=<>.,;:()[]{}").find(c) == std::string_view::npos) {
      unreadable();
    }
    return {TokenKind::kSymbol, std::string(text_.substr(begin, at_ - begin))};
  }

  // The quote itself is written twice within.
  Token quoted(char quote) {
    std::string content;
    for (++at_;; ++at_) {
      if (at_ >= text_.size()) unreadable();
      if (peek() == quote && peek(1) == quote) {
        ++at_;
      } else if (peek() == quote) {
        break;
      }
      content += peek();
    }
    ++at_;
    return {quote == '"' ? TokenKind::kQuoted : TokenKind::kString, std::move(content)};
  }

  Token number() {
    const size_t begin = at_;
    int64_t decimals = 0;
    for (bool after_point = false; is_digit(peek()) || peek() == '.'; ++at_) {
      decimals += after_point;
      after_point = after_point || peek() == '.';
    }
    const bool sign = peek(1) == '+' || peek(1) == '-';
    if ((peek() == 'e' || peek() == 'E') && is_digit(peek(sign ? 2 : 1))) {
      const bool negative = peek(1) == '-';
      at_ += sign ? 2 : 1;
      int64_t exponent = 0;
      for (; is_digit(peek()); ++at_) exponent = std::min<int64_t>(exponent * 10 + (peek() - '0'), INT64_C(1) << 40);
      const int64_t scale = decimals + (negative ? exponent : -exponent);
      if (exponent > INT32_MAX || scale > INT32_MAX || scale < INT32_MIN) unreadable();
    }
    return {TokenKind::kNumber, std::string(text_.substr(begin, at_ - begin))};
  }

  std::string_view text_;
  size_t at_ = 0, line_ = 1, column_ = 1;
  std::vector<Token> out_;
};

}  // namespace

std::string place_of(const Token& token) { return cat(" at ", token.line, ":", token.column, ":", token.length); }

void malformed_statement(std::string_view what) {
  throw validation(cat("Statement wasn't well formed, can't be processed: ", what));
}

std::vector<Token> tokens_of(std::string_view statement) { return Lexer(statement).tokens(); }

}  // namespace virga::dynamodb
