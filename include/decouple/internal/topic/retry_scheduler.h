// Delivers later what could not be delivered at once, on the threads that call in: it has no thread of its own.
//
// A subscription with pending deliveries is active here. Every publisher also attempts those that are due, but never
// calls a function for it: functions run on their executors, or in Deliver().
//
// What a thread or an executor is at is due no more, and not delivered yet. So Run() also waits until no work is in
// progress: work_ counts what is, and what has begun, which tells work that began and ended during a look from none.
//
// Lock order: the scheduler's mutex is taken before a subscription's (NextDue() is asked under it), never after. So a
// subscription releases its own mutex before it calls Activate() or Deactivate(). No user code runs under the
// scheduler's mutex: DeliverDue() is called, and a subscription's last reference is dropped, with it released.

#ifndef DECOUPLE_INTERNAL_TOPIC_RETRY_SCHEDULER_H_
#define DECOUPLE_INTERNAL_TOPIC_RETRY_SCHEDULER_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "decouple/clock.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/counter_array.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/per_thread.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/topic/topic_counters.h"
#include "decouple/topic_statistics.h"

namespace decouple::inline v0_1::internal {

// A subscription as the scheduler sees it: something that may have deliveries pending. All members may be called from
// any thread.
class Deliverable {
 public:
  virtual ~Deliverable() = default;

  // Unique within the topic. Deliverables are served in ascending order.
  virtual std::uint64_t number() const = 0;
  // Whether only Deliver() may serve it, because its function runs on the calling thread.
  virtual bool is_for_callers() const = 0;
  // When there is something to do; kForever if there is nothing, or another thread is doing it. While an executor
  // loses tasks that is later than when something is due. Called under the scheduler's mutex: may take its own mutex,
  // must not call the scheduler or user code.
  virtual std::int64_t NextDue() const = 0;
  // Attempts what was due at the call, or has it attempted elsewhere. Returns how many deliveries it attempted itself.
  // Called with no lock held: may run user code and call the scheduler.
  virtual std::size_t DeliverDue() = 0;
};

// All members may be called from any thread.
class RetryScheduler {
 public:
  explicit RetryScheduler(Clock& clock) : clock_(clock) {}

  Clock& clock() const { return clock_; }
  LocalTopicCounts& local() { return counts_.Local(); }
  TopicStatistics Sums() const {
    TopicStatistics sums;
    counts_.ForEach([&](const LocalTopicCounts& local) { local.AddTo(sums); });
    return sums;
  }

  // The numbers of the subscriptions' counters in LocalTopicCounts::delivered_to.
  CounterNumbers& counter_numbers() { return counter_numbers_; }
  std::uint64_t DeliveredTo(const CounterArray::Place& counter) const {
    std::uint64_t sum = 0;
    counts_.ForEach([&](const LocalTopicCounts& local) { sum += local.delivered_to.value(counter); });
    return sum;
  }

  // For lock orders alone: mutexes are ABSL_ACQUIRED_AFTER() this one.
  Mutex& mutex() const ABSL_LOCK_RETURNED(mutex_) { return mutex_; }

  // `deliverable` has something due from `due` on; nothing is done if that is over by now. Requires: the caller holds
  // no subscription's mutex.
  void Activate(const std::shared_ptr<Deliverable>& deliverable, std::int64_t due) ABSL_LOCKS_EXCLUDED(mutex_) {
    DECOUPLE_ASSERT(due != kForever);
    {
      const MutexLock lock(mutex_);
      // A subscription that has ended meanwhile, and was deactivated, must not be kept alive here.
      if (deliverable->NextDue() == kForever) return;
      if (!deliverable->is_for_callers()) LowerPublishersDue(due);
      active_.try_emplace(deliverable->number(), deliverable);
    }
    changed_.Notify(EventCount::kAll);
  }

  // Requires: the caller holds no subscription's mutex.
  void Deactivate(std::uint64_t number) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::shared_ptr<Deliverable> removed;  // perhaps the last reference: it is dropped after the mutex
    const MutexLock lock(mutex_);
    const auto found = active_.find(number);
    if (found == active_.end()) return;
    removed = std::move(found->second);
    active_.erase(found);
  }

  // Attempts all that is due, until nothing is. Returns the number of attempts made here.
  std::size_t Deliver() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::size_t all = 0;
    for (;;) {
      std::size_t attempts = 0;
      for (const auto& deliverable : ListActive()) attempts += deliverable->DeliverDue();
      RemoveIdle();
      if (attempts == 0) return all;
      all += attempts;
    }
  }

  // For publishers: attempts what is due and calls no function for it. One relaxed load if nothing is.
  void RunSomeRetries(std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (publishers_due_.load(std::memory_order_relaxed) > now) [[likely]]
      return;
    std::size_t attempts = 0;
    do {
      attempts = 0;
      for (const auto& deliverable : ListActive()) {
        if (deliverable->is_for_callers() || deliverable->NextDue() > clock_.NowNanos()) continue;
        attempts += deliverable->DeliverDue();
      }
      RemoveIdle();
    } while (attempts != 0);  // retries without a delay
  }

  // When Deliver() next has something to do; kForever if never as things are.
  std::int64_t NextDue() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    std::int64_t next = kForever;
    for (const auto& [number, deliverable] : active_) next = std::min(next, deliverable->NextDue());
    return next;
  }

  // Enclose a turn, or the time for which an executor has a task: what is left then is activated before EndWork().
  // BeginWork() is called under the mutex under which NextDue() would have found it.
  void BeginWork() { work_.fetch_add(kBegun + 1, std::memory_order_relaxed); }
  void EndWork() {
    // Release: pairs with IsDone(). If Finish() comes after this, what it notifies sees this.
    if ((work_.fetch_sub(1, std::memory_order_acq_rel) & kFinishing) != 0) changed_.Notify(EventCount::kAll);
  }

  // Delivers what becomes due, asleep on the clock in between, until Finish() was called and nothing is left to do,
  // here or elsewhere.
  void Run() ABSL_LOCKS_EXCLUDED(mutex_) {
    for (;;) {
      EventCount::Waiter waiter(changed_);
      DeliverByTime();
      if (IsDone()) return;
      waiter.Sleep(clock_, NextDue());
    }
  }

  void Finish() {
    work_.fetch_or(kFinishing, std::memory_order_acq_rel);  // pairs with IsDone()
    changed_.Notify(EventCount::kAll);
  }

 private:
  static constexpr std::uint64_t kFinishing = std::uint64_t{1} << 31;
  static constexpr std::uint64_t kBegun = std::uint64_t{1} << 32;

  // Whether Finish() was called, nothing is due, now or later, and no work is in progress.
  bool IsDone() const ABSL_LOCKS_EXCLUDED(mutex_) {
    // Pairs with EndWork(), which comes after what was activated, and with Finish().
    const std::uint64_t work = work_.load(std::memory_order_acquire);
    if (work % kBegun != kFinishing || NextDue() != kForever) return false;
    // Work that began before NextDue() took the subscription's mutex is seen here.
    return work_.load(std::memory_order_relaxed) == work;
  }

  // Same as Deliver(), but by NextDue(): an executor that loses its tasks is not offered them without a pause.
  void DeliverByTime() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::size_t attempts = 0;
    do {
      attempts = 0;
      for (const auto& deliverable : ListActive()) {
        if (deliverable->NextDue() <= clock_.NowNanos()) attempts += deliverable->DeliverDue();
      }
      RemoveIdle();
    } while (attempts != 0);
  }

  // A copy, so that DeliverDue() is called without the mutex.
  std::vector<std::shared_ptr<Deliverable>> ListActive() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    std::vector<std::shared_ptr<Deliverable>> all;
    for (const auto& [number, deliverable] : active_) all.push_back(deliverable);
    return all;
  }

  // Removes deliverables that have nothing to do. If one gets something meanwhile, its Activate() comes after this.
  void RemoveIdle() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<std::shared_ptr<Deliverable>> idle;  // perhaps the last references: they are dropped after the mutex
    const MutexLock lock(mutex_);
    std::int64_t next = kForever;
    for (auto entry = active_.begin(); entry != active_.end();) {
      const std::int64_t due = entry->second->NextDue();
      if (due == kForever) {
        idle.push_back(std::move(entry->second));
        entry = active_.erase(entry);
        continue;
      }
      if (!entry->second->is_for_callers()) next = std::min(next, due);
      ++entry;
    }
    publishers_due_.store(next, std::memory_order_relaxed);
  }

  void LowerPublishersDue(std::int64_t due) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (due < publishers_due_.load(std::memory_order_relaxed)) publishers_due_.store(due, std::memory_order_relaxed);
  }

  Clock& clock_;
  PerThread<LocalTopicCounts> counts_;
  CounterNumbers counter_numbers_;
  EventCount changed_;
  // From kBegun on: how much work has begun; kFinishing: Finish() was called; below: how much is in progress.
  std::atomic<std::uint64_t> work_{0};
  // When the first deliverable that publishers may serve is due. Written under the mutex, read without it as a hint: a
  // publisher that misses a change leaves the retry to a later one, or to Deliver().
  std::atomic<std::int64_t> publishers_due_{kForever};

  mutable Mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Deliverable>> active_ ABSL_GUARDED_BY(mutex_);  // by number
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_RETRY_SCHEDULER_H_
