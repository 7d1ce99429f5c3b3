// Large pieces of memory that go back to the system when they are freed.
//
// The C library's allocator keeps what it thinks will be needed again: after the first large piece was freed, further
// ones come from its heap, which shrinks only at its end. A queue's backlog comes and goes in pieces of some hundred
// kilobytes and keeps what it needs itself (segment_pool.h), so it maps and unmaps them. Where that is not to be had,
// and under the address sanitizer, which watches over its own heap only, they come from operator new.
//
// What was mapped is zero, and takes no memory until it is touched: so a part that most never need may lie there, too.
// Write to it before reading: a page that was read first is the system's one page of zeros, and to replace that by one
// of its own interrupts every thread that runs (a put into a stream that did so took twice as long).

#ifndef DECOUPLE_INTERNAL_PAGES_H_
#define DECOUPLE_INTERNAL_PAGES_H_

#include <cstddef>
#include <cstring>
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

#include <cstdlib>
#endif

namespace decouple::internal {

// Smaller pieces are the allocator's business. No alignment beyond this, the smallest page size, comes from mapping.
inline constexpr std::size_t kSmallestMapped = std::size_t{64} << 10;
inline constexpr std::size_t kPageAlignment = 4096;

constexpr bool IsMapped([[maybe_unused]] std::size_t bytes, [[maybe_unused]] std::size_t alignment) {
#if DECOUPLE_INTERNAL_MAPS_PAGES
  return bytes >= kSmallestMapped && alignment <= kPageAlignment;
#else
  return false;
#endif
}

// All zero.
inline void* AllocatePages(std::size_t bytes, std::size_t alignment) {
#if DECOUPLE_INTERNAL_MAPS_PAGES
  if (IsMapped(bytes, alignment)) {
    void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();  // out of memory, as everywhere: the process ends
    return memory;
  }
#endif
  return std::memset(::operator new (bytes, std::align_val_t{alignment}), 0, bytes);
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

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_PAGES_H_
