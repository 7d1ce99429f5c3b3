#include "decouple/internal/base/small_string.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "allocations.h"
#include "catch.h"
#include "sanitizers.h"

namespace decouple::testing {
namespace {

using internal::SmallString;

// A string of `size` characters that depends on `seed`.
std::string Text(std::size_t size, std::size_t seed) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text.push_back(static_cast<char>('!' + (seed * 31 + i) % 90));
  return text;
}

TEST_CASE("a new string is empty") { CHECK(SmallString().text().empty()); }

TEST_CASE("a string is as it was assigned, whatever it was before") {
  for (std::size_t before = 0; before <= 70; ++before) {
    for (std::size_t size = 0; size <= 70; ++size) {
      CAPTURE(before, size);
      SmallString text;
      text.Assign(Text(before, 1));
      CHECK(text.text() == Text(before, 1));
      text.Assign(Text(size, 2));
      CHECK(text.text() == Text(size, 2));
    }
  }
}

TEST_CASE("a string is moved, in place or on the heap") {
  for (const std::size_t size : std::initializer_list<std::size_t>{0, 1, 15, 16, 100}) {
    SmallString from(Text(size, 1));
    SmallString to(std::move(from));
    CHECK(to.text() == Text(size, 1));
    SmallString third(Text(40, 2));
    third = std::move(to);
    CHECK(third.text() == Text(size, 1));
  }
}

TEST_CASE("a string may have any bytes") {
  const std::string_view bytes("\0\x7F\xFF\0 \x10\0", 7);
  SmallString text;
  text.Assign(bytes);
  CHECK(text.text() == bytes);
}

#if !DECOUPLE_TESTS_ADDRESS_SANITIZER && !DECOUPLE_TESTS_THREAD_SANITIZER

TEST_CASE("a string of up to 15 characters takes 16 bytes and no heap") {
  STATIC_REQUIRE(sizeof(SmallString) == 16);
  const std::string longest = Text(15, 1);
  const std::string longer = Text(16, 1);
  SmallString text;
  const std::uint64_t before = Allocations();
  text.Assign(longest);
  CHECK(Allocations() - before == 0);
  text.Assign(longer);
  CHECK(Allocations() - before == 1);
}

TEST_CASE("the memory of a long string is kept for the next one") {
  SmallString text;
  text.Assign(Text(1'000, 1));
  for (const std::size_t size : std::initializer_list<std::size_t>{1'000, 1, 16, 1'024}) {
    const std::string expected = Text(size, 2);
    const std::uint64_t before = Allocations();
    text.Assign(expected);
    const std::uint64_t after = Allocations();
    CHECK(after == before);
    CHECK(text.text() == expected);
  }
}

#endif

}  // namespace
}  // namespace decouple::testing
