#include "services/dynamodb/number.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "base/str.h"

namespace virga::dynamodb {

namespace {
// Exponents of 0.d1d2… × 10^e for the smallest and the largest magnitude.
constexpr int kMinExponent = -129;
constexpr int kMaxExponent = 126;
constexpr char kZeroKey = '\x80';
constexpr char kPositiveKey = '\xC0';
constexpr char kNegativeKey = '\x40';
// Ends the digits of a negative key: above every digit pair, so that -1 sorts after -1.5.
constexpr uint8_t kNegativeEnd = 102;
}  // namespace

std::string message_of(NumberFault fault, std::string_view text) {
  switch (fault) {
    case NumberFault::kEmpty:
      return "The parameter cannot be converted to a numeric value";
    case NumberFault::kNotANumber:
      return cat("The parameter cannot be converted to a numeric value: ", text);
    case NumberFault::kTooManyDigits:
      return "Attempting to store more than 38 significant digits in a Number";
    case NumberFault::kOverflow:
      return "Number overflow. Attempting to store a number with magnitude larger than supported range";
    case NumberFault::kUnderflow:
      return "Number underflow. Attempting to store a number with magnitude smaller than supported range";
  }
  return {};
}

std::string older_message_of(NumberFault fault, std::string_view text) {
  const size_t mark = text.find_first_of("eE");
  const bool out_of_range = fault == NumberFault::kOverflow || fault == NumberFault::kUnderflow;
  if (!out_of_range || mark == std::string_view::npos) return message_of(fault, text);
  constexpr auto fits = [](int64_t n) { return n >= INT32_MIN && n <= INT32_MAX; };
  std::string_view power = text.substr(mark + 1), digits = text.substr(0, mark);
  if (power.starts_with('+')) power.remove_prefix(1);
  const auto exponent = parse_int(power);
  const size_t point = digits.find('.');
  const int64_t fraction = point == std::string_view::npos ? 0 : static_cast<int64_t>(digits.size() - point - 1);
  if (!exponent || !fits(*exponent) || !fits(fraction - *exponent)) return message_of(NumberFault::kNotANumber, text);
  digits.remove_prefix(std::min(digits.find_first_of("123456789"), digits.size() - 1));
  const int64_t precision = std::ranges::count_if(digits, [](char c) { return c != '.'; });
  const auto magnitude = static_cast<int32_t>(static_cast<uint32_t>(precision - fraction + *exponent));
  return message_of(magnitude > 0 ? NumberFault::kOverflow : NumberFault::kUnderflow, text);
}

std::expected<Number, NumberFault> Number::normalised(bool negative, const uint8_t* digits, size_t count,
                                                      int64_t exponent) {
  while (count && digits[0] == 0) ++digits, --count, --exponent;
  while (count && digits[count - 1] == 0) --count;
  Number n;
  if (count == 0) return n;
  if (exponent > kMaxExponent) return std::unexpected(NumberFault::kOverflow);
  if (exponent < kMinExponent) return std::unexpected(NumberFault::kUnderflow);
  if (count > kMaxDigits) return std::unexpected(NumberFault::kTooManyDigits);
  n.negative_ = negative;
  n.count_ = static_cast<uint8_t>(count);
  n.exponent_ = static_cast<int16_t>(exponent);
  std::copy_n(digits, count, n.digits_.begin());
  return n;
}

Number::Number(int64_t value) {
  uint8_t digits[20];
  size_t count = 0;
  uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  for (; magnitude; magnitude /= 10) digits[19 - count++] = magnitude % 10;
  *this = *normalised(value < 0, digits + 20 - count, count, static_cast<int64_t>(count));
}

std::expected<Number, NumberFault> Number::parse(std::string_view text) {
  if (text.empty()) return std::unexpected(NumberFault::kEmpty);
  const auto bad = std::unexpected(NumberFault::kNotANumber);
  size_t at = 0;
  bool negative = false;
  if (text[at] == '+' || text[at] == '-') negative = text[at++] == '-';
  // Digits beyond this many can only be zeros of a valid number; they move the exponent instead of being kept.
  std::vector<uint8_t> digits;
  digits.reserve(std::min<size_t>(text.size(), 64));
  int64_t exponent = 0;
  bool any = false, point = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '.') {
      if (point) return bad;
      point = true;
    } else if (c >= '0' && c <= '9') {
      any = true;
      digits.push_back(static_cast<uint8_t>(c - '0'));
      if (!point) ++exponent;
    } else {
      break;
    }
  }
  if (!any) return bad;
  if (at < text.size()) {
    if (text[at] != 'e' && text[at] != 'E') return bad;
    if (++at == text.size()) return bad;
    bool minus = false;
    if (text[at] == '+' || text[at] == '-') minus = text[at++] == '-';
    if (at == text.size()) return bad;
    int64_t shift = 0;
    for (; at < text.size(); ++at) {
      if (text[at] < '0' || text[at] > '9') return bad;
      // What does not fit into 64 bits is no number.
      if (__builtin_mul_overflow(shift, 10, &shift) || __builtin_add_overflow(shift, text[at] - '0', &shift))
        return bad;
    }
    // Far out of range is enough.
    shift = std::min<int64_t>(shift, INT64_C(1) << 40);
    if (minus) shift = -shift;
    exponent += shift;
    // Zero has the range of what it is written with.
    if (std::ranges::all_of(digits, [](uint8_t digit) { return digit == 0; })) {
      if (shift >= kMaxExponent) return std::unexpected(NumberFault::kOverflow);
      if (shift < kMinExponent - 1) return std::unexpected(NumberFault::kUnderflow);
    }
  }
  return normalised(negative, digits.data(), digits.size(), exponent);
}

void Number::append_text(std::string& out) const {
  if (count_ == 0) {
    out += '0';
    return;
  }
  if (negative_) out += '-';
  if (exponent_ <= 0) {
    out += "0.";
    out.append(static_cast<size_t>(-exponent_), '0');
    for (int i = 0; i < count_; ++i) out += static_cast<char>('0' + digits_[i]);
    return;
  }
  std::array<char, kMaxExponent + kMaxDigits + 1> text;
  size_t size = 0;
  for (int i = 0; i < std::max<int>(count_, exponent_); ++i) {
    if (i == exponent_) text[size++] = '.';
    text[size++] = static_cast<char>(i < count_ ? '0' + digits_[i] : '0');
  }
  out.append(text.data(), size);
}

std::string Number::text() const {
  std::string out;
  append_text(out);
  return out;
}

void Number::append_key(std::string& out) const {
  if (count_ == 0) {
    out += kZeroKey;
    return;
  }
  out += negative_ ? kNegativeKey : kPositiveKey;
  const int exponent = exponent_ - kMinExponent;
  out += static_cast<char>(negative_ ? 255 - exponent : exponent);
  for (int i = 0; i < count_; i += 2) {
    const int pair = digits_[i] * 10 + (i + 1 < count_ ? digits_[i + 1] : 0);
    out += static_cast<char>(negative_ ? 100 - pair : pair + 1);
  }
  if (negative_) out += static_cast<char>(kNegativeEnd);
}

void Number::append_hash_form(std::string& out) const {
  if (count_ == 0) {
    out += '\x80';
    return;
  }
  const bool odd = exponent_ % 2 != 0;
  // Halved towards zero's side, so that an odd exponent begins with half a pair.
  const int half = (exponent_ + (odd ? 1 : 0)) / 2 - 64;
  out += static_cast<char>(negative_ ? ~half : half);
  const int length = (count_ + (odd ? 1 : 0) + 1) / 2;
  for (int i = 0; i < length; ++i) {
    const auto digit = [&](int at) { return at >= 0 && at < count_ ? digits_[at] : 0; };
    const int first = 2 * i - (odd ? 1 : 0);
    const int pair = digit(first) * 10 + digit(first + 1);
    out += static_cast<char>(negative_ ? 101 - pair : pair + 1);
  }
  if (negative_ && length < 20) out += static_cast<char>(kNegativeEnd);
}

Number Number::from_key(std::string_view key) {
  const auto damaged = [] { return std::runtime_error("damaged number"); };
  if (key.empty()) throw damaged();
  Number n;
  if (key[0] == kZeroKey) return n;
  if (key[0] != kPositiveKey && key[0] != kNegativeKey) throw damaged();
  n.negative_ = key[0] == kNegativeKey;
  if (n.negative_) {
    if (static_cast<uint8_t>(key.back()) != kNegativeEnd) throw damaged();
    key.remove_suffix(1);
  }
  if (key.size() < 3 || key.size() > 2 + kMaxDigits / 2) throw damaged();
  const int exponent = static_cast<uint8_t>(key[1]);
  n.exponent_ = static_cast<int16_t>((n.negative_ ? 255 - exponent : exponent) + kMinExponent);
  for (size_t i = 2; i < key.size(); ++i) {
    const int byte = static_cast<uint8_t>(key[i]);
    const int pair = n.negative_ ? 100 - byte : byte - 1;
    if (pair < 0 || pair > 99) throw damaged();
    n.digits_[n.count_++] = static_cast<uint8_t>(pair / 10);
    n.digits_[n.count_++] = static_cast<uint8_t>(pair % 10);
  }
  if (n.digits_[n.count_ - 1] == 0) --n.count_;
  return n;
}

Number Number::negated() const {
  Number n = *this;
  if (n.count_) n.negative_ = !n.negative_;
  return n;
}

std::strong_ordering Number::operator<=>(const Number& other) const {
  const auto sign = [](const Number& n) { return n.count_ == 0 ? 0 : n.negative_ ? -1 : 1; };
  if (const auto c = sign(*this) <=> sign(other); c != 0) return c;
  if (count_ == 0) return std::strong_ordering::equal;
  auto magnitude = exponent_ <=> other.exponent_;
  if (magnitude == 0) {
    magnitude = std::lexicographical_compare_three_way(digits_.begin(), digits_.begin() + count_, other.digits_.begin(),
                                                       other.digits_.begin() + other.count_);
  }
  return negative_ ? 0 <=> magnitude : magnitude;
}

std::expected<Number, NumberFault> Number::add(const Number& a, const Number& b) {
  if (a.count_ == 0) return b;
  if (b.count_ == 0) return a;
  // Both laid out on one grid of decimal places, from one above the higher leading digit down to the lower last one.
  std::array<int8_t, kMaxExponent - kMinExponent + kMaxDigits + 2> grid{};
  const int top = std::max(a.exponent_, b.exponent_) + 1;
  const int bottom = std::min(a.exponent_ - a.count_, b.exponent_ - b.count_);
  const int width = top - bottom;
  const bool subtract = a.negative_ != b.negative_;
  const auto lay = [&](const Number& n, int sign) {
    for (int i = 0; i < n.count_; ++i) grid[top - n.exponent_ + i] += static_cast<int8_t>(sign * n.digits_[i]);
  };
  // The larger magnitude minus the smaller, so that no borrow is left at the top.
  const Number a_magnitude = a.negative_ ? a.negated() : a;
  const Number b_magnitude = b.negative_ ? b.negated() : b;
  const bool a_larger = a_magnitude >= b_magnitude;
  lay(a, subtract && !a_larger ? -1 : 1);
  lay(b, subtract && a_larger ? -1 : 1);
  int carry = 0;
  for (int i = width - 1; i >= 0; --i) {
    int digit = grid[i] + carry;
    carry = digit < 0 ? -1 : digit > 9 ? 1 : 0;
    grid[i] = static_cast<int8_t>(digit - carry * 10);
  }
  return normalised(a_larger ? a.negative_ : b.negative_, reinterpret_cast<const uint8_t*>(grid.data()),
                    static_cast<size_t>(width), top);
}

size_t Number::stored_size() const {
  if (count_ == 0) return 1;
  // Two digits a byte, aligned to the decimal point; one byte for the exponent and one for a minus sign.
  const bool misaligned = count_ % 2 == 0 && (exponent_ - 1) % 2 == 0;
  return 1 + (count_ + 1u) / 2 + (misaligned ? 1 : 0) + (negative_ ? 1 : 0);
}

}  // namespace virga::dynamodb
