// The records of threads (thread_record.h): Current() is the calling thread's.
//
// A thread takes its record at its first use of the library: one whose thread has ended, if there is one, else a new
// one. The process keeps it under a pthread key; each module keeps a thread_local copy of the pointer, so that the hot
// paths find it in one load. The key's destructor puts it at the end of the list of those that come back, and a new
// thread looks at the first of the list: O(1), whatever the number of threads. The record is free only once its thread
// is gone (thread_life.h); until then the thread may go on to use it, in destructors that run yet later.

#ifndef DECOUPLE_INTERNAL_BASE_THREAD_REGISTRY_H_
#define DECOUPLE_INTERNAL_BASE_THREAD_REGISTRY_H_

#include <pthread.h>

#include <atomic>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/process.h"
#include "decouple/internal/base/process_state.h"
#include "decouple/internal/base/thread_record.h"

namespace decouple::inline v0_1::internal {

class ThreadRegistry {
 public:
  // The calling thread's record.
  [[gnu::always_inline]] static ThreadRecord& Current() {
    if (ThreadRecord::current != nullptr) [[likely]]
      return *ThreadRecord::current;
    return RegisterSlow();
  }

  // The head of the list of all records. Acquire: pairs with the release in New().
  static ThreadRecord* First() { return Process().first_record.load(std::memory_order_acquire); }

  // Whether the calling thread is inside an RcuReadGuard.
  static bool IsInReadSection() {
    return ThreadRecord::current != nullptr && ThreadRecord::current->section.load(std::memory_order_relaxed) != 0;
  }

 private:
  // Slow path: the thread's first use of the library in this module.
  [[gnu::noinline]] static ThreadRecord& RegisterSlow() {
    ProcessState& process = Process();
    if (process.has_thread_key)
      ThreadRecord::current = static_cast<ThreadRecord*>(pthread_getspecific(process.thread_key));
    if (ThreadRecord::current == nullptr) {
      ThreadRecord::current = &Take(process);
      if (process.has_thread_key) pthread_setspecific(process.thread_key, ThreadRecord::current);
    }
    return *ThreadRecord::current;
  }

  static ThreadRecord& Take(ProcessState& process) ABSL_LOCKS_EXCLUDED(process.records_mutex) {
    const MutexLock lock(process.records_mutex);
    if (ThreadRecord* const ended = TakeEnded(process)) return *ended;
    if (ThreadRecord* const lost = TakeLost(process)) return *lost;
    return New(process);
  }

  // A record whose thread is gone; null if the first few have threads that are still about to end.
  static ThreadRecord* TakeEnded(ProcessState& process) ABSL_EXCLUSIVE_LOCKS_REQUIRED(process.records_mutex) {
    for (int tries = 4; tries > 0 && process.first_ended != nullptr; --tries) {
      ThreadRecord& record = *process.first_ended;
      process.first_ended = record.next_ended;
      if (process.first_ended == nullptr) process.last_ended = nullptr;
      record.is_ended = false;
      if (record.life.TryTake()) return &record;
      AddEnded(process, record);
    }
    return nullptr;
  }

  // A record that did not come back although its thread is gone: it was taken in the last round of destructors, or the
  // process has no key left. Looks at the next two at each call, so such records are never more than those in use.
  static ThreadRecord* TakeLost(ProcessState& process) ABSL_EXCLUSIVE_LOCKS_REQUIRED(process.records_mutex) {
    for (int tries = 2; tries > 0; --tries) {
      if (process.next_to_check == nullptr)
        process.next_to_check = process.first_record.load(std::memory_order_relaxed);
      ThreadRecord* const record = process.next_to_check;
      if (record == nullptr) return nullptr;
      process.next_to_check = record->next;
      if (!record->is_ended && !record->is_abandoned && record->life.TryTake()) return record;
    }
    return nullptr;
  }

  static ThreadRecord& New(ProcessState& process) ABSL_EXCLUSIVE_LOCKS_REQUIRED(process.records_mutex) {
    auto* const record = new ThreadRecord;
    record->life.TryTake();
    record->next = process.first_record.load(std::memory_order_relaxed);
    process.first_record.store(record, std::memory_order_release);  // publishes the record to First()
    return *record;
  }
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_THREAD_REGISTRY_H_
