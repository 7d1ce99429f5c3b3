// Where threads wait until something has happened that others announce.
//
//   EventCount::Waiter waiter(event);                         // the one who waits: from here on nothing is missed
//   while (!TryIt()) waiter.Sleep(clock, deadline);
//
//   …publish…;  event.Notify(1);                              // the one who announces
//
// Nobody waits: announcing is one load, and no fence. The waiter counts itself, then looks; the announcer publishes,
// then reads the count; with a heavy fence on the waiter's side and a light one on the announcer's at least one of the
// two sees the other. So what publishes may be a plain store. Announcing n wakes up to n waiters, first come first; one
// that is woken but leaves without what it was woken for passes the call on.

#ifndef DECOUPLE_INTERNAL_BASE_EVENT_COUNT_H_
#define DECOUPLE_INTERNAL_BASE_EVENT_COUNT_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <mutex>

#include "decouple/clock.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/parker.h"
#include "decouple/internal/base/thread_registry.h"

namespace decouple::internal {

class EventCount {
 public:
  static constexpr std::uint32_t kAll = std::numeric_limits<std::uint32_t>::max();

  EventCount() = default;
  EventCount(const EventCount&) = delete;
  EventCount& operator=(const EventCount&) = delete;

  [[gnu::always_inline]] void Notify(std::uint32_t n) {
    if (HasWaiters()) [[unlikely]]
      NotifySome(n);
  }

  // Whether Notify() would find anybody.
  [[gnu::always_inline]] bool HasWaiters() const {
    LightFence();  // pairs with the heavy one in Enter()
    return HasWaitersAfterFence();
  }
  // The same for who has passed a light fence since he published.
  [[gnu::always_inline]] bool HasWaitersAfterFence() const { return waiting_.load(std::memory_order_relaxed) != 0; }

  class Waiter {
   public:
    explicit Waiter(EventCount& event) : event_(event), parker_(ThreadRegistry::Current().parker) { Enter(); }
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter() {
      if (is_waiting_ && !Leave()) event_.Notify(1);  // called after the last look: somebody else must look instead
    }

    // Until notified or the clock shows `deadline`; look then. If that was in vain, the next call does not sleep but
    // waits anew, and after it one looks again: so who finds what he was woken for has no heavy fence on his way, which
    // takes longer than to be woken.
    void Sleep(Clock& clock, std::int64_t deadline) {
      if (!is_waiting_) {
        Enter();
        return;
      }
      // Notified already, and the looks in between may have slept elsewhere: then the parker does not remember.
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
        const std::lock_guard lock(event_.mutex_);
        previous_ = event_.last_;
        next_ = nullptr;
        (previous_ != nullptr ? previous_->next_ : event_.first_) = this;
        event_.last_ = this;
        queued_ = true;
        event_.waiting_.fetch_add(1, std::memory_order_relaxed);
      }
      HeavyFence();  // before the looks
    }

    bool IsQueued() const {
      const std::lock_guard lock(event_.mutex_);
      return queued_;
    }

    // Returns false if it was notified before.
    bool Leave() {
      const std::lock_guard lock(event_.mutex_);
      if (!queued_) return false;
      event_.Unlink(*this);
      return true;
    }

    EventCount& event_;
    Parker& parker_;
    bool is_waiting_ = false;  // the owner's: between Enter() and Leave()
    // All below: under the event's mutex.
    Waiter* previous_ = nullptr;
    Waiter* next_ = nullptr;
    bool queued_ = false;
  };

 private:
  // Those who wait at the call, and no others who come meanwhile.
  [[gnu::noinline]] void NotifySome(std::uint32_t n) {
    n = std::min(n, waiting_.load(std::memory_order_relaxed));
    for (; n > 0; --n) {
      Parker* const parker = TakeFirst();
      if (parker == nullptr) return;
      parker->Wake();  // without the mutex, which it takes first when it is awake
    }
  }

  // Null: nobody waits. A parker is never freed.
  Parker* TakeFirst() {
    const std::lock_guard lock(mutex_);
    if (first_ == nullptr) return nullptr;
    Parker& parker = first_->parker_;
    Unlink(*first_);
    return &parker;
  }

  void Unlink(Waiter& waiter) {
    (waiter.previous_ != nullptr ? waiter.previous_->next_ : first_) = waiter.next_;
    (waiter.next_ != nullptr ? waiter.next_->previous_ : last_) = waiter.previous_;
    waiter.queued_ = false;
    waiting_.fetch_sub(1, std::memory_order_relaxed);  // too high for a moment only costs a look
  }

  std::atomic<std::uint32_t> waiting_{0};
  std::mutex mutex_;
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_BASE_EVENT_COUNT_H_
