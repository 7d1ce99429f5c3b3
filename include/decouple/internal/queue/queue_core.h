// A queue of one kind, for bodies of any type: its calls, each by the operations that do the work. Kind is StandardKind
// or FifoKind (standard_kind.h), which names the order of messages, the sender and the receiver.

#ifndef DECOUPLE_INTERNAL_QUEUE_QUEUE_CORE_H_
#define DECOUPLE_INTERNAL_QUEUE_QUEUE_CORE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/batch.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/message/fair_scheduler.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/queue_counters.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/queue/purge.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_config.h"
#include "decouple/internal/queue/queue_removal.h"
#include "decouple/internal/queue/queue_state.h"
#include "decouple/internal/queue/receipts.h"
#include "decouple/internal/queue/receive.h"
#include "decouple/internal/queue/received_messages.h"
#include "decouple/internal/queue/redrive/message_transfer.h"
#include "decouple/internal/queue/redrive/move_task.h"
#include "decouple/internal/queue/redrive/move_to_queue.h"
#include "decouple/internal/queue/redrive/redrive_attributes.h"
#include "decouple/internal/queue/retention.h"
#include "decouple/internal/queue/timeouts.h"
#include "decouple/message.h"
#include "decouple/queue_options.h"
#include "decouple/queue_statistics.h"
#include "decouple/redrive_policy.h"

namespace decouple::inline v0_1::internal {

template <typename Kind>
class QueueCore final : public QueueBase {
  using Sender = typename Kind::Sender;

 public:
  // Attributes are set by SetAttributes() before first use, once a handle exists. `own`: for the kind's state.
  template <typename... Own>
  QueueCore(const BodyType& body_type, const Limits& limits, std::string name, std::uint64_t seed, Clock* clock,
            Own... own)
      : QueueBase(Kind::kKind, body_type, limits, std::move(name), seed, clock), own_(state(), own...) {}

  // ---- sending ------------------------------------------------------------------------------------------------------

  absl::StatusOr<SendResult> Send(void* body, SendOptions&& options) override {
    return SenderOf().Send(body, std::move(options));
  }
  absl::StatusOr<SendOutcomes> SendBatch(std::span<const SendRequest> requests) override {
    return SenderOf().SendBatch(requests);
  }
  Acceptance Enqueue(const TopicDelivery& delivery) override { return SenderOf().Enqueue(delivery); }
  bool EnqueueTransfer(Transfer& transfer) override { return SenderOf().EnqueueTransfer(transfer); }

  // ---- receiving ----------------------------------------------------------------------------------------------------

  absl::Status Receive(const ReceiveOptions& options, ReceivedMessages& received) override {
    const std::int64_t now = queue_.store.Now();
    absl::Status status = queue_.checks.CheckReceiveOptions(options);
    if (status.ok()) status = own_.BeginReceive(options, now);
    if (!status.ok()) return status;
    internal::Receive<Kind> receive(own_);
    if (options.attempt_id) {
      if (own_.RepeatAttempt(options, now, receive.VisibilityTimeoutOf(options), received)) return status;
      status = receive.Run(options, now, received);
      own_.RememberAttempt(options, received);
      return status;
    }
    return receive.Run(options, now, received);
  }

  absl::Status Delete(SlotRef message, std::uint32_t receive) override {
    if (absl::Status status = own_.TakeDelete(); !status.ok()) return status;
    return Receipts<Kind>(queue_).Delete(message, receive);
  }
  absl::Status DeleteEach(const ReceivedMessages& messages) override {
    absl::Status status = own_.TakeDelete();
    if (!status.ok()) return status;
    Receipts<Kind> receipts(queue_);
    for (const auto& [message, word] : messages) status.Update(receipts.Delete(message, word.receive_count()));
    return status;
  }
  absl::Status ChangeVisibility(SlotRef message, std::uint32_t receive, absl::Duration timeout) override {
    return Receipts<Kind>(queue_).ChangeVisibility(message, receive, timeout);
  }

  absl::Status Delete(const ReceiptHandle& receipt) override {
    if (absl::Status status = own_.TakeDelete(); !status.ok()) return status;
    return Receipts<Kind>(queue_).Delete(receipt);
  }
  absl::Status ChangeVisibility(const ReceiptHandle& receipt, absl::Duration timeout) override {
    return Receipts<Kind>(queue_).ChangeVisibility(receipt, timeout);
  }

  absl::StatusOr<StatusOutcomes> DeleteBatch(std::span<const DeleteBatchEntry> entries) override {
    if (deleted()) return queue_.identity.DoesNotExistError();
    absl::Status status = CheckBatch(entries, limits());
    if (status.ok()) status = own_.TakeDelete();
    if (!status.ok()) return status;
    StatusOutcomes results;
    for (const auto& entry : entries) results.push_back(Receipts<Kind>(queue_).Delete(entry.receipt));
    return results;
  }
  absl::StatusOr<StatusOutcomes> ChangeVisibilityBatch(std::span<const ChangeVisibilityBatchEntry> entries) override {
    if (deleted()) return queue_.identity.DoesNotExistError();
    if (absl::Status status = CheckBatch(entries, limits()); !status.ok()) return status;
    StatusOutcomes results;
    for (const auto& entry : entries) {
      results.push_back(Receipts<Kind>(queue_).ChangeVisibility(entry.receipt, entry.visibility_timeout));
    }
    return results;
  }

  // Receives the message for long enough, whatever the queue's timeout, and not to move it to the dead-letter queue
  // instead, as it is about to go elsewhere.
  MoveOutcome MoveOne(QueueBase* to) override {
    constexpr ReceiveOptions kHidden = {.visibility_timeout = absl::Seconds(30)};
    MessageStore& store = queue_.store;
    LocalQueueState& local = store.local();
    ReceivedMessages received;
    if (!internal::Receive<Kind>(own_).Try(local, kHidden, store.Now(), received, /* is_to_move */ true)) {
      return MoveOutcome::kNoRoom;  // there may be one, but too many are in flight
    }
    if (received.empty()) return MoveOutcome::kNothing;
    const auto [message, word] = received.front();
    SlotState before;
    // Its visibility timeout may have ended in between, if the clock has made a jump: then the receive is undone, too.
    const Found found = Receipts<Kind>(queue_).Find(message, word.receive_count(), before, /* expired_too */ true);
    // If it is gone, or another receiver has it, the task goes on later.
    const MoveOutcome outcome =
        found == Found::kLocked ? MoveToQueue<Kind>(queue_).Move(local, message, before, to) : MoveOutcome::kNoRoom;
    ReleaseReference(message);
    return outcome;
  }
  MessageMoves& moves() override { return moves_; }

  // ---- attributes ---------------------------------------------------------------------------------------------------

  absl::Status SetAttributes(const QueueAttributes& attributes) override ABSL_LOCKS_EXCLUDED(queue_.setting) {
    // Dropped after the mutex: it may be the last reference to the former dead-letter queue, and run the user's code.
    std::shared_ptr<QueueBase> former;
    {
      const MutexLock lock(queue_.setting);
      if (deleted()) return queue_.identity.DoesNotExistError();
      absl::Status status = CheckQueueAttributes(attributes, limits());
      if (status.ok()) status = own_.CheckOwnAttributes(attributes);
      if (status.ok() && attributes.redrive) status = LinkDeadLetters(*this, *attributes.redrive, former);
      if (!status.ok()) return status;
      queue_.config.Apply(attributes);
      own_.ApplyOwnAttributes(attributes);
      const std::int64_t now = queue_.store.Now();
      if (queue_.created_at.load(std::memory_order_relaxed) == QueueState::kNever) {
        queue_.created_at.store(now, std::memory_order_relaxed);
      }
      queue_.last_modified_at.store(now, std::memory_order_relaxed);
    }
    ApplyAttributes(attributes);
    return absl::OkStatus();
  }

  QueueAttributes attributes() const override ABSL_LOCKS_EXCLUDED(queue_.setting) {
    QueueAttributes attributes{.visibility_timeout = DurationOf(queue_.config.visibility_timeout()),
                               .retention = DurationOf(queue_.store.retention()),
                               .delay = DurationOf(queue_.config.delay()),
                               .receive_wait = DurationOf(queue_.config.receive_wait()),
                               .max_message_size = queue_.config.max_message_size(),
                               .max_in_flight = queue_.max_in_flight.load(std::memory_order_relaxed),
                               .capacity = queue_.gate.capacity(),
                               .redrive = redrive().value_or(Redrive{}),
                               .redrive_allow = AllowPolicyOf(*this),
                               .senders = senders().policy()};
    const MutexLock lock(queue_.setting);  // some of them are right only together
    own_.ReadOwnAttributes(attributes);
    return attributes;
  }

  std::optional<Redrive> redrive() const override {
    DeadLetterLinks::Link link = dead_letters().link();
    if (link.target == nullptr) return std::nullopt;
    return Redrive{Access::Make<QueueReference>(std::move(link.target)), static_cast<int>(link.max_receives)};
  }

  // ---- counts and statistics ----------------------------------------------------------------------------------------

  MessageCounts Counts() override {
    Timeouts<Kind>(queue_).RunAll(queue_.store.Now());
    QueueRemoval<Kind>(queue_).RemoveRest();
    const QueueSums sums = queue_.store.Sums();
    return {.ready = sums.visible(), .in_flight = sums.in_flight(), .delayed = sums.waiting_for_delay()};
  }

  QueueStatistics Statistics() override {
    const std::int64_t now = queue_.store.Now();
    Timeouts<Kind>(queue_).RunAll(now);
    QueueRemoval<Kind>(queue_).RemoveRest();
    const QueueSums sums = queue_.store.Sums();
    QueueStatistics statistics;
    statistics.number_of_messages_sent = sums.sent - sums.taken_over;
    statistics.sent_message_size = sums.sent_bytes - sums.taken_over_bytes;
    statistics.number_of_messages_received = sums.received - sums.received_to_move;
    statistics.number_of_empty_receives = sums.empty_receives;
    statistics.number_of_messages_deleted = sums.deleted;
    statistics.number_of_messages_expired = sums.expired;
    statistics.number_of_messages_purged = sums.purged;
    statistics.number_of_messages_redriven = sums.redriven;
    statistics.number_of_messages_moved = sums.moved;
    statistics.number_of_messages_taken_over = sums.taken_over;
    statistics.number_of_messages_failed_to_redrive = sums.failed_to_redrive;
    statistics.approximate_number_of_messages_visible = sums.visible();
    statistics.approximate_number_of_messages_not_visible = sums.in_flight();
    statistics.approximate_number_of_messages_delayed = sums.waiting_for_delay();
    statistics.approximate_number_of_bytes = sums.bytes();
    const std::int64_t oldest = Retention<Kind>(queue_).FindOldestSentAt();
    statistics.approximate_age_of_oldest_message =
        absl::Nanoseconds(std::max<std::int64_t>(0, now - std::min(now, oldest)));
    FairScheduler::Counts groups;
    if (FairScheduler* const fair = queue_.store.fair_scheduler()) groups = fair->CountsAt(sums.in_flight(), now);
    statistics.approximate_number_of_noisy_groups = groups.noisy_groups;
    statistics.approximate_number_of_messages_visible_in_quiet_groups =
        std::max<std::int64_t>(0, sums.visible() - groups.visible_in_noisy_groups);
    statistics.approximate_number_of_messages_not_visible_in_quiet_groups =
        std::max<std::int64_t>(0, sums.in_flight() - groups.in_flight_in_noisy_groups);
    return statistics;
  }

  // ---- purge, closing and the end -----------------------------------------------------------------------------------

  absl::Status Purge() override ABSL_LOCKS_EXCLUDED(queue_.purging) {
    const std::int64_t now = queue_.store.Now();
    const std::int64_t interval = absl::ToInt64Nanoseconds(limits().purge_interval);
    if (deleted()) return queue_.identity.DoesNotExistError();
    {
      const MutexLock lock(queue_.purging);
      const std::int64_t last = queue_.purged_at;
      if (last != QueueState::kNever && now < SaturatingAdd(last, interval)) {
        return MakeError(Error::kPurgeQueueInProgress,
                         absl::StrCat("the queue was purged ", absl::FormatDuration(absl::Nanoseconds(now - last)),
                                      " ago; allowed is one purge in ", absl::FormatDuration(limits().purge_interval)));
      }
      queue_.purged_at = now;
    }
    internal::Purge<Kind>(queue_).RemoveAll(queue_.store.local());
    own_.ForgetSends();
    return absl::OkStatus();
  }

  void Close() override {
    queue_.gate.Close();
    queue_.store.visible().Notify(EventCount::kAll);
  }
  bool drained() override { return IsDrained<Kind>(queue_); }

  absl::Status DeleteQueue() override ABSL_LOCKS_EXCLUDED(queue_.setting) {
    std::shared_ptr<QueueBase> former;  // as in SetAttributes()
    QueueRemoval<Kind> removal(queue_);
    {
      const MutexLock lock(queue_.setting);
      if (deleted()) return queue_.identity.DoesNotExistError();
      removal.Begin();                                  // nobody else removes before all is done below
      queue_.identity.MarkDeleted(queue_.store.Now());  // before anything by which other threads notice
      LinkDeadLetters(*this, Redrive{}, former).IgnoreError();
    }
    queue_.limit.CloseForGood();  // takes effect by the RcuSynchronize() in Close()
    Close();
    removal.RemoveAll();
    own_.ForgetSends();
    return absl::OkStatus();
  }

  void RunSomeTimeouts() override { Timeouts<Kind>(queue_).RunSome(queue_.store.local(), queue_.store.Now()); }

  void Abandon() override {
    std::shared_ptr<QueueBase> former;
    LinkDeadLetters(*this, Redrive{}, former).IgnoreError();  // without handles, no thread receives any more
    // A message that was moved there and back may refer to a body in this very queue, which would keep itself alive.
    if (queue_.store.Sums().taken_over > 0) internal::Purge<Kind>(queue_).RemoveAll(queue_.store.local());
    EndWithLastDelivery();
  }

 private:
  ~QueueCore() override = default;

  // Not by way of the kind's own state, if that is not needed: a topic's delivery would read one cache line more.
  Sender SenderOf() {
    if constexpr (std::is_constructible_v<Sender, QueueState&>) {
      return Sender(state());
    } else {
      return Sender(own_);
    }
  }

  // The attributes that need no common check; each takes effect by itself.
  void ApplyAttributes(const QueueAttributes& attributes) {
    MessageStore& store = queue_.store;
    if (attributes.retention) {
      // Messages past the old retention are gone, even if the new one is longer.
      Timeouts<Kind>(queue_).RunAll(store.Now());
      store.set_retention(absl::ToInt64Nanoseconds(*attributes.retention));
      Retention<Kind>(queue_).MarkAllDue();
      store.room().Notify(EventCount::kAll);  // there may be room sooner
    }
    if (attributes.max_in_flight) {
      queue_.max_in_flight.store(*attributes.max_in_flight, std::memory_order_relaxed);
      queue_.limit.SetLimit(*attributes.max_in_flight);
      store.visible().Notify(EventCount::kAll);
    }
    if (attributes.capacity) queue_.gate.SetCapacity(*attributes.capacity);
    if (attributes.redrive_allow) ApplyAllowPolicy(*this, *attributes.redrive_allow);
    if (attributes.senders) senders().Set(*attributes.senders);
  }

  QueueState& queue_ = state();
  typename Kind::State own_;
  MessageMoves moves_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_QUEUE_CORE_H_
