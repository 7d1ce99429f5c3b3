// How large a policy is, by the measures of SNS's limits.

#ifndef DECOUPLE_INTERNAL_FILTER_FILTER_SIZE_H_
#define DECOUPLE_INTERNAL_FILTER_FILTER_SIZE_H_

#include <algorithm>
#include <cstddef>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "decouple/internal/filter/filter_tree.h"

namespace decouple::inline v0_1::internal {

// The product of the lengths of a policy's lists. In the body each list counts times the depth of its key; alternatives
// add up. Saturates. Keys count as they are written, so it takes a policy before DottedKeys::Split().
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
    for (const FilterGroup& inner : group.nots) product = Times(product, Count(inner, depth));
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
    for (const FilterGroup& inner : group.nots) Collect(inner, path, keys);
  }
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FILTER_FILTER_SIZE_H_
