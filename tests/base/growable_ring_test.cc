// The ring of pointers that grows.

#include "decouple/internal/base/growable_ring.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <thread>
#include <vector>

#include "catch.h"

namespace decouple::testing {
namespace {

using internal::GrowableRing;

TEST_CASE("nothing is in a ring into which nothing was put") {
  const GrowableRing<int> ring;
  CHECK(ring.At(0) == nullptr);
  CHECK(ring.At(12'345) == nullptr);
}

TEST_CASE("what was put into a ring is found by its number, wherever the numbers begin") {
  for (const std::uint64_t begin : {std::uint64_t{0}, std::uint64_t{3}, std::uint64_t{1'000'003}}) {
    std::vector<int> objects(1'000);
    GrowableRing<int> ring;
    for (std::uint64_t i = 0; i < objects.size(); ++i) ring.Put(begin + i, &objects[i], begin);
    for (std::uint64_t i = 0; i < objects.size(); ++i) REQUIRE(ring.At(begin + i) == &objects[i]);
    CHECK(ring.Guess(begin + 7) == &objects[7]);
  }
}

TEST_CASE("a window that moves on reuses its places, and grows only when it is wider than ever") {
  std::deque<int> objects;
  GrowableRing<int> ring;
  std::uint64_t first = 0;
  for (std::uint64_t number = 0; number < 10'000; ++number) {
    ring.Put(number, &objects.emplace_back(), first);
    if (number - first >= 100) {
      ring.Put(first, nullptr, first);
      ++first;
    }
    for (std::uint64_t i = first; i <= number; i += 17) REQUIRE(ring.At(i) == &objects[i]);
  }
}

TEST_CASE("a reader finds what was put before, while the ring grows") {
  std::vector<std::uint64_t> objects(100'000);
  for (std::uint64_t i = 0; i < objects.size(); ++i) objects[i] = i;
  GrowableRing<std::uint64_t> ring;
  std::atomic<std::uint64_t> end{0};
  std::thread reader([&] {
    std::uint64_t seen = 0;
    while (seen < objects.size()) {
      seen = end.load(std::memory_order_acquire);
      if (seen > 0 && ring.At(seen - 1) != &objects[seen - 1]) std::abort();
      if (seen > 0 && ring.At(seen / 2) != &objects[seen / 2]) std::abort();
    }
  });
  for (std::uint64_t i = 0; i < objects.size(); ++i) {
    ring.Put(i, &objects[i], 0);
    end.store(i + 1, std::memory_order_release);
  }
  reader.join();
  CHECK(ring.At(objects.size() - 1) == &objects.back());
}

}  // namespace
}  // namespace decouple::testing
