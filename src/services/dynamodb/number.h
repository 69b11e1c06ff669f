// DynamoDB's numbers: exact decimals of up to 38 significant digits between 1E-130 and 9.99…E+125.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace virga::dynamodb {

enum class NumberFault : uint8_t { kEmpty, kNotANumber, kTooManyDigits, kOverflow, kUnderflow };
// What AWS says of it; `text` is what was to be a number.
std::string message_of(NumberFault fault, std::string_view text);
// The same where AWS still counts exponents in 32 bits.
std::string older_message_of(NumberFault fault, std::string_view text);

class Number {
 public:
  static constexpr int kMaxDigits = 38;

  Number() = default;  // zero
  Number(int64_t value);
  static std::expected<Number, NumberFault> parse(std::string_view text);

  // Plain notation without exponent, superfluous zeros or plus sign: "-0.05", "1200".
  void append_text(std::string& out) const;
  std::string text() const;

  // The key form: equal numbers have equal bytes, and byte order is numeric order.
  void append_key(std::string& out) const;
  // The bytes that AWS hashes when the number is a partition key: two digits a byte around the decimal point.
  void append_hash_form(std::string& out) const;
  static Number from_key(std::string_view key);  // throws std::runtime_error on damage

  // Exact, or the fault that the sum can't be held.
  static std::expected<Number, NumberFault> add(const Number& a, const Number& b);
  Number negated() const;

  // Bytes that AWS counts for it.
  size_t stored_size() const;

  std::strong_ordering operator<=>(const Number& other) const;
  bool operator==(const Number& other) const { return (*this <=> other) == 0; }

 private:
  // value = ±0.d1d2…dn × 10^exponent, d1 and dn not 0; n = 0 is zero.
  bool negative_ = false;
  uint8_t count_ = 0;
  int16_t exponent_ = 0;
  std::array<uint8_t, kMaxDigits> digits_{};

  static std::expected<Number, NumberFault> normalised(bool negative, const uint8_t* digits, size_t count,
                                                       int64_t exponent);
};

}  // namespace virga::dynamodb
