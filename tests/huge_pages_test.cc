#include "decouple/internal/memory/huge_page_pool.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "catch.h"
#include "decouple/internal/base/cache_line.h"
#include "memory_testing.h"
#include "seed.h"

namespace decouple::testing {
namespace {

using internal::HugePagePool;
using internal::kCacheLine;
using internal::kHugePage;
using internal::PageSpan;

constexpr std::size_t kPiece = std::size_t{100} << 10;  // twenty in a huge page

PageSpan Take() { return PageSpan::FromHugePages(kPiece, kCacheLine); }

void Fill(const PageSpan& piece, int with) { std::memset(piece.memory(), with, kPiece); }

bool IsFilled(const PageSpan& piece, int with) {
  const auto* const bytes = piece.memory();
  return bytes[0] == std::byte(with) && std::memcmp(bytes, bytes + 1, kPiece - 1) == 0;
}

TEST_CASE("pieces do not overlap, whichever were given back in between") {
  std::vector<PageSpan> pieces(100);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    pieces[i] = Take();
    Fill(pieces[i], static_cast<int>(i));
  }
  for (std::size_t i = 0; i < pieces.size(); i += 3) pieces[i].Free();
  for (std::size_t i = 0; i < pieces.size(); i += 3) {
    pieces[i] = Take();
    Fill(pieces[i], static_cast<int>(i));
  }
  for (std::size_t i = 0; i < pieces.size(); ++i) CHECK(IsFilled(pieces[i], static_cast<int>(i)));
  for (const PageSpan& piece : pieces) piece.Free();
}

// Takes, fills and gives back, in a random order. Returns how many pieces were not as they were left.
int FindWrongOnes(std::uint64_t seed, int own) {
  std::mt19937_64 random(seed);
  std::vector<PageSpan> pieces;
  int wrong = 0;
  for (int i = 0; i < 2'000; ++i) {
    if (pieces.size() < 30 && random() % 2 == 0) {
      pieces.push_back(Take());
      Fill(pieces.back(), own);
    } else if (!pieces.empty()) {
      std::swap(pieces[random() % pieces.size()], pieces.back());
      if (!IsFilled(pieces.back(), own)) ++wrong;
      pieces.back().Free();
      pieces.pop_back();
    }
  }
  for (const PageSpan& piece : pieces) piece.Free();
  return wrong;
}

TEST_CASE("a piece is one thread's at a time") {
  ForEachSeed(1, [](std::uint64_t seed) {
    std::vector<int> wrong(4);
    std::vector<std::thread> threads;
    for (std::size_t own = 0; own < wrong.size(); ++own) {
      threads.emplace_back([own, seed, &wrong] { wrong[own] = FindWrongOnes(seed + own, static_cast<int>(own)); });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == std::vector<int>(4));
  });
}

#if DECOUPLE_INTERNAL_MAPS_PAGES

TEST_CASE("huge pages are for what fits in at least six times, and is not the allocator's business") {
  CHECK(HugePagePool::Of((std::size_t{64} << 10) - 1, kCacheLine) == nullptr);
  CHECK(HugePagePool::Of(std::size_t{64} << 10, kCacheLine) != nullptr);
  constexpr std::size_t kPage = internal::kPageAlignment;
  CHECK(HugePagePool::Of(kHugePage / 6 / kPage * kPage, kCacheLine) != nullptr);
  CHECK(HugePagePool::Of(kHugePage / 6 / kPage * kPage + 1, kCacheLine) == nullptr);
}

TEST_CASE("pieces are taken from a block that has some before another is begun") {
  constexpr std::size_t kOwnSize = std::size_t{128} << 10;  // of this test, so that nobody else's are in the way
  HugePagePool& pieces = *HugePagePool::Of(kOwnSize, kCacheLine);
  std::vector<void*> taken;
  for (int i = 0; i < 32; ++i) taken.push_back(pieces.Take());  // two blocks
  pieces.Give(taken[3]);
  pieces.Give(taken[5]);
  CHECK(pieces.Take() == taken[3]);
  CHECK(pieces.Take() == taken[5]);
  for (void* const piece : taken) pieces.Give(piece);
}

#if DECOUPLE_MEMORY_IS_MEASURABLE

TEST_CASE("all blocks but one go back to the system with their last pieces, and one nobody touched takes no memory") {
  constexpr std::size_t kOwnSize = std::size_t{256} << 10;  // eight in a huge page
  HugePagePool& pieces = *HugePagePool::Of(kOwnSize, kCacheLine);
  const std::int64_t before = ResidentBytes();
  std::vector<void*> taken;
  for (int i = 0; i < 80; ++i) taken.push_back(pieces.Take());
  CHECK(ResidentBytes() - before < kMebibyte);
  for (void* const piece : taken) std::memset(piece, 1, kOwnSize);
  CHECK(ResidentBytes() - before >= 20 * kMebibyte);
  for (std::size_t i = 0; i < taken.size(); ++i) {
    if (i % 8 != 0) pieces.Give(taken[i]);
  }
  CHECK(ResidentBytes() - before >= 20 * kMebibyte);
  for (std::size_t i = 0; i < taken.size(); i += 8) pieces.Give(taken[i]);
  CHECK(ResidentBytes() - before < 3 * kMebibyte);
}

#endif
#endif

}  // namespace
}  // namespace decouple::testing
