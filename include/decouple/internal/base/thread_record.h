// What the library keeps of each thread that uses it: whether the thread is inside an RCU read section (rcu.h), where
// it sleeps (parker.h), and which values of which objects are its own (per_thread.h).
//
// Memory. Records are pooled and never freed: a thread that is gone leaves its record, and with it all that is kept by
// record, to a thread that begins (thread_registry.h). So there are as many records as there were threads at the same
// time.

#ifndef DECOUPLE_INTERNAL_BASE_THREAD_RECORD_H_
#define DECOUPLE_INTERNAL_BASE_THREAD_RECORD_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/module_layout.h"
#include "decouple/internal/base/parker.h"
#include "decouple/internal/base/thread_life.h"

namespace decouple::inline v0_1::internal {

struct alignas(kCacheLine) DECOUPLE_INTERNAL_LAYOUT_TAG ThreadRecord {
  // The calling thread's, as far as this module knows. Each module has its own copy, which is set at the thread's first
  // use of the library there.
  static inline constinit thread_local ThreadRecord* current = nullptr;

  // 0 outside of an RCU read section, else a number that differs from section to section. Written by the owner alone.
  std::atomic<std::uint64_t> section{0};
  std::uint64_t last_section = 0;

  // The owner's direct-mapped cache from an object's id to what the object keeps for this record (see PerThread).
  struct Shortcut {
    std::uint64_t owner_id = 0;
    void* kept = nullptr;
  };
  std::array<Shortcut, 64> shortcuts;

  Parker parker;

  ThreadLife life;               // the owner's
  ThreadRecord* next = nullptr;  // in the list of all; immutable once linked
  // All below is used under ProcessState::records_mutex.
  ThreadRecord* next_ended = nullptr;
  int rounds_of_destructors = 0;  // where the system does not tell of a thread's end
  bool is_ended = false;          // in the list of those whose thread is about to end, or has
  bool is_abandoned = false;      // its thread was lost in a fork: nobody takes it again
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_THREAD_RECORD_H_
