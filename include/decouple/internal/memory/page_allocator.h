// Large blocks of memory that go back to the system when they are freed.
//
// Why not malloc. The C library keeps what it expects to need again: after the first large block was freed, further
// ones come from its heap, which shrinks only at its end. A queue's backlog comes and goes in blocks of some hundred
// kilobytes, and the queue keeps what it needs itself (segment_pool.h); so they are mapped and unmapped. Where mapping
// is not available, and under the address sanitizer, which watches only its own heap, they come from operator new.
//
// Mapped memory takes none of the machine's until it is touched, so a block may have parts that are rarely used. Such
// parts are to be written before they are read: a page that is read first maps the system's shared page of zeros, and
// replacing that by a page of its own interrupts every running thread (exp. 8).

#ifndef DECOUPLE_INTERNAL_MEMORY_PAGE_ALLOCATOR_H_
#define DECOUPLE_INTERNAL_MEMORY_PAGE_ALLOCATOR_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "decouple/internal/base/module_layout.h"

#if defined(__linux__) && !DECOUPLE_INTERNAL_HAS_ADDRESS_SANITIZER
#define DECOUPLE_INTERNAL_MAPS_PAGES 1
#else
#define DECOUPLE_INTERNAL_MAPS_PAGES 0
#endif

#if DECOUPLE_INTERNAL_MAPS_PAGES
#include <sys/mman.h>
#endif

namespace decouple::inline v0_1::internal {

// Smaller blocks are left to the allocator. Mapping gives no alignment beyond the smallest page size.
inline constexpr std::size_t kSmallestMapped = std::size_t{64} << 10;
inline constexpr std::size_t kPageAlignment = 4096;
// The size of a huge page on most machines. Where it is another, this is merely a block size.
inline constexpr std::size_t kHugePage = std::size_t{2} << 20;

constexpr bool IsMapped([[maybe_unused]] std::size_t bytes, [[maybe_unused]] std::size_t alignment) {
#if DECOUPLE_INTERNAL_MAPS_PAGES
  return bytes >= kSmallestMapped && alignment <= kPageAlignment;
#else
  return false;
#endif
}

// A block with indeterminate content.
inline void* AllocatePages(std::size_t bytes, std::size_t alignment) {
#if DECOUPLE_INTERNAL_MAPS_PAGES
  if (IsMapped(bytes, alignment)) {
    void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();  // out of memory, as everywhere: the process ends
    return memory;
  }
#endif
  return ::operator new (bytes, std::align_val_t{alignment});
}

inline void FreePages(void* memory, [[maybe_unused]] std::size_t bytes, std::size_t alignment) {
#if DECOUPLE_INTERNAL_MAPS_PAGES
  if (IsMapped(bytes, alignment)) {
    munmap(memory, bytes);
    return;
  }
#endif
  ::operator delete (memory, std::align_val_t{alignment});
}

#if DECOUPLE_INTERNAL_MAPS_PAGES
// One huge page, aligned to its size; ordinary pages where the system has no huge one to give.
inline void* AllocateHugePage() {
  // Maps twice the size, as mmap() takes no alignment, and unmaps what is around the aligned part.
  auto* const mapped = static_cast<std::byte*>(AllocatePages(2 * kHugePage, kPageAlignment));
  const std::size_t before = (kHugePage - reinterpret_cast<std::uintptr_t>(mapped) % kHugePage) % kHugePage;
  if (before != 0) munmap(mapped, before);
  munmap(mapped + before + kHugePage, kHugePage - before);
  madvise(mapped + before, kHugePage, MADV_HUGEPAGE);
  return mapped + before;
}

inline void FreeHugePage(void* memory) { munmap(memory, kHugePage); }
#else
// Never called, as IsMapped() is false.
inline void* AllocateHugePage() { std::abort(); }
inline void FreeHugePage(void*) { std::abort(); }
#endif

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MEMORY_PAGE_ALLOCATOR_H_
