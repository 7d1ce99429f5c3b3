// An asymmetric pair of fences: the light one, for the hot side, costs nothing; the heavy one, for the rare side, makes
// every running thread pass a full fence.
//
// The rule (the store-buffer litmus), which every "pairs with the heavy fence in …" of the library refers to:
//
//   hot side                rare side
//   store X                 store Y
//   LightFence()            HeavyFence()
//   load Y                  load X
//
//   At least one of the two loads sees the other side's store.
//
// The four accesses may be relaxed. The rule says only that one of the stores is seen, not what was written before it:
// that takes a release and an acquire of its own. Two heavy fences pair as well; two light ones do not, as each
// thread's store may still be in its store buffer when its load executes.
//
// A light fence keeps the compiler from reordering. A heavy fence is membarrier(2), a microsecond or two. Where the
// kernel has no membarrier, both are full fences. Where it is forbidden later, light fences stay what they are, and a
// heavy fence is a tour of all processors (processor_tour.h); if that is forbidden, too, the process ends, as going on
// without a fence would lose messages.

#ifndef DECOUPLE_INTERNAL_BASE_ASYMMETRIC_FENCE_H_
#define DECOUPLE_INTERNAL_BASE_ASYMMETRIC_FENCE_H_

#include <atomic>
#include <cstdio>
#include <cstdlib>

#if defined(__linux__)
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "decouple/internal/base/module_layout.h"
#include "decouple/internal/base/processor_tour.h"

namespace decouple::inline v0_1::internal {

// Whether the kernel makes heavy fences, so that light ones need not be full fences.
class DECOUPLE_INTERNAL_LAYOUT_TAG Membarrier {
 public:
  // Called once in the process, before any thread has a record, and in the child of a fork (process.h).
  static void Register() {
#if defined(__linux__) && defined(SYS_membarrier)
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0) {
      is_available_.store(true, std::memory_order_relaxed);
    }
#endif
  }

  // Called by a module that was not the first in the process, before any thread has a record there.
  static void Adopt(bool is_available) { is_available_.store(is_available, std::memory_order_relaxed); }

  // Whether light fences of this module need be none to the processor. Relaxed: a thread with a record comes after
  // Register() or Adopt(). False is always safe.
  static bool IsAvailable() { return is_available_.load(std::memory_order_relaxed); }

 private:
  static inline constinit std::atomic<bool> is_available_{false};
};

// For the hot side. See the rule above.
[[gnu::always_inline]] inline void LightFence() {
  if (!Membarrier::IsAvailable()) [[unlikely]] {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

// A heavy fence whose membarrier has failed, although light fences rely on it.
[[gnu::cold, gnu::noinline]] inline void FenceWithoutMembarrier() {
  if (TryVisitEveryProcessor()) return;
  std::fputs(
      "decouple: membarrier(2) was forbidden after the process had begun to use the library, and so was "
      "sched_setaffinity(2), which would stand in for it. A sandbox must allow one of the two, or be closed before the "
      "first use.\n",
      stderr);
  std::abort();
}

// For the rare side. See the rule above.
inline void HeavyFence() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
#if defined(__linux__) && defined(SYS_membarrier)
  // Whether or not it is known to this module that light fences are free: other modules have theirs. The result is
  // looked at each time, as a sandbox may close at any time.
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0 && Membarrier::IsAvailable()) [[unlikely]]
    FenceWithoutMembarrier();
#endif
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

// LightFence() for a thread to which PerThread::CachedLocal() has returned a value, which implies membarrier: a
// compiler barrier only.
[[gnu::always_inline]] inline void CompilerFence() { std::atomic_signal_fence(std::memory_order_seq_cst); }

// The argument by which a caller says that it knows this: CachedLocal() has returned a value.
struct MembarrierAvailable {};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_ASYMMETRIC_FENCE_H_
