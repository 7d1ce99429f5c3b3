// A set of hash keys, as the ranges that were added.

#ifndef DECOUPLE_INTERNAL_STREAM_HASH_RANGE_SET_H_
#define DECOUPLE_INTERNAL_STREAM_HASH_RANGE_SET_H_

#include <algorithm>
#include <iterator>
#include <map>

#include "decouple/hash_key.h"

namespace decouple::inline v0_1::internal {

// Not thread-safe.
class HashRangeSet {
 public:
  // O(log ranges).
  bool Overlaps(const HashKeyRange& range) const {
    auto behind = endings_.upper_bound(range.ending);
    return behind != endings_.begin() && std::prev(behind)->second >= range.starting;
  }

  // Amortised O(log ranges): ranges that overlap become one.
  void Add(HashKeyRange range) {
    auto behind = endings_.upper_bound(range.ending);
    while (behind != endings_.begin()) {
      const auto overlapping = std::prev(behind);
      if (overlapping->second < range.starting) break;
      range.starting = std::min(range.starting, overlapping->first);
      range.ending = std::max(range.ending, overlapping->second);
      behind = endings_.erase(overlapping);
    }
    endings_.emplace_hint(behind, range.starting, range.ending);
  }

 private:
  std::map<HashKey, HashKey> endings_;  // disjoint ranges, by their starting keys
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_HASH_RANGE_SET_H_
