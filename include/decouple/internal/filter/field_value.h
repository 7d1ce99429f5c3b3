// What a filter sees of a message: values of the kinds that JSON has, read in place. They may be held by a struct whose
// fields are described (body_fields.h), by the attributes, or by parsed text.

#ifndef DECOUPLE_INTERNAL_FILTER_FIELD_VALUE_H_
#define DECOUPLE_INTERNAL_FILTER_FIELD_VALUE_H_

#include <optional>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/decimal.h"
#include "decouple/internal/base/module_layout.h"

namespace decouple::inline v0_1::internal {

// kMalformed: text that should hold a value but cannot be parsed; nothing matches it.
enum class FieldKind { kAbsent, kNull, kBool, kNumber, kText, kArray, kObject, kMalformed };

class DECOUPLE_INTERNAL_LAYOUT_TAG FieldType;

// A value and the type by which to read it. A default-constructed one is kAbsent.
struct FieldValue {
  const FieldType* type = nullptr;
  const void* value = nullptr;

  FieldKind kind() const;
  // Each requires that kind() is the one that it is named after. Results are valid as long as the message.
  bool truth() const;
  Decimal number() const;
  std::string_view text() const;
  // Whether visit(element) is true for an element; stops at the first. Requires: it is an array.
  bool AnyElement(absl::FunctionRef<bool(FieldValue)> visit) const;
  // Same as AnyElement(), for conditions on members: where the array stands for what is found at one path in several
  // spellings (nested_view.h), only elements that are objects.
  bool AnyElementWithMembers(absl::FunctionRef<bool(FieldValue)> visit) const;
  // kAbsent if the value is no object or has no member of that name.
  FieldValue member(std::string_view name) const;
  // Whether it is an object with a member whose name begins with `prefix`.
  bool HasMemberBelow(std::string_view prefix) const;
};

// How values of one C++ type are read; there is one instance for each type. A type overrides only the readers of the
// kinds that occur.
class DECOUPLE_INTERNAL_LAYOUT_TAG FieldType {
 public:
  FieldType() = default;
  FieldType(const FieldType&) = delete;
  FieldType& operator=(const FieldType&) = delete;

  virtual FieldKind kind(const void* value) const = 0;
  virtual bool truth(const void*) const { return false; }
  virtual Decimal number(const void*) const { return {}; }
  virtual std::string_view text(const void*) const { return {}; }
  virtual bool AnyElement(const void*, absl::FunctionRef<bool(FieldValue)>) const { return false; }
  virtual bool AnyElementWithMembers(const void* value, absl::FunctionRef<bool(FieldValue)> visit) const {
    return AnyElement(value, visit);
  }
  virtual FieldValue member(const void*, std::string_view) const { return {}; }
  virtual bool HasMemberBelow(const void*, std::string_view) const { return false; }

 protected:
  // Not virtual, so that it does nothing: the instances are statics, and serve publishes to the program's end.
  ~FieldType() = default;
};

class DECOUPLE_INTERNAL_LAYOUT_TAG MalformedField final : public FieldType {
 public:
  static FieldValue Value() {
    static const MalformedField type;
    return {&type, nullptr};
  }
  FieldKind kind(const void*) const override { return FieldKind::kMalformed; }
};

inline FieldKind FieldValue::kind() const { return type == nullptr ? FieldKind::kAbsent : type->kind(value); }
inline bool FieldValue::truth() const {
  DECOUPLE_ASSERT(kind() == FieldKind::kBool);
  return type->truth(value);
}
inline Decimal FieldValue::number() const {
  DECOUPLE_ASSERT(kind() == FieldKind::kNumber);
  return type->number(value);
}
inline std::string_view FieldValue::text() const {
  DECOUPLE_ASSERT(kind() == FieldKind::kText);
  return type->text(value);
}
inline bool FieldValue::AnyElement(absl::FunctionRef<bool(FieldValue)> visit) const {
  DECOUPLE_ASSERT(kind() == FieldKind::kArray);
  return type->AnyElement(value, visit);
}
inline bool FieldValue::AnyElementWithMembers(absl::FunctionRef<bool(FieldValue)> visit) const {
  DECOUPLE_ASSERT(kind() == FieldKind::kArray);
  return type->AnyElementWithMembers(value, visit);
}
inline FieldValue FieldValue::member(std::string_view name) const {
  return kind() == FieldKind::kObject ? type->member(value, name) : FieldValue();
}
inline bool FieldValue::HasMemberBelow(std::string_view prefix) const {
  return kind() == FieldKind::kObject && type->HasMemberBelow(value, prefix);
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FILTER_FIELD_VALUE_H_
