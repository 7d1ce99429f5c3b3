// Process(): what is one in the process for all of its modules (process_state.h). Here is how it begins, what becomes
// of it in the child of a fork, and what happens when a thread ends.
//
//   Process().last_owner_id.fetch_add(1, std::memory_order_relaxed)
//
// Lifetime. It is never freed: statics of any module may use the library to the end. The module that makes it has its
// code called at the end of threads and at forks, and so stays loaded; all others may be closed, once no object of
// theirs is in use.
//
// Forks. The thread that forks holds all mutexes of the process's state meanwhile, so in the child they are free, and
// what they guard is whole. The threads that do not exist there leave records behind: in the child these are in no
// read section, and no thread takes them again, as what they keep may be half-written.

#ifndef DECOUPLE_INTERNAL_BASE_PROCESS_H_
#define DECOUPLE_INTERNAL_BASE_PROCESS_H_

#include <pthread.h>

#include <atomic>
#include <climits>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/entropy.h"
#include "decouple/internal/base/module_slot.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/process_state.h"
#include "decouple/internal/base/thread_record.h"

namespace decouple::inline v0_1::internal {

// What refers to the module's own slot, or is called by the system in the module that stays loaded, is hidden: else the
// linker may bind it to that of another module.
[[gnu::visibility("hidden")]] ProcessState& AttachModule();

// One load, but for the module's first use.
[[gnu::visibility("hidden")]] inline ProcessState& Process() {
  // Acquire: pairs with the release in FindOrMakeState().
  if (ProcessState* const state = module_slot.state.load(std::memory_order_acquire)) [[likely]]
    return *state;
  return AttachModule();
}

// Appends a record to those that are free once their threads are gone.
inline void AddEnded(ProcessState& process, ThreadRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(process.records_mutex) {
  record.is_ended = true;
  record.next_ended = nullptr;
  (process.last_ended != nullptr ? process.last_ended->next_ended : process.first_ended) = &record;
  process.last_ended = &record;
}

// The destructor of the threads' key. It runs after those of the thread's C++ objects; but those of other keys may use
// the library later, and the thread keeps its record until it is gone (thread_life.h).
[[gnu::visibility("hidden")]] inline void EndThread(void* key_value) {
  ProcessState& process = Process();
  auto& record = *static_cast<ThreadRecord*>(key_value);
  DECOUPLE_ASSERT(record.section.load(std::memory_order_relaxed) == 0);
  const MutexLock lock(process.records_mutex);
  if constexpr (!ThreadLife::kEndsWithThread) {
    // As late as it can be: in the last round of destructors. What is destroyed later in that round must not use the
    // library, as values that the thread has cached (per_thread.h) may then belong to another. A thread that comes to
    // the library for the first time in a later round than the first never gets here that often, and keeps its record.
    if (++record.rounds_of_destructors < PTHREAD_DESTRUCTOR_ITERATIONS) {
      pthread_setspecific(process.thread_key, &record);
      return;
    }
    record.rounds_of_destructors = 0;
    ThreadRecord::current = nullptr;
    record.life.Reset();
  }
  AddEnded(process, record);
}

// What happens at a fork.
class __attribute__((visibility("hidden"))) ForkHandlers {
 public:
  static void Register() { pthread_atfork(&Prepare, &ResumeParent, &ResumeChild); }

 private:
  static void Prepare() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    ProcessState& process = Process();
    process.linking.lock();
    process.creating.lock();
    // Each list continues in the one that was seen before it. Those that were added meanwhile are locked, too.
    const ProcessState::HeldDuringFork* locked = nullptr;
    process.records_mutex.lock();
    while (process.held_during_fork != locked) {
      const ProcessState::HeldDuringFork* const first = process.held_during_fork;
      process.records_mutex.unlock();
      for (const auto* held = first; held != locked; held = held->next) held->mutex.lock();
      locked = first;
      process.records_mutex.lock();
    }
  }

  static void ResumeParent() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    ProcessState& process = Process();
    for (const auto* held = process.held_during_fork; held != nullptr; held = held->next) held->mutex.unlock();
    process.records_mutex.unlock();
    process.creating.unlock();
    process.linking.unlock();
  }

  static void ResumeChild() {
    ProcessState& process = Process();
    AbandonRecords(process);
    process.forks.fetch_add(1, std::memory_order_relaxed);  // relaxed: there is one thread
    process.identity_origin.store(DrawRandomNumber(), std::memory_order_relaxed);
    if (process.has_membarrier) Membarrier::Register();  // where the kernel does not pass it on to the child
    ResumeParent();
  }

  static void AbandonRecords(ProcessState& process) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const void* const own = process.has_thread_key ? pthread_getspecific(process.thread_key) : ThreadRecord::current;
    process.first_ended = nullptr;
    process.last_ended = nullptr;
    for (ThreadRecord* record = process.first_record.load(std::memory_order_relaxed); record != nullptr;
         record = record->next) {
      if (record == own) {
        // The system has forgotten what the parent's thread held, and knows this one by another number.
        record->life.Reset();
        record->life.TryTake();
      } else if (record->life.TryTake()) {
        record->life.GiveBack();  // its thread was gone before the fork
        if (record->is_ended) AddEnded(process, *record);
      } else {
        record->is_abandoned = true;
        record->section.store(0, std::memory_order_relaxed);  // relaxed: there is one thread
      }
    }
  }
};

// Slow path of Process(): this module's first use of the library.
[[gnu::noinline, gnu::cold, gnu::visibility("hidden")]] inline ProcessState& AttachModule() {
  bool is_new = false;
  ProcessState& process = FindOrMakeState(
      [](ProcessState& made, bool is_first) {
        if (!is_first) return Membarrier::Adopt(made.has_membarrier);
        Membarrier::Register();
        made.has_membarrier = Membarrier::IsAvailable();
        made.has_thread_key = pthread_key_create(&made.thread_key, &EndThread) == 0;
        made.identity_origin.store(DrawRandomNumber(), std::memory_order_relaxed);
      },
      is_new);
  if (is_new) {
    // Not while the loader's lock is held, as both take others.
    KeepModuleLoaded();
    ForkHandlers::Register();
  }
  return process;
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_PROCESS_H_
