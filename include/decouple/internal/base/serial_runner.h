// Which thread, if any, is at work for an object that at most one thread works for at a time: the runner. It runs code
// of the user's with no lock held; others see by this that it does, and may wait for it.

#ifndef DECOUPLE_INTERNAL_BASE_SERIAL_RUNNER_H_
#define DECOUPLE_INTERNAL_BASE_SERIAL_RUNNER_H_

#include <thread>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/condition_variable.h"
#include "decouple/internal/base/mutex.h"

namespace decouple::inline v0_1::internal {

// Guarded by the owner's mutex, which all calls require.
class SerialRunner {
 public:
  SerialRunner() = default;
  SerialRunner(const SerialRunner&) = delete;
  SerialRunner& operator=(const SerialRunner&) = delete;

  bool is_running() const { return is_running_; }
  bool IsThisThread() const { return is_running_ && runner_ == std::this_thread::get_id(); }

  // Makes the calling thread the runner. False: there is one.
  bool TryBegin() {
    if (is_running_) return false;
    is_running_ = true;
    runner_ = std::this_thread::get_id();
    return true;
  }
  // Requires: the calling thread is the runner.
  void End() {
    DECOUPLE_ASSERT(IsThisThread());
    is_running_ = false;
    runner_ = {};
    idle_.NotifyAll();
  }

  // Returns when no other thread is the runner: one that ends its own work does not wait for itself.
  void AwaitOthers(Mutex& mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    while (is_running_ && !IsThisThread()) idle_.Wait(mutex);
  }

 private:
  bool is_running_ = false;
  std::thread::id runner_;
  ConditionVariable idle_;  // is_running_ has become false
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_SERIAL_RUNNER_H_
