// Blocks of memory of one size, of which a few are kept for reuse: users that each need one for a while get the same
// few pages in turn, without a page fault each.
//
// Threading: Acquire() and TryRelease() may be called from any thread.

#ifndef DECOUPLE_INTERNAL_MEMORY_BLOCK_CACHE_H_
#define DECOUPLE_INTERNAL_MEMORY_BLOCK_CACHE_H_

#include <cstddef>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/memory/huge_page_pool.h"

namespace decouple::inline v0_1::internal {

class BlockCache {
 public:
  BlockCache(std::size_t bytes, std::size_t alignment) : bytes_(bytes), alignment_(alignment) {}
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;
  ~BlockCache() {
    for (const PageSpan& block : kept_) block.Free();
  }

  // A block with indeterminate content. The caller owns it: it passes it to TryRelease() or frees it.
  PageSpan Acquire() {
    {
      const MutexLock lock(mutex_);
      if (!kept_.empty()) {
        const PageSpan block = kept_.back();
        kept_.pop_back();
        return block;
      }
    }
    // Ordinary pages: the first touch of a new huge page may cost a virtual machine milliseconds (exp. 6).
    return PageSpan::Separate(bytes_, alignment_);
  }

  // Takes a block back. False: enough are kept, and the caller still owns it.
  bool TryRelease(const PageSpan& block) {
    DECOUPLE_ASSERT(block.memory() != nullptr);
    const MutexLock lock(mutex_);
    if (kept_.size() == kMost) return false;
    kept_.push_back(block);
    return true;
  }

 private:
  static constexpr std::size_t kMost = 4;

  const std::size_t bytes_;
  const std::size_t alignment_;
  Mutex mutex_;
  std::vector<PageSpan> kept_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MEMORY_BLOCK_CACHE_H_
