// The core of a queue, which its handles share: what both kinds of queue do in the same way. This file holds the
// general receive with its long poll, batches by receipt, attributes, purging, and moving messages to other queues.
// Sending, and the order in which messages are received, are each kind's own (standard_queue_core.h,
// fifo_queue_core.h). The core is a chain of classes: DeliveryCore (what deliveries refer to), QueueUpkeep (time and
// counts), QueueCore, and the kind's.

#ifndef DECOUPLE_INTERNAL_QUEUE_QUEUE_CORE_H_
#define DECOUPLE_INTERNAL_QUEUE_QUEUE_CORE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "decouple/batch.h"
#include "decouple/clock.h"
#include "decouple/delivery.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/message_groups.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/queue/compaction.h"
#include "decouple/internal/queue/message_writer.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_config.h"
#include "decouple/internal/queue/queue_rules.h"
#include "decouple/internal/queue/queue_upkeep.h"
#include "decouple/internal/queue/receipts.h"
#include "decouple/internal/queue/receive_grant.h"
#include "decouple/internal/queue/redrive/message_transfer.h"
#include "decouple/internal/queue/redrive/move_task.h"
#include "decouple/internal/queue/redrive/move_to_dead_letters.h"
#include "decouple/internal/queue/redrive/move_to_queue.h"
#include "decouple/internal/queue/redrive/redrive_attributes.h"
#include "decouple/internal/queue/request_checks.h"
#include "decouple/message.h"
#include "decouple/message_attributes.h"
#include "decouple/queue_options.h"
#include "decouple/redrive_policy.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class QueueCore : public QueueUpkeep<T> {
  using Base = QueueUpkeep<T>;

 public:
  using typename Base::Message;
  using typename Base::LocalState;
  using typename Base::Store;
  using Lane = typename Store::Lane;
  using Slot = typename Store::Slot;

  // ---- sending: implemented by each kind of queue -------------------------------------------------------------------

  virtual absl::StatusOr<SendResult> Send(T&& body, SendOptions&& options) = 0;
  virtual absl::StatusOr<SendOutcomes> SendBatch(std::span<SendBatchEntry<T>> entries) = 0;

  // Takes over a message that another queue gives up; it is visible at once. False: the queue is closed or full, and
  // nothing has happened. Runs no user code but the body's move, as the source has locked the message's slot.
  virtual bool EnqueueTransfer(Transfer<T>& transfer) = 0;

  // Takes a message that a topic delivers, as if it were sent now, without waiting for room. Runs no user code.
  virtual Acceptance Enqueue(const TopicDelivery& delivery) = 0;

  Clock& clock() const override { return clock_; }
  MessageMoves& moves() override { return move_tasks_; }

  MoveOutcome MoveOne(QueueBase* to) override {
    ReceiveResult<T> one;
    if (!TryReceiveToMove(*one)) return MoveOutcome::kNoRoom;
    if (one->empty()) return MoveOutcome::kNothing;
    const Delivery<T>& delivery = one->front();
    SlotState before;
    // Its visibility timeout may have ended in between, if the clock has made a jump: then the receive is undone, too.
    const auto found = receipts_.Find(delivery.message_, delivery.received_.receive_count(), before, true);
    // If it is gone, or another receiver has it, the task goes on later.
    if (found != Receipts<T>::Found::kLocked) return MoveOutcome::kNoRoom;
    return move_to_queue_.Move(store_.local(), delivery.message_, before, to);
  }

  // ---- receiving ----------------------------------------------------------------------------------------------------

  virtual ReceiveResult<T> Receive(const ReceiveOptions& options) = 0;

  // ---- receipts -----------------------------------------------------------------------------------------------------

  absl::Status Delete(const ReceiptHandle& receipt) {
    if (absl::Status status = this->TakeDelete(); !status.ok()) return status;
    return receipts_.Delete(receipt);
  }

  absl::StatusOr<StatusOutcomes> DeleteBatch(std::span<const DeleteBatchEntry> entries) {
    if (this->deleted()) return DoesNotExistError(*this);
    absl::Status status = CheckBatch(entries, config_.limits());
    if (status.ok()) status = this->TakeDelete();
    if (!status.ok()) return status;
    StatusOutcomes results;
    for (const auto& entry : entries) results.push_back(receipts_.Delete(entry.receipt));
    return results;
  }

  absl::StatusOr<StatusOutcomes> ChangeVisibilityBatch(std::span<const ChangeVisibilityBatchEntry> entries) {
    if (this->deleted()) return DoesNotExistError(*this);
    if (absl::Status status = CheckBatch(entries, config_.limits()); !status.ok()) return status;
    StatusOutcomes results;
    for (const auto& entry : entries) {
      results.push_back(receipts_.ChangeVisibility(entry.receipt, entry.visibility_timeout));
    }
    return results;
  }

  // ---- the queue as a whole -----------------------------------------------------------------------------------------

  // All given attributes are set, or none.
  absl::Status SetAttributes(const QueueAttributes& attributes) ABSL_LOCKS_EXCLUDED(setting_) {
    // Dropped after the mutex: it may be the last reference to the former dead-letter queue, and run the user's code.
    std::shared_ptr<QueueBase> former;
    {
      const MutexLock lock(setting_);
      if (this->deleted()) return DoesNotExistError(*this);
      absl::Status status = CheckQueueAttributes(attributes, config_.limits());
      if (status.ok()) status = CheckOwnAttributes(attributes);
      if (status.ok() && attributes.redrive) status = LinkDeadLetters(*this, *attributes.redrive, former);
      if (!status.ok()) return status;
      config_.Apply(attributes);
      ApplyOwnAttributes(attributes);
      const std::int64_t now = store_.Now();
      if (created_at_.load(std::memory_order_relaxed) == kNever) created_at_.store(now, std::memory_order_relaxed);
      last_modified_at_.store(now, std::memory_order_relaxed);
    }
    ApplyAttributes(attributes);
    return absl::OkStatus();
  }

  // All attributes that this kind of queue has.
  QueueAttributes attributes() const ABSL_LOCKS_EXCLUDED(setting_) {
    QueueAttributes attributes{.visibility_timeout = DurationOf(config_.visibility_timeout()),
                               .retention = DurationOf(store_.retention()),
                               .delay = DurationOf(config_.delay()),
                               .receive_wait = DurationOf(config_.receive_wait()),
                               .max_message_size = config_.max_message_size(),
                               .max_in_flight = max_in_flight_.load(std::memory_order_relaxed),
                               .capacity = capacity_gate_.capacity(),
                               .redrive = redrive().value_or(Redrive{}),
                               .redrive_allow = AllowPolicyOf(*this),
                               .senders = this->senders().policy()};
    const MutexLock lock(setting_);  // some of them are right only together
    ReadOwnAttributes(attributes);
    return attributes;
  }
  const Limits& limits() const { return config_.limits(); }
  absl::Time created_at() const { return absl::FromUnixNanos(created_at_.load(std::memory_order_relaxed)); }
  absl::Time last_modified_at() const { return absl::FromUnixNanos(last_modified_at_.load(std::memory_order_relaxed)); }

  // Nullopt if the queue has no dead-letter queue.
  std::optional<Redrive> redrive() const {
    DeadLetterLinks::Link link = this->dead_letters().link();
    if (link.target == nullptr) return std::nullopt;
    return Redrive{Access::Make<QueueReference>(std::move(link.target)), static_cast<int>(link.max_receives)};
  }

  absl::Status Purge() ABSL_LOCKS_EXCLUDED(purging_) {
    const std::int64_t now = store_.Now();
    const std::int64_t interval = absl::ToInt64Nanoseconds(config_.limits().purge_interval);
    if (this->deleted()) return DoesNotExistError(*this);
    {
      const MutexLock lock(purging_);
      if (purged_at_ != kNever && now < SaturatingAdd(purged_at_, interval)) {
        return MakeError(
            Error::kPurgeQueueInProgress,
            absl::StrCat("the queue was purged ", absl::FormatDuration(absl::Nanoseconds(now - purged_at_)),
                         " ago; allowed is one purge in ", absl::FormatDuration(config_.limits().purge_interval)));
      }
      purged_at_ = now;
    }
    purge_.RemoveAll(store_.local());
    ForgetSends();
    return absl::OkStatus();
  }

  absl::Status DeleteQueue() final ABSL_LOCKS_EXCLUDED(setting_) {
    std::shared_ptr<QueueBase> former;  // as in SetAttributes()
    {
      const MutexLock lock(setting_);
      if (this->deleted()) return DoesNotExistError(*this);
      this->BeginRemoval();             // nobody else removes before all is done below
      this->MarkDeleted(store_.Now());  // before anything by which other threads notice
      LinkDeadLetters(*this, Redrive{}, former).IgnoreError();
    }
    limit_.CloseForGood();  // takes effect by the RcuSynchronize() in Close()
    this->Close();
    this->RemoveAllOfDeleted();
    ForgetSends();
    return absl::OkStatus();
  }

  // To be called when the last handle is gone: from now on the core is deleted with the last delivery.
  void Abandon() {
    std::shared_ptr<QueueBase> former;
    LinkDeadLetters(*this, Redrive{}, former).IgnoreError();  // without handles, no thread receives any more
    // A message that was moved there and back may refer to a body in this very queue, which would keep itself alive.
    if (store_.Sums().taken_over > 0) purge_.RemoveAll(store_.local());
    this->EndWithLastDelivery();
  }

 protected:
  // `groups`: as for MessageStore. Attributes are set by SetAttributes() before first use, once a handle exists.
  QueueCore(const QueueRules& rules, std::unique_ptr<MessageGroups> groups, const Limits& limits, std::string name,
            std::uint64_t seed, Clock* clock)
      : Base(rules, std::move(groups), limits, std::move(name), seed, clock),
        writer_(store_),
        compaction_(store_),
        move_to_dead_letters_(*this, store_),
        grant_(store_, move_to_dead_letters_),
        move_to_queue_(*this, store_) {}
  ~QueueCore() override = default;

  // Check and set the attributes that only one kind of queue has, or that have another meaning there. The attributes in
  // `config_` are set before the second.
  virtual absl::Status CheckOwnAttributes(const QueueAttributes& attributes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(setting_) = 0;
  virtual void ApplyOwnAttributes(const QueueAttributes& attributes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(setting_) = 0;
  virtual void ReadOwnAttributes(QueueAttributes& attributes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(setting_) = 0;
  // Called after a purge: a FIFO queue forgets the deduplication ids.
  virtual void ForgetSends() = 0;

  // kTaken: access policy and size allow the message; anything else is the reason why it is not taken.
  Acceptance CheckTopicDelivery(const TopicDelivery& delivery) {
    if (!this->senders().Allows(delivery.topic)) [[unlikely]]
      return Acceptance::kDenied;
    const T& body = *static_cast<const T*>(delivery.body->body());
    return checks_.CheckBody(body, delivery.body->bytes()).ok() ? Acceptance::kTaken : Acceptance::kRefused;
  }

  std::int64_t NowOf(const TopicDelivery& delivery) const {
    return delivery.clock == &clock_ ? delivery.now : store_.Now();
  }

  // Receives the next message, if there is one, for a move task: it is hidden for long enough, whatever the queue's
  // timeout, and not moved to the dead-letter queue instead, as it is about to go elsewhere. False: there may be one,
  // but too many are in flight.
  virtual bool TryReceiveToMove(Deliveries<T>& delivery) = 0;
  template <typename Receiver>
  bool TryReceiveToMove(Receiver& receiver, Deliveries<T>& delivery) {
    constexpr ReceiveOptions kHidden = {.visibility_timeout = absl::Seconds(30)};
    return TryReceive(receiver, store_.local(), kHidden, store_.Now(), delivery, /* is_to_move */ true);
  }

  // ---- sending ------------------------------------------------------------------------------------------------------

  static std::size_t SizeOf(const T& body, const SendOptions& options) {
    return MessageSize(body) + options.attributes.bytes();
  }

  // Returns the error that fails a batch of sends as a whole, or one result for each entry: its error, or a result that
  // is to be filled in.
  template <typename CheckOptions>
  absl::StatusOr<SendOutcomes> CheckSendBatch(std::span<SendBatchEntry<T>> entries, CheckOptions check_options) {
    // Looks at the word that the batch reads anyway: a deleted queue is closed, too.
    if (capacity_gate_.closed() && this->deleted()) [[unlikely]]
      return DoesNotExistError(*this);
    if (absl::Status status = CheckBatch(entries, config_.limits()); !status.ok()) return status;
    std::size_t all_bytes = 0;
    for (const auto& entry : entries) all_bytes += SizeOf(entry.body, entry.options);
    if (absl::Status status = CheckBatchBytes(all_bytes, config_.limits()); !status.ok()) return status;
    SendOutcomes results;
    results.reserve(entries.size());
    for (const auto& entry : entries) {
      absl::Status status = checks_.CheckBody(entry.body, SizeOf(entry.body, entry.options));
      status.Update(check_options(entry.options));
      if (status.ok()) {
        results.emplace_back(SendResult());
      } else {
        results.emplace_back(std::move(status));
      }
    }
    DECOUPLE_ASSERT(results.size() == entries.size());
    return results;
  }

  // ---- receiving ----------------------------------------------------------------------------------------------------

  std::int64_t VisibilityTimeoutOf(const ReceiveOptions& options) const {
    return options.visibility_timeout ? absl::ToInt64Nanoseconds(*options.visibility_timeout)
                                      : config_.visibility_timeout();
  }

  // The sink of a receive: makes a delivery of each message, which takes over the caller's reference.
  auto SinkTo(Deliveries<T>& deliveries) {
    return [ this, &deliveries ](Message message, SlotState received) __attribute__((always_inline)) {
      deliveries.Add(this, message, received);
    };
  }

  // Receives what is visible at `now`, without waiting. False: there may be a message, but too many are in flight.
  // `is_to_move`: as in LeaseRequest.
  template <typename Receiver>
  bool TryReceive(Receiver& receiver, LocalState& local, const ReceiveOptions& options, std::int64_t now,
                  Deliveries<T>& deliveries, bool is_to_move = false) {
    const std::int64_t timeout = VisibilityTimeoutOf(options);
    LeaseRequest request{.most = static_cast<std::uint32_t>(options.max_messages),
                         .now = now,
                         .visible_at = SaturatingAdd(now, timeout),
                         .is_to_move = is_to_move};
    auto sink = SinkTo(deliveries);
    for (int sweeps_left = kSweepsPerReceive;; --sweeps_left) {
      this->SweepDue(local, now);
      request.most = static_cast<std::uint32_t>(options.max_messages - deliveries.size());
      const bool below_limit = receiver.Lease(local, request, sink);
      DECOUPLE_ASSERT(deliveries.size() <= options.max_messages);
      if (deliveries.size() == options.max_messages) return true;
      // These messages are due again at once, and must not be given twice in one call.
      if (timeout == 0 && !deliveries.empty()) return true;
      // More messages may become visible by the timeouts that are still to be run.
      if (store_.earliest().get() > now || sweeps_left == 0) [[likely]]
        return below_limit || !deliveries.empty();
    }
  }

  // Requires: `options` have been checked. `receiver` is that of the queue's kind.
  template <typename Receiver>
  ReceiveResult<T> Receive(Receiver& receiver, const ReceiveOptions& options) {
    ReceiveResult<T> result;
    Receive(receiver, options, store_.Now(), result);
    return result;
  }

  // Same as above; adds to the messages that `result` has. Waits if there is none and the options say so.
  template <typename Receiver>
  [[gnu::noinline]] void Receive(Receiver& receiver, const ReceiveOptions& options, std::int64_t now,
                                 ReceiveResult<T>& result) {
    LocalState& local = store_.local();
    if (TryReceive(receiver, local, options, now, *result)) {
      if (!result->empty()) [[likely]]
        return;
      const std::int64_t wait = WaitOf(options);
      if (wait != 0) {
        AwaitMessage(receiver, local, options, SaturatingAdd(store_.Now(), wait), result);
      } else if (this->ended()) {
        result = this->EndedError();
      }
    } else if (this->ended()) {
      result = this->EndedError();
    } else if (const std::int64_t wait = WaitOf(options); wait != 0) {
      AwaitMessage(receiver, local, options, SaturatingAdd(store_.Now(), wait), result);
    } else if (rules_.over_limit_fails) {
      result =
          ReceiveResult<T>(MakeError(Error::kOverLimit, absl::StrCat("the queue's maximum of messages in flight, ",
                                                                     max_in_flight_.load(std::memory_order_relaxed),
                                                                     ", is reached; delete some first")));
    }
    if (result.ok() && result->empty()) {
      local.counts.empty_receives.Add(1);
      // Only now and then: a thread that polls an empty queue would contend with the senders.
      if (local.counts.empty_receives.value() % kEmptyReceivesPerCompaction == 1) compaction_.CompactSome(local);
    }
  }

  using Base::capacity_gate_, Base::checks_, Base::clock_, Base::config_, Base::limit_, Base::purge_, Base::quota_;
  using Base::receipts_, Base::retention_, Base::rules_, Base::store_;

  MessageWriter<T> writer_;
  Compaction<T> compaction_;
  MoveToDeadLetters<T> move_to_dead_letters_;
  ReceiveGrant<T> grant_;
  MoveToQueue<T> move_to_queue_;
  MessageMoves move_tasks_;

 private:
  static constexpr std::int64_t kNever = -1;
  static constexpr int kSweepsPerReceive = 100;
  static constexpr std::uint64_t kEmptyReceivesPerCompaction = 64;

  std::int64_t WaitOf(const ReceiveOptions& options) const {
    return options.wait ? absl::ToInt64Nanoseconds(*options.wait) : config_.receive_wait();
  }

  // The long poll: waits until there is a message, the deadline has passed, or the queue is closed.
  template <typename Receiver>
  void AwaitMessage(Receiver& receiver, LocalState& local, const ReceiveOptions& options, std::int64_t deadline,
                    ReceiveResult<T>& result) {
    const bool was_closed = this->closed();
    bool watching = false;
    {
      EventCount::Waiter waiter(store_.visible());
      for (;;) {
        const std::int64_t now = store_.Now();
        const bool below_limit = TryReceive(receiver, local, options, now, *result);
        if (!result->empty()) break;
        if (this->ended()) {
          result = this->EndedError();
          break;
        }
        if (now >= deadline || (this->closed() && !was_closed)) break;
        if (!below_limit && !watching) {
          store_.WatchForReceivers(1);
          watching = true;
          continue;  // look again: messages may have been removed before this thread watched
        }
        const std::int64_t wake_at = std::min(deadline, store_.earliest().get());
        if (wake_at <= now) {
          std::this_thread::yield();  // another thread runs a step of the sweep
        } else {
          waiter.Sleep(clock_, wake_at);
        }
      }
    }
    if (watching) store_.WatchForReceivers(-1);
  }

  // The attributes that need no common check; each takes effect by itself.
  void ApplyAttributes(const QueueAttributes& attributes) {
    if (attributes.retention) {
      this->RunAllTimeouts(store_.Now());  // messages past the old retention are gone, even if the new one is longer
      store_.set_retention(absl::ToInt64Nanoseconds(*attributes.retention));
      retention_.MarkAllDue();
      store_.room().Notify(EventCount::kAll);  // there may be room sooner
    }
    if (attributes.max_in_flight) {
      max_in_flight_.store(*attributes.max_in_flight, std::memory_order_relaxed);
      limit_.SetLimit(*attributes.max_in_flight);
      store_.visible().Notify(EventCount::kAll);
    }
    if (attributes.capacity) capacity_gate_.SetCapacity(*attributes.capacity);
    if (attributes.redrive_allow) ApplyAllowPolicy(*this, *attributes.redrive_allow);
    if (attributes.senders) this->senders().Set(*attributes.senders);
  }

  std::atomic<std::int64_t> max_in_flight_{0};  // relaxed: for the text of an error, and to be read by users
  // Written by SetAttributes() under setting_. Relaxed: they publish nothing.
  std::atomic<std::int64_t> created_at_{kNever};
  std::atomic<std::int64_t> last_modified_at_{kNever};
  // Held while attributes that belong together are checked, set or read; no user code runs under it.
  mutable Mutex setting_;
  Mutex purging_;
  std::int64_t purged_at_ ABSL_GUARDED_BY(purging_) = kNever;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_QUEUE_CORE_H_
