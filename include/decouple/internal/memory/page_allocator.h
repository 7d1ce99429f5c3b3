// Large pieces of memory that go back to the system when they are freed.
//
// The C library's allocator keeps what it thinks will be needed again: after the first large piece was freed, further
// ones come from its heap, which shrinks only at its end. A queue's retry queue comes and goes in pieces of some hundred
// kilobytes and keeps what it needs itself (segment_pool.h), so it maps and unmaps them. Where that is not to be had,
// and under the address sanitizer, which watches over its own heap only, they come from operator new.
//
// What was mapped takes no memory until it is touched: so a part that most never need may lie there, too.
// Write to it before reading: a page that was read first is the system's one page of zeros, and to replace that by one
// of its own interrupts every thread that runs (a put into a stream that did so took twice as long).

#ifndef DECOUPLE_INTERNAL_MEMORY_PAGE_ALLOCATOR_H_
#define DECOUPLE_INTERNAL_MEMORY_PAGE_ALLOCATOR_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DECOUPLE_INTERNAL_MAPS_PAGES 0
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define DECOUPLE_INTERNAL_MAPS_PAGES 0
#endif
#if !defined(DECOUPLE_INTERNAL_MAPS_PAGES)
#if defined(__linux__)
#define DECOUPLE_INTERNAL_MAPS_PAGES 1
#else
#define DECOUPLE_INTERNAL_MAPS_PAGES 0
#endif
#endif

#if DECOUPLE_INTERNAL_MAPS_PAGES
#include <sys/mman.h>
#endif

namespace decouple::internal {

// Smaller pieces are the allocator's business. No alignment beyond this, the smallest page size, comes from mapping.
inline constexpr std::size_t kSmallestMapped = std::size_t{64} << 10;
inline constexpr std::size_t kPageAlignment = 4096;
// As large as on most machines; where it is not, this many bytes are only a number.
inline constexpr std::size_t kHugePage = std::size_t{2} << 20;

constexpr bool IsMapped([[maybe_unused]] std::size_t bytes, [[maybe_unused]] std::size_t alignment) {
#if DECOUPLE_INTERNAL_MAPS_PAGES
  return bytes >= kSmallestMapped && alignment <= kPageAlignment;
#else
  return false;
#endif
}

// Hold anything.
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
// One, at a multiple of its size. Ordinary pages, where the system has no huge one to give.
inline void* AllocateHugePage() {
  // Mapped twice as large, as the system does not know of multiples; what is around the one goes back at once.
  auto* const mapped = static_cast<std::byte*>(AllocatePages(2 * kHugePage, kPageAlignment));
  const std::size_t before = (kHugePage - reinterpret_cast<std::uintptr_t>(mapped) % kHugePage) % kHugePage;
  if (before != 0) munmap(mapped, before);
  munmap(mapped + before + kHugePage, kHugePage - before);
  madvise(mapped + before, kHugePage, MADV_HUGEPAGE);
  return mapped + before;
}

inline void FreeHugePage(void* memory) { munmap(memory, kHugePage); }
#else
// Never called: no piece of memory is one of pages.
inline void* AllocateHugePage() { std::abort(); }
inline void FreeHugePage(void*) { std::abort(); }
#endif

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MEMORY_PAGE_ALLOCATOR_H_
