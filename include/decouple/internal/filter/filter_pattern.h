// The patterns that a policy may have for a value, and whether a value matches one.

#ifndef DECOUPLE_INTERNAL_FILTER_FILTER_PATTERN_H_
#define DECOUPLE_INTERNAL_FILTER_FILTER_PATTERN_H_

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "decouple/internal/base/decimal.h"
#include "decouple/internal/filter/field_value.h"
#include "decouple/internal/filter/text_pattern.h"

namespace decouple::inline v0_1::internal {

// true, false or null.
struct Literal {
  FieldKind kind = FieldKind::kNull;
  bool truth = false;
  friend bool operator==(const Literal&, const Literal&) = default;
};

// Matches that value alone.
using Exactly = std::variant<std::string, Decimal, Literal>;

// An address of IPv4 or IPv6, in network byte order.
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};
  std::size_t size = 0;  // 4 or 16

  static std::optional<IpAddress> Parse(const std::string& text) {
    IpAddress address;
    if (inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1) {
      address.size = 4;
    } else if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) {
      address.size = 16;
    } else {
      return std::nullopt;
    }
    return text.find('\0') == std::string::npos ? std::optional(address) : std::nullopt;
  }
  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};

// The addresses whose first `bits` are those of `network`.
struct Cidr {
  IpAddress network;
  std::size_t bits = 0;

  static std::optional<Cidr> Parse(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const std::string_view digits = text.substr(slash + 1);
    std::size_t bits = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    const std::optional<IpAddress> network = IpAddress::Parse(std::string(text.substr(0, slash)));
    if (!network || digits.empty() || error != std::errc() || end != digits.data() + digits.size() ||
        bits > network->size * 8) {
      return std::nullopt;
    }
    return Cidr{*network, bits};
  }

  bool Contains(const IpAddress& address) const {
    if (address.size != network.size) return false;
    const std::size_t whole_bytes = bits / 8;
    if (!std::equal(network.bytes.begin(), network.bytes.begin() + static_cast<std::ptrdiff_t>(whole_bytes),
                    address.bytes.begin())) {
      return false;
    }
    const std::size_t rest = bits % 8;
    return rest == 0 || network.bytes[whole_bytes] >> (8 - rest) == address.bytes[whole_bytes] >> (8 - rest);
  }
  friend bool operator==(const Cidr&, const Cidr&) = default;
};

struct NumericRange {
  struct Bound {
    Decimal number;
    bool inclusive = false;
    friend bool operator==(const Bound&, const Bound&) = default;
  };
  std::optional<Bound> lower;
  std::optional<Bound> upper;
  friend bool operator==(const NumericRange&, const NumericRange&) = default;
};

struct Exists {
  bool wanted = true;
  friend bool operator==(const Exists&, const Exists&) = default;
};

// Any value but these, or any but text that fits one of these patterns.
struct AnythingBut {
  std::variant<std::vector<Exactly>, std::vector<TextPattern>> refused;
  friend bool operator==(const AnythingBut&, const AnythingBut&) = default;
};

// At most 11: up to there std::visit is a switch.
using Pattern = std::variant<Exactly, Prefix, Suffix, EqualsIgnoreCase, Cidr, NumericRange, Exists, AnythingBut,
                             PrefixIgnoreCase, SuffixIgnoreCase, Wildcard>;

// Whether a scalar matches a pattern. A value of another type does not match, which is no error.
class PatternMatch {
 public:
  explicit PatternMatch(FieldValue value) : value_(value), kind_(value.kind()) {}

  bool operator()(const Exactly& wanted) const {
    return std::visit([this](const auto& one) { return Is(one); }, wanted);
  }
  template <typename Text>
  requires requires(const Text& wanted, std::string_view text) { wanted.Fits(text); }
  bool operator()(const Text& wanted) const { return kind_ == FieldKind::kText && wanted.Fits(value_.text()); }
  bool operator()(const Cidr& wanted) const {
    if (kind_ != FieldKind::kText) return false;
    const std::optional<IpAddress> address = IpAddress::Parse(std::string(value_.text()));
    return address && wanted.Contains(*address);
  }
  bool operator()(const NumericRange& wanted) const {
    if (kind_ != FieldKind::kNumber) return false;
    const Decimal number = value_.number();
    if (wanted.lower && (wanted.lower->inclusive ? number < wanted.lower->number : number <= wanted.lower->number)) {
      return false;
    }
    return !wanted.upper || (wanted.upper->inclusive ? number <= wanted.upper->number : number < wanted.upper->number);
  }
  bool operator()(const Exists& wanted) const { return wanted.wanted; }
  bool operator()(const AnythingBut& wanted) const {
    if (const auto* const refused = std::get_if<std::vector<Exactly>>(&wanted.refused)) {
      return std::none_of(refused->begin(), refused->end(), *this);
    }
    const auto& refused = std::get<std::vector<TextPattern>>(wanted.refused);
    return std::none_of(refused.begin(), refused.end(),
                        [this](const TextPattern& pattern) { return std::visit(*this, pattern); });
  }

 private:
  bool Is(const std::string& text) const { return kind_ == FieldKind::kText && value_.text() == text; }
  bool Is(const Decimal& number) const { return kind_ == FieldKind::kNumber && value_.number() == number; }
  bool Is(const Literal& literal) const {
    return kind_ == literal.kind && (kind_ != FieldKind::kBool || value_.truth() == literal.truth);
  }

  const FieldValue value_;
  const FieldKind kind_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FILTER_FILTER_PATTERN_H_
