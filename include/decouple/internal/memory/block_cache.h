// Lends pieces of memory of one size, and keeps a few that came back for the next who asks: what many need in turn,
// each for a while, is the same few pages over and over, and not a page fault for each.
//
// Acquire() and TryRelease() may be called by any thread at the same time.

#ifndef DECOUPLE_INTERNAL_MEMORY_BLOCK_CACHE_H_
#define DECOUPLE_INTERNAL_MEMORY_BLOCK_CACHE_H_

#include <cstddef>
#include <mutex>
#include <vector>

#include "decouple/internal/memory/huge_page_pool.h"

namespace decouple::internal {

class BlockCache {
 public:
  BlockCache(std::size_t bytes, std::size_t alignment) : bytes_(bytes), alignment_(alignment) {}
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;
  ~BlockCache() {
    for (const PageSpan& piece : kept_) piece.Free();
  }

  // Holds anything. The borrower's, until he gives it back or frees it.
  PageSpan Acquire() {
    {
      const std::lock_guard lock(mutex_);
      if (!kept_.empty()) {
        const PageSpan piece = kept_.back();
        kept_.pop_back();
        return piece;
      }
    }
    // Of ordinary pages: a huge page that nobody has had yet may cost a virtual machine milliseconds (a cycle with ten
    // million messages waiting took 65 ns, not 31).
    return PageSpan::Separate(bytes_, alignment_);
  }

  // False: there are enough, and it stays the borrower's.
  bool TryRelease(const PageSpan& piece) {
    const std::lock_guard lock(mutex_);
    if (kept_.size() == kMost) return false;
    kept_.push_back(piece);
    return true;
  }

 private:
  static constexpr std::size_t kMost = 4;

  const std::size_t bytes_;
  const std::size_t alignment_;
  std::mutex mutex_;
  std::vector<PageSpan> kept_;  // under the mutex
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MEMORY_BLOCK_CACHE_H_
