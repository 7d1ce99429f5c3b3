// What the library knows of one thread: whether it is looking at shared memory right now, where it sleeps, and which
// counters of which queue are its own.
//
// Looking: memory that other threads may look at is unlinked first and freed only after Synchronize(), which returns
// when every ReadSection that was open at its call has closed. Entering and leaving one are two plain stores into the
// thread's own cache line. The order that makes this right (the reader's mark is visible before it reads a pointer) is
// paid for by the one who frees: membarrier(2) makes every running thread pass a full fence. Where the kernel has no
// membarrier, readers fence for themselves. The same pair of fences serves alone wherever the hot side of a handshake
// is to pay nothing (LightFence, HeavyFence).
//
//   { ReadSection section;  Node* node = shared.load(std::memory_order_acquire);  use(node); }   // readers
//   shared.store(nullptr, std::memory_order_release);  Synchronize();  delete node;              // the one who frees
//
// No user code runs, and nothing blocks, inside a section; so Synchronize() takes microseconds. Sections do not nest,
// and a thread inside one must not call Synchronize().
//
// Records are pooled and never freed: a thread that ends hands its record, and with it everything that is kept by
// record, to a thread that begins. There are as many as threads ran at the same time.

#ifndef DECOUPLE_INTERNAL_THREAD_RECORD_H_
#define DECOUPLE_INTERNAL_THREAD_RECORD_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

#if defined(__linux__)
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "decouple/internal/sleeper.h"

namespace decouple::internal {

inline constexpr std::size_t kCacheLine = 64;

// One step of a spin: tells the processor that we wait for another thread.
inline void Relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

struct alignas(kCacheLine) ThreadRecord {
  // 0 outside of a ReadSection, else a number that differs from section to section. Written by the owner alone.
  std::atomic<std::uint64_t> section{0};
  std::uint64_t last_section = 0;

  // The owner's shortcuts from an object's id to what the object keeps for this record (see PerThread).
  struct Shortcut {
    std::uint64_t owner_id = 0;
    void* kept = nullptr;
  };
  std::array<Shortcut, 64> shortcuts;

  Sleeper sleeper;

  std::atomic<bool> taken{true};
  ThreadRecord* next = nullptr;  // immutable once linked
};

// What a thread remembers of an object, by the object's id, as long as it has its record.
struct ThreadMemory {
  std::uint64_t owner_id = 0;
  bool listed = false;
  ThreadMemory* next = nullptr;
};

class ThreadRecords {
 public:
  [[gnu::always_inline]] static ThreadRecord& Current() {
    if (current_ != nullptr) [[likely]]
      return *current_;
    return Enlist();
  }

  static ThreadRecord* First() { return first_.load(std::memory_order_acquire); }  // pairs with the release in Enlist

  // Whether readers must fence for themselves. Decided before the first record exists.
  static bool ReadersFence() { return readers_fence_.load(std::memory_order_relaxed); }

  // The thread forgets it when it gives its record back: who has the record then owns what was remembered.
  static void List(ThreadMemory& memory) {
    if (memory.listed) return;
    memory.listed = true;
    memory.next = memories_;
    memories_ = &memory;
  }

 private:
  // Gives the record back when its thread ends.
  struct Return {
    bool armed = false;
    ~Return() {
      if (!armed || current_ == nullptr) return;
      for (ThreadMemory* memory = memories_; memory != nullptr; memory = memory->next) memory->owner_id = 0;
      ThreadRecord* const record = current_;
      current_ = nullptr;
      record->taken.store(false, std::memory_order_release);  // pairs with the exchange in Enlist: hands over its data
    }
  };

  [[gnu::noinline]] static ThreadRecord& Enlist() {
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
    thread_local Return
        give_back;  // in a thread that is past its destructors this is a no-op, and the record stays taken
    give_back.armed = true;
    return *record;
  }

  static bool RegisterForMembarrier() {
#if defined(__linux__) && defined(SYS_membarrier)
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0) {
      readers_fence_.store(false, std::memory_order_relaxed);
    }
#endif
    return true;
  }

  static inline constinit thread_local ThreadRecord* current_ = nullptr;
  static inline constinit thread_local ThreadMemory* memories_ = nullptr;
  static inline constinit std::atomic<ThreadRecord*> first_{nullptr};
  static inline constinit std::atomic<bool> readers_fence_{true};
};

// Two threads each write and then read what the other writes: at least one of them sees the other, if one has a light
// fence between and the other a heavy one. Light is for the many and hot: it keeps the compiler from reordering, and
// costs nothing. Heavy is for the few: it makes every running thread pass a full fence, in a microsecond or two. Where
// the kernel has no membarrier both are full fences.
[[gnu::always_inline]] inline void LightFence() {
  if (ThreadRecords::ReadersFence()) [[unlikely]] {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

inline void HeavyFence() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
#if defined(__linux__) && defined(SYS_membarrier)
  if (!ThreadRecords::ReadersFence()) syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
#endif
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

// The light fence of those who know that it is free: where it is not, nobody has what they have (PerThread::Known).
[[gnu::always_inline]] inline void FreeFence() { std::atomic_signal_fence(std::memory_order_seq_cst); }
struct FencesAreFree {};

class ReadSection {
 public:
  [[gnu::always_inline]] ReadSection() : ReadSection(ThreadRecords::Current()) {}
  [[gnu::always_inline]] explicit ReadSection(ThreadRecord& own) : record_(own) {
    Enter();
    LightFence();  // before the reads of the section; pairs with the heavy one in Synchronize()
  }
  [[gnu::always_inline]] ReadSection(ThreadRecord& own, FencesAreFree) : record_(own) {
    Enter();
    FreeFence();
  }
  ReadSection(const ReadSection&) = delete;
  ReadSection& operator=(const ReadSection&) = delete;
  [[gnu::always_inline]] ~ReadSection() {
    record_.section.store(0, std::memory_order_release);  // pairs with the acquire in Synchronize()
  }

 private:
  [[gnu::always_inline]] void Enter() { record_.section.store(++record_.last_section, std::memory_order_relaxed); }

  ThreadRecord& record_;
};

// Returns when every ReadSection that was open at the call has closed. O(threads), some microseconds.
inline void Synchronize() {
  HeavyFence();
  for (ThreadRecord* record = ThreadRecords::First(); record != nullptr; record = record->next) {
    // Pairs with the release that ends a section: what was read there was read before what we free.
    const std::uint64_t open = record->section.load(std::memory_order_acquire);
    if (open == 0) continue;
    while (record->section.load(std::memory_order_acquire) == open) std::this_thread::yield();
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_THREAD_RECORD_H_
