// One subscription: brings messages to its endpoint, and keeps those that have to wait.
//
// A queue takes its message in the publisher's call, without a lock. All other deliveries are pending in the retry
// queue: those to be attempted again, those of a function until its turn, those published during a pause, and in a FIFO
// topic all that follow such a delivery.
//
// Threading: one thread at a time, the runner, attempts what is due in the retry queue, and releases the mutex during
// each attempt. So a function is never called by two threads at once, and it may do to its subscription what it likes.
//
// Lock order: RetryScheduler::mutex(), then mutex_, then (DeliverInOrder() alone) the locks of the endpoint's queue.
//
//   state bits   0: the endpoint may be attempted at once
//   kFunction    set for good: it is attempted only from the retry queue
//   kPaused      set by Pause() until Resume()
//   kEnded       set by End() for good

#ifndef DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_CORE_H_
#define DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_CORE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/condition_variable.h"
#include "decouple/internal/base/counter_array.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/base/token_bucket.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/topic/endpoint.h"
#include "decouple/internal/topic/retry_queue.h"
#include "decouple/internal/topic/retry_scheduler.h"
#include "decouple/internal/topic/subscription_config.h"
#include "decouple/redrive_policy.h"
#include "decouple/topic_statistics.h"

namespace decouple::inline v0_1::internal {

class SubscriptionCore final : public Deliverable, public std::enable_shared_from_this<SubscriptionCore> {
 public:
  SubscriptionCore(std::uint64_t number, std::uint64_t topic, std::shared_ptr<RetryScheduler> retry_scheduler,
                   std::unique_ptr<Endpoint> endpoint, std::unique_ptr<RetryQueue> retry_queue,
                   SubscriptionConfig config)
      : number_(number),
        topic_(topic),
        retry_scheduler_(std::move(retry_scheduler)),
        endpoint_(std::move(endpoint)),
        config_(std::move(config)),
        state_(endpoint_->is_function() ? kFunction : 0),
        counter_number_(retry_scheduler_->counter_numbers().Take()),
        counter_(counter_number_),
        delivered_before_(retry_scheduler_->DeliveredTo(counter_)),
        retry_queue_(std::move(retry_queue)) {}
  ~SubscriptionCore() override { retry_scheduler_->counter_numbers().GiveBack(counter_number_); }

  std::uint64_t number() const override { return number_; }
  // The counter of its deliveries in LocalTopicCounts::delivered_to.
  const CounterArray::Place& counter() const { return counter_; }
  const SubscriptionConfig& config() const { return config_; }
  Endpoint& endpoint() const { return *endpoint_; }

  // ---- from the publisher -------------------------------------------------------------------------------------------

  // For a standard topic. True: it is delivered, consumes one of the caller's references, and the caller counts it.
  [[gnu::always_inline]] bool Deliver(const TopicDelivery& delivery) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (state_.load(std::memory_order_acquire) != 0) [[unlikely]]  // pairs with Pause(), Resume() and End()
      return Postpone(delivery);
    const Outcome outcome = endpoint_->Attempt(delivery, 1);
    return outcome == Outcome::kDelivered || HandleFirstFailure(delivery, outcome);
  }

  // Same as Deliver() for a FIFO topic: behind all pending deliveries. The mutex is held through the attempt, so that
  // nothing overtakes it.
  bool DeliverInOrder(const TopicDelivery& delivery) ABSL_LOCKS_EXCLUDED(mutex_) {
    bool is_attempted = false;
    bool is_pending = false;
    {
      const MutexLock lock(mutex_);
      if (state_.load(std::memory_order_relaxed) == 0 && !is_running_ && retry_queue_->size() == 0) {
        is_attempted = true;
        const Outcome outcome = endpoint_->Attempt(delivery, 1);
        if (outcome == Outcome::kDelivered) return true;
        is_pending = outcome == Outcome::kFailed && config_.delivery.retries > 0 && config_.max_waiting > 0;
        if (is_pending) retry_queue_->Add({BodyReference::On(*delivery.body), 1}, RetryAt(1, delivery.now));
      }
    }
    if (!is_attempted) return Postpone(delivery);
    if (is_pending) {
      Schedule();
    } else {
      HandleFailure({BodyReference::On(*delivery.body), 1}, Outcome::kRefused, delivery.now);
    }
    return false;
  }

  // Adds a delivery behind all that are pending, without an attempt.
  void Enqueue(PendingDelivery delivery, std::int64_t due) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (TryAdd(delivery, due)) {
      Schedule();
    } else if (IsEnded()) {
      retry_scheduler_->local().abandoned.Add(1);
    } else {
      HandleFailure(std::move(delivery), Outcome::kRefused, due);  // too many are pending
    }
  }

  // Same as Enqueue() for the bodies of a replay: nothing that is published meanwhile comes in between.
  void EnqueueReplayed(std::vector<BodyReference> bodies, std::int64_t due) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<PendingDelivery> too_many;
    {
      const MutexLock lock(mutex_);
      for (BodyReference& body : bodies) {
        PendingDelivery delivery{std::move(body), 0, true};
        if (!TryAddLocked(delivery, due)) too_many.push_back(std::move(delivery));
      }
    }
    Schedule();
    for (PendingDelivery& delivery : too_many) Enqueue(std::move(delivery), due);  // refused, or abandoned
  }

  // ---- from the retry scheduler -------------------------------------------------------------------------------------

  bool is_for_callers() const override { return endpoint_->is_function() && !config_.executor; }

  std::int64_t NextDue() const override ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return is_running_ || is_submitted_ ? kForever : NextDueLocked();
  }

  std::size_t DeliverDue() override ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!config_.executor) return AttemptDue();
    SubmitToExecutor();
    return 0;
  }

  // ---- from the handles ---------------------------------------------------------------------------------------------

  void Pause() { state_.fetch_or(kPaused, std::memory_order_release); }
  void Resume() ABSL_LOCKS_EXCLUDED(mutex_) {
    state_.fetch_and(~kPaused, std::memory_order_release);
    Schedule();
  }
  bool is_paused() const { return (state_.load(std::memory_order_acquire) & kPaused) != 0; }
  bool IsEnded() const { return (state_.load(std::memory_order_acquire) & kEnded) != 0; }

  // Nothing is delivered any more. Returns when no other thread is inside the endpoint's function: one that ends its
  // own subscription does not wait for itself.
  void End() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<PendingDelivery> abandoned;
    {
      const MutexLock lock(mutex_);
      state_.fetch_or(kEnded, std::memory_order_release);
      abandoned = retry_queue_->TakeAll();
      while (is_running_ && runner_ != std::this_thread::get_id()) idle_.Wait(mutex_);
    }
    retry_scheduler_->local().abandoned.Add(abandoned.size());
    retry_scheduler_->Deactivate(number_);
  }

  SubscriptionStatistics Statistics() const ABSL_LOCKS_EXCLUDED(mutex_) {
    SubscriptionStatistics statistics;
    statistics.number_of_notifications_delivered = retry_scheduler_->DeliveredTo(counter_) - delivered_before_;
    statistics.number_of_notifications_failed = failed_.load(std::memory_order_relaxed);
    statistics.number_of_notifications_redriven_to_dlq = redriven_.load(std::memory_order_relaxed);
    statistics.number_of_notifications_failed_to_redrive_to_dlq = failed_to_redrive_.load(std::memory_order_relaxed);
    statistics.number_of_notifications_retried = retried_.load(std::memory_order_relaxed);
    const MutexLock lock(mutex_);
    statistics.number_of_notifications_waiting =
        static_cast<std::int64_t>(retry_queue_->size()) + (is_running_ ? 1 : 0);
    return statistics;
  }

  // Owners are handles that end the subscription when they are destroyed: it ends with the last one, unless one was
  // detached, which stays counted. Requires: the caller holds TopicBase::subscriptions_mutex_.
  void AddOwner() { ++owners_; }
  // Whether that was the last one.
  bool RemoveOwner() {
    DECOUPLE_ASSERT(owners_ > 0);
    return --owners_ == 0;
  }

 private:
  static constexpr std::uint32_t kFunction = 1;
  static constexpr std::uint32_t kPaused = 2;
  static constexpr std::uint32_t kEnded = 4;

  // Slow paths of Deliver(). Both return false: it is not delivered now.
  [[gnu::noinline]] bool Postpone(const TopicDelivery& delivery) ABSL_LOCKS_EXCLUDED(mutex_) {
    Enqueue({BodyReference::On(*delivery.body)}, delivery.now);
    return false;
  }
  [[gnu::noinline]] bool HandleFirstFailure(const TopicDelivery& delivery, Outcome outcome)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    HandleFailure({BodyReference::On(*delivery.body), 1}, HasRoom() ? outcome : Outcome::kRefused, delivery.now);
    return false;
  }

  TopicDelivery TopicDeliveryOf(const PendingDelivery& delivery, std::int64_t now) const {
    const Publication& publication = *delivery.body->publication();
    return {.body = delivery.body.get(),
            .topic = topic_,
            .group = publication.group,
            .deduplication_id = publication.deduplication_id,
            .clock = &retry_scheduler_->clock(),
            .now = now,
            .is_replayed = delivery.is_replayed,
            .is_dead_letter = delivery.is_dead_letter};
  }

  // Whether one more delivery may be pending.
  bool HasRoom() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return static_cast<std::int64_t>(retry_queue_->size()) < config_.max_waiting;
  }

  std::int64_t RetryAt(int retry, std::int64_t now) const {
    return SaturatingAdd(now, absl::ToInt64Nanoseconds(config_.delivery.DelayBefore(retry)));
  }

  // Attempts what is due, unless another thread does: no more deliveries than are pending at the call, so that retries
  // without a delay come to an end. Returns the number of attempts.
  std::size_t AttemptDue() ABSL_LOCKS_EXCLUDED(mutex_) {
    mutex_.lock();
    if (is_running_) {
      mutex_.unlock();
      return 0;
    }
    is_running_ = true;
    runner_ = std::this_thread::get_id();
    const std::int64_t now = retry_scheduler_->clock().NowNanos();
    std::size_t attempts = 0;
    for (std::size_t most = retry_queue_->size(); attempts < most && NextDueLocked() <= now; ++attempts) {
      if (config_.max_receives_per_second) bucket_.TryTake(now, *config_.max_receives_per_second);
      PendingDelivery delivery = retry_queue_->Take();
      mutex_.unlock();
      Attempt(std::move(delivery), now);
      mutex_.lock();
    }
    DECOUPLE_ASSERT(is_running_ && runner_ == std::this_thread::get_id());
    is_running_ = false;
    runner_ = {};
    mutex_.unlock();
    idle_.NotifyAll();
    if (attempts > 0) Schedule();
    return attempts;
  }

  // Requires: the caller is the runner.
  void Attempt(PendingDelivery delivery, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (delivery.is_dead_letter) return SendToDeadLetters(std::move(delivery), now);
    if (delivery.attempts > 0) {
      retried_.fetch_add(1, std::memory_order_relaxed);
      retry_scheduler_->local().retried.Add(1);
    }
    ++delivery.attempts;
    const Outcome outcome = endpoint_->Attempt(TopicDeliveryOf(delivery, now), delivery.attempts);
    if (outcome == Outcome::kDelivered) {
      static_cast<void>(delivery.body.Release());  // the endpoint has consumed this reference
      LocalTopicCounts& local = retry_scheduler_->local();
      local.delivered.Add(1);
      local.delivered_to.Add(counter_, 1);
    } else {
      HandleFailure(std::move(delivery), outcome, retry_scheduler_->clock().NowNanos());
    }
  }

  // After a failed attempt: the delivery is retried, or has failed for good and goes to the dead-letter queue. In a
  // FIFO topic only the runner calls it with kFailed: a retry goes back to the front, where the runner took it from.
  void HandleFailure(PendingDelivery delivery, Outcome outcome, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (outcome == Outcome::kFailed && delivery.attempts <= config_.delivery.retries) {
      const std::int64_t due = RetryAt(delivery.attempts, now);
      return PutBack(std::move(delivery), due);
    }
    failed_.fetch_add(1, std::memory_order_relaxed);
    retry_scheduler_->local().failed.Add(1);
    if (config_.dead_letters == nullptr) return;
    delivery.is_dead_letter = true;
    SendToDeadLetters(std::move(delivery), now);
  }

  // While the dead-letter queue does not take the message, this is tried again each second, until the queue is closed.
  void SendToDeadLetters(PendingDelivery delivery, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    switch (config_.dead_letters->Attempt(TopicDeliveryOf(delivery, now), 1)) {
      case Outcome::kDelivered:
        static_cast<void>(delivery.body.Release());
        redriven_.fetch_add(1, std::memory_order_relaxed);
        retry_scheduler_->local().redriven.Add(1);
        return;
      case Outcome::kFailed:
        return PutBack(std::move(delivery), SaturatingAdd(now, absl::ToInt64Nanoseconds(kRedriveRetry)));
      case Outcome::kRefused:
        failed_to_redrive_.fetch_add(1, std::memory_order_relaxed);
        retry_scheduler_->local().failed_to_redrive.Add(1);
        return;
    }
  }

  // False: the subscription has ended, or too many are pending; `delivery` has not been moved from.
  bool TryAdd(PendingDelivery& delivery, std::int64_t due) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return TryAddLocked(delivery, due);
  }

  bool TryAddLocked(PendingDelivery& delivery, std::int64_t due) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (IsEnded() || static_cast<std::int64_t>(retry_queue_->size()) >= config_.max_waiting) return false;
    retry_queue_->Add(std::move(delivery), due);
    return true;
  }

  // False: the subscription has ended; `delivery` has not been moved from.
  bool TryPutBack(PendingDelivery& delivery, std::int64_t due) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (IsEnded()) return false;
    retry_queue_->PutBack(std::move(delivery), due);
    return true;
  }

  void PutBack(PendingDelivery delivery, std::int64_t due) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (TryPutBack(delivery, due)) {
      Schedule();
    } else {
      retry_scheduler_->local().abandoned.Add(1);
    }
  }

  // Has what is due next attempted: by the executor at once, or by the threads that serve the retry scheduler.
  void Schedule() ABSL_LOCKS_EXCLUDED(mutex_) {
    const std::int64_t due = NextDue();
    if (due == kForever) return;
    if (config_.executor && due <= retry_scheduler_->clock().NowNanos()) {
      SubmitToExecutor();
    } else {
      retry_scheduler_->Activate(shared_from_this(), due);
    }
  }

  // Gives the executor a task that attempts what is due, unless it has one already.
  void SubmitToExecutor() ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      const MutexLock lock(mutex_);
      if (is_submitted_ || is_running_ || NextDueLocked() > retry_scheduler_->clock().NowNanos()) return;
      is_submitted_ = true;
    }
    config_.executor([self = shared_from_this()] {
      while (self->AttemptDue() > 0) continue;
      {
        const MutexLock lock(self->mutex_);
        self->is_submitted_ = false;
      }
      self->Schedule();  // what came since
    });
  }

  std::int64_t NextDueLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (is_paused() || IsEnded()) return kForever;
    const std::int64_t due = retry_queue_->NextDue();
    if (due == kForever || !config_.max_receives_per_second) return due;
    return std::max(due, bucket_.NextAt(*config_.max_receives_per_second));
  }

  const std::uint64_t number_;
  const std::uint64_t topic_;
  const std::shared_ptr<RetryScheduler> retry_scheduler_;
  const std::unique_ptr<Endpoint> endpoint_;
  const SubscriptionConfig config_;

  std::atomic<std::uint32_t> state_;
  std::int64_t owners_ = 0;
  // Each publisher counts deliveries for itself (counter_array.h). The number may have been another subscription's: its
  // counters begin at delivered_before_.
  const std::uint32_t counter_number_;
  const CounterArray::Place counter_;
  const std::uint64_t delivered_before_;
  // Relaxed: statistics only.
  std::atomic<std::uint64_t> failed_{0};
  std::atomic<std::uint64_t> redriven_{0};
  std::atomic<std::uint64_t> failed_to_redrive_{0};
  std::atomic<std::uint64_t> retried_{0};

  mutable Mutex mutex_ ABSL_ACQUIRED_AFTER(retry_scheduler_->mutex());
  ConditionVariable idle_;  // !is_running_
  const std::unique_ptr<RetryQueue> retry_queue_ ABSL_PT_GUARDED_BY(mutex_);
  TokenBucket bucket_ ABSL_GUARDED_BY(mutex_);
  bool is_running_ ABSL_GUARDED_BY(mutex_) = false;  // a thread, runner_, attempts what is due
  std::thread::id runner_ ABSL_GUARDED_BY(mutex_);
  bool is_submitted_ ABSL_GUARDED_BY(mutex_) = false;  // the executor has a task
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_CORE_H_
