#include "wire/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/log.h"
#include "base/str.h"

namespace virga::wire {

namespace {

// Java's regular expressions as PCRE2 spells them: \uXXXX (a pair of surrogates being one character), \p{Print}, a bare
// hyphen after a class inside a class, and counts beyond what PCRE2 allows, which the length constraints bound anyway.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  std::string run() {
    bool in_class = false, after_class_escape = false;
    while (at_ < pattern_.size()) {
      const bool was_escape = std::exchange(after_class_escape, false);
      if (take_unicode() || take_count(in_class)) continue;
      if (rest().starts_with("\\p{Print}")) {
        out_ += in_class ? "\\x20-\\x7e" : "[\\x20-\\x7e]";
        at_ += 9;
        continue;
      }
      const char c = pattern_[at_];
      if (c == '\\') {
        after_class_escape = in_class && rest().size() > 1 && std::string_view("wdsWDS").contains(rest()[1]);
        // An escaped character is copied whole, so that \\u0041 stays a backslash and text.
        copy(2);
        continue;
      }
      if (c == '-' && was_escape && rest().size() > 1 && rest()[1] != ']') out_ += '\\';
      if (c == '[') in_class = true;
      if (c == ']') in_class = false;
      copy(1);
    }
    return std::move(out_);
  }

 private:
  std::string_view rest() const { return pattern_.substr(at_); }

  void copy(size_t size) {
    out_ += rest().substr(0, size);
    at_ = std::min(at_ + size, pattern_.size());
  }

  std::optional<uint32_t> unit(std::string_view text) const {
    if (!text.starts_with("\\u") || text.size() < 6) return std::nullopt;
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data() + 2, text.data() + 6, value, 16);
    if (error != std::errc() || end != text.data() + 6) return std::nullopt;
    return value;
  }

  bool take_unicode() {
    const std::optional<uint32_t> first = unit(rest());
    if (!first) return false;
    at_ += 6;
    uint32_t character = *first;
    const std::optional<uint32_t> second = unit(rest());
    if (character >= 0xD800 && character < 0xDC00 && second && *second >= 0xDC00 && *second < 0xE000) {
      character = 0x10000 + ((character - 0xD800) << 10) + (*second - 0xDC00);
      at_ += 6;
    }
    constexpr std::string_view kHex = "0123456789abcdef";
    out_ += "\\x{";
    for (int shift = 20; shift >= 0; shift -= 4) out_ += kHex[character >> shift & 15];
    out_ += '}';
    return true;
  }

  // {least,most} with a most that is too large becomes {least,}.
  bool take_count(bool in_class) {
    constexpr int64_t kMostCount = 65535;
    if (in_class || !rest().starts_with('{')) return false;
    const size_t end = rest().find('}');
    if (end == std::string_view::npos) return false;
    const auto [least, most] = split_once(rest().substr(1, end - 1), ',');
    const std::optional<int64_t> bound = parse_int(most);
    if (!bound || *bound <= kMostCount) return false;
    append(out_, '{', least, ",}");
    at_ += end + 1;
    return true;
  }

  std::string_view pattern_;
  size_t at_ = 0;
  std::string out_;
};

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
using Code = std::unique_ptr<pcre2_code, FreeCode>;

Code compile(std::string_view pattern) {
  const std::string text = Translator(pattern).run();
  int error = 0;
  PCRE2_SIZE at = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                          PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NO_UTF_CHECK, &error, &at, nullptr));
  if (!code) {
    log_warning("wire", "a model's pattern is not understood and not checked", {{"pattern", std::string(pattern)}});
    return code;
  }
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  return code;
}

// Compiled once each. Patterns are literals of generated tables: their address is their identity and their number
// is bounded by the models.
const pcre2_code* compiled(std::string_view pattern) {
  static std::shared_mutex mutex;
  static std::unordered_map<const char*, Code> cache;
  {
    std::shared_lock lock(mutex);
    if (const auto found = cache.find(pattern.data()); found != cache.end()) return found->second.get();
  }
  Code code = compile(pattern);
  std::unique_lock lock(mutex);
  return cache.emplace(pattern.data(), std::move(code)).first->second.get();
}

struct FreeMatch {
  void operator()(pcre2_match_data* d) const { pcre2_match_data_free(d); }
  void operator()(pcre2_match_context* c) const { pcre2_match_context_free(c); }
};

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view text) {
  const pcre2_code* code = compiled(pattern);
  if (!code) return true;
  thread_local std::unique_ptr<pcre2_match_data, FreeMatch> data(pcre2_match_data_create(1, nullptr));
  thread_local std::unique_ptr<pcre2_match_context, FreeMatch> limits = [] {
    std::unique_ptr<pcre2_match_context, FreeMatch> context(pcre2_match_context_create(nullptr));
    pcre2_set_match_limit(context.get(), 200'000);
    pcre2_set_depth_limit(context.get(), 10'000);
    pcre2_set_heap_limit(context.get(), 8 << 10);
    return context;
  }();
  // Text that exhausts the limits does not match: a request must not buy unbounded work. So does invalid UTF-8.
  return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0, data.get(), limits.get()) >= 0;
}

}  // namespace virga::wire
