// Compiles a filter policy in JSON. Every error says what is wrong, and where: "at $.price[0].numeric".

#ifndef DECOUPLE_JSON_INTERNAL_FILTER_PARSER_H_
#define DECOUPLE_JSON_INTERNAL_FILTER_PARSER_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/internal/base/decimal.h"
#include "decouple/internal/filter/filter_pattern.h"
#include "decouple/internal/filter/filter_tree.h"
#include "decouple/json/internal/json_text.h"

namespace decouple::inline v0_1::internal {

class FilterParser {
 public:
  using Json = nlohmann::json;

  // `may_nest`: true in the scope of the body, where keys may have objects.
  explicit FilterParser(bool may_nest) : may_nest_(may_nest) {}

  absl::Status ParsePolicy(const Json& policy, FilterGroup& group) {
    if (!policy.is_object()) return Refuse("$", "a filter policy is an object", policy);
    if (policy.empty()) return Refuse("$", "an empty policy; it must have a key", policy);
    return ParseGroup(policy, "$", group);
  }

 private:
  static constexpr std::array<std::string_view, 7> kOperators = {"prefix",  "suffix", "equals-ignore-case", "cidr",
                                                                 "numeric", "exists", "anything-but"};

  static absl::Status Refuse(const std::string& where, const std::string& what) {
    return MakeError(Error::kInvalidParameter, absl::StrCat("filter policy, at ", where, ": ", what));
  }
  static absl::Status Refuse(const std::string& where, const std::string& what, const Json& found) {
    constexpr std::size_t kShown = 60;
    std::string text = found.dump(-1, ' ', true, Json::error_handler_t::replace);
    if (text.size() > kShown) text = text.substr(0, kShown) + "…";
    return Refuse(where, absl::StrCat(what, "; found is ", text));
  }

  absl::Status ParseGroup(const Json& object, const std::string& where, FilterGroup& group) {
    for (const auto& [key, value] : object.items()) {
      const std::string path = absl::StrCat(where, ".", key);
      absl::Status status;
      if (key == "$or" && IsAlternatives(value)) {
        status = ParseAlternatives(value, path, group);
      } else if (value.is_object()) {
        status = ParseInner(key, value, path, group);
      } else {
        status = ParseLeaf(key, value, path, group);
      }
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Whether the value of "$or" is a list of alternatives; otherwise "$or" is an ordinary key (SNS).
  static bool IsAlternatives(const Json& value) {
    return value.is_array() && value.size() >= 2 && std::all_of(value.begin(), value.end(), [](const Json& one) {
             return one.is_object() && std::none_of(kOperators.begin(), kOperators.end(), [&](std::string_view name) {
                      return one.contains(std::string(name));
                    });
           });
  }

  absl::Status ParseAlternatives(const Json& alternatives, const std::string& where, FilterGroup& group) {
    std::vector<FilterGroup> parsed;
    for (std::size_t i = 0; i < alternatives.size(); ++i) {
      const std::string path = absl::StrCat(where, "[", i, "]");
      if (alternatives[i].empty()) return Refuse(path, "an empty object; each alternative must have a key");
      if (absl::Status status = ParseGroup(alternatives[i], path, parsed.emplace_back()); !status.ok()) return status;
    }
    group.ors.push_back(std::move(parsed));
    return absl::OkStatus();
  }

  absl::Status ParseInner(const std::string& key, const Json& object, const std::string& where, FilterGroup& group) {
    if (!may_nest_) {
      return Refuse(where, "a key of attributes must have a list; only policies on the body nest", object);
    }
    if (object.empty()) return Refuse(where, "an empty object; it must have a key");
    FilterGroup inner;
    inner.key = key;
    if (absl::Status status = ParseGroup(object, where, inner); !status.ok()) return status;
    group.groups.push_back(std::move(inner));
    return absl::OkStatus();
  }

  absl::Status ParseLeaf(const std::string& key, const Json& list, const std::string& where, FilterGroup& group) {
    if (!list.is_array()) return Refuse(where, "a key must have a list of what may match", list);
    if (list.empty()) return Refuse(where, "an empty list; it must have a value");
    FilterLeaf leaf{key, {}};
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (absl::Status status = ParsePattern(list[i], absl::StrCat(where, "[", i, "]"), leaf); !status.ok()) {
        return status;
      }
    }
    group.leaves.push_back(std::move(leaf));
    return absl::OkStatus();
  }

  absl::Status ParsePattern(const Json& value, const std::string& where, FilterLeaf& leaf) {
    if (value.is_array()) return Refuse(where, "a list in a list; allowed are values and operators", value);
    if (!value.is_object()) {
      leaf.any_of.emplace_back(ExactlyOf(value));
      return absl::OkStatus();
    }
    if (value.size() != 1) return Refuse(where, "an object of a list has one operator", value);
    const std::string& name = value.begin().key();
    return ParseOperator(name, value.begin().value(), absl::StrCat(where, ".", name), leaf);
  }

  absl::Status ParseOperator(const std::string& name, const Json& operand, const std::string& where, FilterLeaf& leaf) {
    if (name == "prefix") return ParseText<Prefix>(operand, where, leaf);
    if (name == "suffix") return ParseText<Suffix>(operand, where, leaf);
    if (name == "equals-ignore-case") return ParseText<EqualsIgnoreCase>(operand, where, leaf);
    if (name == "cidr") return ParseCidr(operand, where, leaf);
    if (name == "numeric") return ParseNumeric(operand, where, leaf);
    if (name == "exists") {
      if (!operand.is_boolean()) return Refuse(where, "exists takes true or false", operand);
      leaf.any_of.emplace_back(Exists{operand.get<bool>()});
      return absl::OkStatus();
    }
    if (name == "anything-but") return ParseAnythingBut(operand, where, leaf);
    return Refuse(where,
                  absl::StrCat("an unknown operator; allowed are ", Names(), ", and $or of at least two objects"));
  }

  static std::string Names() {
    std::string names;
    for (const std::string_view name : kOperators) names.append(names.empty() ? "" : ", ").append(name);
    return names;
  }

  template <typename Operator>
  static absl::Status ParseText(const Json& operand, const std::string& where, FilterLeaf& leaf) {
    if (!operand.is_string() || operand.get_ref<const std::string&>().empty()) {
      return Refuse(where, "it takes a string of at least one character", operand);
    }
    leaf.any_of.emplace_back(Operator{operand.get<std::string>()});
    return absl::OkStatus();
  }

  static absl::Status ParseCidr(const Json& operand, const std::string& where, FilterLeaf& leaf) {
    const std::optional<Cidr> cidr =
        operand.is_string() ? Cidr::Parse(operand.get_ref<const std::string&>()) : std::nullopt;
    if (!cidr) return Refuse(where, "cidr takes a network: an IP address, a slash and a number of bits", operand);
    leaf.any_of.emplace_back(*cidr);
    return absl::OkStatus();
  }

  // Allowed are one or two pairs of a comparison and a number: "=" alone, a lower bound, an upper bound, or both bounds
  // in this order.
  static absl::Status ParseNumeric(const Json& operand, const std::string& where, FilterLeaf& leaf) {
    constexpr const char* kShape = "numeric takes a list of one or two pairs of a comparison and a number";
    if (!operand.is_array() || (operand.size() != 2 && operand.size() != 4)) return Refuse(where, kShape, operand);
    NumericRange range;
    for (std::size_t i = 0; i < operand.size(); i += 2) {
      const std::string path = absl::StrCat(where, "[", i, "]");
      if (!operand[i].is_string()) return Refuse(path, kShape, operand[i]);
      if (!operand[i + 1].is_number()) return Refuse(absl::StrCat(where, "[", i + 1, "]"), kShape, operand[i + 1]);
      const auto& comparison = operand[i].get_ref<const std::string&>();
      const Decimal number = JsonField::NumberIn(operand[i + 1]);
      if (comparison == "=" && operand.size() == 2) {
        leaf.any_of.emplace_back(Exactly(number));
        return absl::OkStatus();
      }
      const NumericRange::Bound bound{number, comparison.ends_with('=')};
      if (comparison == ">" || comparison == ">=") {
        if (i != 0) return Refuse(path, "a second bound is an upper one, < or <=", operand[i]);
        range.lower = bound;
      } else if (comparison == "<" || comparison == "<=") {
        if (i == 0 && operand.size() == 4) {
          return Refuse(path, "of two bounds the first is the lower one, > or >=", operand[i]);
        }
        range.upper = bound;
      } else {
        return Refuse(path, "allowed are = alone, <, <=, > and >=", operand[i]);
      }
    }
    if (range.lower && range.upper && range.lower->number >= range.upper->number) {
      return Refuse(where, "the lower bound must be below the upper one", operand);
    }
    leaf.any_of.emplace_back(std::move(range));
    return absl::OkStatus();
  }

  absl::Status ParseAnythingBut(const Json& operand, const std::string& where, FilterLeaf& leaf) {
    constexpr const char* kShape =
        "anything-but takes a string, a number, a list of either, or an object of one prefix";
    if (operand.is_object()) {
      if (operand.size() != 1 || !operand.contains("prefix")) return Refuse(where, kShape, operand);
      FilterLeaf inner;
      if (absl::Status status = ParseText<Prefix>(operand["prefix"], where + ".prefix", inner); !status.ok()) {
        return status;
      }
      leaf.any_of.emplace_back(AnythingBut{std::get<Prefix>(inner.any_of.front())});
      return absl::OkStatus();
    }
    const auto all_are = [&](auto is) { return std::all_of(operand.begin(), operand.end(), is); };
    const bool is_of_one_type = all_are([](const Json& one) { return one.is_string(); }) ||
                                all_are([](const Json& one) { return one.is_number(); });
    if (operand.empty() || !is_of_one_type)
      return Refuse(where, kShape, operand);  // a scalar iterates over itself alone
    std::vector<Exactly> refused;
    for (const Json& one : operand) refused.push_back(ExactlyOf(one));
    leaf.any_of.emplace_back(AnythingBut{std::move(refused)});
    return absl::OkStatus();
  }

  // Requires: `value` is neither a list nor an object.
  static Exactly ExactlyOf(const Json& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_boolean()) return Literal{FieldKind::kBool, value.get<bool>()};
    if (value.is_null()) return Literal{};
    return JsonField::NumberIn(value);
  }

  const bool may_nest_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_JSON_INTERNAL_FILTER_PARSER_H_
