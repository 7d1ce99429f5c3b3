#include "decouple/internal/memory/block_cache.h"

#include <cstddef>
#include <set>
#include <vector>

#include "catch.h"
#include "decouple/internal/base/cache_line.h"

namespace decouple::testing {
namespace {

using internal::BlockCache;
using internal::kCacheLine;
using internal::PageSpan;

constexpr std::size_t kPiece = std::size_t{64} << 10;

TEST_CASE("a piece that came back is lent again") {
  BlockCache lender(kPiece, kCacheLine);
  const PageSpan first = lender.Acquire();
  REQUIRE(lender.TryRelease(first));
  for (int i = 0; i < 3; ++i) {
    const PageSpan again = lender.Acquire();
    CHECK(again.memory() == first.memory());
    REQUIRE(lender.TryRelease(again));
  }
}

TEST_CASE("pieces that are lent at a time are different ones") {
  BlockCache lender(kPiece, kCacheLine);
  std::vector<PageSpan> pieces;
  std::set<std::byte*> places;
  for (int i = 0; i < 8; ++i) {
    pieces.push_back(lender.Acquire());
    places.insert(pieces.back().memory());
  }
  CHECK(places.size() == 8);
  for (const PageSpan& piece : pieces) {
    if (!lender.TryRelease(piece)) piece.Free();
  }
}

TEST_CASE("four pieces are kept, and more stay the borrower's") {
  BlockCache lender(kPiece, kCacheLine);
  std::vector<PageSpan> pieces;
  for (int i = 0; i < 5; ++i) pieces.push_back(lender.Acquire());
  for (int i = 0; i < 4; ++i) CHECK(lender.TryRelease(pieces[static_cast<std::size_t>(i)]));
  REQUIRE_FALSE(lender.TryRelease(pieces[4]));
  pieces[4].Free();
}

}  // namespace
}  // namespace decouple::testing
