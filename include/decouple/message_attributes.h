// Message attributes: up to 10 named, typed values that travel beside a body, so that filters and handlers can read
// them without parsing it.
//
//   queue.Send(Order{45}, {.attributes = {{"price", 120}, {"store", "oslo"}}}).IgnoreError();
//   const AttributeValue* price = delivery.attributes().Find("price");   // price->type() == "Number"
//
// Names are 1 … 256 of A-Z a-z 0-9 _ . -, with no leading, trailing or doubled dot, and not starting with "AWS." or
// "Amazon." (in any case). Types are String, Number or Binary, each with an optional suffix after a dot ("Number.int"),
// 256 characters in all; a suffix may have blanks. A value must not be empty. A String has no control characters but
// tab, newline and return. A Number has at most 38 significant digits, and is 0 or between 10^-128 and 10^126, or the
// negative of that. A Binary holds any bytes. Plain values.

#ifndef DECOUPLE_MESSAGE_ATTRIBUTES_H_
#define DECOUPLE_MESSAGE_ATTRIBUTES_H_

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/internal/base/decimal.h"

namespace decouple::inline v0_1 {

namespace internal {

template <typename N>
concept AttributeNumber =
    (std::integral<N> && !std::same_as<N, bool> && !std::same_as<N, char>) || std::floating_point<N>;

}  // namespace internal

// A value with its type. Numbers are kept as text, so no digit is lost.
class AttributeValue {
 public:
  // Implicit, so that a list of attributes reads {{"price", 120}, {"store", "oslo"}}.
  // NOLINTBEGIN(google-explicit-constructor)
  AttributeValue(std::string text) : type_("String"), value_(std::move(text)) {}
  AttributeValue(std::string_view text) : AttributeValue(std::string(text)) {}
  AttributeValue(const char* text) : AttributeValue(std::string(text)) {}

  template <internal::AttributeNumber N>
  AttributeValue(N number) : type_("Number") {
    std::array<char, 64> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    value_.assign(digits.data(), end);
  }
  // NOLINTEND(google-explicit-constructor)

  // A number in decimal: "12.50", "-1e9".
  static AttributeValue Number(std::string_view text) { return {"Number", std::string(text)}; }
  static AttributeValue Binary(std::string_view bytes) { return {"Binary", std::string(bytes)}; }

  // An element of an array: a text, a number, true, false or null. A number that is not finite becomes null.
  class Element;
  // A String.Array, which is a JSON array as text: Array({"oslo", 2, true}). A filter policy matches any of its
  // elements. The second form takes a range of what an element is made from, such as a std::vector<std::string>.
  static AttributeValue Array(std::initializer_list<Element> elements);
  template <typename Elements>
  static AttributeValue Array(const Elements& elements);

  // The same value with a suffix to its type: WithSuffix("int") turns "Number" into "Number.int".
  AttributeValue WithSuffix(std::string_view suffix) const {
    std::string type(type_);
    type.append(1, '.').append(suffix);
    return {std::move(type), value_};
  }

  const std::string& type() const { return type_; }
  const std::string& value() const { return value_; }

  friend bool operator==(const AttributeValue&, const AttributeValue&) = default;

 private:
  AttributeValue(std::string type, std::string value) : type_(std::move(type)), value_(std::move(value)) {}

  std::string type_;
  std::string value_;
};

class AttributeValue::Element {
 public:
  // NOLINTBEGIN(google-explicit-constructor)
  Element(std::string_view text) : json_("\"") {
    for (const char c : text) {
      if (c == '"' || c == '\\') {
        json_.append({'\\', c});
      } else if (static_cast<unsigned char>(c) < ' ') {
        absl::StrAppend(&json_, "\\u", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad4));
      } else {
        json_ += c;
      }
    }
    json_ += '"';
  }
  Element(const std::string& text) : Element(std::string_view(text)) {}
  Element(const char* text) : Element(std::string_view(text)) {}
  Element(std::nullptr_t) : json_("null") {}
  template <std::same_as<bool> Bool>
  Element(Bool value) : json_(value ? "true" : "false") {}
  template <internal::AttributeNumber N>
  Element(N number) : json_("null") {
    if constexpr (std::floating_point<N>) {
      if (!std::isfinite(number)) return;
    }
    json_ = AttributeValue(number).value();
  }
  // NOLINTEND(google-explicit-constructor)

 private:
  friend class AttributeValue;

  std::string json_;
};

inline AttributeValue AttributeValue::Array(std::initializer_list<Element> elements) {
  std::string json;
  for (const Element& element : elements) absl::StrAppend(&json, json.empty() ? "[" : ",", element.json_);
  return {"String.Array", json.empty() ? "[]" : json + "]"};
}

template <typename Elements>
AttributeValue AttributeValue::Array(const Elements& elements) {
  std::string json;
  for (const auto& element : elements) absl::StrAppend(&json, json.empty() ? "[" : ",", Element(element).json_);
  return {"String.Array", json.empty() ? "[]" : json + "]"};
}

// Attributes in the order in which they were given. Find() is linear, as there are at most ten.
class MessageAttributes {
 public:
  using value_type = std::pair<std::string, AttributeValue>;
  using const_iterator = std::vector<value_type>::const_iterator;

  MessageAttributes() = default;
  MessageAttributes(std::initializer_list<value_type> attributes) : attributes_(attributes) {}

  // Adds an attribute, or replaces the one with that name.
  void Set(std::string_view name, AttributeValue value) {
    for (auto& [existing, old] : attributes_) {
      if (existing == name) {
        old = std::move(value);
        return;
      }
    }
    attributes_.emplace_back(std::string(name), std::move(value));
  }

  // Null if there is no attribute with that name. Valid until the attributes change.
  const AttributeValue* Find(std::string_view name) const {
    const auto found = std::find_if(begin(), end(), [&](const value_type& entry) { return entry.first == name; });
    return found == end() ? nullptr : &found->second;
  }

  const_iterator begin() const { return attributes_.begin(); }
  const_iterator end() const { return attributes_.end(); }
  std::size_t size() const { return attributes_.size(); }
  bool empty() const { return attributes_.empty(); }

  // The number of bytes that they count towards a message's size: names, types and values.
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const auto& [name, value] : attributes_) sum += name.size() + value.type().size() + value.value().size();
    return sum;
  }

  friend bool operator==(const MessageAttributes&, const MessageAttributes&) = default;

 private:
  std::vector<value_type> attributes_;
};

namespace internal {

inline constexpr std::size_t kMaxAttributeNameLength = 256;  // SQS: names and types alike

inline bool IsAttributeCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
}

inline absl::Status CheckAttributeName(const std::string& name) {
  const auto refuse = [&](const char* what) {
    return MakeError(Error::kInvalidParameterValue,
                     absl::StrCat("attribute name \"", name, "\" ", what,
                                  "; allowed are 1 to 256 of A-Z a-z 0-9 _ . - without a leading, trailing or doubled "
                                  "dot, not starting with AWS. or Amazon."));
  };
  if (name.empty()) return refuse("is empty");
  if (name.size() > kMaxAttributeNameLength) return refuse("is too long");
  if (!std::all_of(name.begin(), name.end(), IsAttributeCharacter)) {
    return refuse("has a character that is not allowed");
  }
  if (name.front() == '.' || name.back() == '.' || name.find("..") != std::string::npos) {
    return refuse("has a misplaced dot");
  }
  if (absl::StartsWithIgnoreCase(name, "AWS.") || absl::StartsWithIgnoreCase(name, "Amazon.")) {
    return refuse("starts with a reserved prefix");
  }
  return absl::OkStatus();
}

// Tab, newline and return are the only control characters that a String may have: those which XML 1.0 allows (SQS,
// SNS).
inline absl::Status CheckAttributeString(const std::string& name, const std::string& value) {
  const auto is_forbidden = [](char c) {
    return static_cast<unsigned char>(c) < ' ' && c != '\t' && c != '\n' && c != '\r';
  };
  const auto found = std::find_if(value.begin(), value.end(), is_forbidden);
  if (found == value.end()) return absl::OkStatus();
  return MakeError(Error::kInvalidParameterValue,
                   absl::StrCat("attribute \"", name, "\" has the control character U+",
                                absl::Hex(static_cast<unsigned char>(*found), absl::kZeroPad4), " at ",
                                found - value.begin(), "; a String may have tab, newline and return, a Binary any"));
}

inline absl::Status CheckAttributeNumber(const std::string& name, const std::string& value) {
  constexpr std::size_t kMaxDigits = 38;  // SQS
  const auto refuse = [&](const char* what) {
    return MakeError(Error::kInvalidParameterValue,
                     absl::StrCat("attribute \"", name, "\" has the value \"", value, "\", which ", what,
                                  "; allowed are decimal numbers of up to 38 digits, from 10^-128 to 10^126"));
  };
  const std::optional<Decimal> number = Decimal::Parse(value);
  if (!number) return refuse("is not a decimal number");
  if (number->significant_digits() > kMaxDigits) return refuse("has too many digits");
  if (number->Absolute() > *Decimal::Parse("1e126")) return refuse("is too large");
  if (*number != Decimal() && number->Absolute() < *Decimal::Parse("1e-128")) return refuse("is too small");
  return absl::OkStatus();
}

inline absl::Status CheckAttributeValue(const std::string& name, const AttributeValue& value) {
  const std::string& type = value.type();
  const std::string base = type.substr(0, type.find('.'));
  const bool has_suffix = base.size() != type.size();
  const auto is_allowed = [](char c) { return IsAttributeCharacter(c) || c == ' '; };
  if ((base != "String" && base != "Number" && base != "Binary") || (has_suffix && base.size() + 1 == type.size()) ||
      type.size() > kMaxAttributeNameLength || !std::all_of(type.begin(), type.end(), is_allowed)) {
    return MakeError(
        Error::kInvalidParameterValue,
        absl::StrCat("attribute \"", name, "\" has the type \"", type,
                     "\"; allowed are String, Number and Binary, each with an optional .suffix of letters, "
                     "digits, _ - . and blanks"));
  }
  if (value.value().empty()) {
    return MakeError(Error::kInvalidParameterValue,
                     absl::StrCat("attribute \"", name, "\" has an empty value; a value must not be empty"));
  }
  if (base == "String") return CheckAttributeString(name, value.value());
  if (base == "Number") return CheckAttributeNumber(name, value.value());
  return absl::OkStatus();
}

inline absl::Status CheckAttributes(const MessageAttributes& attributes, std::size_t most) {
  if (attributes.size() > most) {
    return MakeError(Error::kInvalidParameterValue,
                     absl::StrCat("a message with ", attributes.size(), " attributes; allowed are at most ", most));
  }
  for (auto entry = attributes.begin(); entry != attributes.end(); ++entry) {
    if (absl::Status status = CheckAttributeName(entry->first); !status.ok()) return status;
    if (absl::Status status = CheckAttributeValue(entry->first, entry->second); !status.ok()) return status;
    if (attributes.Find(entry->first) != &entry->second) {
      return MakeError(Error::kInvalidParameterValue,
                       absl::StrCat("attribute \"", entry->first, "\" is given twice; names must differ"));
    }
  }
  return absl::OkStatus();
}

}  // namespace internal

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_MESSAGE_ATTRIBUTES_H_
