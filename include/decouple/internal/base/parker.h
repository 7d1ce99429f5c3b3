// Where one thread sleeps until another wakes it or time is up: a futex on Linux, a condition variable elsewhere.
//
//   parker.Prepare();  announce(&parker);  if (!condition()) parker.SleepFor(nanos);      // the owner
//   parker.Wake();                                                                         // any other thread
//
// A wake between Prepare() and SleepFor() is kept: the sleep then ends at once. A parker belongs to one thread and is
// never freed (it lives in the thread's record), so a late Wake() touches valid memory and is at worst a spurious one:
// the owner looks again at what it waits for.

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
#include <condition_variable>
#include <mutex>
#endif

#include "decouple/internal/base/time_math.h"

namespace decouple::internal {

class Parker {
 public:
  void Prepare() { woken_.store(0, std::memory_order_relaxed); }  // nobody knows of this sleep yet: no order needed

  // Pairs with Wake(): whoever wakes us published what we wait for before.
  bool woken() const { return woken_.load(std::memory_order_acquire) != 0; }

#if defined(__linux__)
  void Wake() {
    woken_.store(1, std::memory_order_release);  // pairs with the acquire in woken()
    syscall(SYS_futex, &woken_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

  // Returns when woken, when `nanos` have passed (kForever: never), or for no reason at all.
  void SleepFor(std::int64_t nanos) {
    if (woken() || nanos <= 0) return;
    constexpr std::int64_t kSecond = 1'000'000'000;
    const timespec timeout = {static_cast<std::time_t>(nanos / kSecond), static_cast<long>(nanos % kSecond)};
    syscall(SYS_futex, &woken_, FUTEX_WAIT_PRIVATE, 0, nanos == kForever ? nullptr : &timeout, nullptr, 0);
  }

 private:
  std::atomic<std::uint32_t> woken_{0};
  static_assert(sizeof(woken_) == 4, "the kernel reads it as a 32-bit word");
#else
  void Wake() {
    const std::lock_guard lock(mutex_);
    woken_.store(1, std::memory_order_release);
    condition_.notify_one();
  }

  void SleepFor(std::int64_t nanos) {
    std::unique_lock lock(mutex_);
    if (woken() || nanos <= 0) return;
    if (nanos == kForever) {
      condition_.wait(lock);
    } else {
      condition_.wait_for(lock, std::chrono::nanoseconds(nanos));
    }
  }

 private:
  std::atomic<std::uint32_t> woken_{0};
  std::mutex mutex_;
  std::condition_variable condition_;
#endif
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_BASE_PARKER_H_
