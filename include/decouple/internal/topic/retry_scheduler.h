// Sees to it that what could not be delivered at once is delivered later, by the threads that call in.
//
// A subscription with messages waiting is active here. Whoever publishes looks after those that are due, but never
// calls a function for it: functions run on their executors, or in Deliver().
//
// Locks: this one's mutex is taken before a subscription's, never the other way round, and no user code runs under it.

#ifndef DECOUPLE_INTERNAL_TOPIC_RETRY_SCHEDULER_H_
#define DECOUPLE_INTERNAL_TOPIC_RETRY_SCHEDULER_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "decouple/clock.h"
#include "decouple/internal/base/counter_array.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/per_thread.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/topic/topic_counters.h"
#include "decouple/topic_statistics.h"

namespace decouple::internal {

// What has messages waiting.
class Deliverable {
 public:
  virtual ~Deliverable() = default;

  // In this order they are served.
  virtual std::uint64_t number() const = 0;
  // Only Deliver() may serve it: its function runs on the thread that calls.
  virtual bool is_for_callers() const = 0;
  // When there is something to do; kForever if there is nothing, or another thread is at it.
  virtual std::int64_t NextDue() const = 0;
  // Attempts what was due at the call, or has it attempted elsewhere. Returns how many it attempted itself.
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
    counts_.ForEach([&](const LocalTopicCounts& one) { one.AddTo(sums); });
    return sums;
  }

  // By which its deliveries are counted, in LocalTopicCounts::delivered_to.
  CounterNumbers& counter_numbers() { return counter_numbers_; }
  std::uint64_t DeliveredTo(const CounterArray::Place& counter) const {
    std::uint64_t sum = 0;
    counts_.ForEach([&](const LocalTopicCounts& one) { sum += one.delivered_to.value(counter); });
    return sum;
  }

  // It has something due from `due` on. The caller holds no subscription's mutex.
  void Activate(const std::shared_ptr<Deliverable>& one, std::int64_t due) {
    {
      const std::lock_guard lock(mutex_);
      if (!one->is_for_callers()) LowerPublishersDue(due);
      active_.try_emplace(one->number(), one);
    }
    changed_.Notify(EventCount::kAll);
  }

  void Deactivate(std::uint64_t number) {
    std::shared_ptr<Deliverable> one;  // may end with this
    const std::lock_guard lock(mutex_);
    const auto found = active_.find(number);
    if (found == active_.end()) return;
    one = std::move(found->second);
    active_.erase(found);
  }

  // All that is due, until nothing is. Returns the number of attempts made here.
  std::size_t Deliver() {
    std::size_t all = 0;
    for (;;) {
      std::size_t attempts = 0;
      for (const auto& one : Active()) attempts += one->DeliverDue();
      Tidy();
      if (attempts == 0) return all;
      all += attempts;
    }
  }

  // For those who publish: one load if there is nothing.
  void RunSomeRetries(std::int64_t now) {
    if (publishers_due_.load(std::memory_order_relaxed) > now) [[likely]]
      return;
    std::size_t attempts = 0;
    do {
      attempts = 0;
      for (const auto& one : Active()) {
        if (!one->is_for_callers()) attempts += one->DeliverDue();
      }
      Tidy();
    } while (attempts != 0);  // retries without a delay
  }

  // When Deliver() next has something to do; kForever if never as things are.
  std::int64_t NextDue() const {
    const std::lock_guard lock(mutex_);
    std::int64_t next = kForever;
    for (const auto& [number, one] : active_) next = std::min(next, one->NextDue());
    return next;
  }

  // Delivers what becomes due, asleep on the clock in between, until Finish() was called and nothing is left to do.
  void Run() {
    for (;;) {
      EventCount::Waiter waiter(changed_);
      Deliver();
      const std::int64_t next = NextDue();
      if (next == kForever && finishing_.load(std::memory_order_acquire)) return;
      waiter.Sleep(clock_, next);
    }
  }

  void Finish() {
    finishing_.store(true, std::memory_order_release);  // pairs with Run()
    changed_.Notify(EventCount::kAll);
  }

 private:
  std::vector<std::shared_ptr<Deliverable>> Active() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Deliverable>> all;
    for (const auto& [number, one] : active_) all.push_back(one);
    return all;
  }

  // Drops those that have nothing to do. One that gets something meanwhile is activated after that.
  void Tidy() {
    std::vector<std::shared_ptr<Deliverable>> idle;  // may end, after the mutex
    const std::lock_guard lock(mutex_);
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

  void LowerPublishersDue(std::int64_t due) {
    if (due < publishers_due_.load(std::memory_order_relaxed)) publishers_due_.store(due, std::memory_order_relaxed);
  }

  Clock& clock_;
  PerThread<LocalTopicCounts> counts_;
  CounterNumbers counter_numbers_;
  EventCount changed_;
  std::atomic<bool> finishing_{false};
  // Written under the mutex; a hint.
  std::atomic<std::int64_t> publishers_due_{kForever};

  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Deliverable>> active_;  // by number
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_RETRY_SCHEDULER_H_
