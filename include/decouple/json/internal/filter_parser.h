// Compiles a filter policy in JSON. Every error says what is wrong, and where: "at $.price[0].numeric".

#ifndef DECOUPLE_JSON_INTERNAL_FILTER_PARSER_H_
#define DECOUPLE_JSON_INTERNAL_FILTER_PARSER_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/filter_policy.h"
#include "decouple/internal/base/decimal.h"
#include "decouple/internal/filter/filter_pattern.h"
#include "decouple/internal/filter/filter_tree.h"
#include "decouple/internal/filter/text_pattern.h"
#include "decouple/json/internal/json_text.h"

namespace decouple::inline v0_1::internal {

class FilterParser {
 public:
  using Json = nlohmann::json;

  // `may_nest`: true in the scope of the body, where keys may have objects, and dots in keys are levels, too.
  FilterParser(bool may_nest, FilterDialect dialect)
      : may_nest_(may_nest), is_event_bridge_(dialect == FilterDialect::kEventBridge) {}

  // Requires: the policy is not an empty object.
  absl::Status ParsePolicy(const Json& policy, FilterGroup& group) {
    if (!policy.is_object()) return Refuse("$", "a filter policy is an object", policy);
    return ParseGroup(policy, {"$", ""}, group);
  }

 private:
  static constexpr std::array<std::string_view, 7> kOperators = {"prefix",  "suffix", "equals-ignore-case", "cidr",
                                                                 "numeric", "exists", "anything-but"};
  static constexpr std::string_view kWildcard = "wildcard";  // EventBridge's

  // An object with one of these keys, or of the operators, is no alternative of an "$or". Those of the rule engine that
  // SNS and EventBridge share: aws/event-ruler, Constants.RESERVED_FIELD_NAMES_IN_OR_RELATIONSHIP.
  static constexpr std::array<std::string_view, 17> kReservedWords = {kWildcard,
                                                                      "exactly",
                                                                      "=",
                                                                      "<",
                                                                      "<=",
                                                                      ">",
                                                                      ">=",
                                                                      "regex",
                                                                      "not-wildcard",
                                                                      "not-equals-ignore-case",
                                                                      "date-after",
                                                                      "date-on-or-after",
                                                                      "date-before",
                                                                      "date-on-or-before",
                                                                      "in-date-range",
                                                                      "ip-address-in-range",
                                                                      "ip-address-not-in-range"};

  // Where an object stands: in the policy, as errors say it; and the path of its keys in a message, with a dot at the
  // end of each, which leaves out each "$or".
  struct Place {
    std::string where;
    std::string path;
  };

  static absl::Status Refuse(const std::string& where, const std::string& what) {
    return MakeError(Error::kInvalidParameter, absl::StrCat("filter policy, at ", where, ": ", what));
  }
  static absl::Status Refuse(const std::string& where, const std::string& what, const Json& found) {
    constexpr std::size_t kShown = 60;
    std::string text = found.dump(-1, ' ', true, Json::error_handler_t::replace);
    if (text.size() > kShown) text = text.substr(0, kShown) + "…";
    return Refuse(where, absl::StrCat(what, "; found is ", text));
  }

  absl::Status ParseGroup(const Json& object, const Place& place, FilterGroup& group) {
    for (const auto& [key, value] : object.items()) {
      const std::string where = absl::StrCat(place.where, ".", key);
      absl::Status status;
      if (key == "$or" && IsAlternatives(value)) {
        status = ParseAlternatives(value, {where, place.path}, group);
      } else if (value.is_object()) {
        status = ParseInner(key, value, {where, absl::StrCat(place.path, key, ".")}, group);
      } else {
        status = ParseLeaf(key, value, {where, absl::StrCat(place.path, key)}, group);
      }
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Whether the value of "$or" is a list of alternatives; otherwise "$or" is an ordinary key (SNS).
  static bool IsAlternatives(const Json& value) {
    const auto has_none_of = [](const Json& one, const auto& names) {
      return std::none_of(names.begin(), names.end(),
                          [&](std::string_view name) { return one.contains(std::string(name)); });
    };
    return value.is_array() && value.size() >= 2 && std::all_of(value.begin(), value.end(), [&](const Json& one) {
             return one.is_object() && has_none_of(one, kOperators) && has_none_of(one, kReservedWords);
           });
  }

  absl::Status ParseAlternatives(const Json& alternatives, const Place& place, FilterGroup& group) {
    std::vector<FilterGroup> parsed;
    for (std::size_t i = 0; i < alternatives.size(); ++i) {
      const std::string where = absl::StrCat(place.where, "[", i, "]");
      if (alternatives[i].empty()) return Refuse(where, "an empty object; each alternative must have a key");
      std::set<std::string> outside = std::exchange(paths_, {});
      absl::Status status = ParseGroup(alternatives[i], {where, place.path}, parsed.emplace_back());
      if (!status.ok()) return status;
      paths_ = std::move(outside);
    }
    group.ors.push_back(std::move(parsed));
    return absl::OkStatus();
  }

  absl::Status ParseInner(const std::string& key, const Json& object, const Place& place, FilterGroup& group) {
    if (!may_nest_) {
      return Refuse(place.where, "a key of attributes must have a list; only policies on the body nest", object);
    }
    if (object.empty()) return Refuse(place.where, "an empty object; it must have a key");
    FilterGroup inner;
    inner.key = key;
    if (absl::Status status = ParseGroup(object, place, inner); !status.ok()) return status;
    group.groups.push_back(std::move(inner));
    return absl::OkStatus();
  }

  absl::Status ParseLeaf(const std::string& key, const Json& list, const Place& place, FilterGroup& group) {
    const std::string& where = place.where;
    if (!list.is_array()) return Refuse(where, "a key must have a list of what may match", list);
    if (list.empty()) return Refuse(where, "an empty list; it must have a value");
    if (may_nest_) {
      const auto levels = 1 + std::count(place.path.begin(), place.path.end(), '.');
      if (levels > kDeepestJson) {
        return Refuse(where, absl::StrCat("a path of ", levels, " names; allowed are at most ", kDeepestJson,
                                          ", each dot in a key being a level"));
      }
      if (!paths_.insert(place.path).second) {
        return Refuse(where, absl::StrCat("the path \"", place.path, "\" is given twice"));
      }
    }
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
    if (name == "prefix") return ParseText<Prefix, PrefixIgnoreCase>(operand, where, leaf);
    if (name == "suffix") return ParseText<Suffix, SuffixIgnoreCase>(operand, where, leaf);
    if (name == "equals-ignore-case") {
      if (!operand.is_string()) return Refuse(where, "it takes a string", operand);
      leaf.any_of.emplace_back(EqualsIgnoreCase::Of(operand.get_ref<const std::string&>()));
      return absl::OkStatus();
    }
    if (name == "cidr") return ParseCidr(operand, where, leaf);
    if (name == "numeric") return ParseNumeric(operand, where, leaf);
    if (name == "exists") {
      if (!operand.is_boolean()) return Refuse(where, "exists takes true or false", operand);
      leaf.any_of.emplace_back(Exists{operand.get<bool>()});
      return absl::OkStatus();
    }
    if (name == "anything-but") return ParseAnythingBut(operand, where, leaf);
    if (name == kWildcard && is_event_bridge_) {
      const std::optional<Wildcard> wildcard =
          operand.is_string() ? Wildcard::Parse(operand.get_ref<const std::string&>()) : std::nullopt;
      if (!wildcard) return Refuse(where, Wildcard::kShape, operand);
      leaf.any_of.emplace_back(*wildcard);
      return absl::OkStatus();
    }
    return Refuse(where,
                  absl::StrCat(name == kWildcard ? "an operator of EventBridge's, for a policy that is parsed in "
                                                   "its dialect; "
                                                 : "an unknown operator; ",
                               "allowed are ", Names(), ", and $or of at least two objects"));
  }

  std::string Names() const {
    std::string names;
    for (const std::string_view name : kOperators) names.append(names.empty() ? "" : ", ").append(name);
    if (is_event_bridge_) names.append(", ").append(kWildcard);
    return names;
  }

  // A string or, in EventBridge's dialect, an object that says that case does not count.
  template <typename Operator, typename IgnoringCase>
  absl::Status ParseText(const Json& operand, const std::string& where, FilterLeaf& leaf) const {
    if (operand.is_string()) {
      leaf.any_of.emplace_back(Operator{operand.get<std::string>()});
      return absl::OkStatus();
    }
    if (!is_event_bridge_) {
      return Refuse(where, "it takes a string; an object of equals-ignore-case is EventBridge's dialect", operand);
    }
    if (!operand.is_object() || operand.size() != 1 || !operand.contains("equals-ignore-case") ||
        !operand["equals-ignore-case"].is_string()) {
      return Refuse(where, "it takes a string, or an object of equals-ignore-case and a string", operand);
    }
    leaf.any_of.emplace_back(IgnoringCase::Of(operand["equals-ignore-case"].get_ref<const std::string&>()));
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

  absl::Status ParseAnythingBut(const Json& operand, const std::string& where, FilterLeaf& leaf) const {
    const std::string shape =
        absl::StrCat("anything-but takes a string, a number, a list of either, or an object of one ",
                     is_event_bridge_ ? "prefix, suffix, equals-ignore-case or wildcard"
                                      : "prefix; suffix, equals-ignore-case and wildcard are "
                                        "EventBridge's dialect");
    if (operand.is_object()) {
      if (operand.size() != 1) return Refuse(where, shape, operand);
      const std::string& name = operand.begin().key();
      const bool is_allowed =
          name == "prefix" ||
          (is_event_bridge_ && (name == "suffix" || name == kWildcard || name == "equals-ignore-case"));
      if (!is_allowed) return Refuse(where, shape, operand);
      return ParseRefusedTexts(name, operand.begin().value(), absl::StrCat(where, ".", name), leaf);
    }
    const auto all_are = [&](auto is) { return std::all_of(operand.begin(), operand.end(), is); };
    const bool is_of_one_type = all_are([](const Json& one) { return one.is_string(); }) ||
                                all_are([](const Json& one) { return one.is_number(); });
    if (operand.empty() || !is_of_one_type)
      return Refuse(where, shape, operand);  // a scalar iterates over itself alone
    std::vector<Exactly> refused;
    for (const Json& one : operand) refused.push_back(ExactlyOf(one));
    leaf.any_of.emplace_back(AnythingBut{std::move(refused)});
    return absl::OkStatus();
  }

  // What "anything-but" does not let through: a pattern or, in EventBridge's dialect, a list of them.
  absl::Status ParseRefusedTexts(const std::string& name, const Json& texts, const std::string& where,
                                 FilterLeaf& leaf) const {
    const char* const shape = is_event_bridge_ ? "it takes a string or a list of strings"
                                               : "it takes a string; a list is EventBridge's dialect";
    if (texts.empty() || texts.is_object() || (texts.is_array() && !is_event_bridge_)) {
      return Refuse(where, shape, texts);
    }
    std::vector<TextPattern> refused;
    for (const Json& one : texts) {  // a scalar iterates over itself alone
      if (!one.is_string()) return Refuse(where, shape, texts);
      const auto& text = one.get_ref<const std::string&>();
      if (name == kWildcard) {
        const std::optional<Wildcard> wildcard = Wildcard::Parse(text);
        if (!wildcard) return Refuse(where, Wildcard::kShape, one);
        refused.emplace_back(*wildcard);
      } else if (name == "equals-ignore-case") {
        refused.emplace_back(EqualsIgnoreCase::Of(text));
      } else if (text.empty()) {
        return Refuse(where, "it takes a string of at least one character, as all text begins and ends with none", one);
      } else if (name == "prefix") {
        refused.emplace_back(Prefix{text});
      } else {
        refused.emplace_back(Suffix{text});
      }
    }
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
  const bool is_event_bridge_;
  std::set<std::string> paths_;  // those of the leaves so far, which hold together
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_JSON_INTERNAL_FILTER_PARSER_H_
