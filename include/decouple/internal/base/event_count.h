// An event count: threads wait for a condition, and other threads notify them after a change that may make it true.
//
//   EventCount::Waiter waiter(event);                         // waiter: from here on no notification is missed
//   while (!TryIt()) waiter.Sleep(clock, deadline);
//
//   …make the change…;  event.Notify(1);                      // notifier
//
// Complexity. Without waiters, Notify() is one load.
//
// Memory ordering. The waiter adds itself to the count, passes a heavy fence and checks its condition; the notifier
// makes its change, passes a light fence and loads the count. By the fence rule (asymmetric_fence.h) either the waiter
// sees the change, or the notifier sees the waiter. So a plain store is enough for the change.
//
// Order. Notify(n) wakes up to n waiters, in the order in which they came. A waiter that was notified but leaves
// without checking its condition again passes the notification on.

#ifndef DECOUPLE_INTERNAL_BASE_EVENT_COUNT_H_
#define DECOUPLE_INTERNAL_BASE_EVENT_COUNT_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <new>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "decouple/clock.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/parker.h"
#include "decouple/internal/base/process.h"
#include "decouple/internal/base/thread_registry.h"

namespace decouple::inline v0_1::internal {

class EventCount {
 public:
  static constexpr std::uint32_t kAll = std::numeric_limits<std::uint32_t>::max();

  EventCount() : forks_(Process().forks.load(std::memory_order_relaxed)) {}
  EventCount(const EventCount&) = delete;
  EventCount& operator=(const EventCount&) = delete;

  // Wakes up to `n` waiters.
  [[gnu::always_inline]] void Notify(std::uint32_t n) {
    if (HasWaiters()) [[unlikely]]
      NotifySome(n);
  }

  // Whether Notify() would find a waiter.
  [[gnu::always_inline]] bool HasWaiters() const {
    LightFence();  // pairs with the heavy fence in Enter()
    return HasWaitersAfterFence();
  }
  // Same as HasWaiters(), for a caller that passed a light fence after its change.
  [[gnu::always_inline]] bool HasWaitersAfterFence() const { return waiters_.load(std::memory_order_relaxed) != 0; }

  class Waiter {
   public:
    explicit Waiter(EventCount& event) : event_(event), parker_(ThreadRegistry::Current().parker) { Enter(); }
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter() {
      if (is_waiting_ && !Leave())
        event_.Notify(1);  // notified after the last check: another waiter must check instead
    }

    // Sleeps until notified or until the clock shows `deadline`; then the caller checks its condition. If that fails,
    // the next call does not sleep but enters the queue of waiters again, after which the caller has to check once
    // more. So a waiter that finds what it was woken for passes no second heavy fence, which takes longer than waking
    // up.
    void Sleep(Clock& clock, std::int64_t deadline) {
      DECOUPLE_ASSERT(!ThreadRegistry::IsInReadSection());
      if (!is_waiting_) {
        Enter();
        return;
      }
      // If it is not queued it was notified already, which the parker may have forgotten: the checks since Enter() may
      // have slept on it for another event.
      if (IsQueued()) clock.Sleep(parker_, deadline);
      Leave();
      is_waiting_ = false;
    }

   private:
    friend class EventCount;

    void Enter() {
      is_waiting_ = true;
      parker_.Prepare();
      {
        const MutexLock lock(event_.mutex());
        event_.Link(*this);
      }
      HeavyFence();  // before the checks; pairs with the light fence in HasWaiters()
    }

    bool IsQueued() const {
      const MutexLock lock(event_.mutex());
      return queued_ && !IsForgotten();
    }

    // Returns false if it has been notified.
    bool Leave() {
      const MutexLock lock(event_.mutex());
      if (!queued_) return false;
      if (IsForgotten()) {
        queued_ = false;
      } else {
        event_.Unlink(*this);
      }
      return true;
    }

    // Whether the thread forked while it waited, and this is the child: the event has dropped the parent's waiters.
    bool IsForgotten() const { return forks_ != event_.forks_.load(std::memory_order_relaxed); }

    EventCount& event_;
    Parker& parker_;
    bool is_waiting_ = false;  // between Enter() and Leave(); used by the owner alone
    // Guarded by event_.mutex_, which the analysis cannot follow from waiter to waiter.
    Waiter* previous_ = nullptr;
    Waiter* next_ = nullptr;
    bool queued_ = false;
    std::uint32_t forks_ = 0;  // the event's when it was queued
  };

 private:
  // The mutex; in the child of a fork first rids the event of the waiters of the parent. They lie on the stacks of
  // threads that do not exist there, and one of them may have held the mutex.
  Mutex& mutex() ABSL_LOCK_RETURNED(mutex_) {
    const std::uint32_t forks = Process().forks.load(std::memory_order_relaxed);
    // Acquire: pairs with the release in ForgetParent().
    if (forks_.load(std::memory_order_acquire) != forks) [[unlikely]]
      ForgetParent(forks);
    return mutex_;
  }

  [[gnu::noinline, gnu::cold]] void ForgetParent(std::uint32_t forks) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    std::uint32_t seen = forks_.load(std::memory_order_acquire);
    // Not a second time: the waiters by then are the child's own.
    if (seen != kForgetting && seen != forks &&
        forks_.compare_exchange_strong(seen, kForgetting, std::memory_order_acquire)) {
      ::new (&mutex_) Mutex;
      first_ = nullptr;
      last_ = nullptr;
      waiters_.store(0, std::memory_order_relaxed);
      forks_.store(forks, std::memory_order_release);
    }
    while (forks_.load(std::memory_order_acquire) != forks) std::this_thread::yield();  // another thread does it
  }

  // Wakes waiters that wait at the time of the call, none that come meanwhile.
  [[gnu::noinline]] void NotifySome(std::uint32_t n) {
    n = std::min(n, waiters_.load(std::memory_order_relaxed));
    for (; n > 0; --n) {
      Parker* const parker = PopFirst();
      if (parker == nullptr) return;
      parker->Wake();  // outside of the mutex, which the waiter takes as soon as it is awake
    }
  }

  // Removes the first waiter; null if there is none. The parker stays valid, as parkers are never freed.
  Parker* PopFirst() {
    const MutexLock lock(mutex());
    if (first_ == nullptr) return nullptr;
    Parker& parker = first_->parker_;
    Unlink(*first_);
    return &parker;
  }

  void Link(Waiter& waiter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    waiter.previous_ = last_;
    waiter.next_ = nullptr;
    (waiter.previous_ != nullptr ? waiter.previous_->next_ : first_) = &waiter;
    last_ = &waiter;
    waiter.queued_ = true;
    waiter.forks_ = forks_.load(std::memory_order_relaxed);
    waiters_.fetch_add(1, std::memory_order_relaxed);  // ordered by the fence in Enter()
  }

  void Unlink(Waiter& waiter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    DECOUPLE_ASSERT(waiter.queued_);
    (waiter.previous_ != nullptr ? waiter.previous_->next_ : first_) = waiter.next_;
    (waiter.next_ != nullptr ? waiter.next_->previous_ : last_) = waiter.previous_;
    waiter.queued_ = false;
    waiters_.fetch_sub(
        1, std::memory_order_relaxed);  // relaxed: a count that is too high for a moment costs a call in vain
  }

  static constexpr std::uint32_t kForgetting = std::numeric_limits<std::uint32_t>::max();

  std::atomic<std::uint32_t> waiters_{0};  // written under the mutex; read by notifiers without it
  std::atomic<std::uint32_t> forks_;       // ProcessState::forks of the process in which the list was made
  Mutex mutex_;
  Waiter* first_ ABSL_GUARDED_BY(mutex_) = nullptr;
  Waiter* last_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_EVENT_COUNT_H_
