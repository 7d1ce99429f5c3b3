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

// None: malformed, or nested too deep. `repeated`, if it is given, is set to the first key that an object has twice, if
// there is one.
inline std::optional<nlohmann::json> ParseJson(std::string_view text, std::string* repeated = nullptr) {
  bool is_too_deep = false;
  std::vector<std::set<std::string>> keys;
  const nlohmann::json::parser_callback_t check = [&](int depth, nlohmann::json::parse_event_t event,
                                                      nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    is_too_deep = is_too_deep || depth > kDeepestJson;
    if (repeated != nullptr && event == Event::object_start) keys.emplace_back();
    if (repeated != nullptr && event == Event::object_end) keys.pop_back();
    if (repeated != nullptr && event == Event::key && repeated->empty()) {
      auto name = parsed.get<std::string>();
      if (!keys.back().insert(name).second) *repeated = std::move(name);
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

class JsonField final : public FieldType {
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
  explicit ParsedJson(nlohmann::json json) : json_(std::move(json)) {}
  FieldValue value() const override { return JsonField::ValueOf(json_); }

  // The JsonHook of programs that include this.
  static std::unique_ptr<const JsonDocument> Parse(std::string_view text) {
    std::optional<nlohmann::json> json = ParseJson(text);
    if (!json) return nullptr;
    return std::make_unique<const ParsedJson>(*std::move(json));
  }

 private:
  const nlohmann::json json_;
};

// Sets the hook before main() in every program that includes this.
inline const bool kJsonHookIsSet = SetJsonHook(&ParsedJson::Parse);

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_JSON_INTERNAL_JSON_TEXT_H_
