// The ring of pointers that grows.

#include "decouple/internal/base/growable_ring.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <thread>

#include "catch.h"

namespace decouple::testing {
namespace {

using internal::GrowableRing;

// An object that knows its number.
struct Numbered {
  std::uint64_t number = 0;
};
bool IsOf(const Numbered& object, std::uint64_t number) { return object.number == number; }

std::deque<Numbered> NumberedFrom(std::uint64_t begin, std::uint64_t n) {
  std::deque<Numbered> objects;
  for (std::uint64_t i = 0; i < n; ++i) objects.push_back({begin + i});
  return objects;
}

TEST_CASE("nothing is in a ring into which nothing was put") {
  const GrowableRing<Numbered> ring;
  CHECK(ring.At(0) == nullptr);
  CHECK(ring.At(12'345) == nullptr);
}

TEST_CASE("what was put into a ring is found by its number, wherever the numbers begin") {
  for (const std::uint64_t begin : {std::uint64_t{0}, std::uint64_t{3}, std::uint64_t{1'000'003}}) {
    std::deque<Numbered> objects = NumberedFrom(begin, 1'000);
    GrowableRing<Numbered> ring;
    for (std::uint64_t i = 0; i < objects.size(); ++i) ring.Put(begin + i, &objects[i], begin, IsOf);
    for (std::uint64_t i = 0; i < objects.size(); ++i) REQUIRE(ring.At(begin + i) == &objects[i]);
    CHECK(ring.Guess(begin + 7) == &objects[7]);
  }
}

TEST_CASE("a window that moves on reuses its places, and grows only when it is wider than ever") {
  std::deque<Numbered> objects = NumberedFrom(0, 10'000);
  GrowableRing<Numbered> ring;
  std::uint64_t first = 0;
  for (std::uint64_t number = 0; number < 10'000; ++number) {
    ring.Put(number, &objects[number], first, IsOf);
    if (number - first >= 100) {
      ring.Remove(first, &objects[first]);
      ++first;
    }
    for (std::uint64_t i = first; i <= number; i += 17) REQUIRE(ring.At(i) == &objects[i]);
  }
}

TEST_CASE("an object that a window has left stays behind when the ring grows") {
  std::deque<Numbered> objects = NumberedFrom(0, 6);
  GrowableRing<Numbered> ring;
  for (std::uint64_t number = 0; number < 4; ++number) ring.Put(number, &objects[number], 0, IsOf);
  ring.Put(5, &objects[5], 1, IsOf);  // 4 is not there yet, and its place is that of 0 until the ring grows
  CHECK(ring.At(4) == nullptr);
  CHECK(ring.At(3) == &objects[3]);
  CHECK(ring.At(5) == &objects[5]);
}

TEST_CASE("an object is removed unless another one has taken its place") {
  std::deque<Numbered> objects = NumberedFrom(0, 5);
  GrowableRing<Numbered> ring;
  ring.Put(0, &objects[0], 0, IsOf);
  ring.Put(4, &objects[4], 4, IsOf);  // the same place
  ring.Remove(0, &objects[0]);
  CHECK(ring.At(4) == &objects[4]);
  ring.Remove(4, &objects[4]);
  CHECK(ring.At(4) == nullptr);
}

TEST_CASE("a reader finds what was put before, while the ring grows") {
  std::deque<Numbered> objects = NumberedFrom(0, 100'000);
  GrowableRing<Numbered> ring;
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
    ring.Put(i, &objects[i], 0, IsOf);
    end.store(i + 1, std::memory_order_release);
  }
  reader.join();
  CHECK(ring.At(objects.size() - 1) == &objects.back());
}

}  // namespace
}  // namespace decouple::testing
