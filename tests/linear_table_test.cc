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
#include "seed.h"

namespace decouple::testing {
namespace {

using Table = internal::PrefetchingSet<std::uint32_t>;

// Each value stands for itself.
auto Is(std::uint32_t value) {
  return [value](std::uint32_t other) { return other == value; };
}

bool Has(Table& table, std::uint32_t value, std::uint32_t hash) { return table.Find(hash, Is(value)) != nullptr; }

TEST_CASE("an empty table has nothing, and nothing is erased from it") {
  Table table;
  table.Prefetch(7);
  table.PrefetchMarks(7);
  CHECK_FALSE(Has(table, 1, 7));
  CHECK_FALSE(table.Erase(1, 7));
  CHECK(table.size() == 0);
}

TEST_CASE("what stands for the same is found instead of being put in, and may be replaced") {
  Table table;
  const auto same_parity = [](std::uint32_t value) {
    return [value](std::uint32_t other) { return value % 2 == other % 2; };
  };
  CHECK(table.FindOrInsert(1, 7, same_parity(1)).is_new);
  const auto found = table.FindOrInsert(3, 7, same_parity(3));
  CHECK_FALSE(found.is_new);
  CHECK(found.value == 1);
  found.value = 3;
  CHECK(table.size() == 1);
  CHECK(Has(table, 3, 7));
  CHECK_FALSE(table.Erase(1, 7));
  CHECK(table.Erase(3, 7));
}

TEST_CASE("what has just come in is there in every way, though its place is written later") {
  Table table;
  SECTION("it may be replaced") {
    table.FindOrInsert(1, 7, Is(1)).value = 3;
    CHECK(Has(table, 3, 7));
    CHECK_FALSE(Has(table, 1, 7));
  }
  SECTION("it is found instead of being put in again") {
    table.FindOrInsert(1, 7, Is(1));
    const auto found = table.FindOrInsert(1, 7, Is(1));
    CHECK_FALSE(found.is_new);
    CHECK(found.value == 1);
  }
  SECTION("it is erased") {
    table.FindOrInsert(1, 7, Is(1));
    CHECK(table.Erase(1, 7));
    CHECK_FALSE(Has(table, 1, 7));
  }
  SECTION("it goes with all the others") {
    table.FindOrInsert(1, 7, Is(1));
    table.Clear();
    CHECK(table.size() == 0);
    CHECK_FALSE(Has(table, 1, 7));
    CHECK(table.FindOrInsert(2, 7, Is(2)).is_new);
    CHECK(Has(table, 2, 7));
  }
  SECTION("it comes along when the table grows") {
    std::uint32_t value = 0;
    for (; value < 1'000; ++value) {
      table.FindOrInsert(value, value * 77'777'777, Is(value));
      REQUIRE(Has(table, 0, 0));
    }
    while (value-- > 0) CHECK(Has(table, value, value * 77'777'777));
  }
}

TEST_CASE("hashes are told apart by all their bits, whatever their marks are") {
  Table table;
  constexpr std::uint32_t kHashes = 1'000;  // with seven bits of a mark, so several have the same
  for (std::uint32_t i = 0; i < kHashes; ++i) CHECK(table.FindOrInsert(5, 0x8000'0000 + i, Is(5)).is_new);
  CHECK_FALSE(Has(table, 5, 0x8000'0000 + kHashes));
  for (std::uint32_t i = 0; i < kHashes; i += 2) CHECK(table.Erase(5, 0x8000'0000 + i));
  for (std::uint32_t i = 0; i < kHashes; ++i) CHECK(Has(table, 5, 0x8000'0000 + i) == (i % 2 == 1));
}

TEST_CASE("all of one hash are told apart, though they lie where others are at home") {
  Table table;
  constexpr std::uint32_t kEach = 20;
  const std::vector<std::uint32_t> hashes = {0, 1, 0xFFFF'FFFF, 0x8000'0000, 0x4000'0000, 0x4000'0001};
  for (const std::uint32_t hash : hashes) {
    for (std::uint32_t value = 0; value < kEach; ++value) table.FindOrInsert(value, hash, Is(value));
  }
  CHECK(table.size() == kEach * hashes.size());
  for (const std::uint32_t hash : hashes) {
    for (std::uint32_t value = 0; value < kEach; ++value) CHECK(Has(table, value, hash));
    CHECK_FALSE(Has(table, kEach, hash));
  }
}

TEST_CASE("a table has what was put in and not erased, whatever came in between") {
  ForEachSeed(20, [](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Table table;
    std::set<std::pair<std::uint32_t, std::uint32_t>> model;  // hash and value
    // Few hashes, at home at the ends of the table and elsewhere: entries lie in long rows, also around the end.
    std::vector<std::uint32_t> hashes;
    for (int i = 0; i < 30; ++i) hashes.push_back(static_cast<std::uint32_t>(random()));
    for (std::uint32_t i = 0; i < 8; ++i) hashes.push_back(0xFFFF'FFFF - (i << 21));
    int growing = 60;  // of a hundred
    for (int step = 0; step < 20'000; ++step) {
      if (step % 4'000 == 0) growing = 100 - growing;
      const std::uint32_t hash = hashes[random() % hashes.size()];
      const auto value = static_cast<std::uint32_t>(random() % 64);
      const bool was_there = model.contains({hash, value});
      if (static_cast<int>(random() % 100) < growing) {
        REQUIRE(table.FindOrInsert(value, hash, Is(value)).is_new == !was_there);
        model.emplace(hash, value);
      } else {
        REQUIRE(table.Erase(value, hash) == was_there);
        model.erase({hash, value});
      }
      REQUIRE(table.size() == model.size());
      if (step % 500 != 0) continue;
      for (const std::uint32_t each : hashes) {
        for (std::uint32_t one = 0; one < 64; ++one) REQUIRE(Has(table, one, each) == model.contains({each, one}));
      }
    }
  });
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

TEST_CASE("a table that was large gives its memory back, and does not allocate while its size is about the same") {
  Table table;
  std::mt19937_64 random(7);
  std::vector<std::uint32_t> hashes(100'000);
  for (std::uint32_t& hash : hashes) hash = static_cast<std::uint32_t>(random());
  for (std::uint32_t i = 0; i < hashes.size(); ++i) table.FindOrInsert(i, hashes[i], Is(i));
  const std::uint64_t before = Allocations();
  for (std::uint32_t i = 0; i < 50'000; ++i) {
    CHECK(table.Erase(i, hashes[i]));
    CHECK(table.FindOrInsert(i, hashes[i], Is(i)).is_new);
  }
  CHECK(Allocations() == before);
  for (std::uint32_t i = 0; i < hashes.size(); ++i) CHECK(table.Erase(i, hashes[i]));
  CHECK(table.size() == 0);
  CHECK(Allocations() - before >= 5);  // smaller and smaller ones
  table.FindOrInsert(1, 1, Is(1));
  table.Clear();
  CHECK_FALSE(Has(table, 1, 1));
}

#endif

}  // namespace
}  // namespace decouple::testing
