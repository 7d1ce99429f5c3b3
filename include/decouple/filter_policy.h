// Which messages of a topic a subscription gets.
//
//   FilterPolicy::Parse(R"({"store": ["oslo", {"prefix": "lon"}], "price": [{"numeric": [">", 100]}]})")  // JSON
//   Where(&Order::price) > 100 && Attribute("store").In({"oslo", "bergen"})                 // filter_expression.h
//
// What both forms can say matches alike; expressions can say more, such as Not(). In the JSON form each key names an
// attribute or, with FilterScope::kMessageBody, a field of the body, nested as the body is. The value of a key is a
// list, one of which must match; all keys must match. A list holds values (strings, numbers, true, false, null) and
// objects of one operator each: prefix, suffix, equals-ignore-case, cidr, numeric, exists, anything-but. "$or" takes a
// list of at least two objects, one of which must match; as with the service, it is an ordinary key if one of these
// objects has a reserved word as a key: the name of an operator of SNS's or EventBridge's, a comparison such as "<", or
// a word as "regex" that is kept for later ones. {} lets every message through, so it takes the filter from a
// subscription.
//
// A policy on the body needs a struct whose fields are described (body_fields.h), or text that holds a JSON object; any
// other text matches no such policy, not even {"exists": false}. Dots in the keys of a body are levels of it, in the
// policy as in the message: {"a.b": ["x"]} and {"a": {"b": ["x"]}} are the same and match {"a": {"b": "x"}} and
// {"a.b": "x"}. In the name of an attribute a dot is a character. Below an array all conditions must match within the
// same element; but those of "$or" by themselves, so one of its alternatives and the keys beside it may be met by
// different elements: {"items": {"sku": ["x"]}, "$or": [{"items": {"n": [1]}}, …]} matches {"items": [{"sku": "x"},
// {"n": 1}]}. Attributes of type Binary count as absent; an attribute of type String.Array matches when one of its
// elements does, and text in it that is no JSON array matches nothing. A value of another type than the one asked for
// does not match, which is no error.
//
// Letter case is ignored by Unicode's simple case folding, version 14: ÅNGSTRÖM equals ångström, and Σ, σ and ς are
// equal; ß equals ẞ but not ss, and İ and ı stand for themselves. Numbers in JSON text are read as 64-bit integers or
// doubles, and the text may be nested 128 deep; attributes keep all digits.
//
// Parse() and all reading of JSON text need <decouple/json/filter_policy.h> and the CMake target decouple::json.
//
// A plain value, cheap to copy. Matching takes no lock and may be done from any thread.

#ifndef DECOUPLE_FILTER_POLICY_H_
#define DECOUPLE_FILTER_POLICY_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/filter/dotted_keys.h"
#include "decouple/internal/filter/filter_input.h"
#include "decouple/internal/filter/filter_size.h"
#include "decouple/internal/filter/filter_tree.h"
#include "decouple/limits.h"
#include "decouple/message_attributes.h"

namespace decouple::inline v0_1 {

// SNS's FilterPolicyScope: whether the keys of a JSON policy name attributes or fields of the body.
enum class FilterScope { kMessageAttributes, kMessageBody };

// Which operators a JSON policy may have. kEventBridge has all of SNS's and, as rules of EventBridge's do, {"wildcard":
// "a*.png"}, where \\* is a star and \\\\ a backslash; {"prefix": {"equals-ignore-case": "a"}}, and suffix likewise;
// and in anything-but an object of prefix, suffix, equals-ignore-case or wildcard with a string or a list of strings.
// SNS refuses these, so a policy in this dialect may not work with the service.
enum class FilterDialect { kSns, kEventBridge };

class FilterPolicy {
 public:
  // Lets every message through.
  FilterPolicy() = default;

  // kInvalidParameter: the policy is malformed, or has more than 5 keys, 150 combinations or 256 KB (see Limits); the
  // message says what is wrong, where, and what is allowed. Defined in json/filter_policy.h.
  static inline absl::StatusOr<FilterPolicy> Parse(std::string_view json,
                                                   FilterScope scope = FilterScope::kMessageAttributes,
                                                   const Limits& limits = Limits::Service(),
                                                   FilterDialect dialect = FilterDialect::kSns);

  // Whether a message passes, by the same rules as a topic's. Useful in tests, and to filter without a topic.
  template <typename T>
  bool Matches(const MessageAttributes& attributes, const T& body) const {
    if (lets_all_through()) return true;
    const internal::FilterInput input(attributes, body);
    return internal::Matches(compiled_->tree, input.root());
  }
  // Same for a message whose body is not at hand. A condition on the body does not hold, nor does its negation.
  bool Matches(const MessageAttributes& attributes) const {
    if (lets_all_through()) return true;
    const internal::FilterInput input(attributes);
    return internal::Matches(compiled_->tree, input.root());
  }

  bool lets_all_through() const { return compiled_ == nullptr; }
  bool looks_at_attributes() const { return compiled_ != nullptr && compiled_->looks_at_attributes; }
  bool looks_at_body() const { return compiled_ != nullptr && compiled_->looks_at_body; }

  // Whether both are the same conditions, written alike.
  friend bool operator==(const FilterPolicy& a, const FilterPolicy& b) {
    return a.compiled_ == b.compiled_ ||
           (a.compiled_ != nullptr && b.compiled_ != nullptr && a.compiled_->tree == b.compiled_->tree);
  }

 private:
  friend struct internal::Access;

  struct Compiled {
    internal::FilterGroup tree;
    std::size_t keys = 0;
    std::size_t combinations = 0;
    bool looks_at_attributes = false;
    bool looks_at_body = false;
  };

  // Requires: the tree has a condition.
  static absl::StatusOr<FilterPolicy> Of(internal::FilterGroup root, const Limits& limits) {
    const std::size_t combinations = internal::FilterCombinations::Of(root);  // of the keys as they are written
    root = internal::DottedKeys::Split(std::move(root));
    const std::size_t keys = internal::FilterKeys::Of(root);
    const bool looks_at_attributes = internal::LooksAt(root, internal::kAttributesScope);
    const bool looks_at_body = internal::LooksAt(root, internal::kBodyScope);
    FilterPolicy policy;
    policy.compiled_ = std::make_shared<const Compiled>(
        Compiled{std::move(root), keys, combinations, looks_at_attributes, looks_at_body});
    if (absl::Status status = policy.CheckSize(limits); !status.ok()) return status;
    return policy;
  }

  // Null: the policy lets every message through.
  const internal::FilterGroup* tree() const { return compiled_ == nullptr ? nullptr : &compiled_->tree; }

  absl::Status CheckSize(const Limits& limits) const {
    if (compiled_ == nullptr) return absl::OkStatus();
    if (compiled_->keys > limits.max_filter_keys) {
      return internal::MakeError(Error::kInvalidParameter,
                                 absl::StrCat("a filter policy with ", compiled_->keys, " keys; allowed are at most ",
                                              limits.max_filter_keys));
    }
    if (compiled_->combinations > limits.max_filter_combinations) {
      return internal::MakeError(
          Error::kInvalidParameter,
          absl::StrCat("a filter policy of ", compiled_->combinations,
                       " combinations: its lists, multiplied; allowed are at most ", limits.max_filter_combinations));
    }
    return absl::OkStatus();
  }

  std::shared_ptr<const Compiled> compiled_;  // null: it lets every message through
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_FILTER_POLICY_H_
