#include "decouple/internal/record_key.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "allocations.h"
#include "catch.h"

namespace decouple::testing {
namespace {

using internal::RecordKey;

// `size` different characters, other ones for another `seed`.
std::string Text(std::size_t size, std::size_t seed) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text.push_back(static_cast<char>('!' + (seed * 31 + i) % 90));
  return text;
}

TEST_CASE("a new key is empty") { CHECK(RecordKey().text().empty()); }

TEST_CASE("a key is as it was assigned, whatever was there before") {
  for (std::size_t before = 0; before <= 70; ++before) {
    for (std::size_t size = 0; size <= 70; ++size) {
      CAPTURE(before, size);
      RecordKey key;
      key.Assign(Text(before, 1));
      CHECK(key.text() == Text(before, 1));
      key.Assign(Text(size, 2));
      CHECK(key.text() == Text(size, 2));
    }
  }
}

TEST_CASE("a key may have any bytes") {
  const std::string_view bytes("\0\x7F\xFF\0 \x10\0", 7);
  RecordKey key;
  key.Assign(bytes);
  CHECK(key.text() == bytes);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

TEST_CASE("a key of up to 15 bytes needs no memory beside its 16") {
  STATIC_REQUIRE(sizeof(RecordKey) == 16);
  const std::string longest = Text(15, 1);
  const std::string longer = Text(16, 1);
  RecordKey key;
  const std::uint64_t before = Allocations();
  key.Assign(longest);
  CHECK(Allocations() - before == 0);
  key.Assign(longer);
  CHECK(Allocations() - before == 1);
}

TEST_CASE("the memory of a long key is kept for the next one") {
  RecordKey key;
  key.Assign(Text(1'000, 1));
  for (const std::size_t size : std::initializer_list<std::size_t>{1'000, 1, 16, 1'024}) {
    const std::string text = Text(size, 2);
    const std::uint64_t before = Allocations();
    key.Assign(text);
    const std::uint64_t after = Allocations();
    CHECK(after == before);
    CHECK(key.text() == text);
  }
}

#endif

}  // namespace
}  // namespace decouple::testing
