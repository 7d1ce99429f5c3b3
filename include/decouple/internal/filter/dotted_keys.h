// Keys with dots in policies on the body: each names a path, so "a.b" is the key "b" below the key "a". Afterwards a
// policy is the same, however its keys were written; nested_view.h does the same for messages.

#ifndef DECOUPLE_INTERNAL_FILTER_DOTTED_KEYS_H_
#define DECOUPLE_INTERNAL_FILTER_DOTTED_KEYS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "decouple/internal/filter/filter_tree.h"

namespace decouple::inline v0_1::internal {

class DottedKeys {
 public:
  // Splits the keys of a policy that are below the body. Names of attributes stay: there a dot is a character.
  static FilterGroup Split(FilterGroup root) {
    for (FilterGroup& scope : root.groups) {
      if (scope.key == kBodyScope) scope = SplitObject(std::move(scope));
    }
    for (auto& alternatives : root.ors) {
      for (FilterGroup& alternative : alternatives) alternative = Split(std::move(alternative));
    }
    for (FilterGroup& inner : root.nots) inner = Split(std::move(inner));
    return root;
  }

 private:
  static FilterGroup SplitObject(FilterGroup object) {
    FilterGroup split;
    split.key = std::move(object.key);
    for (FilterLeaf& leaf : object.leaves) {
      FilterGroup one;
      std::vector<std::string> path = PathTo(leaf.key);
      one.leaves.push_back(std::move(leaf));
      split.Add(Below(path, std::move(one)));
    }
    for (FilterGroup& inner : object.groups) {
      FilterGroup one;
      std::vector<std::string> path = PathTo(inner.key);
      one.groups.push_back(SplitObject(std::move(inner)));
      split.Add(Below(path, std::move(one)));
    }
    for (auto& alternatives : object.ors) {
      for (FilterGroup& alternative : alternatives) alternative = SplitObject(std::move(alternative));
      split.ors.push_back(std::move(alternatives));
    }
    return split;
  }

  // Leaves the last name in `key`, and returns those before it.
  static std::vector<std::string> PathTo(std::string& key) {
    std::vector<std::string> path = absl::StrSplit(key, '.');
    key = std::move(path.back());
    path.pop_back();
    return path;
  }

  static FilterGroup Below(const std::vector<std::string>& path, FilterGroup inner) {
    for (auto name = path.rbegin(); name != path.rend(); ++name) {
      FilterGroup outer;
      inner.key = *name;
      outer.groups.push_back(std::move(inner));
      inner = std::move(outer);
    }
    return inner;
  }
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FILTER_DOTTED_KEYS_H_
