// What a filter sees of a message: values as JSON has them, read where they lie, whatever holds them: a struct whose
// fields are described (body_fields.h), the attributes, or parsed text.

#ifndef DECOUPLE_INTERNAL_FILTER_FIELD_VALUE_H_
#define DECOUPLE_INTERNAL_FILTER_FIELD_VALUE_H_

#include <optional>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "decouple/internal/base/decimal.h"

namespace decouple::internal {

// kMalformed: text that should hold a value and does not; nothing matches it.
enum class FieldKind { kAbsent, kNull, kBool, kNumber, kText, kArray, kObject, kMalformed };

class FieldType;

// A value and how to read it. A default-constructed one is absent.
struct FieldValue {
  const FieldType* type = nullptr;
  const void* value = nullptr;

  FieldKind kind() const;
  // Of the kind that the name says; valid as long as the message.
  bool truth() const;
  Decimal number() const;
  std::string_view text() const;
  // Whether visit(element) is true of one; stops there.
  bool AnyElement(absl::FunctionRef<bool(FieldValue)> visit) const;
  // Absent if it has none of that name, or is no object.
  FieldValue member(std::string_view name) const;
};

// There is one object for each type of value. A reader of a kind that never occurs need not be overridden.
class FieldType {
 public:
  FieldType() = default;
  FieldType(const FieldType&) = delete;
  FieldType& operator=(const FieldType&) = delete;
  virtual ~FieldType() = default;

  virtual FieldKind kind(const void* value) const = 0;
  virtual bool truth(const void*) const { return false; }
  virtual Decimal number(const void*) const { return {}; }
  virtual std::string_view text(const void*) const { return {}; }
  virtual bool AnyElement(const void*, absl::FunctionRef<bool(FieldValue)>) const { return false; }
  virtual FieldValue member(const void*, std::string_view) const { return {}; }
};

class MalformedField final : public FieldType {
 public:
  static FieldValue Value() {
    static const MalformedField type;
    return {&type, nullptr};
  }
  FieldKind kind(const void*) const override { return FieldKind::kMalformed; }
};

inline FieldKind FieldValue::kind() const { return type == nullptr ? FieldKind::kAbsent : type->kind(value); }
inline bool FieldValue::truth() const { return type->truth(value); }
inline Decimal FieldValue::number() const { return type->number(value); }
inline std::string_view FieldValue::text() const { return type->text(value); }
inline bool FieldValue::AnyElement(absl::FunctionRef<bool(FieldValue)> visit) const {
  return type->AnyElement(value, visit);
}
inline FieldValue FieldValue::member(std::string_view name) const {
  return kind() == FieldKind::kObject ? type->member(value, name) : FieldValue();
}

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_FILTER_FIELD_VALUE_H_
