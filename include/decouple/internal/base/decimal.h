// A decimal number of any size, compared by value: 10, 10.0 and 1e1 are equal, and no digit is lost to a double.

#ifndef DECOUPLE_INTERNAL_BASE_DECIMAL_H_
#define DECOUPLE_INTERNAL_BASE_DECIMAL_H_

#include <algorithm>
#include <array>
#include <charconv>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"

namespace decouple::inline v0_1::internal {

class Decimal {
 public:
  Decimal() = default;  // zero

  // None if `text` is no decimal number. An exponent above kLargestExponent counts as kLargestExponent.
  static std::optional<Decimal> Parse(std::string_view text) {
    Decimal number;
    std::size_t at = 0;
    const auto peek = [&] { return at < text.size() ? text[at] : '\0'; };
    const bool is_negative = peek() == '-';
    if (is_negative || peek() == '+') ++at;
    bool has_digit = false;
    bool has_point = false;
    std::int64_t exponent = 0;
    for (; IsDigit(peek()) || (peek() == '.' && !has_point); ++at) {
      if (peek() == '.') {
        has_point = true;
        continue;
      }
      has_digit = true;
      if (number.digits_.empty() && peek() == '0') {
        if (has_point) --exponent;  // 0.001
        continue;
      }
      number.digits_.push_back(peek());
      if (!has_point) ++exponent;
    }
    if (!has_digit) return std::nullopt;
    if (peek() == 'e' || peek() == 'E') {
      ++at;
      const bool is_small = peek() == '-';
      if (is_small || peek() == '+') ++at;
      if (!IsDigit(peek())) return std::nullopt;
      std::int64_t power = 0;
      for (; IsDigit(peek()); ++at) power = std::min(kLargestExponent, power * 10 + (peek() - '0'));
      exponent += is_small ? -power : power;
    }
    if (at != text.size()) return std::nullopt;
    while (!number.digits_.empty() && number.digits_.back() == '0') number.digits_.pop_back();
    if (!number.digits_.empty()) {
      number.sign_ = is_negative ? -1 : 1;
      number.exponent_ = exponent;
    }
    return number;
  }

  // The shortest decimal that converts back to `number`. None if `number` is not finite.
  template <typename N>
  requires std::integral<N> || std::floating_point<N>
  static std::optional<Decimal> Of(N number) {
    std::array<char, 64> text;
    const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
    return Parse({text.data(), static_cast<std::size_t>(end - text.data())});
  }

  // The number of digits from the first to the last that is not a 0; none for zero.
  std::size_t significant_digits() const { return digits_.size(); }

  // The same number without its sign.
  Decimal Absolute() const {
    Decimal number = *this;
    number.sign_ = sign_ == 0 ? 0 : 1;
    return number;
  }

  friend bool operator==(const Decimal&, const Decimal&) = default;

  friend std::strong_ordering operator<=>(const Decimal& a, const Decimal& b) {
    if (a.sign_ != b.sign_) return a.sign_ <=> b.sign_;
    const Decimal& smaller = a.sign_ < 0 ? b : a;  // of two negative numbers, the one further from zero
    const Decimal& larger = a.sign_ < 0 ? a : b;
    if (smaller.exponent_ != larger.exponent_) return smaller.exponent_ <=> larger.exponent_;
    return smaller.digits_.compare(larger.digits_) <=> 0;
  }

  template <typename H>
  friend H AbslHashValue(H state, const Decimal& number) {
    return H::combine(std::move(state), number.sign_, number.exponent_, number.digits_);
  }

 private:
  static constexpr std::int64_t kLargestExponent = std::int64_t{1} << 40;

  static bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }

  // sign × 0.DIGITS × 10^exponent. Neither the first nor the last digit is a 0; zero has no digits.
  int sign_ = 0;
  std::int64_t exponent_ = 0;
  std::string digits_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_DECIMAL_H_
