// A compiled policy, the result of both forms of policies, JSON and typed; and whether a message matches it.
//
// The root is the message and has at most two members, its attributes and its body. Below the body the tree has the
// shape of the values. Arrays are transparent: a group below an array must match as a whole within one element.

#ifndef DECOUPLE_INTERNAL_FILTER_FILTER_TREE_H_
#define DECOUPLE_INTERNAL_FILTER_FILTER_TREE_H_

#include <algorithm>
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

// A group matches if all its leaves, groups and ors match, and none of its nots does.
struct FilterGroup {
  std::string key;
  std::vector<FilterLeaf> leaves;
  std::vector<FilterGroup> groups;
  std::vector<std::vector<FilterGroup>> ors;  // of each one, an alternative must match the same object
  // Only the root and the roots within its ors and nots have these: what is negated is a condition on the message.
  std::vector<FilterGroup> nots;

  friend bool operator==(const FilterGroup&, const FilterGroup&) = default;

  // Afterwards this group requires what `other` requires, too. Groups of one key are merged: they must match within the
  // same element.
  void Add(FilterGroup other) {
    std::move(other.leaves.begin(), other.leaves.end(), std::back_inserter(leaves));
    std::move(other.ors.begin(), other.ors.end(), std::back_inserter(ors));
    std::move(other.nots.begin(), other.nots.end(), std::back_inserter(nots));
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

bool RefutesAll(FieldValue value, const std::vector<FilterGroup>& groups);

inline bool Matches(const FilterGroup& group, FieldValue value) {
  if (value.kind() == FieldKind::kMalformed) return false;
  if (value.kind() == FieldKind::kArray) {
    bool is_empty = true;
    if (value.AnyElementWithMembers([&](FieldValue element) {
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
         std::all_of(group.ors.begin(), group.ors.end(),
                     [&](const std::vector<FilterGroup>& alternatives) {
                       return std::any_of(alternatives.begin(), alternatives.end(),
                                          [&](const FilterGroup& alternative) { return Matches(alternative, value); });
                     }) &&
         (group.nots.empty() || RefutesAll(value, group.nots));
}

// Whether a message that can be read shows the condition to be false. What is malformed shows nothing, so it matches
// neither a condition nor its negation.
inline bool Refutes(FieldValue value, const FilterLeaf& leaf) {
  return value.kind() != FieldKind::kMalformed && !Matches(leaf, value);
}

inline bool Refutes(FieldValue value, const FilterGroup& group) {
  if (value.kind() == FieldKind::kMalformed) return false;
  if (value.kind() == FieldKind::kArray) return !Matches(group, value);  // nothing in an array is malformed
  const auto refutes = [&](const FilterGroup& inner) { return Refutes(value, inner); };
  return std::any_of(group.leaves.begin(), group.leaves.end(),
                     [&](const FilterLeaf& leaf) { return Refutes(value.member(leaf.key), leaf); }) ||
         std::any_of(group.groups.begin(), group.groups.end(),
                     [&](const FilterGroup& inner) { return Refutes(value.member(inner.key), inner); }) ||
         std::any_of(group.ors.begin(), group.ors.end(),
                     [&](const std::vector<FilterGroup>& alternatives) {
                       return std::all_of(alternatives.begin(), alternatives.end(), refutes);
                     }) ||
         std::any_of(group.nots.begin(), group.nots.end(),
                     [&](const FilterGroup& inner) { return Matches(inner, value); });
}

[[gnu::noinline]] inline bool RefutesAll(FieldValue value, const std::vector<FilterGroup>& groups) {
  return std::all_of(groups.begin(), groups.end(), [&](const FilterGroup& group) { return Refutes(value, group); });
}

// ---- the scopes of a policy -----------------------------------------------------------------------------------------

// Whether a policy looks at that member of the root.
inline bool LooksAt(const FilterGroup& root, std::string_view scope) {
  return std::any_of(root.groups.begin(), root.groups.end(),
                     [&](const FilterGroup& group) { return group.key == scope; }) ||
         std::any_of(root.ors.begin(), root.ors.end(),
                     [&](const std::vector<FilterGroup>& alternatives) {
                       return std::any_of(alternatives.begin(), alternatives.end(),
                                          [&](const FilterGroup& alternative) { return LooksAt(alternative, scope); });
                     }) ||
         std::any_of(root.nots.begin(), root.nots.end(), [&](const FilterGroup& no) { return LooksAt(no, scope); });
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FILTER_FILTER_TREE_H_
