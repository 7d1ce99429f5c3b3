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

constexpr std::size_t kBlock = std::size_t{64} << 10;

TEST_CASE("a block that was released is acquired again") {
  BlockCache cache(kBlock, kCacheLine);
  const PageSpan first = cache.Acquire();
  REQUIRE(cache.TryRelease(first));
  for (int i = 0; i < 3; ++i) {
    const PageSpan again = cache.Acquire();
    CHECK(again.memory() == first.memory());
    REQUIRE(cache.TryRelease(again));
  }
}

TEST_CASE("blocks that are acquired at the same time are different") {
  BlockCache cache(kBlock, kCacheLine);
  std::vector<PageSpan> blocks;
  std::set<std::byte*> places;
  for (int i = 0; i < 8; ++i) {
    blocks.push_back(cache.Acquire());
    places.insert(blocks.back().memory());
  }
  CHECK(places.size() == 8);
  for (const PageSpan& block : blocks) {
    if (!cache.TryRelease(block)) block.Free();
  }
}

TEST_CASE("four blocks are kept, and further ones stay with the caller") {
  BlockCache cache(kBlock, kCacheLine);
  std::vector<PageSpan> blocks;
  for (int i = 0; i < 5; ++i) blocks.push_back(cache.Acquire());
  for (int i = 0; i < 4; ++i) CHECK(cache.TryRelease(blocks[static_cast<std::size_t>(i)]));
  REQUIRE_FALSE(cache.TryRelease(blocks[4]));
  blocks[4].Free();
}

}  // namespace
}  // namespace decouple::testing
