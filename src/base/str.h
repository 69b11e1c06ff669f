// Strings: joining, splitting, trimming, comparing, numbers. All functions are pure.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace virga {

// Binary data. The same type as text: what it is, the shape says.
using Bytes = std::string;

namespace detail {
// A piece of cat(): text as it is, an integer or a double formatted into a small buffer.
class Piece {
 public:
  Piece(std::string_view s) : data_(s.data()), size_(s.size()) {}
  Piece(const char* s) : Piece(std::string_view(s)) {}
  Piece(const std::string& s) : Piece(std::string_view(s)) {}
  Piece(char c) : data_(nullptr), size_(1) { buffer_[0] = c; }
  Piece(bool b) : Piece(b ? std::string_view("true") : std::string_view("false")) {}
  template <class N>
    requires(std::is_arithmetic_v<N> && !std::is_same_v<N, char> && !std::is_same_v<N, bool>)
  Piece(N n) : data_(nullptr) {
    size_ = std::to_chars(buffer_.data(), buffer_.data() + buffer_.size(), n).ptr - buffer_.data();
  }
  std::string_view view() const { return {data_ ? data_ : buffer_.data(), size_}; }

 private:
  const char* data_;
  std::array<char, 32> buffer_;
  size_t size_;
};
std::string cat(std::initializer_list<Piece> pieces);
void append(std::string& out, std::initializer_list<Piece> pieces);
}  // namespace detail

// cat("size ", 3, " of ", name): one allocation, no format string.
template <class... A>
std::string cat(const A&... a) {
  return detail::cat({detail::Piece(a)...});
}
template <class... A>
void append(std::string& out, const A&... a) {
  detail::append(out, {detail::Piece(a)...});
}

std::vector<std::string_view> split(std::string_view text, char separator);
// The part before the first separator and the part after it; the second is empty when there is none.
std::pair<std::string_view, std::string_view> split_once(std::string_view text, char separator);
std::string join(std::span<const std::string> parts, std::string_view separator);
std::string_view trim(std::string_view text);
std::string lower(std::string_view text);
std::string upper(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);
// The text, unless it is empty: what stands for an absent member in a record.
std::optional<std::string> unless_empty(std::string text);
std::string replace_all(std::string_view text, std::string_view what, std::string_view with);
// The whole text as a decimal integer, or nothing.
std::optional<int64_t> parse_int(std::string_view text);
std::optional<double> parse_double(std::string_view text);
// AWS's wildcard rule: * any run, ? any one character, everything else itself.
bool matches_wildcard(std::string_view pattern, std::string_view text);
bool is_utf8(std::string_view text);
// Number of Unicode code points of valid UTF-8: how AWS counts the length of a string.
size_t count_characters(std::string_view utf8);

}  // namespace virga
