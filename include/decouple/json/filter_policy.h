// Filter policies in JSON, and filtering by JSON in bodies and String.Array attributes: see decouple/filter_policy.h.
//
//   auto policy = decouple::FilterPolicy::Parse(R"({"store": ["oslo"], "price": [{"numeric": [">", 100]}]})");
//   if (!policy.ok()) …   // "filter policy, at $.price[0].numeric[0]: allowed are = alone, <, <=, > and >=; …"
//
// Part of the CMake target decouple::json, which needs nlohmann-json. A program that includes this in any of its files
// parses JSON in all of its filters.

#ifndef DECOUPLE_JSON_FILTER_POLICY_H_
#define DECOUPLE_JSON_FILTER_POLICY_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/filter_policy.h"
#include "decouple/internal/filter/filter_tree.h"
#include "decouple/json/internal/filter_parser.h"
#include "decouple/json/internal/json_text.h"
#include "decouple/limits.h"

namespace decouple::inline v0_1 {

inline absl::StatusOr<FilterPolicy> FilterPolicy::Parse(std::string_view json, FilterScope scope, const Limits& limits,
                                                        FilterDialect dialect) {
  if (json.size() > limits.max_filter_bytes) {
    return internal::MakeError(
        Error::kInvalidParameter,
        absl::StrCat("a filter policy of ", json.size(), " bytes; allowed are at most ", limits.max_filter_bytes));
  }
  internal::JsonKeys keys{.find_repeated = true};
  const std::optional<nlohmann::json> policy = internal::ParseJson(json, keys);
  if (!policy) {
    return internal::MakeError(Error::kInvalidParameter,
                               absl::StrCat("a filter policy that is no JSON, nested at most ", internal::kDeepestJson,
                                            " deep: ", internal::JsonErrorSearch::In(json)));
  }
  if (keys.repeated_key) {
    return internal::MakeError(Error::kInvalidParameter, absl::StrCat("filter policy: the key \"", *keys.repeated_key,
                                                                      "\" is given twice in one object"));
  }
  if (policy->is_object() && policy->empty()) return FilterPolicy();
  internal::FilterGroup inner;
  const bool is_body = scope == FilterScope::kMessageBody;
  internal::FilterParser parser(is_body, dialect);
  if (absl::Status status = parser.ParsePolicy(*policy, inner); !status.ok()) return status;
  inner.key = std::string(is_body ? internal::kBodyScope : internal::kAttributesScope);
  internal::FilterGroup root;
  root.groups.push_back(std::move(inner));
  return Of(std::move(root), limits);
}

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_JSON_FILTER_POLICY_H_
