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
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "decouple/delivery_policy.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/counter_array.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/serial_runner.h"
#include "decouple/internal/base/task_handoff.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/base/token_bucket.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/topic/endpoint.h"
#include "decouple/internal/topic/retry_queue.h"
#include "decouple/internal/topic/retry_scheduler.h"
#include "decouple/internal/topic/subscription_config.h"
#include "decouple/internal/topic/subscription_counts.h"
#include "decouple/redrive_policy.h"
#include "decouple/topic_statistics.h"

namespace decouple::inline v0_1::internal {

class SubscriptionCore final : public Deliverable,
                               public TaskOwner,
                               public std::enable_shared_from_this<SubscriptionCore> {
 public:
  SubscriptionCore(std::uint64_t number, std::uint64_t topic, std::shared_ptr<RetryScheduler> retry_scheduler,
                   std::unique_ptr<Endpoint> endpoint, std::unique_ptr<RetryQueue> retry_queue,
                   SubscriptionConfig config)
      : number_(number),
        topic_(topic),
        retry_scheduler_(std::move(retry_scheduler)),
        endpoint_(std::move(endpoint)),
        name_(std::move(config.name)),
        created_at_(retry_scheduler_->clock().NowNanos()),
        state_(endpoint_->is_function() ? kFunction : 0),
        counts_(*retry_scheduler_),
        handoff_(std::move(config.executor)),
        settings_(std::move(config.settings)),
        last_modified_at_(created_at_),
        retry_queue_(std::move(retry_queue)) {}

  std::uint64_t number() const override { return number_; }
  // The counter of its deliveries in LocalTopicCounts::delivered_to.
  const CounterArray::Place& counter() const { return counts_.place(); }
  const std::string& name() const { return name_; }
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
      if (state_.load(std::memory_order_relaxed) == 0 && !runner_.is_running() && retry_queue_->size() == 0) {
        is_attempted = true;
        const Outcome outcome = endpoint_->Attempt(delivery, 1);
        if (outcome == Outcome::kDelivered) return true;
        is_pending =
            outcome == Outcome::kFailed && settings_.effective_delivery().retries > 0 && settings_.max_waiting > 0;
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
      counts_.CountAbandoned(1);
    } else {
      HandleOverflow(std::move(delivery), due);
    }
  }

  // Same as Enqueue() for the bodies of a replay: nothing that is published meanwhile comes in between.
  void EnqueueReplayed(std::vector<BodyReference> bodies, std::int64_t due) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<PendingDelivery> too_many;
    {
      const MutexLock lock(mutex_);
      has_replayed_ = true;
      replayed_ += static_cast<std::int64_t>(bodies.size());
      for (BodyReference& body : bodies) {
        PendingDelivery delivery{std::move(body), 0, true};
        if (!TryAddLocked(delivery, due)) too_many.push_back(std::move(delivery));
      }
    }
    Schedule();
    for (PendingDelivery& delivery : too_many) Enqueue(std::move(delivery), due);  // refused, or abandoned
  }

  // ---- from the retry scheduler -------------------------------------------------------------------------------------

  bool is_for_callers() const override { return endpoint_->is_function() && !handoff_.has_executor(); }

  std::int64_t NextDue() const override ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return runner_.is_running() || handoff_.is_claimed() ? kForever : std::max(NextDueLocked(), hand_over_at_);
  }

  std::size_t DeliverDue() override ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!handoff_.has_executor()) return AttemptDue();
    HandOver();
    return 0;
  }

  // ---- from the executor --------------------------------------------------------------------------------------------

  void RunTask() override ABSL_LOCKS_EXCLUDED(mutex_) {
    while (AttemptDue() > 0) continue;
  }
  void AfterTask() override ABSL_LOCKS_EXCLUDED(mutex_) {
    Schedule();
    retry_scheduler_->EndWork();
  }
  void AfterLostTask() override ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      const MutexLock lock(mutex_);
      hand_over_at_ = SaturatingAdd(retry_scheduler_->clock().NowNanos(), TaskHandoff::kRetryAfterLoss);
    }
    const std::int64_t due = NextDue();
    if (due != kForever) retry_scheduler_->Activate(shared_from_this(), due);
    retry_scheduler_->EndWork();
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
      runner_.AwaitOthers(mutex_);
    }
    counts_.CountAbandoned(abandoned.size());
    retry_scheduler_->Deactivate(number_);
  }

  void Change(SettingsChange change) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<std::shared_ptr<Endpoint>> former;  // perhaps last references to queues: dropped after the mutex
    {
      const MutexLock lock(mutex_);
      if (change.delivery) settings_.delivery = *change.delivery;
      if (change.max_receives_per_second) settings_.max_receives_per_second = *change.max_receives_per_second;
      if (change.max_waiting) settings_.max_waiting = *change.max_waiting;
      if (change.dead_letters) {
        former_dead_letters_.push_back(std::exchange(settings_.dead_letters, *std::move(change.dead_letters)));
        if (sending_to_dead_letters_ == 0) former = std::exchange(former_dead_letters_, {});
      }
      last_modified_at_ = std::max(last_modified_at_, retry_scheduler_->clock().NowNanos());
    }
    Schedule();  // without the throttle, something may be due earlier
  }
  // Whether a queue that is subscribed with these settings has the same subscription.
  bool HasSettings(const SubscriptionSettings& settings) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const auto queue = [](const SubscriptionSettings& of) {
      return of.dead_letters == nullptr ? nullptr : of.dead_letters->queue();
    };
    const MutexLock lock(mutex_);
    return settings_.delivery == settings.delivery && settings_.max_waiting == settings.max_waiting &&
           queue(settings_) == queue(settings);
  }
  // For a subscription without a policy of its own.
  void SetDefaultDelivery(const DeliveryPolicy& policy) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    settings_.default_delivery = policy;
  }
  SubscriptionSettings settings() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return settings_;
  }
  std::int64_t created_at() const { return created_at_; }
  std::int64_t last_modified_at() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return last_modified_at_;
  }

  // How many messages were replayed to it, and how many of these are still pending.
  struct Replayed {
    std::int64_t all = 0;
    std::int64_t pending = 0;
    bool has_begun = false;
  };
  Replayed replayed() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return {replayed_, retry_queue_->replayed() + (runner_.is_running() && running_.is_replayed ? 1 : 0),
            has_replayed_};
  }

  SubscriptionStatistics Statistics() const ABSL_LOCKS_EXCLUDED(mutex_) {
    SubscriptionStatistics statistics = counts_.Sums();
    const MutexLock lock(mutex_);
    statistics.number_of_notifications_waiting =
        static_cast<std::int64_t>(retry_queue_->size()) + (runner_.is_running() ? 1 : 0);
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
    return static_cast<std::int64_t>(retry_queue_->size()) < settings_.max_waiting;
  }

  std::int64_t RetryAt(int retry, std::int64_t now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return SaturatingAdd(now, absl::ToInt64Nanoseconds(settings_.effective_delivery().DelayBefore(retry)));
  }

  // The time during which a thread is the runner. It also ends when a function of the user's leaves by forced
  // unwinding.
  class Turn {
   public:
    explicit Turn(SubscriptionCore& core) : core_(core) {
      const MutexLock lock(core_.mutex_);
      has_begun_ = core_.runner_.TryBegin();
      if (!has_begun_) return;
      core_.retry_scheduler_->BeginWork();
      pending_ = core_.retry_queue_->size();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      if (!has_begun_) return;
      {
        const MutexLock lock(core_.mutex_);
        core_.runner_.End();
        core_.running_ = {};
      }
      // Also if nothing was attempted: a thread that added a delivery during the turn, or looked for the next that is
      // due, took it for one that goes on.
      core_.Schedule();
      core_.retry_scheduler_->EndWork();
    }

    bool has_begun() const { return has_begun_; }
    // How many deliveries were pending when it began.
    std::size_t pending() const { return pending_; }

   private:
    SubscriptionCore& core_;
    bool has_begun_ = false;
    std::size_t pending_ = 0;
  };

  // Attempts what is due, unless another thread does: no more deliveries than are pending at the call, so that retries
  // without a delay come to an end. Returns the number of attempts.
  std::size_t AttemptDue() ABSL_LOCKS_EXCLUDED(mutex_) {
    Turn turn(*this);
    if (!turn.has_begun()) return 0;
    const std::int64_t now = retry_scheduler_->clock().NowNanos();
    std::size_t attempts = 0;
    for (; attempts < turn.pending(); ++attempts) {
      std::optional<PendingDelivery> delivery = TakeDue(now);
      if (!delivery) break;
      Attempt(*std::move(delivery), now);
    }
    return attempts;
  }

  // None: nothing is due. Requires: the caller is the runner.
  std::optional<PendingDelivery> TakeDue(std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (NextDueLocked() > now) return std::nullopt;
    if (settings_.max_receives_per_second) bucket_.TryTake(now, *settings_.max_receives_per_second);
    PendingDelivery delivery = retry_queue_->Take();
    running_ = {delivery.is_replayed, delivery.is_dead_letter};
    return delivery;
  }

  // A function that leaves by forced unwinding has failed, too: its delivery is not lost.
  struct FailureAtUnwinding {
    ~FailureAtUnwinding() {
      if (core != nullptr) {
        core->HandleFailure(std::move(delivery), Outcome::kFailed, core->retry_scheduler_->clock().NowNanos());
      }
    }

    SubscriptionCore* core;
    PendingDelivery& delivery;
  };

  // Requires: the caller is the runner.
  void Attempt(PendingDelivery delivery, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (delivery.is_dead_letter) return SendToDeadLetters(std::move(delivery), now);
    if (delivery.attempts > 0) counts_.CountRetried();
    ++delivery.attempts;
    FailureAtUnwinding failure{this, delivery};
    const Outcome outcome = endpoint_->Attempt(TopicDeliveryOf(delivery, now), delivery.attempts);
    failure.core = nullptr;
    if (outcome == Outcome::kDelivered) {
      static_cast<void>(delivery.body.Release());  // the endpoint has consumed this reference
      counts_.CountDelivered();
    } else {
      HandleFailure(std::move(delivery), outcome, retry_scheduler_->clock().NowNanos());
    }
  }

  // After a failed attempt: the delivery is retried, or has failed for good and goes to the dead-letter queue. In a
  // FIFO topic only the runner calls it with kFailed: a retry goes back to the front, where the runner took it from.
  void HandleFailure(PendingDelivery delivery, Outcome outcome, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (outcome == Outcome::kFailed) {
      if (const std::optional<std::int64_t> due = NextRetry(delivery.attempts, now)) {
        return PutBack(std::move(delivery), *due);
      }
    }
    if (!CountFailed()) return;
    delivery.is_dead_letter = true;
    NoteDeadLetter();
    SendToDeadLetters(std::move(delivery), now);
  }

  // If the runner's delivery has become a dead letter, those that overflow from here on wait behind it.
  void NoteDeadLetter() ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (runner_.IsThisThread()) running_.is_dead_letter = true;
  }

  // A delivery for which there is no room fails for good. In a FIFO topic dead letters keep their order, so that it
  // waits behind those that the dead-letter queue did not take yet.
  void HandleOverflow(PendingDelivery delivery, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!CountFailed()) return;
    delivery.is_dead_letter = true;
    if (!TryAddBehindDeadLetters(delivery, now)) return SendToDeadLetters(std::move(delivery), now, true);
    Schedule();
  }

  // False: no dead letter is pending whose order matters, or the subscription has ended; `delivery` has not been moved
  // from.
  bool TryAddBehindDeadLetters(PendingDelivery& delivery, std::int64_t due) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    const bool is_one_pending = retry_queue_->dead_letters() > 0 || (runner_.is_running() && running_.is_dead_letter);
    if (!retry_queue_->is_ordered() || !is_one_pending || IsEnded()) return false;
    retry_queue_->Add(std::move(delivery), due);
    return true;
  }

  // When a delivery that has failed `attempts` times is tried again; none: never.
  std::optional<std::int64_t> NextRetry(int attempts, std::int64_t now) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (attempts > settings_.effective_delivery().retries) return std::nullopt;
    return RetryAt(attempts, now);
  }

  // Counts a delivery that has failed for good. Returns whether there is a dead-letter queue for it.
  bool CountFailed() ABSL_LOCKS_EXCLUDED(mutex_) {
    counts_.CountFailed();
    const MutexLock lock(mutex_);
    return settings_.dead_letters != nullptr;
  }

  // Null: there is no dead-letter queue any more. Until EndSending() the subscription keeps the endpoint alive, also if
  // it gets another meanwhile: the publisher of a FIFO topic holds locks, under which it must not end a queue.
  Endpoint* BeginSending() ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    ++sending_to_dead_letters_;
    return settings_.dead_letters.get();
  }
  // An endpoint that was replaced meanwhile stays until the next change, or until the subscription goes.
  void EndSending() ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    --sending_to_dead_letters_;
  }

  // While the dead-letter queue does not take the message, this is tried again each second, until the queue is closed.
  // `is_last`: the message is younger than all that are pending, so it waits behind them, not before.
  void SendToDeadLetters(PendingDelivery delivery, std::int64_t now, bool is_last = false) ABSL_LOCKS_EXCLUDED(mutex_) {
    Endpoint* const dead_letters = BeginSending();
    const Outcome outcome = dead_letters == nullptr ? Outcome::kRefused  // it was taken away meanwhile
                                                    : dead_letters->Attempt(TopicDeliveryOf(delivery, now), 1);
    EndSending();
    switch (outcome) {
      case Outcome::kDelivered:
        static_cast<void>(delivery.body.Release());
        counts_.CountRedriven();
        return;
      case Outcome::kFailed:
        return PutBack(std::move(delivery), SaturatingAdd(now, absl::ToInt64Nanoseconds(kRedriveRetry)), is_last);
      case Outcome::kRefused:
        counts_.CountFailedToRedrive();
        return;
    }
  }

  // False: the subscription has ended, or too many are pending; `delivery` has not been moved from.
  bool TryAdd(PendingDelivery& delivery, std::int64_t due) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return TryAddLocked(delivery, due);
  }

  bool TryAddLocked(PendingDelivery& delivery, std::int64_t due) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (IsEnded() || static_cast<std::int64_t>(retry_queue_->size()) >= settings_.max_waiting) return false;
    retry_queue_->Add(std::move(delivery), due);
    return true;
  }

  // False: the subscription has ended; `delivery` has not been moved from.
  bool TryPutBack(PendingDelivery& delivery, std::int64_t due, bool is_last) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (IsEnded()) return false;
    if (is_last) {
      retry_queue_->Add(std::move(delivery), due);
    } else {
      retry_queue_->PutBack(std::move(delivery), due);
    }
    return true;
  }

  void PutBack(PendingDelivery delivery, std::int64_t due, bool is_last = false) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (TryPutBack(delivery, due, is_last)) {
      Schedule();
    } else {
      counts_.CountAbandoned(1);
    }
  }

  // Has what is due next attempted: by the executor at once, or by the threads that serve the retry scheduler.
  void Schedule() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::int64_t due = kForever;
    {
      const MutexLock lock(mutex_);
      if (!runner_.is_running() && !handoff_.is_claimed()) due = NextDueLocked();
    }
    if (due == kForever) return;
    if (handoff_.has_executor() && due <= retry_scheduler_->clock().NowNanos()) {
      HandOver();
    } else {
      retry_scheduler_->Activate(shared_from_this(), due);
    }
  }

  // Gives the executor a task that attempts what is due, unless it has one already.
  void HandOver() ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      const MutexLock lock(mutex_);
      if (handoff_.is_claimed() || runner_.is_running() || NextDueLocked() > retry_scheduler_->clock().NowNanos())
        return;
      retry_scheduler_->BeginWork();
      handoff_.Claim();
    }
    handoff_.HandOver(shared_from_this());
  }

  std::int64_t NextDueLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (is_paused() || IsEnded()) return kForever;
    const std::int64_t due = retry_queue_->NextDue();
    if (due == kForever || !settings_.max_receives_per_second) return due;
    return std::max(due, bucket_.NextAt(*settings_.max_receives_per_second));
  }

  const std::uint64_t number_;
  const std::uint64_t topic_;
  const std::shared_ptr<RetryScheduler> retry_scheduler_;
  const std::unique_ptr<Endpoint> endpoint_;
  const std::string name_;
  const std::int64_t created_at_;

  std::atomic<std::uint32_t> state_;
  std::int64_t owners_ = 0;
  SubscriptionCounts counts_;

  TaskHandoff handoff_;

  mutable Mutex mutex_ ABSL_ACQUIRED_AFTER(retry_scheduler_->mutex());
  SubscriptionSettings settings_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Endpoint>> former_dead_letters_ ABSL_GUARDED_BY(mutex_);  // that may be sent to yet
  int sending_to_dead_letters_ ABSL_GUARDED_BY(mutex_) = 0;
  std::int64_t last_modified_at_ ABSL_GUARDED_BY(mutex_);
  const std::unique_ptr<RetryQueue> retry_queue_ ABSL_PT_GUARDED_BY(mutex_);
  TokenBucket bucket_ ABSL_GUARDED_BY(mutex_);
  SerialRunner runner_ ABSL_GUARDED_BY(mutex_);  // attempts what is due
  struct Running {
    bool is_replayed = false;
    bool is_dead_letter = false;
  };
  Running running_ ABSL_GUARDED_BY(mutex_);  // which delivery that is; of no meaning otherwise
  // A task was lost: only a message that comes, or Deliver(), has another handed over before this.
  std::int64_t hand_over_at_ ABSL_GUARDED_BY(mutex_) = std::numeric_limits<std::int64_t>::min();
  std::int64_t replayed_ ABSL_GUARDED_BY(mutex_) = 0;
  bool has_replayed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_CORE_H_
