// Memory for what may come in large numbers at once: a queue's backlog, the records of a stream.
//
// Why huge pages. The first touch of a page is a fault of a microsecond and more, which is one every hundred messages
// or so. A huge page, of 2 MiB, is one fault and one TLB entry; filling and draining a large queue is that much faster
// (exp. 7).
//
// Design. There is one pool per span size, shared by all queues of the process. A pool divides huge pages into spans of
// its size. A span is taken from a page that has a free one before a new page is allocated. A page whose spans are all
// free goes back to the system, except for one spare per pool: a moving backlog frees a page at its front each time
// that it begins one at its back, and so does without the system. Where the system has no huge pages, ordinary ones are
// used.

#ifndef DECOUPLE_INTERNAL_MEMORY_HUGE_PAGE_POOL_H_
#define DECOUPLE_INTERNAL_MEMORY_HUGE_PAGE_POOL_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/process.h"
#include "decouple/internal/base/process_state.h"
#include "decouple/internal/memory/page_allocator.h"

namespace decouple::inline v0_1::internal {

// The spans of one size.
//
// Threading: any thread may call any member. The mutex is hardly contended, as a queue comes here once in thousands of
// messages.
class HugePagePool {
 public:
  // The pool for spans of that size. It is never destroyed, as queues may still be used when the process ends. Null:
  // the size is too small or too large, or the platform maps no pages.
  static inline HugePagePool* Of(std::size_t bytes, std::size_t alignment);

  // It is never destroyed.
  explicit HugePagePool(std::size_t bytes) : size_(RoundUp(bytes)), count_(CountOf(bytes)) {
    Process().HoldDuringFork(mutex_);
  }
  HugePagePool(const HugePagePool&) = delete;
  HugePagePool& operator=(const HugePagePool&) = delete;

  // A span with indeterminate content.
  void* Take() ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (with_free_ == nullptr) Link(spare_ != nullptr ? *std::exchange(spare_, nullptr) : NewPage());
    Page& page = *with_free_;
    DECOUPLE_ASSERT(page.free != 0);
    const auto index = static_cast<std::size_t>(std::countr_zero(page.free));
    page.free &= page.free - 1;
    if (page.free == 0) Unlink(page);
    return page.memory + index * size_;
  }

  // Takes a span of this pool back.
  void Give(void* span) ABSL_LOCKS_EXCLUDED(mutex_) {
    auto* const begin = static_cast<std::byte*>(span);
    std::byte* unneeded = nullptr;
    {
      const MutexLock lock(mutex_);
      const auto found = std::prev(pages_.upper_bound(begin));
      Page& page = found->second;
      const auto offset = static_cast<std::size_t>(begin - page.memory);
      DECOUPLE_ASSERT(offset % size_ == 0 && offset / size_ < count_);
      DECOUPLE_ASSERT((page.free & 1U << (offset / size_)) == 0);
      if (page.free == 0) Link(page);
      page.free |= 1U << (offset / size_);
      if (page.free != All()) return;
      Unlink(page);
      if (spare_ == nullptr) {
        spare_ = &page;
        return;
      }
      unneeded = page.memory;
      pages_.erase(found);
    }
    FreeHugePage(unneeded);
  }

 private:
  // What is known of a huge page. It is kept outside of the page, so a span is not touched by being taken.
  struct Page {
    std::byte* memory;
    std::uint32_t free;  // one bit per span
    Page* previous = nullptr;
    Page* next = nullptr;
  };

  // With fewer spans, the rest of the page might be a large part of it.
  static constexpr std::size_t kFewest = 6;
  static_assert(kHugePage / kSmallestMapped <= 32, "one bit per span");

  static constexpr std::size_t RoundUp(std::size_t bytes) {
    return (bytes + kPageAlignment - 1) / kPageAlignment * kPageAlignment;
  }
  static constexpr std::size_t CountOf(std::size_t bytes) { return kHugePage / RoundUp(bytes); }
  std::uint32_t All() const { return ~std::uint32_t{0} >> (32 - count_); }

  Page& NewPage() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    auto* const memory = static_cast<std::byte*>(AllocateHugePage());
    return pages_.try_emplace(memory, Page{memory, All()}).first->second;
  }

  void Link(Page& page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    page.previous = nullptr;
    page.next = with_free_;
    if (with_free_ != nullptr) with_free_->previous = &page;
    with_free_ = &page;
  }
  void Unlink(Page& page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    (page.previous == nullptr ? with_free_ : page.previous->next) = page.next;
    if (page.next != nullptr) page.next->previous = page.previous;
  }

  const std::size_t size_;
  const std::size_t count_;  // in a page
  Mutex mutex_;
  std::map<std::byte*, Page, std::less<>> pages_ ABSL_GUARDED_BY(mutex_);  // by address
  Page* with_free_ ABSL_GUARDED_BY(mutex_) = nullptr;                      // list of the pages that have a free span
  Page* spare_ ABSL_GUARDED_BY(mutex_) = nullptr;                          // a page whose spans are all free
};

// All pools of the process.
struct HugePagePools {
  HugePagePools() { Process().HoldDuringFork(mutex); }

  Mutex mutex;
  std::map<std::size_t, HugePagePool> by_size ABSL_GUARDED_BY(mutex);
};

inline HugePagePool* HugePagePool::Of(std::size_t bytes, std::size_t alignment) {
  if (!IsMapped(bytes, alignment) || CountOf(bytes) < kFewest) return nullptr;
  ProcessState& process = Process();
  HugePagePools& pools = process.GetOrCreate(process.huge_page_pools);
  const MutexLock lock(pools.mutex);
  return &pools.by_size.try_emplace(bytes, bytes).first->second;
}

// A span of pages and the way to free it. Copies name the same span; one of them has to be freed.
class PageSpan {
 public:
  PageSpan() = default;

  // A span of its own, for a user that needs few.
  static PageSpan Separate(std::size_t bytes, std::size_t alignment) {
    return {AllocatePages(bytes, alignment), bytes, alignment, nullptr};
  }
  // A span of a huge page, for a user that needs so many that 2 MiB do not matter. Its content is indeterminate.
  static PageSpan FromHugePages(std::size_t bytes, std::size_t alignment) {
    HugePagePool* const from = HugePagePool::Of(bytes, alignment);
    if (from == nullptr) return Separate(bytes, alignment);
    return {from->Take(), bytes, alignment, from};
  }

  void Free() const {
    DECOUPLE_ASSERT(memory_ != nullptr);
    if (from_ != nullptr) {
      from_->Give(memory_);
    } else {
      FreePages(memory_, bytes_, alignment_);
    }
  }

  std::byte* memory() const { return static_cast<std::byte*>(memory_); }

 private:
  PageSpan(void* memory, std::size_t bytes, std::size_t alignment, HugePagePool* from)
      : memory_(memory), bytes_(bytes), alignment_(alignment), from_(from) {}

  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t alignment_ = 0;
  HugePagePool* from_ = nullptr;  // null: a span of its own
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MEMORY_HUGE_PAGE_POOL_H_
