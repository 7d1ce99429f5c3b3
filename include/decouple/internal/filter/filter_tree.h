// A compiled policy, the result of both forms of policies, JSON and typed; and whether a message matches it.
//
// The root is the message and has at most two members, its attributes and its body. Below the body the tree has the
// shape of the values. Arrays are transparent: a group below an array must match as a whole within one element.

#ifndef DECOUPLE_INTERNAL_FILTER_FILTER_TREE_H_
#define DECOUPLE_INTERNAL_FILTER_FILTER_TREE_H_

#include <algorithm>
#include <cstddef>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "decouple/internal/filter/field_value.h"
#include "decouple/internal/filter/filter_pattern.h"

namespace decouple::inline v0_1::internal {

// The members of the root; their names are those of the service's filter policy scopes.
inline constexpr std::string_view kAttributesScope = "MessageAttributes";
inline constexpr std::string_view kBodyScope = "MessageBody";

struct FilterLeaf {
  std::string key;
  std::vector<Pattern> any_of;
  friend bool operator==(const FilterLeaf&, const FilterLeaf&) = default;
};

// A group matches if all its leaves, groups and ors match.
struct FilterGroup {
  std::string key;
  std::vector<FilterLeaf> leaves;
  std::vector<FilterGroup> groups;
  std::vector<std::vector<FilterGroup>> ors;  // of each one, an alternative must match the same object

  bool empty() const { return leaves.empty() && groups.empty() && ors.empty(); }
  friend bool operator==(const FilterGroup&, const FilterGroup&) = default;

  // Afterwards this group requires what `other` requires, too. Groups of one key are merged: they must match within the
  // same element.
  void Add(FilterGroup other) {
    std::move(other.leaves.begin(), other.leaves.end(), std::back_inserter(leaves));
    std::move(other.ors.begin(), other.ors.end(), std::back_inserter(ors));
    for (FilterGroup& theirs : other.groups) {
      const auto ours =
          std::find_if(groups.begin(), groups.end(), [&](const FilterGroup& group) { return group.key == theirs.key; });
      if (ours == groups.end()) {
        groups.push_back(std::move(theirs));
      } else {
        ours->Add(std::move(theirs));
      }
    }
  }
};

// ---- matching -------------------------------------------------------------------------------------------------------

// Whether visit(scalar) is true for one of the scalars of a value: itself, or those in its arrays at any depth.
template <typename Visit>
bool AnyScalar(FieldValue value, Visit visit) {
  switch (value.kind()) {
    case FieldKind::kAbsent:
    case FieldKind::kObject:
    case FieldKind::kMalformed:
      return false;
    case FieldKind::kArray:
      return value.AnyElement([&](FieldValue element) { return AnyScalar(element, visit); });
    default:
      return visit(value);
  }
}

inline bool Matches(const FilterLeaf& leaf, FieldValue value) {
  const auto matches = [&](FieldValue scalar) {
    const PatternMatch match(scalar);
    return std::any_of(leaf.any_of.begin(), leaf.any_of.end(),
                       [&](const Pattern& pattern) { return std::visit(match, pattern); });
  };
  if (AnyScalar(value, matches)) return true;
  if (value.kind() == FieldKind::kMalformed) return false;
  const bool may_be_absent = std::any_of(leaf.any_of.begin(), leaf.any_of.end(), [](const Pattern& pattern) {
    const auto* const exists = std::get_if<Exists>(&pattern);
    return exists != nullptr && !exists->wanted;
  });
  return may_be_absent && !AnyScalar(value, [](FieldValue) { return true; });
}

inline bool Matches(const FilterGroup& group, FieldValue value) {
  if (value.kind() == FieldKind::kMalformed) return false;
  if (value.kind() == FieldKind::kArray) {
    bool is_empty = true;
    if (value.AnyElement([&](FieldValue element) {
          is_empty = false;
          return Matches(group, element);
        })) {
      return true;
    }
    if (!is_empty) return false;
    value = {};  // an empty array counts as absent
  }
  return std::all_of(group.leaves.begin(), group.leaves.end(),
                     [&](const FilterLeaf& leaf) { return Matches(leaf, value.member(leaf.key)); }) &&
         std::all_of(group.groups.begin(), group.groups.end(),
                     [&](const FilterGroup& inner) { return Matches(inner, value.member(inner.key)); }) &&
         std::all_of(group.ors.begin(), group.ors.end(), [&](const std::vector<FilterGroup>& alternatives) {
           return std::any_of(alternatives.begin(), alternatives.end(),
                              [&](const FilterGroup& alternative) { return Matches(alternative, value); });
         });
}

// ---- how large a policy is (SNS's limits) ---------------------------------------------------------------------------

// The product of the lengths of a policy's lists. In the body each list counts times the depth of its key; alternatives
// add up. Saturates.
class FilterCombinations {
 public:
  static std::size_t Of(const FilterGroup& root) { return Count(root, 0); }

 private:
  // `depth`: that of the keys of this group; 0 for the scopes.
  static std::size_t Count(const FilterGroup& group, std::size_t depth) {
    std::size_t product = 1;
    for (const FilterLeaf& leaf : group.leaves) {
      product = Times(product, Times(leaf.any_of.size(), std::max<std::size_t>(1, depth)));
    }
    for (const FilterGroup& inner : group.groups) product = Times(product, Count(inner, depth + 1));
    for (const auto& alternatives : group.ors) {
      std::size_t sum = 0;
      for (const FilterGroup& alternative : alternatives) sum = Plus(sum, Count(alternative, depth));
      product = Times(product, sum);
    }
    return product;
  }

  static constexpr std::size_t kMax = std::numeric_limits<std::size_t>::max();
  static std::size_t Times(std::size_t a, std::size_t b) { return b != 0 && a > kMax / b ? kMax : a * b; }
  static std::size_t Plus(std::size_t a, std::size_t b) { return a > kMax - b ? kMax : a + b; }
};

// The number of different keys of a policy that have a list of patterns.
class FilterKeys {
 public:
  static std::size_t Of(const FilterGroup& root) {
    std::set<std::string> keys;
    Collect(root, "", keys);
    return keys.size();
  }

 private:
  static void Collect(const FilterGroup& group, const std::string& path, std::set<std::string>& keys) {
    for (const FilterLeaf& leaf : group.leaves) keys.insert(path + leaf.key);
    for (const FilterGroup& inner : group.groups) Collect(inner, path + inner.key + '\0', keys);
    for (const auto& alternatives : group.ors) {
      for (const FilterGroup& alternative : alternatives) Collect(alternative, path, keys);
    }
  }
};

// Whether a policy looks at that member of the root.
inline bool LooksAt(const FilterGroup& root, std::string_view scope) {
  return std::any_of(root.groups.begin(), root.groups.end(),
                     [&](const FilterGroup& group) { return group.key == scope; }) ||
         std::any_of(root.ors.begin(), root.ors.end(), [&](const std::vector<FilterGroup>& alternatives) {
           return std::any_of(alternatives.begin(), alternatives.end(),
                              [&](const FilterGroup& alternative) { return LooksAt(alternative, scope); });
         });
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FILTER_FILTER_TREE_H_
