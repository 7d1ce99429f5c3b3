// A message as input of filters: an object whose members are its attributes and its body. What has to be parsed is
// parsed once, and only when a policy asks for it.

#ifndef DECOUPLE_INTERNAL_FILTER_FILTER_INPUT_H_
#define DECOUPLE_INTERNAL_FILTER_FILTER_INPUT_H_

#include <concepts>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "decouple/body_fields.h"
#include "decouple/internal/base/decimal.h"
#include "decouple/internal/filter/field_value.h"
#include "decouple/internal/filter/filter_tree.h"
#include "decouple/internal/filter/json_hook.h"
#include "decouple/internal/filter/nested_view.h"
#include "decouple/message_attributes.h"

namespace decouple::inline v0_1::internal {

// Whether policies can read bodies of type T.
template <typename T>
inline constexpr bool kHasReadableBody = HasFields<T> || std::convertible_to<const T&, std::string_view>;

// Used by one thread. Attributes and body must outlive it.
class FilterInput {
 public:
  template <typename T>
  FilterInput(const MessageAttributes& attributes, const T& body) : attributes_(attributes) {
    if constexpr (HasFields<T>) {
      body_ = FieldValueOf(body);
      has_dotted_names_ = kNamesHaveDots<T>;
    } else if constexpr (std::convertible_to<const T&, std::string_view>) {
      text_ = std::string_view(body);
    }
  }
  // A message whose body is not there to be read: no policy on the body matches.
  explicit FilterInput(const MessageAttributes& attributes) : attributes_(attributes) {}
  FilterInput(const FilterInput&) = delete;
  FilterInput& operator=(const FilterInput&) = delete;

  FieldValue root() const { return {&RootType::Instance(), this}; }

  bool has_attributes() const { return !attributes_.empty(); }
  // Whether policies have found one malformed so far: both are parsed only when a policy reads them.
  bool has_malformed_attribute() const { return has_malformed_attribute_; }
  bool has_malformed_body() const { return parsed_body_ && *parsed_body_ == nullptr; }

 private:
  // A type of object whose value pointer is that of the FilterInput itself.
  template <typename Type>
  class DECOUPLE_INTERNAL_LAYOUT_TAG Singleton : public FieldType {
   public:
    static const Type& Instance() {
      static const Type type;
      return type;
    }
    FieldKind kind(const void*) const override { return FieldKind::kObject; }

   protected:
    ~Singleton() = default;
  };

  class RootType final : public Singleton<RootType> {
   public:
    FieldValue member(const void* value, std::string_view name) const override {
      const auto* const input = static_cast<const FilterInput*>(value);
      return name == kBodyScope ? input->Body() : FieldValue{&AttributesType::Instance(), input};
    }
  };

  class AttributesType final : public Singleton<AttributesType> {
   public:
    FieldValue member(const void* value, std::string_view name) const override {
      const auto* const input = static_cast<const FilterInput*>(value);
      const AttributeValue* const attribute = input->attributes_.Find(name);
      return attribute == nullptr ? FieldValue() : input->ValueOf(*attribute);
    }
  };

  // An attribute that is text or a number. The suffix of its type does not count, and any other attribute counts as
  // absent (SNS).
  class DECOUPLE_INTERNAL_LAYOUT_TAG AttributeType final : public FieldType {
   public:
    static const AttributeType& Instance() {
      static const AttributeType type;
      return type;
    }
    FieldKind kind(const void* value) const override {
      const std::string_view type = Attribute(value).type();
      if (type.starts_with("String")) return FieldKind::kText;
      if (type.starts_with("Number") && Decimal::Parse(Attribute(value).value())) return FieldKind::kNumber;
      return FieldKind::kAbsent;
    }
    std::string_view text(const void* value) const override { return Attribute(value).value(); }
    Decimal number(const void* value) const override { return *Decimal::Parse(Attribute(value).value()); }

   private:
    static const AttributeValue& Attribute(const void* value) { return *static_cast<const AttributeValue*>(value); }
  };

  FieldValue ValueOf(const AttributeValue& attribute) const {
    if (attribute.type() != "String.Array") return {&AttributeType::Instance(), &attribute};
    for (const auto& [parsed, document] : parsed_attributes_) {
      if (parsed == &attribute) return ArrayIn(document.get());
    }
    parsed_attributes_.emplace_back(&attribute, ParseByHook(attribute.value()));
    const FieldValue value = ArrayIn(parsed_attributes_.back().second.get());
    if (value.kind() == FieldKind::kMalformed) has_malformed_attribute_ = true;
    return value;
  }

  static FieldValue ArrayIn(const JsonDocument* document) {
    const FieldValue value = document == nullptr ? FieldValue() : document->value();
    return value.kind() == FieldKind::kArray ? value : MalformedField::Value();
  }

  // An object; or malformed, which matches no policy on the body (SNS).
  FieldValue Body() const {
    if (body_.type != nullptr && !has_dotted_names_) [[likely]]
      return body_;
    return BodySlow();
  }

  // The body is not parsed yet, is no object, or has dotted names.
  [[gnu::noinline]] FieldValue BodySlow() const {
    if (text_ && !parsed_body_) ParseBody();
    if (body_.type == nullptr) return MalformedField::Value();
    if (!has_dotted_names_) return body_;
    if (nested_view_ == nullptr) nested_view_ = std::make_unique<NestedView>(body_);
    return nested_view_->root();
  }

  void ParseBody() const {
    parsed_body_ = ParseByHook(*text_);
    if (*parsed_body_ != nullptr && (*parsed_body_)->value().kind() != FieldKind::kObject) *parsed_body_ = nullptr;
    if (*parsed_body_ == nullptr) return;
    body_ = (*parsed_body_)->value();
    has_dotted_names_ = (*parsed_body_)->has_dotted_names();
  }

  const MessageAttributes& attributes_;
  std::optional<std::string_view> text_;  // the body, if it is text
  mutable FieldValue body_;               // an object; without a type if there is none, or none yet
  mutable bool has_dotted_names_ = false;
  mutable std::unique_ptr<NestedView> nested_view_;  // of a body with dotted names, once a policy has read it
  // Filled when a policy first reads the body or the attribute; a null document is malformed, or a body that is no
  // object.
  mutable std::optional<std::unique_ptr<const JsonDocument>> parsed_body_;
  mutable absl::InlinedVector<std::pair<const AttributeValue*, std::unique_ptr<const JsonDocument>>, 1>
      parsed_attributes_;
  mutable bool has_malformed_attribute_ = false;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FILTER_FILTER_INPUT_H_
