// An asymmetric pair of fences: the hot side pays nothing, the rare side makes every running thread pass a full fence.

#ifndef DECOUPLE_INTERNAL_BASE_ASYMMETRIC_FENCE_H_
#define DECOUPLE_INTERNAL_BASE_ASYMMETRIC_FENCE_H_

#include <atomic>

#if defined(__linux__)
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "decouple/internal/base/thread_registry.h"

namespace decouple::internal {

// Two threads each write and then read what the other writes: at least one of them sees the other, if one has a light
// fence between and the other a heavy one. Light is for the many and hot: it keeps the compiler from reordering, and
// costs nothing. Heavy is for the few: it makes every running thread pass a full fence, in a microsecond or two. Where
// the kernel has no membarrier both are full fences.
[[gnu::always_inline]] inline void LightFence() {
  if (ThreadRegistry::ReadersMustFence()) [[unlikely]] {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

inline void HeavyFence() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
#if defined(__linux__) && defined(SYS_membarrier)
  if (!ThreadRegistry::ReadersMustFence()) syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
#endif
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

// The light fence of those who know that it is free: where it is not, nobody has what they have (PerThread::CachedLocal).
[[gnu::always_inline]] inline void CompilerFence() { std::atomic_signal_fence(std::memory_order_seq_cst); }
struct MembarrierAvailable {};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_BASE_ASYMMETRIC_FENCE_H_
