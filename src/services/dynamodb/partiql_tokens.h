// The words, literals and symbols of a PartiQL statement. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace virga::dynamodb {

enum class TokenKind : uint8_t { kEnd, kWord, kQuoted, kString, kNumber, kParameter, kSymbol };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;  // of quoted ones without the quotes
  // In characters, from 1.
  size_t line = 1, column = 1, length = 0;
};

// " at 1:15:7": where a token stands, as messages have it.
std::string place_of(const Token& token);

// Throws what is told of a text that is no statement.
[[noreturn]] void malformed_statement(std::string_view what);

// Comments and blanks are left out; the last one is of kEnd. Throws ValidationException.
std::vector<Token> tokens_of(std::string_view statement);

}  // namespace virga::dynamodb
