// Filter policies as expressions, checked by the compiler.
//
//   auto dear = topic.Subscribe(
//       queue, {.filter = Where(&Order::price) > 100 && Attribute("store").In({"oslo", "bergen"})});
//   auto urgent = topic.Subscribe(
//       other, {.filter = Where(&Order::items, &Item::sku) == "4711" || Attribute("urgent").Exists()});
//
// Where() names a field of the body by its member, or a field within a field by several members. The fields of every
// struct on the way must be described (body_fields.h). A field is compared with values of its own type: a string with
// text, a number with a number. Attribute() names an attribute; it takes the type of what it is compared with. Arrays
// are searched, and conditions joined by && on fields below the same array must hold for the same element.
//
// Beside what JSON policies of SNS's can say there are Not() and the wildcards, negated suffixes and matches without
// regard to case that EventBridge has. Not(field == "x") holds if no value of the field is "x", also if it has none;
// field != "x" holds if it has a value that is not "x".
//
// An expression is a plain value and converts to a FilterPolicy where one is needed. What the compiler cannot check (an
// empty list, a malformed network, the limits of policies) is refused where the policy is used.

#ifndef DECOUPLE_FILTER_EXPRESSION_H_
#define DECOUPLE_FILTER_EXPRESSION_H_

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "decouple/body_fields.h"
#include "decouple/error.h"
#include "decouple/filter_policy.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/decimal.h"
#include "decouple/internal/filter/filter_pattern.h"
#include "decouple/internal/filter/filter_tree.h"
#include "decouple/internal/filter/text_pattern.h"
#include "decouple/limits.h"

namespace decouple::inline v0_1 {

namespace internal {

struct AnyBody {};

// The body type of two joined expressions: that of the one that reads the body. If both do, the types must be the same.
template <typename A, typename B>
struct JoinedBody;
template <typename A>
struct JoinedBody<A, A> {
  using Type = A;
};
template <typename A>
requires(!std::same_as<A, AnyBody>) struct JoinedBody<A, AnyBody> {
  using Type = A;
};
template <typename B>
requires(!std::same_as<B, AnyBody>) struct JoinedBody<AnyBody, B> {
  using Type = B;
};

}  // namespace internal

// Body is the type whose fields the expression reads; internal::AnyBody if it reads only attributes.
template <typename Body>
class FilterExpression {
 public:
  FilterExpression(internal::FilterGroup root, absl::Status status)
      : root_(std::move(root)), status_(std::move(status)) {}

  // kInvalidParameter: the expression has a fault that the compiler could not see, or exceeds the limits.
  absl::StatusOr<FilterPolicy> Policy(const Limits& limits = Limits::Service()) const {
    if (!status_.ok()) return status_;
    return internal::Access::PolicyOf<FilterPolicy>(root_, limits);
  }

  template <typename Other>
  auto And(FilterExpression<Other> other) && {
    status_.Update(other.status_);
    root_.Add(std::move(other.root_));
    return FilterExpression<typename internal::JoinedBody<Body, Other>::Type>(std::move(root_), std::move(status_));
  }

  template <typename Other>
  auto Or(FilterExpression<Other> other) && {
    status_.Update(other.status_);
    internal::FilterGroup either;
    if (root_.groups.empty() && root_.nots.empty() && root_.ors.size() == 1) {
      either = std::move(root_);  // a || b || c: three alternatives
    } else {
      either.ors.emplace_back().push_back(std::move(root_));
    }
    either.ors.front().push_back(std::move(other.root_));
    return FilterExpression<typename internal::JoinedBody<Body, Other>::Type>(std::move(either), std::move(status_));
  }

  FilterExpression Negation() && {
    internal::FilterGroup negation;
    negation.nots.push_back(std::move(root_));
    return FilterExpression(std::move(negation), std::move(status_));
  }

 private:
  template <typename Other>
  friend class FilterExpression;

  internal::FilterGroup root_;
  absl::Status status_;
};

template <typename A, typename B>
auto operator&&(FilterExpression<A> a, FilterExpression<B> b) {
  return std::move(a).And(std::move(b));
}
template <typename A, typename B>
auto operator||(FilterExpression<A> a, FilterExpression<B> b) {
  return std::move(a).Or(std::move(b));
}

// Holds for a message exactly if the condition does not: Not(Where(&Order::items, &Item::sku) == "x") if no item has
// that one. A body that cannot be read, or an attribute of type String.Array that is no JSON array, fulfils neither a
// condition nor its negation.
template <typename Body>
FilterExpression<Body> Not(FilterExpression<Body> condition) {
  return std::move(condition).Negation();
}

namespace internal {

// What the value of a field is compared with.
enum class Comparable { kText, kNumber, kBool, kAnything, kNothing };

template <typename T>
constexpr Comparable ComparableOf() {
  if constexpr (OptionalOf<T>::value) {
    return ComparableOf<typename OptionalOf<T>::Value>();
  } else if constexpr (std::same_as<T, bool>) {
    return Comparable::kBool;
  } else if constexpr (NumberField<T>) {
    return Comparable::kNumber;
  } else if constexpr (TextField<T>) {
    return Comparable::kText;
  } else if constexpr (ArrayField<T>) {
    return ComparableOf<std::remove_cvref_t<range::Reference<T>>>();
  } else {
    return Comparable::kNothing;
  }
}

// The type that has the further members: T, or what its arrays and optionals hold.
template <typename T>
struct ElementOf {
  using Type = T;
};
template <typename T>
requires OptionalOf<T>::value struct ElementOf<T> : ElementOf<typename OptionalOf<T>::Value> {
};
template <typename T>
requires(ArrayField<T> && !HasFields<T>) struct ElementOf<T> : ElementOf<std::remove_cvref_t<range::Reference<T>>> {
};

// One value to compare with, of any type that fits the field, so that a list of them can be written in braces.
template <Comparable kind>
class Operand {
 public:
  template <typename N>
  requires((kind == Comparable::kNumber || kind == Comparable::kAnything) && NumberField<N>)  //
      Operand(N number) {                                                                     // NOLINT: implicit
    std::optional<Decimal> decimal;
    if constexpr (std::is_enum_v<N>) {
      decimal = Decimal::Of(static_cast<std::underlying_type_t<N>>(number));
    } else {
      decimal = Decimal::Of(number);
    }
    if (decimal) value_ = *std::move(decimal);
  }
  template <typename Text>
  requires((kind == Comparable::kText || kind == Comparable::kAnything) &&
           std::convertible_to<const Text&, std::string_view>)  //
      Operand(const Text& text)                                 // NOLINT: implicit
      : value_(Exactly(std::string(std::string_view(text)))) {}
  template <std::same_as<bool> Bool>
  requires(kind == Comparable::kBool || kind == Comparable::kAnything)  //
      Operand(Bool truth)                                               // NOLINT: implicit
      : value_(Exactly(Literal{FieldKind::kBool, truth})) {}

  // None if it is a number that is not finite.
  const std::optional<Exactly>& value() const { return value_; }

 private:
  std::optional<Exactly> value_;
};

}  // namespace internal

// A field or an attribute, to be compared: see Where() and Attribute(). `kind` is what it can be compared with; Path is
// an array of names.
template <typename Body, internal::Comparable kind, typename Path>
class FilterField {
  static_assert(kind != internal::Comparable::kNothing,
                "decouple: this field cannot be compared; name a member in it, a number, bool or text");

  using Operand = internal::Operand<kind>;
  using Result = FilterExpression<Body>;

  static constexpr bool kIsNumber = kind == internal::Comparable::kNumber || kind == internal::Comparable::kAnything;
  static constexpr bool kIsText = kind == internal::Comparable::kText || kind == internal::Comparable::kAnything;

 public:
  // `path` is the scope, then the keys.
  constexpr explicit FilterField(Path path) : path_(std::move(path)) {}

  // The value is one of these; the list must not be empty.
  Result In(std::initializer_list<Operand> values) const { return In(std::vector<Operand>(values)); }
  Result In(const std::vector<Operand>& values) const {
    absl::Status status;
    std::vector<internal::Pattern> patterns;
    for (internal::Exactly& value : Values(values, status)) patterns.emplace_back(std::move(value));
    return Make(std::move(patterns), std::move(status));
  }
  // The value is present and none of these (anything-but).
  Result NotIn(std::initializer_list<Operand> values) const {
    absl::Status status;
    std::vector<internal::Exactly> refused = Values(values, status);
    return Make({internal::AnythingBut{std::move(refused)}}, std::move(status));
  }

  friend Result operator==(const FilterField& field, const Operand& value) { return field.In({value}); }
  friend Result operator!=(const FilterField& field, const Operand& value) { return field.NotIn({value}); }

  friend Result operator<(const FilterField& field, const Operand& bound) requires kIsNumber {
    return field.Below(bound, false);
  }
  friend Result operator<=(const FilterField& field, const Operand& bound) requires kIsNumber {
    return field.Below(bound, true);
  }
  friend Result operator>(const FilterField& field, const Operand& bound) requires kIsNumber {
    return field.Above(bound, false);
  }
  friend Result operator>=(const FilterField& field, const Operand& bound) requires kIsNumber {
    return field.Above(bound, true);
  }

  // Text that begins or ends so, which all text does if `text` is empty.
  Result StartsWith(std::string_view text) const requires kIsText {
    return Make({internal::Prefix{std::string(text)}});
  }
  Result EndsWith(std::string_view text) const requires kIsText { return Make({internal::Suffix{std::string(text)}}); }
  // Without regard to letter case, in any script: see filter_policy.h.
  Result EqualsIgnoreCase(std::string_view text) const requires kIsText {
    return Make({internal::EqualsIgnoreCase::Of(text)});
  }
  Result StartsWithIgnoreCase(std::string_view text) const requires kIsText {
    return Make({internal::PrefixIgnoreCase::Of(text)});
  }
  Result EndsWithIgnoreCase(std::string_view text) const requires kIsText {
    return Make({internal::SuffixIgnoreCase::Of(text)});
  }
  // Text of this form, where * stands for any text, \* for a star and \\ for a backslash: "img-*.png".
  Result MatchesWildcard(std::string_view pattern) const requires kIsText {
    const std::optional<internal::Wildcard> wildcard = internal::Wildcard::Parse(pattern);
    if (wildcard) return Make({*wildcard});
    return Make({}, RefuseWildcard(pattern));
  }

  // The value is present and no such text (anything-but).
  Result DoesNotStartWith(std::string_view text) const requires kIsText {
    return MakeRefused(internal::Prefix{std::string(text)}, text, "a prefix");
  }
  Result DoesNotEndWith(std::string_view text) const requires kIsText {
    return MakeRefused(internal::Suffix{std::string(text)}, text, "a suffix");
  }
  Result DoesNotEqualIgnoreCase(std::string_view text) const requires kIsText {
    return Make({AnythingButText(internal::EqualsIgnoreCase::Of(text))});
  }
  Result DoesNotMatchWildcard(std::string_view pattern) const requires kIsText {
    const std::optional<internal::Wildcard> wildcard = internal::Wildcard::Parse(pattern);
    if (wildcard) return Make({AnythingButText(*wildcard)});
    return Make({}, RefuseWildcard(pattern));
  }
  // The value is an address of this IPv4 or IPv6 network: "10.0.0.0/8".
  Result InNetwork(std::string_view cidr) const requires kIsText {
    const std::optional<internal::Cidr> network = internal::Cidr::Parse(cidr);
    if (network) return Make({*network});
    return Make({}, Refuse(absl::StrCat("\"", absl::string_view(cidr.data(), cidr.size()),
                                        "\" is no network; allowed are an IP address, a slash and a number of bits")));
  }

  Result Exists() const { return Make({internal::Exists{true}}); }
  Result IsAbsent() const { return Make({internal::Exists{false}}); }

 private:
  Result Below(const Operand& bound, bool inclusive) const {
    internal::NumericRange range;
    absl::Status status;
    if (auto number = Number(bound, status)) range.upper = {*std::move(number), inclusive};
    return Make({std::move(range)}, std::move(status));
  }
  Result Above(const Operand& bound, bool inclusive) const {
    internal::NumericRange range;
    absl::Status status;
    if (auto number = Number(bound, status)) range.lower = {*std::move(number), inclusive};
    return Make({std::move(range)}, std::move(status));
  }

  std::optional<internal::Decimal> Number(const Operand& bound, absl::Status& status) const {
    if (bound.value() && std::holds_alternative<internal::Decimal>(*bound.value())) {
      return std::get<internal::Decimal>(*bound.value());
    }
    status.Update(Refuse("a bound that is no finite number"));
    return std::nullopt;
  }

  template <typename Operands>
  std::vector<internal::Exactly> Values(const Operands& operands, absl::Status& status) const {
    if (operands.begin() == operands.end()) status.Update(Refuse("an empty list; it must name a value"));
    std::vector<internal::Exactly> values;
    for (const Operand& operand : operands) {
      if (operand.value()) {
        values.push_back(*operand.value());
      } else {
        status.Update(Refuse("a number that is not finite"));
      }
    }
    return values;
  }

  static internal::Pattern AnythingButText(internal::TextPattern pattern) {
    return internal::AnythingBut{std::vector<internal::TextPattern>{std::move(pattern)}};
  }

  Result MakeRefused(internal::TextPattern pattern, std::string_view text, const char* what) const {
    if (!text.empty()) return Make({AnythingButText(std::move(pattern))});
    return Make({}, Refuse(absl::StrCat(what,
                                        " to refuse that is empty, as all text has it; it must have at least one "
                                        "character")));
  }

  absl::Status RefuseWildcard(std::string_view pattern) const {
    return Refuse(
        absl::StrCat("\"", absl::string_view(pattern.data(), pattern.size()), "\"; ", internal::Wildcard::kShape));
  }

  absl::Status Refuse(const std::string& what) const {
    std::string where = "filter expression on ";
    for (const auto& key : path_) where.append(key).push_back(&key == &path_.back() ? ':' : '.');
    return internal::MakeError(Error::kInvalidParameter, absl::StrCat(where, " ", what));
  }

  Result Make(std::vector<internal::Pattern> patterns, absl::Status status = absl::OkStatus()) const {
    internal::FilterGroup inner;
    inner.leaves.push_back({std::string(path_.back()), std::move(patterns)});
    for (auto key = path_.rbegin() + 1; key != path_.rend(); ++key) {
      internal::FilterGroup outer;
      inner.key = *key;
      outer.groups.push_back(std::move(inner));
      inner = std::move(outer);
    }
    return Result(std::move(inner), std::move(status));
  }

  Path path_;
};

namespace internal {

// Not constexpr: reaching it at compile time is the error.
inline void ThisMemberIsNotAmongItsDecoupleFields() {}

template <typename Struct, typename Member>
consteval std::string_view NameOfMember(Member Struct::*member) {
  static_assert(HasFields<Struct>, "decouple: Where() needs the fields of the struct described by DecoupleFields()");
  std::string_view name;
  std::apply(
      [&](const auto&... field) {
        const auto look = [&](const auto& one) {
          if constexpr (std::same_as<decltype(one.pointer), Member Struct::*> ||
                        std::same_as<decltype(one.pointer), Member Struct::*const>) {
            if (one.pointer == member) name = one.name;
          }
        };
        (..., look(field));
      },
      DecoupleFields(static_cast<const Struct*>(nullptr)));
  if (name.empty()) ThisMemberIsNotAmongItsDecoupleFields();
  return name;
}

// Whether each member belongs to the type that the member before it holds.
template <typename Struct>
consteval bool FollowEachOther() {
  return true;
}
template <typename Struct, typename Outer, typename Member, typename... Rest>
consteval bool FollowEachOther(Member Outer::*, Rest... rest) {
  return std::same_as<Struct, Outer> && FollowEachOther<typename ElementOf<Member>::Type>(rest...);
}

template <typename Struct, typename Member>
consteval Comparable ComparableOfLast(Member Struct::*) {
  return ComparableOf<Member>();
}
template <typename First, typename... Rest>
requires(sizeof...(Rest) > 0) consteval Comparable ComparableOfLast(First, Rest... rest) {
  return ComparableOfLast(rest...);
}

// `Members` are the types of the arguments of Where().
template <typename... Members>
inline constexpr Comparable kComparableOfLast = ComparableOfLast(Members{}...);

}  // namespace internal

// A field of the body, or of a field within it, by its member pointers. The compiler looks up their names.
template <typename Struct, typename Member, typename... Rest>
consteval auto Where(Member Struct::*first, Rest... rest) {
  static_assert(internal::FollowEachOther<Struct>(decltype(first){}, Rest{}...),
                "decouple: each member in Where() must be one of what the member before it holds");
  using Path = std::array<std::string_view, 2 + sizeof...(Rest)>;
  return FilterField<Struct, internal::kComparableOfLast<Member Struct::*, Rest...>, Path>(
      Path{internal::kBodyScope, internal::NameOfMember(first), internal::NameOfMember(rest)...});
}

// An attribute, by its name.
inline auto Attribute(std::string_view name) {
  using Path = std::array<std::string, 2>;
  return FilterField<internal::AnyBody, internal::Comparable::kAnything, Path>(
      Path{std::string(internal::kAttributesScope), std::string(name)});
}

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_FILTER_EXPRESSION_H_
