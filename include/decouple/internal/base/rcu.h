// What the library knows of one thread: whether it is looking at shared memory right now, where it sleeps, and which
// counters of which queue are its own.
//
// Looking: memory that other threads may look at is unlinked first and freed only after RcuSynchronize(), which returns
// when every RcuReadGuard that was open at its call has closed. Entering and leaving one are two plain stores into the
// thread's own cache line. The order that makes this right (the reader's mark is visible before it reads a pointer) is
// paid for by the one who frees: membarrier(2) makes every running thread pass a full fence. Where the kernel has no
// membarrier, readers fence for themselves. The same pair of fences serves alone wherever the hot side of a handshake
// is to pay nothing (LightFence, HeavyFence).
//
//   { RcuReadGuard section;  Node* node = shared.load(std::memory_order_acquire);  use(node); }   // readers
//   shared.store(nullptr, std::memory_order_release);  RcuSynchronize();  delete node;              // the one who frees
//
// No user code runs, and nothing blocks, inside a section; so RcuSynchronize() takes microseconds. Sections do not nest,
// and a thread inside one must not call RcuSynchronize().
//
// Records are pooled and never freed: a thread that ends hands its record, and with it everything that is kept by
// record, to a thread that begins. There are as many as threads ran at the same time.

#ifndef DECOUPLE_INTERNAL_BASE_RCU_H_
#define DECOUPLE_INTERNAL_BASE_RCU_H_

#include <atomic>
#include <cstdint>
#include <thread>

#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/thread_registry.h"

namespace decouple::internal {

class RcuReadGuard {
 public:
  [[gnu::always_inline]] RcuReadGuard() : RcuReadGuard(ThreadRegistry::Current()) {}
  [[gnu::always_inline]] explicit RcuReadGuard(ThreadRecord& own) : record_(own) {
    Enter();
    LightFence();  // before the reads of the section; pairs with the heavy one in RcuSynchronize()
  }
  [[gnu::always_inline]] RcuReadGuard(ThreadRecord& own, MembarrierAvailable) : record_(own) {
    Enter();
    CompilerFence();
  }
  RcuReadGuard(const RcuReadGuard&) = delete;
  RcuReadGuard& operator=(const RcuReadGuard&) = delete;
  [[gnu::always_inline]] ~RcuReadGuard() {
    record_.section.store(0, std::memory_order_release);  // pairs with the acquire in RcuSynchronize()
  }

 private:
  [[gnu::always_inline]] void Enter() { record_.section.store(++record_.last_section, std::memory_order_relaxed); }

  ThreadRecord& record_;
};

// Returns when every RcuReadGuard that was open at the call has closed. O(threads), some microseconds.
inline void RcuSynchronize() {
  HeavyFence();
  for (ThreadRecord* record = ThreadRegistry::First(); record != nullptr; record = record->next) {
    // Pairs with the release that ends a section: what was read there was read before what we free.
    const std::uint64_t open = record->section.load(std::memory_order_acquire);
    if (open == 0) continue;
    while (record->section.load(std::memory_order_acquire) == open) std::this_thread::yield();
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_BASE_RCU_H_
