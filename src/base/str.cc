#include "base/str.h"

#include <cstring>

namespace virga {

namespace detail {

void append(std::string& out, std::initializer_list<Piece> pieces) {
  size_t total = out.size();
  for (const Piece& piece : pieces) total += piece.view().size();
  // Growing to exactly `total` each time would make a loop of appends quadratic.
  if (total > out.capacity()) out.reserve(std::max(total, out.capacity() * 2));
  out.resize_and_overwrite(total, [&, end = out.size()](char* text, size_t) mutable {
    for (const Piece& piece : pieces) {
      const std::string_view view = piece.view();
      memcpy(text + end, view.data(), view.size());
      end += view.size();
    }
    return end;
  });
}

std::string cat(std::initializer_list<Piece> pieces) {
  std::string out;
  append(out, pieces);
  return out;
}

}  // namespace detail

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::pair<std::string_view, std::string_view> split_once(std::string_view text, char separator) {
  const size_t at = text.find(separator);
  if (at == std::string_view::npos) return {text, {}};
  return {text.substr(0, at), text.substr(at + 1)};
}

std::string join(std::span<const std::string> parts, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out.append(separator);
    out.append(parts[i]);
  }
  return out;
}

namespace {
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
char to_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
}  // namespace

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = to_lower(c);
  return out;
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = to_upper(c);
  return out;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  // Names that differ mostly do in their first characters, and names that are equal mostly are in case too.
  if (a.empty() || to_lower(a[0]) != to_lower(b[0])) return a.empty();
  if (memcmp(a.data(), b.data(), a.size()) == 0) return true;
  for (size_t i = 1; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

std::optional<std::string> unless_empty(std::string text) {
  if (text.empty()) return std::nullopt;
  return text;
}

std::string replace_all(std::string_view text, std::string_view what, std::string_view with) {
  std::string out;
  if (what.empty()) return std::string(text);
  while (true) {
    const size_t at = text.find(what);
    out.append(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    out.append(with);
    text.remove_prefix(at + what.size());
  }
}

std::optional<int64_t> parse_int(std::string_view text) {
  if (!text.empty() && text[0] == '+') {
    text.remove_prefix(1);
    if (!text.empty() && text[0] == '-') return std::nullopt;
  }
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_double(std::string_view text) {
  if (!text.empty() && text[0] == '+') {
    text.remove_prefix(1);
    if (!text.empty() && text[0] == '-') return std::nullopt;
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

namespace {
size_t character_size(unsigned char first) { return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4; }
}  // namespace

bool matches_wildcard(std::string_view pattern, std::string_view text) {
  // Greedy with one backtrack point: only the last * can need to take more, so this is O(pattern * text) at worst.
  size_t p = 0, t = 0;
  size_t star = std::string_view::npos, star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && pattern[p] == '?') {
      ++p;
      t = std::min(text.size(), t + character_size(static_cast<unsigned char>(text[t])));
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool is_utf8(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    if (end - p >= 8) {
      uint64_t word;
      std::memcpy(&word, p, 8);
      if ((word & 0x8080808080808080u) == 0) {
        p += 8;
        continue;
      }
    }
    const unsigned char c = *p;
    if (c < 0x80) {
      ++p;
      continue;
    }
    size_t size;
    uint32_t value;
    if (c >= 0xC2 && c <= 0xDF) {
      size = 2;
      value = c & 0x1F;
    } else if (c >= 0xE0 && c <= 0xEF) {
      size = 3;
      value = c & 0x0F;
    } else if (c >= 0xF0 && c <= 0xF4) {
      size = 4;
      value = c & 0x07;
    } else {
      return false;
    }
    if (static_cast<size_t>(end - p) < size) return false;
    for (size_t i = 1; i < size; ++i) {
      if ((p[i] & 0xC0) != 0x80) return false;
      value = value << 6 | (p[i] & 0x3F);
    }
    if (size == 3 && (value < 0x800 || (value >= 0xD800 && value <= 0xDFFF))) return false;
    if (size == 4 && (value < 0x10000 || value > 0x10FFFF)) return false;
    p += size;
  }
  return true;
}

size_t count_characters(std::string_view utf8) {
  size_t count = 0;
  for (const char c : utf8) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

}  // namespace virga
