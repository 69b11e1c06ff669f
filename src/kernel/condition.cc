#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "base/encoding.h"
#include "base/str.h"
#include "kernel/policy_document.h"

namespace virga::kernel::policy {

namespace {

char fold(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::optional<double> date_value(std::string_view text) {
  if (auto t = parse_iso8601(text)) return static_cast<double>(t->micros) / 1e6;
  return parse_double(text);
}

template <class Compare>
bool any_number(const std::vector<double>& numbers, std::optional<double> value, Compare compare) {
  return value && std::any_of(numbers.begin(), numbers.end(), [&](double n) { return compare(*value, n); });
}

// Whether one value of the request matches any value of the condition, before negation.
bool matches_value(const Condition& c, std::string_view value, const Request& request) {
  const auto any_pattern = [&](auto compare) {
    std::string scratch;
    return std::any_of(c.patterns.begin(), c.patterns.end(), [&](const Pattern& p) {
      const auto pattern = expand(p, request, scratch);
      return pattern && compare(*pattern, value);
    });
  };
  switch (c.op) {
    case Operator::kStringEquals:
    case Operator::kStringLike:
      return any_pattern([](std::string_view p, std::string_view v) { return matches(p, v); });
    case Operator::kStringEqualsIgnoreCase:
      return any_pattern([](std::string_view p, std::string_view v) { return matches(p, v, true); });
    case Operator::kArnLike:
      return any_pattern([](std::string_view p, std::string_view v) {
        const bool whole = std::count(p.begin(), p.end(), ':') >= 5 || p == std::string_view(&Pattern::kMany, 1);
        return whole && matches_arn(p, v);
      });
    case Operator::kBinary:
      return any_pattern([](std::string_view p, std::string_view v) { return p == v; });
    case Operator::kNumericEquals:
      return any_number(c.numbers, parse_double(value), std::equal_to<>());
    case Operator::kNumericLess:
      return any_number(c.numbers, parse_double(value), std::less<>());
    case Operator::kNumericLessEquals:
      return any_number(c.numbers, parse_double(value), std::less_equal<>());
    case Operator::kNumericGreater:
      return any_number(c.numbers, parse_double(value), std::greater<>());
    case Operator::kNumericGreaterEquals:
      return any_number(c.numbers, parse_double(value), std::greater_equal<>());
    case Operator::kDateEquals:
      return any_number(c.numbers, date_value(value), std::equal_to<>());
    case Operator::kDateLess:
      return any_number(c.numbers, date_value(value), std::less<>());
    case Operator::kDateLessEquals:
      return any_number(c.numbers, date_value(value), std::less_equal<>());
    case Operator::kDateGreater:
      return any_number(c.numbers, date_value(value), std::greater<>());
    case Operator::kDateGreaterEquals:
      return any_number(c.numbers, date_value(value), std::greater_equal<>());
    case Operator::kBool:
      return c.both || equals_ignoring_case(value, c.flag ? "true" : "false");
    case Operator::kIp: {
      const auto address = parse_network(value);
      return address &&
             std::any_of(c.networks.begin(), c.networks.end(), [&](const Network& n) { return contains(n, *address); });
    }
    case Operator::kNull:
      return false;  // decided by presence
  }
  return false;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view text, bool fold_case) {
  size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  const auto same = [&](char a, char b) { return fold_case ? fold(a) == fold(b) : a == b; };
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == Pattern::kMany) {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && (pattern[p] == Pattern::kOne || same(pattern[p], text[t]))) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == Pattern::kMany) ++p;
  return p == pattern.size();
}

bool matches_arn(std::string_view pattern, std::string_view arn) {
  // A wildcard stays within its part of an ARN; the last part may hold colons itself. What is no ARN is plain text.
  if (std::count(pattern.begin(), pattern.end(), ':') < 5) return matches(pattern, arn);
  for (int part = 0; part < 5; ++part) {
    const size_t p = pattern.find(':'), a = arn.find(':');
    if (a == std::string_view::npos || !matches(pattern.substr(0, p), arn.substr(0, a))) return false;
    pattern.remove_prefix(p + 1);
    arn.remove_prefix(a + 1);
  }
  return matches(pattern, arn);
}

std::optional<std::string_view> expand(const Pattern& pattern, const Request& request, std::string& scratch) {
  if (!pattern.has_variables()) return pattern.text;
  scratch.clear();
  for (const auto& piece : pattern.pieces) {
    if (const auto* text = std::get_if<std::string>(&piece)) {
      scratch += *text;
      continue;
    }
    const auto& variable = std::get<Pattern::Variable>(piece);
    const auto it = request.keys.find(variable.key);
    std::string_view value;
    if (it != request.keys.end() && it->second.size() == 1) {
      value = it->second[0];
    } else if (variable.otherwise) {
      value = *variable.otherwise;
    } else {
      return std::nullopt;
    }
    // A value can't smuggle a wildcard in.
    if (value.find(Pattern::kMany) != std::string_view::npos || value.find(Pattern::kOne) != std::string_view::npos)
      return std::nullopt;
    scratch += value;
  }
  return scratch;
}

bool holds(const Condition& c, const Request& request) {
  const auto it = request.keys.find(c.key);
  const bool present = it != request.keys.end() && !it->second.empty();
  if (c.op == Operator::kNull) return c.both || present != c.flag;
  if (!present) {
    if (c.if_exists || c.quantifier == Quantifier::kAll) return true;
    return c.quantifier == Quantifier::kNone && c.negated;
  }
  const auto matched = [&](const std::string& value) { return matches_value(c, value, request); };
  const auto& values = it->second;
  switch (c.quantifier) {
    case Quantifier::kNone:
      return std::any_of(values.begin(), values.end(), matched) != c.negated;
    case Quantifier::kAny:
      return std::any_of(values.begin(), values.end(), [&](const std::string& v) { return matched(v) != c.negated; });
    case Quantifier::kAll:
      return std::all_of(values.begin(), values.end(), [&](const std::string& v) { return matched(v) != c.negated; });
  }
  return false;
}

std::optional<Network> parse_network(std::string_view text) {
  const auto [address, bits] = split_once(text, '/');
  Network out;
  const std::string terminated(address);
  if (inet_pton(AF_INET, terminated.c_str(), out.bytes) == 1) {
    out.bits = 32;
  } else if (inet_pton(AF_INET6, terminated.c_str(), out.bytes) == 1) {
    static constexpr unsigned char kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (std::memcmp(out.bytes, kMapped, sizeof kMapped) == 0 && bits.empty()) {
      // A dual-stack listener's way to write an IPv4 address.
      std::memmove(out.bytes, out.bytes + 12, 4);
      out.bits = 32;
      return out;
    }
    out.v6 = true;
    out.bits = 128;
  } else {
    return std::nullopt;
  }
  if (address.size() != text.size()) {
    const auto n = parse_int(bits);
    if (!n || *n < 0 || *n > out.bits) return std::nullopt;
    out.bits = static_cast<int>(*n);
  }
  return out;
}

bool contains(const Network& network, const Network& address) {
  if (network.v6 != address.v6) return false;
  const int whole = network.bits / 8, rest = network.bits % 8;
  if (std::memcmp(network.bytes, address.bytes, static_cast<size_t>(whole)) != 0) return false;
  if (rest == 0) return true;
  const int mask = 0xff << (8 - rest);
  return ((network.bytes[whole] ^ address.bytes[whole]) & mask) == 0;
}

}  // namespace virga::kernel::policy
