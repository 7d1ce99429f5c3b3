// What the library knows of one thread: whether it is inside an RCU read section (rcu.h), where it sleeps (parker.h), and
// which values of which objects are its own (per_thread.h).
//
// Records are pooled and never freed: a thread that ends hands its record, and with it everything that is kept by
// record, to a thread that begins. There are as many as threads ran at the same time.

#ifndef DECOUPLE_INTERNAL_BASE_THREAD_REGISTRY_H_
#define DECOUPLE_INTERNAL_BASE_THREAD_REGISTRY_H_

#include <array>
#include <atomic>
#include <cstdint>

#if defined(__linux__)
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/parker.h"

namespace decouple::internal {

struct alignas(kCacheLine) ThreadRecord {
  // 0 outside of a RcuReadGuard, else a number that differs from section to section. Written by the owner alone.
  std::atomic<std::uint64_t> section{0};
  std::uint64_t last_section = 0;

  // The owner's shortcuts from an object's id to what the object keeps for this record (see PerThread).
  struct Shortcut {
    std::uint64_t owner_id = 0;
    void* kept = nullptr;
  };
  std::array<Shortcut, 64> shortcuts;

  Parker parker;

  std::atomic<bool> taken{true};
  ThreadRecord* next = nullptr;  // immutable once linked
};

// What a thread remembers of an object, by the object's id, as long as it has its record.
struct ThreadMemory {
  std::uint64_t owner_id = 0;
  bool listed = false;
  ThreadMemory* next = nullptr;
};

class ThreadRegistry {
 public:
  [[gnu::always_inline]] static ThreadRecord& Current() {
    if (current_ != nullptr) [[likely]]
      return *current_;
    return RegisterSlow();
  }

  static ThreadRecord* First() {
    return first_.load(std::memory_order_acquire);
  }  // pairs with the release in RegisterSlow

  // Whether readers must fence for themselves. Decided before the first record exists.
  static bool ReadersMustFence() { return readers_must_fence_.load(std::memory_order_relaxed); }

  // The thread forgets it when it gives its record back: who has the record then owns what was remembered.
  static void List(ThreadMemory& memory) {
    if (memory.listed) return;
    memory.listed = true;
    memory.next = memories_;
    memories_ = &memory;
  }

 private:
  // Gives the record back when its thread ends.
  struct RecordReturn {
    bool armed = false;
    ~RecordReturn() {
      if (!armed || current_ == nullptr) return;
      for (ThreadMemory* memory = memories_; memory != nullptr; memory = memory->next) memory->owner_id = 0;
      ThreadRecord* const record = current_;
      current_ = nullptr;
      record->taken.store(false,
                          std::memory_order_release);  // pairs with the exchange in RegisterSlow: hands over its data
    }
  };

  [[gnu::noinline]] static ThreadRecord& RegisterSlow() {
    [[maybe_unused]] static const bool registered = RegisterForMembarrier();
    ThreadRecord* record = First();
    while (record != nullptr && record->taken.exchange(true, std::memory_order_acquire)) record = record->next;
    if (record == nullptr) {
      record = new ThreadRecord;
      record->next = first_.load(std::memory_order_relaxed);
      while (!first_.compare_exchange_weak(record->next, record, std::memory_order_acq_rel)) {
      }
    }
    current_ = record;
    thread_local RecordReturn
        give_back;  // in a thread that is past its destructors this is a no-op, and the record stays taken
    give_back.armed = true;
    return *record;
  }

  static bool RegisterForMembarrier() {
#if defined(__linux__) && defined(SYS_membarrier)
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0) {
      readers_must_fence_.store(false, std::memory_order_relaxed);
    }
#endif
    return true;
  }

  static inline constinit thread_local ThreadRecord* current_ = nullptr;
  static inline constinit thread_local ThreadMemory* memories_ = nullptr;
  static inline constinit std::atomic<ThreadRecord*> first_{nullptr};
  static inline constinit std::atomic<bool> readers_must_fence_{true};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_BASE_THREAD_REGISTRY_H_
