// Finds which of many policies match a message, without testing each.
//
// Design: if a policy can match only messages that have at least one of certain values, it is entered under these. For
// a message, its own values are looked up, and only the policies found there are tested. Where a policy has several
// such sets of values, that with the rarest among all policies is taken: of {"store": ["oslo"], "customer": ["c-4711"]}
// the customer. Only exact values can be looked up (strings, numbers, true, false, null); policies without any are
// tested one by one.

#ifndef DECOUPLE_INTERNAL_FILTER_FILTER_INDEX_H_
#define DECOUPLE_INTERNAL_FILTER_FILTER_INDEX_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/filter/field_value.h"
#include "decouple/internal/filter/filter_pattern.h"
#include "decouple/internal/filter/filter_tree.h"

namespace decouple::inline v0_1::internal {

// Immutable. The policies must outlive it. A policy is known by its index in the list.
class FilterIndex {
 public:
  FilterIndex() = default;

  // O(size of the policies).
  explicit FilterIndex(std::vector<const FilterGroup*> policies) : policies_(std::move(policies)) {
    std::vector<std::vector<Choice>> choices;
    for (const FilterGroup* const policy : policies_) {
      DECOUPLE_ASSERT(policy != nullptr);
      choices.push_back(ChoicesOf(*policy));
    }
    absl::flat_hash_map<std::string, std::size_t> uses;
    for (const auto& of_policy : choices) {
      for (const Choice& choice : of_policy) {
        for (const Entry& entry : choice) ++uses[entry.Name()];
      }
    }
    const auto commonness = [&](const Choice& choice) {
      std::size_t sum = 0;
      for (const Entry& entry : choice) sum += uses[entry.Name()];
      return sum;
    };
    for (std::uint32_t index = 0; index < policies_.size(); ++index) {
      const auto best =
          std::min_element(choices[index].begin(), choices[index].end(),
                           [&](const Choice& a, const Choice& b) { return commonness(a) < commonness(b); });
      if (best == choices[index].end()) {
        unindexed_.push_back(index);
      } else {
        for (const Entry& entry : *best) PathOf(entry.keys).PoliciesFor(entry.value).push_back(index);
      }
    }
  }

  // Calls visit(index) for each policy that matches, in ascending order, except that those without exact values come
  // last.
  template <typename Visit>
  void ForEachMatch(FieldValue message, Visit visit) const {
    absl::InlinedVector<std::uint32_t, 32> found;
    for (const Path& path : paths_) path.Find(message, found);
    if (found.size() > 1) {
      std::sort(found.begin(), found.end());
      found.erase(std::unique(found.begin(), found.end()), found.end());
    }
    for (const std::uint32_t index : found) Test(index, message, visit);
    for (const std::uint32_t index : unindexed_) Test(index, message, visit);
  }

 private:
  using Policies = std::vector<std::uint32_t>;  // their indices
  using Found = absl::InlinedVector<std::uint32_t, 32>;

  // A value at a path of keys.
  struct Entry {
    std::vector<std::string> keys;
    Exactly value;

    // Equal for equal entries, and rarely equal for others: good enough to count uses.
    std::string Name() const {
      std::string name;
      for (const std::string& key : keys) name.append(key).push_back('\0');
      name += std::to_string(
          absl::Hash<Decimal>()(std::holds_alternative<Decimal>(value) ? std::get<Decimal>(value) : Decimal()));
      if (const auto* const text = std::get_if<std::string>(&value)) name.append(1, '\0').append(*text);
      return name;
    }
  };
  // Every message that matches the policy has at least one of these.
  using Choice = std::vector<Entry>;

  // The policies that are entered under values at one path.
  struct Path {
    std::vector<std::string> keys;
    absl::flat_hash_map<std::string, FilterIndex::Policies> texts;
    absl::flat_hash_map<Decimal, FilterIndex::Policies> numbers;
    FilterIndex::Policies when_true, when_false, when_null;

    FilterIndex::Policies& PoliciesFor(const Exactly& value) {
      if (const auto* const text = std::get_if<std::string>(&value)) return texts[*text];
      if (const auto* const number = std::get_if<Decimal>(&value)) return numbers[*number];
      const Literal& literal = std::get<Literal>(value);
      if (literal.kind == FieldKind::kNull) return when_null;
      return literal.truth ? when_true : when_false;
    }

    void Find(FieldValue message, Found& found) const { FindBelow(message, keys, found); }

   private:
    void FindBelow(FieldValue value, std::span<const std::string> rest, Found& found) const {
      if (rest.empty()) {
        AnyScalar(value, [&](FieldValue scalar) {
          Add(scalar, found);
          return false;
        });
      } else if (value.kind() == FieldKind::kArray) {
        value.AnyElement([&](FieldValue element) {
          FindBelow(element, rest, found);
          return false;
        });
      } else {
        FindBelow(value.member(rest.front()), rest.subspan(1), found);
      }
    }

    void Add(FieldValue scalar, Found& found) const {
      switch (scalar.kind()) {
        case FieldKind::kText: {
          const std::string_view text = scalar.text();
          return AddOf(texts, absl::string_view(text.data(), text.size()), found);
        }
        case FieldKind::kNumber:
          return AddOf(numbers, scalar.number(), found);
        case FieldKind::kBool:
          return AddAll(scalar.truth() ? when_true : when_false, found);
        default:
          return AddAll(when_null, found);
      }
    }

    template <typename Table, typename Key>
    static void AddOf(const Table& table, const Key& key, Found& found) {
      if (table.empty()) return;
      const auto entry = table.find(key);
      if (entry != table.end()) AddAll(entry->second, found);
    }

    static void AddAll(const FilterIndex::Policies& policies, Found& found) {
      found.insert(found.end(), policies.begin(), policies.end());
    }
  };

  static std::vector<Choice> ChoicesOf(const FilterGroup& policy) {
    std::vector<Choice> choices;
    std::vector<std::string> path;
    Collect(policy, path, choices);
    return choices;
  }

  static void Collect(const FilterGroup& group, std::vector<std::string>& path, std::vector<Choice>& choices) {
    for (const FilterLeaf& leaf : group.leaves) {
      path.push_back(leaf.key);
      Choice choice;
      for (const Pattern& pattern : leaf.any_of) {
        if (const auto* const exact = std::get_if<Exactly>(&pattern)) choice.push_back({path, *exact});
      }
      if (choice.size() == leaf.any_of.size()) choices.push_back(std::move(choice));
      path.pop_back();
    }
    for (const FilterGroup& inner : group.groups) {
      path.push_back(inner.key);
      Collect(inner, path, choices);
      path.pop_back();
    }
    for (const auto& alternatives : group.ors) {
      if (std::optional<Choice> choice = OfAlternatives(alternatives, path)) choices.push_back(*std::move(choice));
    }
  }

  // The union of one choice of each alternative, the shortest; none if an alternative has no choice.
  static std::optional<Choice> OfAlternatives(const std::vector<FilterGroup>& alternatives,
                                              std::vector<std::string>& path) {
    Choice together;
    for (const FilterGroup& alternative : alternatives) {
      std::vector<Choice> choices;
      Collect(alternative, path, choices);
      const auto shortest = std::min_element(choices.begin(), choices.end(),
                                             [](const Choice& a, const Choice& b) { return a.size() < b.size(); });
      if (shortest == choices.end()) return std::nullopt;
      std::move(shortest->begin(), shortest->end(), std::back_inserter(together));
    }
    return together;
  }

  Path& PathOf(const std::vector<std::string>& keys) {
    const auto [entry, added] = path_indices_.emplace(keys, paths_.size());
    if (added) {
      paths_.push_back(
          Path{.keys = keys, .texts = {}, .numbers = {}, .when_true = {}, .when_false = {}, .when_null = {}});
    }
    return paths_[entry->second];
  }

  template <typename Visit>
  void Test(std::uint32_t index, FieldValue message, Visit& visit) const {
    if (Matches(*policies_[index], message)) visit(index);
  }

  std::vector<const FilterGroup*> policies_;
  std::vector<Path> paths_;
  std::map<std::vector<std::string>, std::size_t> path_indices_;
  Policies unindexed_;  // those without a choice, which are tested for every message
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FILTER_FILTER_INDEX_H_
