// std::condition_variable for the annotated mutex (mutex.h). A thread is not cancelled while it waits
// (cancellation_guard.h).

#ifndef DECOUPLE_INTERNAL_BASE_CONDITION_VARIABLE_H_
#define DECOUPLE_INTERNAL_BASE_CONDITION_VARIABLE_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/cancellation_guard.h"
#include "decouple/internal/base/mutex.h"

namespace decouple::inline v0_1::internal {

class ConditionVariable {
 public:
  // Returns after a notification, or spuriously: the caller checks its condition again.
  void Wait(Mutex& mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const CancellationGuard guard;
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();  // the caller holds it again
  }

  // Same as Wait(), but returns after `duration` at the latest.
  void WaitFor(Mutex& mutex, std::chrono::nanoseconds duration) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const CancellationGuard guard;
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    condition_.wait_for(lock, duration);
    lock.release();  // the caller holds it again
  }

  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_CONDITION_VARIABLE_H_
