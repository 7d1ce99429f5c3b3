// Lets one thread sleep until another wakes it or a time has passed: a futex on Linux, a condition variable elsewhere.
//
//   parker.Prepare();  announce(&parker);  if (!condition()) parker.SleepFor(nanos);       // the owner
//   parker.Wake();                                                                         // any other thread
//
// A wake between Prepare() and SleepFor() is kept: the sleep then ends at once. A parker belongs to one thread and is
// never freed (it is part of the thread's record), so a late Wake() touches valid memory and is at worst a spurious
// one: the owner checks its condition again.

#ifndef DECOUPLE_INTERNAL_BASE_PARKER_H_
#define DECOUPLE_INTERNAL_BASE_PARKER_H_

#include <atomic>
#include <cstdint>
#include <ctime>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <chrono>

#include "decouple/internal/base/condition_variable.h"
#include "decouple/internal/base/mutex.h"
#endif

#include "decouple/internal/base/time_math.h"

namespace decouple::inline v0_1::internal {

class Parker {
 public:
  // Called by the owner before it tells other threads that it is about to sleep. Relaxed: that message orders it.
  void Prepare() { woken_.store(0, std::memory_order_relaxed); }

  // Acquire: pairs with the release in Wake(), so the owner sees what the waking thread did before.
  bool woken() const { return woken_.load(std::memory_order_acquire) != 0; }

#if defined(__linux__)
  void Wake() {
    woken_.store(1, std::memory_order_release);  // pairs with the acquire in woken()
    syscall(SYS_futex, &woken_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

  // Returns when woken, when `nanos` have passed (kForever: never), or spuriously.
  void SleepFor(std::int64_t nanos) {
    if (woken() || nanos <= 0) return;
    constexpr std::int64_t kSecond = 1'000'000'000;
    const timespec timeout = {nanos / kSecond, nanos % kSecond};
    syscall(SYS_futex, &woken_, FUTEX_WAIT_PRIVATE, 0, nanos == kForever ? nullptr : &timeout, nullptr, 0);
  }

 private:
  std::atomic<std::uint32_t> woken_{0};
  static_assert(sizeof(woken_) == 4, "the kernel reads it as a 32-bit word");
#else
  void Wake() {
    const MutexLock lock(mutex_);
    woken_.store(1, std::memory_order_release);  // pairs with the acquire in woken()
    condition_.NotifyOne();
  }

  void SleepFor(std::int64_t nanos) {
    const MutexLock lock(mutex_);
    if (woken() || nanos <= 0) return;
    if (nanos == kForever) {
      condition_.Wait(mutex_);
    } else {
      condition_.WaitFor(mutex_, std::chrono::nanoseconds(nanos));
    }
  }

 private:
  std::atomic<std::uint32_t> woken_{0};  // set under the mutex, so that no wake falls between a check and the sleep
  Mutex mutex_;
  ConditionVariable condition_;
#endif
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_PARKER_H_
