#include "decouple/internal/base/prefetching_set.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "allocations.h"
#include "catch.h"
#include "sanitizers.h"
#include "seed.h"

namespace decouple::testing {
namespace {

using Set = internal::PrefetchingSet<std::uint32_t>;

// A value equals only itself.
auto Is(std::uint32_t value) {
  return [value](std::uint32_t other) { return other == value; };
}

bool Has(Set& set, std::uint32_t value, std::uint32_t hash) { return set.Find(hash, Is(value)) != nullptr; }

TEST_CASE("an empty set finds and erases nothing") {
  Set set;
  set.Prefetch(7);
  set.PrefetchMarks(7);
  CHECK_FALSE(Has(set, 1, 7));
  CHECK_FALSE(set.Erase(1, 7));
  CHECK(set.size() == 0);
}

TEST_CASE("an equal value is found instead of being inserted, and may be replaced") {
  Set set;
  const auto same_parity = [](std::uint32_t value) {
    return [value](std::uint32_t other) { return value % 2 == other % 2; };
  };
  CHECK(set.FindOrInsert(1, 7, same_parity(1)).is_new);
  const auto found = set.FindOrInsert(3, 7, same_parity(3));
  CHECK_FALSE(found.is_new);
  CHECK(found.value == 1);
  found.value = 3;
  CHECK(set.size() == 1);
  CHECK(Has(set, 3, 7));
  CHECK_FALSE(set.Erase(1, 7));
  CHECK(set.Erase(3, 7));
}

TEST_CASE("a value is in the set at once, though its entry is written later") {
  Set set;
  SECTION("it may be replaced") {
    set.FindOrInsert(1, 7, Is(1)).value = 3;
    CHECK(Has(set, 3, 7));
    CHECK_FALSE(Has(set, 1, 7));
  }
  SECTION("it is found instead of being inserted again") {
    set.FindOrInsert(1, 7, Is(1));
    const auto found = set.FindOrInsert(1, 7, Is(1));
    CHECK_FALSE(found.is_new);
    CHECK(found.value == 1);
  }
  SECTION("it is erased") {
    set.FindOrInsert(1, 7, Is(1));
    CHECK(set.Erase(1, 7));
    CHECK_FALSE(Has(set, 1, 7));
  }
  SECTION("it is cleared with all others") {
    set.FindOrInsert(1, 7, Is(1));
    set.Clear();
    CHECK(set.size() == 0);
    CHECK_FALSE(Has(set, 1, 7));
    CHECK(set.FindOrInsert(2, 7, Is(2)).is_new);
    CHECK(Has(set, 2, 7));
  }
  SECTION("it is kept when the set grows") {
    std::uint32_t value = 0;
    for (; value < 1'000; ++value) {
      set.FindOrInsert(value, value * 77'777'777, Is(value));
      REQUIRE(Has(set, 0, 0));
    }
    while (value-- > 0) CHECK(Has(set, value, value * 77'777'777));
  }
}

TEST_CASE("hashes are told apart by all their bits, even if their marks are the same") {
  Set set;
  constexpr std::uint32_t kHashes = 1'000;  // with seven bits of a mark, so several have the same
  for (std::uint32_t i = 0; i < kHashes; ++i) CHECK(set.FindOrInsert(5, 0x8000'0000 + i, Is(5)).is_new);
  CHECK_FALSE(Has(set, 5, 0x8000'0000 + kHashes));
  for (std::uint32_t i = 0; i < kHashes; i += 2) CHECK(set.Erase(5, 0x8000'0000 + i));
  for (std::uint32_t i = 0; i < kHashes; ++i) CHECK(Has(set, 5, 0x8000'0000 + i) == (i % 2 == 1));
}

TEST_CASE("values of one hash are told apart, even in the home slots of other hashes") {
  Set set;
  constexpr std::uint32_t kEach = 20;
  const std::vector<std::uint32_t> hashes = {0, 1, 0xFFFF'FFFF, 0x8000'0000, 0x4000'0000, 0x4000'0001};
  for (const std::uint32_t hash : hashes) {
    for (std::uint32_t value = 0; value < kEach; ++value) set.FindOrInsert(value, hash, Is(value));
  }
  CHECK(set.size() == kEach * hashes.size());
  for (const std::uint32_t hash : hashes) {
    for (std::uint32_t value = 0; value < kEach; ++value) CHECK(Has(set, value, hash));
    CHECK_FALSE(Has(set, kEach, hash));
  }
}

TEST_CASE("a set has what was inserted and not erased, in any order of operations") {
  ForEachSeed(20, [](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Set set;
    std::set<std::pair<std::uint32_t, std::uint32_t>> model;  // hash and value
    // Few hashes, with home slots at the ends of the array and elsewhere: long probe sequences, also around the end.
    std::vector<std::uint32_t> hashes;
    for (int i = 0; i < 30; ++i) hashes.push_back(static_cast<std::uint32_t>(random()));
    for (std::uint32_t i = 0; i < 8; ++i) hashes.push_back(0xFFFF'FFFF - (i << 21));
    int growing = 60;  // per cent
    for (int step = 0; step < 20'000; ++step) {
      if (step % 4'000 == 0) growing = 100 - growing;
      const std::uint32_t hash = hashes[random() % hashes.size()];
      const auto value = static_cast<std::uint32_t>(random() % 64);
      const bool was_there = model.contains({hash, value});
      if (static_cast<int>(random() % 100) < growing) {
        REQUIRE(set.FindOrInsert(value, hash, Is(value)).is_new == !was_there);
        model.emplace(hash, value);
      } else {
        REQUIRE(set.Erase(value, hash) == was_there);
        model.erase({hash, value});
      }
      REQUIRE(set.size() == model.size());
      if (step % 500 != 0) continue;
      for (const std::uint32_t each : hashes) {
        for (std::uint32_t one = 0; one < 64; ++one) REQUIRE(Has(set, one, each) == model.contains({each, one}));
      }
    }
  });
}

#if !DECOUPLE_TESTS_ADDRESS_SANITIZER && !DECOUPLE_TESTS_THREAD_SANITIZER

TEST_CASE("a set that was large gives its memory back, and does not allocate while its size stays about the same") {
  Set set;
  std::mt19937_64 random(7);
  std::vector<std::uint32_t> hashes(100'000);
  for (std::uint32_t& hash : hashes) hash = static_cast<std::uint32_t>(random());
  for (std::uint32_t i = 0; i < hashes.size(); ++i) set.FindOrInsert(i, hashes[i], Is(i));
  const std::uint64_t before = Allocations();
  for (std::uint32_t i = 0; i < 50'000; ++i) {
    CHECK(set.Erase(i, hashes[i]));
    CHECK(set.FindOrInsert(i, hashes[i], Is(i)).is_new);
  }
  CHECK(Allocations() == before);
  for (std::uint32_t i = 0; i < hashes.size(); ++i) CHECK(set.Erase(i, hashes[i]));
  CHECK(set.size() == 0);
  CHECK(Allocations() - before >= 5);  // smaller and smaller arrays
  set.FindOrInsert(1, 1, Is(1));
  set.Clear();
  CHECK_FALSE(Has(set, 1, 1));
}

#endif

}  // namespace
}  // namespace decouple::testing
