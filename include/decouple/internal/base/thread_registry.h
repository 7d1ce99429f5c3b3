// A record for each thread that uses the library: whether the thread is inside an RCU read section (rcu.h), where it
// sleeps (parker.h), and which values of which objects are its own (per_thread.h).
//
// Memory. Records are pooled and never freed: a thread that ends passes its record, and with it all that is kept by
// record, to a thread that begins. So there are as many records as there were threads at the same time.

#ifndef DECOUPLE_INTERNAL_BASE_THREAD_REGISTRY_H_
#define DECOUPLE_INTERNAL_BASE_THREAD_REGISTRY_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/parker.h"

namespace decouple::inline v0_1::internal {

struct alignas(kCacheLine) ThreadRecord {
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

  std::atomic<bool> taken{true};
  ThreadRecord* next = nullptr;  // immutable once linked
};

// A thread_local cache entry that is valid only while the thread has its record; it is empty while owner_id is 0.
struct ThreadCacheEntry {
  std::uint64_t owner_id = 0;
  bool is_registered = false;
  ThreadCacheEntry* next = nullptr;
};

class ThreadRegistry {
 public:
  // The calling thread's record.
  [[gnu::always_inline]] static ThreadRecord& Current() {
    if (current_ != nullptr) [[likely]]
      return *current_;
    return RegisterSlow();
  }

  // The head of the list of all records. Acquire: pairs with the exchange in RegisterSlow().
  static ThreadRecord* First() { return first_.load(std::memory_order_acquire); }

  // Whether the calling thread is inside an RcuReadGuard.
  static bool IsInReadSection() {
    return current_ != nullptr && current_->section.load(std::memory_order_relaxed) != 0;
  }

  // Has the entry emptied when the calling thread gives its record back: from then on another thread owns what the
  // entry points to.
  static void EmptyAtThreadExit(ThreadCacheEntry& entry) {
    if (entry.is_registered) return;
    entry.is_registered = true;
    entry.next = cache_entries_;
    cache_entries_ = &entry;
  }

 private:
  // Gives the record back when its thread ends.
  struct RecordReturn {
    bool armed = false;
    ~RecordReturn() {
      if (!armed || current_ == nullptr) return;
      DECOUPLE_ASSERT(!IsInReadSection());
      for (ThreadCacheEntry* entry = cache_entries_; entry != nullptr; entry = entry->next) entry->owner_id = 0;
      ThreadRecord* const record = current_;
      current_ = nullptr;
      // Release: pairs with the exchange in RegisterSlow(), which takes over the record's data.
      record->taken.store(false, std::memory_order_release);
    }
  };

  // Slow path: the thread's first use of the library. Takes over a free record or adds one.
  [[gnu::noinline]] static ThreadRecord& RegisterSlow() {
    [[maybe_unused]] static const bool registered = (Membarrier::Register(), true);
    ThreadRecord* record = First();
    while (record != nullptr && record->taken.exchange(true, std::memory_order_acquire)) record = record->next;
    if (record == nullptr) {
      record = new ThreadRecord;
      record->next = first_.load(std::memory_order_relaxed);
      // Release: publishes the record to First().
      while (!first_.compare_exchange_weak(record->next, record, std::memory_order_acq_rel)) {
      }
    }
    current_ = record;
    // In a thread whose thread_local objects are being destroyed this is a no-op, and the record stays taken.
    thread_local RecordReturn give_back;
    give_back.armed = true;
    return *record;
  }

  static inline constinit thread_local ThreadRecord* current_ = nullptr;
  static inline constinit thread_local ThreadCacheEntry* cache_entries_ = nullptr;
  static inline constinit std::atomic<ThreadRecord*> first_{nullptr};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_THREAD_REGISTRY_H_
