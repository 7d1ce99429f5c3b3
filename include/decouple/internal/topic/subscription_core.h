// One subscription: brings messages to its endpoint, and keeps those that have to wait.
//
// A queue takes its message in the publisher's call, without a lock. All else waits in the retry queue: what is to be tried
// again, what a function has not had its turn for, what comes during a pause, and in a FIFO topic what comes behind
// such a message. One thread at a time works a retry queue off, with the mutex released while it attempts; so a function is
// never called by two threads at once, and may do to its subscription what it likes.
//
//   state bits   0: the endpoint may be attempted at once
//   kFunction    set for good: only from the retry queue
//   kPaused      by Pause(), until Resume()
//   kEnded       by End(), for good

#ifndef DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_CORE_H_
#define DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_CORE_H_

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "decouple/delivery_policy.h"
#include "decouple/executor.h"
#include "decouple/internal/base/counter_array.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/base/token_bucket.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/topic/endpoint.h"
#include "decouple/internal/topic/retry_queue.h"
#include "decouple/internal/topic/retry_scheduler.h"
#include "decouple/redrive_policy.h"
#include "decouple/topic_statistics.h"

namespace decouple::internal {

// How a subscription delivers.
struct SubscriptionConfig {
  std::string name;
  DeliveryPolicy delivery;
  std::optional<int> max_receives_per_second;
  std::int64_t max_waiting = std::numeric_limits<std::int64_t>::max();
  std::shared_ptr<Endpoint> dead_letters;  // null: none
  Executor executor;                       // empty: none
};

class SubscriptionCore final : public Deliverable, public std::enable_shared_from_this<SubscriptionCore> {
 public:
  SubscriptionCore(std::uint64_t number, std::uint64_t topic, std::shared_ptr<RetryScheduler> retry_scheduler,
                   std::unique_ptr<Endpoint> endpoint, std::unique_ptr<RetryQueue> retry_queue,
                   SubscriptionConfig settings)
      : number_(number),
        topic_(topic),
        retry_scheduler_(std::move(retry_scheduler)),
        endpoint_(std::move(endpoint)),
        config_(std::move(settings)),
        state_(endpoint_->is_function() ? kFunction : 0),
        counter_number_(retry_scheduler_->counter_numbers().Take()),
        counter_(counter_number_),
        delivered_before_(retry_scheduler_->DeliveredTo(counter_)),
        retry_queue_(std::move(retry_queue)) {}
  ~SubscriptionCore() override { retry_scheduler_->counter_numbers().GiveBack(counter_number_); }

  std::uint64_t number() const override { return number_; }
  // Of its deliveries, in LocalTopicCounts::delivered_to.
  const CounterArray::Place& counter() const { return counter_; }
  const SubscriptionConfig& settings() const { return config_; }
  Endpoint& endpoint() const { return *endpoint_; }

  // ---- from the publisher -------------------------------------------------------------------------------------------

  // Of a standard topic. True: it is delivered, a hold of the caller's is used up, and he counts it.
  [[gnu::always_inline]] bool Deliver(const TopicDelivery& published) {
    if (state_.load(std::memory_order_acquire) != 0) [[unlikely]]  // pairs with those who set a bit
      return MakeWait(published);
    const Outcome outcome = endpoint_->Attempt(published, 1);
    return outcome == Outcome::kDelivered || SettleFirst(published, outcome);
  }

  // The same of a FIFO topic: behind all that waits. The mutex is held through the attempt, so that nothing overtakes
  // it.
  bool DeliverInOrder(const TopicDelivery& published) {
    std::unique_lock lock(mutex_);
    if (state_.load(std::memory_order_relaxed) != 0 || is_running_ || retry_queue_->size() != 0) {
      lock.unlock();
      return MakeWait(published);
    }
    const Outcome outcome = endpoint_->Attempt(published, 1);
    if (outcome == Outcome::kDelivered) return true;
    if (outcome == Outcome::kFailed && config_.delivery.retries > 0 && config_.max_waiting > 0) {
      retry_queue_->Add({BodyReference::On(*published.body), 1}, RetryAt(1, published.now));
      lock.unlock();
      Announce();
    } else {
      lock.unlock();
      Settle({BodyReference::On(*published.body), 1}, Outcome::kRefused, published.now);
    }
    return false;
  }

  // Behind all that waits, without an attempt.
  void Wait(PendingDelivery message, std::int64_t due) {
    if (TryAdd(message, due)) {
      Announce();
    } else if (IsEnded()) {
      retry_scheduler_->local().abandoned.Add(1);
    } else {
      Settle(std::move(message), Outcome::kRefused, due);  // too many wait
    }
  }

  // The same for a replay: nothing that is published meanwhile comes in between.
  void WaitReplayed(std::vector<BodyReference> bodies, std::int64_t due) {
    std::vector<PendingDelivery> too_many;
    {
      const std::lock_guard lock(mutex_);
      for (BodyReference& body : bodies) {
        PendingDelivery message{std::move(body), 0, true};
        if (!TryAddLocked(message, due)) too_many.push_back(std::move(message));
      }
    }
    Announce();
    for (PendingDelivery& message : too_many) Wait(std::move(message), due);  // refused, or abandoned
  }

  // ---- from the retry scheduler ------------------------------------------------------------------------------------------

  bool is_for_callers() const override { return endpoint_->is_function() && !config_.executor; }

  std::int64_t NextDue() const override {
    const std::lock_guard lock(mutex_);
    return is_running_ || is_handed_over_ ? kForever : NextDueOfRetryQueue();
  }

  std::size_t DeliverDue() override {
    if (!config_.executor) return Run();
    HandOver();
    return 0;
  }

  // ---- from the handles ---------------------------------------------------------------------------------------------

  void Pause() { state_.fetch_or(kPaused, std::memory_order_release); }
  void Resume() {
    state_.fetch_and(~kPaused, std::memory_order_release);
    Announce();
  }
  bool is_paused() const { return (state_.load(std::memory_order_acquire) & kPaused) != 0; }
  bool IsEnded() const { return (state_.load(std::memory_order_acquire) & kEnded) != 0; }

  // Nothing is delivered any more. Returns when no other thread is within the endpoint's function.
  void End() {
    std::vector<PendingDelivery> abandoned;
    {
      std::unique_lock lock(mutex_);
      state_.fetch_or(kEnded, std::memory_order_release);
      abandoned = retry_queue_->TakeAll();
      idle_.wait(lock, [this] { return !is_running_ || runner_ == std::this_thread::get_id(); });
    }
    retry_scheduler_->local().abandoned.Add(abandoned.size());
    retry_scheduler_->Deactivate(number_);
  }

  SubscriptionStatistics Statistics() const {
    SubscriptionStatistics statistics;
    statistics.number_of_notifications_delivered = retry_scheduler_->DeliveredTo(counter_) - delivered_before_;
    statistics.number_of_notifications_failed = failed_.load(std::memory_order_relaxed);
    statistics.number_of_notifications_redriven_to_dlq = redriven_.load(std::memory_order_relaxed);
    statistics.number_of_notifications_failed_to_redrive_to_dlq = failed_to_redrive_.load(std::memory_order_relaxed);
    statistics.number_of_notifications_retried = retried_.load(std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    statistics.number_of_notifications_waiting =
        static_cast<std::int64_t>(retry_queue_->size()) + (is_running_ ? 1 : 0);
    return statistics;
  }

  // How many handles end the subscription when they go: it ends with the last, unless one was detached, which stays
  // counted. Both under the mutex of the topic's subscriptions.
  void AddOwner() { ++owners_; }
  bool RemoveOwner() { return --owners_ == 0; }

 private:
  // Both: not delivered now.
  [[gnu::noinline]] bool MakeWait(const TopicDelivery& published) {
    Wait({BodyReference::On(*published.body)}, published.now);
    return false;
  }
  [[gnu::noinline]] bool SettleFirst(const TopicDelivery& published, Outcome outcome) {
    Settle({BodyReference::On(*published.body), 1}, HasRoom() ? outcome : Outcome::kRefused, published.now);
    return false;
  }

  static constexpr std::uint32_t kFunction = 1;
  static constexpr std::uint32_t kPaused = 2;
  static constexpr std::uint32_t kEnded = 4;

  TopicDelivery PublishedOf(const PendingDelivery& message, std::int64_t now) const {
    const Publication& publication = *message.body->publication();
    return {.body = message.body.get(),
            .topic = topic_,
            .group = publication.group,
            .deduplication_id = publication.deduplication_id,
            .clock = &retry_scheduler_->clock(),
            .now = now,
            .is_replayed = message.is_replayed,
            .is_dead_letter = message.is_dead_letter};
  }

  // For one more to wait.
  bool HasRoom() const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::int64_t>(retry_queue_->size()) < config_.max_waiting;
  }

  std::int64_t RetryAt(int retry, std::int64_t now) const {
    return SaturatingAdd(now, absl::ToInt64Nanoseconds(config_.delivery.DelayBefore(retry)));
  }

  // Works the retry queue off, if nobody else does: as many as there are now. Returns the number of attempts.
  std::size_t Run() {
    std::size_t attempts = 0;
    {
      std::unique_lock lock(mutex_);
      if (is_running_) return 0;
      is_running_ = true;
      runner_ = std::this_thread::get_id();
      const std::int64_t now = retry_scheduler_->clock().NowNanos();
      for (std::size_t most = retry_queue_->size(); attempts < most && NextDueOfRetryQueue() <= now; ++attempts) {
        if (config_.max_receives_per_second) bucket_.TryTake(now, *config_.max_receives_per_second);
        PendingDelivery message = retry_queue_->Take();
        lock.unlock();
        Attempt(std::move(message), now);
        lock.lock();
      }
      is_running_ = false;
      runner_ = {};
    }
    idle_.notify_all();
    if (attempts > 0) Announce();
    return attempts;
  }

  void Attempt(PendingDelivery message, std::int64_t now) {
    if (message.is_dead_letter) {
      SendToDeadLetters(std::move(message), now);
      return;
    }
    if (message.attempts > 0) {
      retried_.fetch_add(1, std::memory_order_relaxed);
      retry_scheduler_->local().retried.Add(1);
    }
    ++message.attempts;
    const Outcome outcome = endpoint_->Attempt(PublishedOf(message, now), message.attempts);
    if (outcome == Outcome::kDelivered) {
      static_cast<void>(message.body.Release());  // our hold is the endpoint's now
      LocalTopicCounts& local = retry_scheduler_->local();
      local.delivered.Add(1);
      local.delivered_to.Add(counter_, 1);
    } else {
      Settle(std::move(message), outcome, retry_scheduler_->clock().NowNanos());
    }
  }

  // What becomes of a message that was attempted in vain. In a FIFO topic by the one who runs the retry_queue.
  void Settle(PendingDelivery message, Outcome outcome, std::int64_t now) {
    if (outcome == Outcome::kFailed && message.attempts <= config_.delivery.retries) {
      const std::int64_t due = RetryAt(message.attempts, now);
      PutBack(std::move(message), due);
      return;
    }
    failed_.fetch_add(1, std::memory_order_relaxed);
    retry_scheduler_->local().failed.Add(1);
    if (config_.dead_letters == nullptr) return;
    message.is_dead_letter = true;
    SendToDeadLetters(std::move(message), now);
  }

  // Until it is taken or the dead-letter queue is closed, each second anew.
  void SendToDeadLetters(PendingDelivery message, std::int64_t now) {
    switch (config_.dead_letters->Attempt(PublishedOf(message, now), 1)) {
      case Outcome::kDelivered:
        static_cast<void>(message.body.Release());
        redriven_.fetch_add(1, std::memory_order_relaxed);
        retry_scheduler_->local().redriven.Add(1);
        return;
      case Outcome::kFailed:
        PutBack(std::move(message), SaturatingAdd(now, absl::ToInt64Nanoseconds(kRedriveRetry)));
        return;
      case Outcome::kRefused:
        failed_to_redrive_.fetch_add(1, std::memory_order_relaxed);
        retry_scheduler_->local().failed_to_redrive.Add(1);
        return;
    }
  }

  // Moves from the message, unless it is not to wait: false.
  bool TryAdd(PendingDelivery& message, std::int64_t due) {
    const std::lock_guard lock(mutex_);
    return TryAddLocked(message, due);
  }

  // Under the mutex.
  bool TryAddLocked(PendingDelivery& message, std::int64_t due) {
    if (IsEnded() || static_cast<std::int64_t>(retry_queue_->size()) >= config_.max_waiting) return false;
    retry_queue_->Add(std::move(message), due);
    return true;
  }

  bool TryPutBack(PendingDelivery& message, std::int64_t due) {
    const std::lock_guard lock(mutex_);
    if (IsEnded()) return false;
    retry_queue_->PutBack(std::move(message), due);
    return true;
  }

  void PutBack(PendingDelivery message, std::int64_t due) {
    if (TryPutBack(message, due)) {
      Announce();
    } else {
      retry_scheduler_->local().abandoned.Add(1);
    }
  }

  // Lets others know when there is something to do.
  void Announce() {
    const std::int64_t due = NextDue();
    if (due == kForever) return;
    if (config_.executor && due <= retry_scheduler_->clock().NowNanos()) {
      HandOver();
    } else {
      retry_scheduler_->Activate(shared_from_this(), due);
    }
  }

  // To the executor, unless it has it already.
  void HandOver() {
    {
      const std::lock_guard lock(mutex_);
      if (is_handed_over_ || is_running_ || NextDueOfRetryQueue() > retry_scheduler_->clock().NowNanos()) return;
      is_handed_over_ = true;
    }
    config_.executor([self = shared_from_this()] {
      while (self->Run() > 0) {
      }
      {
        const std::lock_guard lock(self->mutex_);
        self->is_handed_over_ = false;
      }
      self->Announce();  // what came since
    });
  }

  // Under the mutex.
  std::int64_t NextDueOfRetryQueue() const {
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
  // Deliveries are counted by their publishers, each for itself (counter_array.h). So many were already.
  const std::uint32_t counter_number_;
  const CounterArray::Place counter_;
  const std::uint64_t delivered_before_;
  // Relaxed: counts for those who watch.
  std::atomic<std::uint64_t> failed_{0};
  std::atomic<std::uint64_t> redriven_{0};
  std::atomic<std::uint64_t> failed_to_redrive_{0};
  std::atomic<std::uint64_t> retried_{0};

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  // All below: under the mutex.
  const std::unique_ptr<RetryQueue> retry_queue_;
  TokenBucket bucket_;
  bool is_running_ = false;  // a thread, runner_, works the retry queue off
  std::thread::id runner_;
  bool is_handed_over_ = false;  // to the executor
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_CORE_H_
