#include "decouple/internal/stream/hash_range_set.h"

#include "catch.h"

namespace decouple::testing {
namespace {

using internal::HashRangeSet;

TEST_CASE("a range overlaps a set that has one of its keys, both ends included") {
  HashRangeSet set;
  CHECK_FALSE(set.Overlaps({0, kLargestHashKey}));
  set.Add({10, 19});
  CHECK_FALSE(set.Overlaps({0, 9}));
  CHECK(set.Overlaps({0, 10}));
  CHECK(set.Overlaps({12, 13}));
  CHECK(set.Overlaps({19, 30}));
  CHECK_FALSE(set.Overlaps({20, kLargestHashKey}));
  CHECK(set.Overlaps({0, kLargestHashKey}));
}

TEST_CASE("ranges that overlap become one, and others keep their gap") {
  HashRangeSet set;
  set.Add({30, 39});
  set.Add({10, 19});
  CHECK_FALSE(set.Overlaps({20, 29}));
  set.Add({15, 25});
  CHECK(set.Overlaps({20, 20}));
  CHECK_FALSE(set.Overlaps({26, 29}));
  set.Add({0, 35});
  CHECK(set.Overlaps({26, 29}));
  CHECK(set.Overlaps({39, 39}));
  CHECK_FALSE(set.Overlaps({40, kLargestHashKey}));
  set.Add({kLargestHashKey, kLargestHashKey});
  CHECK(set.Overlaps({kLargestHashKey, kLargestHashKey}));
  CHECK_FALSE(set.Overlaps({40, kLargestHashKey - 1}));
}

}  // namespace
}  // namespace decouple::testing
