// The fields of a body, described once, so that filter policies can read them. Beside a struct of your own, define:
//
//   struct Order { std::string store; double price; std::vector<Item> items; };
//
//   constexpr auto DecoupleFields(const Order*) {
//     return decouple::Fields(decouple::Field("store", &Order::store), decouple::Field("price", &Order::price),
//                             decouple::Field("items", &Order::items));
//   }
//
// Policies use these names: FilterPolicy::Parse(R"({"price":[{"numeric":[">",100]}]})", …); Where(&Order::price) > 100
// finds the name by the member. A field can be a number or an enumeration (read as a number), a bool, anything that
// converts to a std::string_view, a described struct (an object), a range of these (an array), or a std::optional of
// one, which counts as absent when it is empty. A floating-point number that is not finite reads as null. A dot in a
// name separates the names of a path: "address.city" is city in address.

#ifndef DECOUPLE_BODY_FIELDS_H_
#define DECOUPLE_BODY_FIELDS_H_

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/functional/function_ref.h"
#include "decouple/internal/base/decimal.h"
#include "decouple/internal/filter/field_value.h"

namespace decouple::inline v0_1 {

template <typename Struct, typename Member>
struct Field {
  constexpr Field(std::string_view field_name, Member Struct::*member) : name(field_name), pointer(member) {}

  std::string_view name;
  Member Struct::*pointer;
};

template <typename... Described>
constexpr std::tuple<Described...> Fields(Described... fields) {
  return {fields...};
}

// Whether T's fields are described by DecoupleFields().
template <typename T>
concept HasFields = requires {
  DecoupleFields(static_cast<const T*>(nullptr));
};

namespace internal {

template <typename T>
struct OptionalOf : std::false_type {};
template <typename T>
struct OptionalOf<std::optional<T>> : std::true_type {
  using Value = T;
};

template <typename T>
concept TextField = std::convertible_to<const T&, std::string_view>;
template <typename T>
concept NumberField = (std::is_arithmetic_v<T> && !std::same_as<T, bool>) || std::is_enum_v<T>;
// What a range-based for loop can go through more than once. The concepts of <ranges> say as much, in 4 000 lines of
// every file that includes a topic.
namespace range {
using std::begin;
using std::end;

template <typename T>
concept ForwardRange = requires(const T& values) {
  { begin(values) } -> std::forward_iterator;
  { end(values) } -> std::sentinel_for<decltype(begin(values))>;
};
template <typename T>
using Reference = decltype(*begin(std::declval<const T&>()));
}  // namespace range

template <typename T>
concept ArrayField = !TextField<T> && range::ForwardRange<T> && std::is_reference_v<range::Reference<T>>;

template <typename T>
class DECOUPLE_INTERNAL_LAYOUT_TAG FieldTypeOf;

template <typename T>
const FieldType& TheFieldTypeOf() {
  static const FieldTypeOf<T> type;
  return type;
}

template <typename T>
FieldValue FieldValueOf(const T& value) {
  return {&TheFieldTypeOf<T>(), std::addressof(value)};
}

template <typename T>
const T& As(const void* value) {
  return *static_cast<const T*>(value);
}

template <>
class FieldTypeOf<bool> final : public FieldType {
 public:
  FieldKind kind(const void*) const override { return FieldKind::kBool; }
  bool truth(const void* value) const override { return As<bool>(value); }
};

template <NumberField T>
class FieldTypeOf<T> final : public FieldType {
 public:
  FieldKind kind(const void* value) const override {
    if constexpr (std::floating_point<T>) {
      if (!std::isfinite(As<T>(value))) return FieldKind::kNull;
    }
    return FieldKind::kNumber;
  }
  Decimal number(const void* value) const override {
    if constexpr (std::is_enum_v<T>) {
      return *Decimal::Of(static_cast<std::underlying_type_t<T>>(As<T>(value)));
    } else {
      return *Decimal::Of(As<T>(value));
    }
  }
};

template <TextField T>
class FieldTypeOf<T> final : public FieldType {
 public:
  FieldKind kind(const void*) const override { return FieldKind::kText; }
  std::string_view text(const void* value) const override { return As<T>(value); }
};

template <ArrayField T>
class FieldTypeOf<T> final : public FieldType {
 public:
  FieldKind kind(const void*) const override { return FieldKind::kArray; }
  bool AnyElement(const void* value, absl::FunctionRef<bool(FieldValue)> visit) const override {
    for (const auto& element : As<T>(value)) {
      if (visit(FieldValueOf(element))) return true;
    }
    return false;
  }
};

// A std::optional reads as the value that it holds, or as absent.
template <typename T>
requires OptionalOf<T>::value class FieldTypeOf<T> final : public FieldType {
  using Value = typename OptionalOf<T>::Value;

 public:
  FieldKind kind(const void* value) const override { return Held(value).kind(); }
  bool truth(const void* value) const override { return Held(value).truth(); }
  Decimal number(const void* value) const override { return Held(value).number(); }
  std::string_view text(const void* value) const override { return Held(value).text(); }
  bool AnyElement(const void* value, absl::FunctionRef<bool(FieldValue)> visit) const override {
    return Held(value).AnyElement(visit);
  }
  FieldValue member(const void* value, std::string_view name) const override { return Held(value).member(name); }
  bool HasMemberBelow(const void* value, std::string_view prefix) const override {
    return Held(value).HasMemberBelow(prefix);
  }

 private:
  static FieldValue Held(const void* value) {
    return As<T>(value).has_value() ? FieldValueOf<Value>(*As<T>(value)) : FieldValue();
  }
};

template <HasFields T>
class FieldTypeOf<T> final : public FieldType {
 public:
  FieldKind kind(const void*) const override { return FieldKind::kObject; }
  FieldValue member(const void* value, std::string_view name) const override {
    FieldValue found;
    std::apply([&](const auto&... field) { (... || Read(field, As<T>(value), name, found)); }, kFields);
    return found;
  }
  bool HasMemberBelow(const void*, std::string_view prefix) const override {
    return std::apply([&](const auto&... field) { return (... || field.name.starts_with(prefix)); }, kFields);
  }

 private:
  static constexpr auto kFields = DecoupleFields(static_cast<const T*>(nullptr));

  template <typename DescribedField>
  static bool Read(const DescribedField& field, const T& value, std::string_view name, FieldValue& found) {
    if (field.name != name) return false;
    found = FieldValueOf(value.*field.pointer);
    return true;
  }
};

// Whether T is or holds a described struct with a name that has a dot. `Outer` are the types on the way to it, as a
// struct may hold others of its own type.
template <typename T, typename... Outer>
consteval bool HasDottedNames() {
  constexpr bool kIsNew = !(... || std::same_as<T, Outer>);
  if constexpr (kIsNew && OptionalOf<T>::value) {
    return HasDottedNames<typename OptionalOf<T>::Value, T, Outer...>();
  } else if constexpr (kIsNew && HasFields<T>) {
    const auto has_dot = []<typename Struct, typename Member>(const Field<Struct, Member>& field) {
      return field.name.find('.') != std::string_view::npos || HasDottedNames<std::remove_cv_t<Member>, T, Outer...>();
    };
    return std::apply([&](const auto&... field) { return (... || has_dot(field)); },
                      DecoupleFields(static_cast<const T*>(nullptr)));
  } else if constexpr (kIsNew && ArrayField<T>) {
    return HasDottedNames<std::remove_cvref_t<range::Reference<T>>, T, Outer...>();
  } else {
    return false;
  }
}

template <typename T>
inline constexpr bool kNamesHaveDots = HasDottedNames<T>();

}  // namespace internal

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_BODY_FIELDS_H_
