#include "decouple/internal/piece_lender.h"

#include <cstddef>
#include <set>
#include <vector>

#include "catch.h"
#include "decouple/internal/thread_record.h"

namespace decouple::testing {
namespace {

using internal::kCacheLine;
using internal::PagePiece;
using internal::PieceLender;

constexpr std::size_t kPiece = std::size_t{64} << 10;

TEST_CASE("a piece that came back is lent again") {
  PieceLender lender(kPiece, kCacheLine);
  const PagePiece first = lender.Lend();
  REQUIRE(lender.TakeBack(first));
  for (int i = 0; i < 3; ++i) {
    const PagePiece again = lender.Lend();
    CHECK(again.memory() == first.memory());
    REQUIRE(lender.TakeBack(again));
  }
}

TEST_CASE("pieces that are lent at a time are different ones") {
  PieceLender lender(kPiece, kCacheLine);
  std::vector<PagePiece> pieces;
  std::set<std::byte*> places;
  for (int i = 0; i < 8; ++i) {
    pieces.push_back(lender.Lend());
    places.insert(pieces.back().memory());
  }
  CHECK(places.size() == 8);
  for (const PagePiece& piece : pieces) {
    if (!lender.TakeBack(piece)) piece.Free();
  }
}

TEST_CASE("four pieces are kept, and more stay the borrower's") {
  PieceLender lender(kPiece, kCacheLine);
  std::vector<PagePiece> pieces;
  for (int i = 0; i < 5; ++i) pieces.push_back(lender.Lend());
  for (int i = 0; i < 4; ++i) CHECK(lender.TakeBack(pieces[static_cast<std::size_t>(i)]));
  REQUIRE_FALSE(lender.TakeBack(pieces[4]));
  pieces[4].Free();
}

}  // namespace
}  // namespace decouple::testing
