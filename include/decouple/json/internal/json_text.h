// JSON text as values that filters can read.

#ifndef DECOUPLE_JSON_INTERNAL_JSON_TEXT_H_
#define DECOUPLE_JSON_INTERNAL_JSON_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "decouple/internal/base/decimal.h"
#include "decouple/internal/filter/field_value.h"
#include "decouple/internal/filter/json_hook.h"

namespace decouple::inline v0_1::internal {

// Deeper nesting is refused, as the code that walks through the values is recursive.
inline constexpr int kDeepestJson = 128;

// What else is told of the keys in a text.
struct JsonKeys {
  bool find_repeated = false;                              // asked for, as it takes a set of the keys of each object
  std::optional<std::string> repeated_key = std::nullopt;  // the first that an object has twice
  bool have_dots = false;
};

// None: malformed, or nested too deep. Of a key that an object has twice the last counts.
inline std::optional<nlohmann::json> ParseJson(std::string_view text, JsonKeys& found) {
  bool is_too_deep = false;
  std::vector<std::set<std::string>> keys;
  const nlohmann::json::parser_callback_t check = [&](int depth, nlohmann::json::parse_event_t event,
                                                      nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    is_too_deep = is_too_deep || depth > kDeepestJson;
    if (event == Event::key && !found.have_dots) {
      found.have_dots = parsed.get_ref<const std::string&>().find('.') != std::string::npos;
    }
    if (found.find_repeated && event == Event::object_start) keys.emplace_back();
    if (found.find_repeated && event == Event::object_end) keys.pop_back();
    if (found.find_repeated && event == Event::key && !found.repeated_key) {
      auto name = parsed.get<std::string>();
      if (!keys.back().insert(name).second) found.repeated_key = std::move(name);
    }
    return !is_too_deep;  // false: the parser discards the value
  };
  nlohmann::json value = nlohmann::json::parse(text.begin(), text.end(), check, /*allow_exceptions=*/false);
  if (is_too_deep || value.is_discarded()) return std::nullopt;
  return value;
}

// Where and why text is no JSON. Parses it once more: only for a call that fails.
class JsonErrorSearch final : public nlohmann::json_sax<nlohmann::json> {
 public:
  static std::string In(std::string_view text) {
    JsonErrorSearch search;
    nlohmann::json::sax_parse(text.begin(), text.end(), &search);
    return search.error_.empty() ? "nested too deep" : search.error_;
  }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t position, const std::string& last_token, const nlohmann::json::exception&) override {
    error_ = absl::StrCat("at byte ", position, ", near \"", last_token, "\"");
    return false;
  }

 private:
  std::string error_;
};

class DECOUPLE_INTERNAL_LAYOUT_TAG JsonField final : public FieldType {
 public:
  static FieldValue ValueOf(const nlohmann::json& value) {
    static const JsonField type;
    return {&type, &value};
  }

  FieldKind kind(const void* value) const override {
    switch (Json(value).type()) {
      case nlohmann::json::value_t::null:
        return FieldKind::kNull;
      case nlohmann::json::value_t::boolean:
        return FieldKind::kBool;
      case nlohmann::json::value_t::number_integer:
      case nlohmann::json::value_t::number_unsigned:
      case nlohmann::json::value_t::number_float:
        return FieldKind::kNumber;
      case nlohmann::json::value_t::string:
        return FieldKind::kText;
      case nlohmann::json::value_t::array:
        return FieldKind::kArray;
      case nlohmann::json::value_t::object:
        return FieldKind::kObject;
      default:
        return FieldKind::kMalformed;
    }
  }
  bool truth(const void* value) const override { return Json(value).get<bool>(); }
  Decimal number(const void* value) const override { return NumberIn(Json(value)); }
  std::string_view text(const void* value) const override { return Json(value).get_ref<const std::string&>(); }
  bool AnyElement(const void* value, absl::FunctionRef<bool(FieldValue)> visit) const override {
    for (const nlohmann::json& element : Json(value)) {
      if (visit(ValueOf(element))) return true;
    }
    return false;
  }
  FieldValue member(const void* value, std::string_view name) const override {
    const auto found = Json(value).find(std::string(name));
    return found == Json(value).end() ? FieldValue() : ValueOf(*found);
  }
  bool HasMemberBelow(const void* value, std::string_view prefix) const override {
    const auto& members = Json(value).get_ref<const nlohmann::json::object_t&>();
    const auto first = members.lower_bound(std::string(prefix));
    return first != members.end() && first->first.starts_with(prefix);
  }

  // Requires: `value` is a number. It is finite, as all numbers of JSON are.
  static Decimal NumberIn(const nlohmann::json& value) {
    if (value.is_number_unsigned()) return *Decimal::Of(value.get<std::uint64_t>());
    if (value.is_number_integer()) return *Decimal::Of(value.get<std::int64_t>());
    return Decimal::Of(value.get<double>()).value_or(Decimal());
  }

 private:
  static const nlohmann::json& Json(const void* value) { return *static_cast<const nlohmann::json*>(value); }
};

class ParsedJson final : public JsonDocument {
 public:
  ParsedJson(nlohmann::json json, bool has_dotted_names)
      : json_(std::move(json)), has_dotted_names_(has_dotted_names) {}
  FieldValue value() const override { return JsonField::ValueOf(json_); }
  bool has_dotted_names() const override { return has_dotted_names_; }

  // The JsonHook of programs that include this.
  static std::unique_ptr<const JsonDocument> Parse(std::string_view text) {
    JsonKeys keys;
    std::optional<nlohmann::json> json = ParseJson(text, keys);
    if (!json) return nullptr;
    return std::make_unique<const ParsedJson>(*std::move(json), keys.have_dots);
  }

 private:
  const nlohmann::json json_;
  const bool has_dotted_names_;
};

// Sets the hook before main() in every program that includes this.
DECOUPLE_INTERNAL_LAYOUT_TAG inline const bool kJsonHookIsSet = SetJsonHook(&ParsedJson::Parse);

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_JSON_INTERNAL_JSON_TEXT_H_
