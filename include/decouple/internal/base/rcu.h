// RCU (read-copy-update): memory that other threads may be reading is unlinked first, and freed only once every reader
// that may still see it has left its read section.
//
//   { RcuReadGuard section;  Node* node = shared.load(std::memory_order_acquire);  use(node); }   // reader
//   shared.store(nullptr, std::memory_order_release);  RcuSynchronize();  delete node;            // writer
//
// It also serves without memory to free: a writer that changes a flag and calls RcuSynchronize() knows that no section
// goes on by the flag's old value.
//
// Rules. Sections do not nest. A thread inside a section must not call RcuSynchronize(), must not block, and runs no
// user code; so RcuSynchronize() takes microseconds.
//
// Memory ordering. Entering and leaving a section are two plain stores into the thread's own cache line. The fence rule
// (asymmetric_fence.h) pairs them with the writer: the reader stores its section, passes a light fence and loads the
// pointer; the writer stores the pointer, passes a heavy fence and loads the section. Either the reader sees the new
// pointer, or the writer sees the section and waits for its end.

#ifndef DECOUPLE_INTERNAL_BASE_RCU_H_
#define DECOUPLE_INTERNAL_BASE_RCU_H_

#include <atomic>
#include <cstdint>
#include <thread>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/process.h"
#include "decouple/internal/base/thread_registry.h"

namespace decouple::inline v0_1::internal {

// A read section of the calling thread, from construction to destruction. Functions that have to be called inside one
// take it as an argument where they can.
class RcuReadGuard {
 public:
  [[gnu::always_inline]] RcuReadGuard() : RcuReadGuard(ThreadRegistry::Current()) {}
  // Requires: `record` is the calling thread's.
  [[gnu::always_inline]] explicit RcuReadGuard(ThreadRecord& record) : record_(record) {
    Enter();
    LightFence();  // before the reads of the section; pairs with the heavy fence in RcuSynchronize()
  }
  [[gnu::always_inline]] RcuReadGuard(ThreadRecord& record, MembarrierAvailable) : record_(record) {
    Enter();
    CompilerFence();  // as above
  }
  RcuReadGuard(const RcuReadGuard&) = delete;
  RcuReadGuard& operator=(const RcuReadGuard&) = delete;
  [[gnu::always_inline]] ~RcuReadGuard() {
    record_.section.store(0, std::memory_order_release);  // pairs with the acquire in RcuSynchronize()
  }

 private:
  [[gnu::always_inline]] void Enter() {
    DECOUPLE_ASSERT(&record_ == &ThreadRegistry::Current());
    DECOUPLE_ASSERT(!ThreadRegistry::IsInReadSection());
    record_.section.store(++record_.last_section, std::memory_order_relaxed);
  }

  ThreadRecord& record_;
};

// Returns when every section that was open at the call has ended. O(threads), some microseconds.
inline void RcuSynchronize() {
  DECOUPLE_ASSERT(!ThreadRegistry::IsInReadSection());
  Process();     // tells this module, if it has not used the library before, what the fence is made of
  HeavyFence();  // pairs with the light fence in RcuReadGuard
  for (ThreadRecord* record = ThreadRegistry::First(); record != nullptr; record = record->next) {
    // Acquire: pairs with the release that ends a section, so its reads come before whatever the caller frees.
    const std::uint64_t open = record->section.load(std::memory_order_acquire);
    if (open == 0) continue;
    while (record->section.load(std::memory_order_acquire) == open) std::this_thread::yield();
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_RCU_H_
