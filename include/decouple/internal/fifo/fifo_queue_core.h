// A FIFO queue: takes each deduplication id once, and keeps the messages of each group in order.
//
// Lock order of a send: first the shard of its deduplication id (deduplication.h), then the shard of its group
// (message_groups.h). Two sends wait for each other only if they fall into the same of the 32 shards of either. Then
// the message is written and published as in a standard queue.

#ifndef DECOUPLE_INTERNAL_FIFO_FIFO_QUEUE_CORE_H_
#define DECOUPLE_INTERNAL_FIFO_FIFO_QUEUE_CORE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "decouple/batch.h"
#include "decouple/clock.h"
#include "decouple/content_hash.h"
#include "decouple/delivery.h"
#include "decouple/error.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/fifo/deduplication.h"
#include "decouple/internal/fifo/delay_change.h"
#include "decouple/internal/fifo/fifo_receiver.h"
#include "decouple/internal/fifo/ordering_keys.h"
#include "decouple/internal/fifo/receive_attempts.h"
#include "decouple/internal/message/message_groups.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/queue/call_quota.h"
#include "decouple/internal/queue/queue_core.h"
#include "decouple/internal/queue/queue_rules.h"
#include "decouple/internal/queue/redrive/message_transfer.h"
#include "decouple/message.h"
#include "decouple/queue_options.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class FifoQueueCore final : public QueueCore<T> {
  using Base = QueueCore<T>;
  using typename Base::LocalState;
  using typename Base::Message;
  using typename Base::Slot;

 public:
  FifoQueueCore(const Limits& limits, std::string name, std::uint64_t seed, Clock* clock)
      : Base(kFifoRules, std::make_unique<MessageGroups>(), limits, std::move(name), seed, clock) {
    this->quota_ = std::make_unique<CallQuota>();
  }

  // What SetAttributes() of a new queue says to the attributes that only one kind of queue has.
  static absl::Status CheckOwnOfNew(const QueueAttributes& attributes) {
    return CheckOwn(attributes, DeduplicationScope::kQueue, FifoThroughputLimit::kPerQueue);
  }

  absl::StatusOr<SendResult> Send(T&& body, SendOptions&& options) override {
    const Keys keys = Prefetch(options);
    absl::Status status = checks_.CheckBody(body, Base::SizeOf(body, options));
    status.Update(CheckOptions(options, NeedsIds()));
    if (status.ok()) status = TakeSend(*options.group);
    if (!status.ok()) return status;
    return SendChecked(keys, std::move(body), std::move(options));
  }

  absl::StatusOr<SendOutcomes> SendBatch(std::span<SendBatchEntry<T>> entries) override {
    const bool needs_ids = NeedsIds();
    auto results =
        this->CheckSendBatch(entries, [&](const SendOptions& options) { return CheckOptions(options, needs_ids); });
    if (!results.ok()) return results;
    if (absl::Status status = CheckOrderingKeysOfBatch(entries, needs_ids, kOrderingKeysOfQueue); !status.ok()) {
      return status;
    }
    if (this->quota_->counted() == FifoThroughputLimit::kPerQueue) {
      if (absl::Status status = TakeSend({}); !status.ok()) return status;
    }
    absl::InlinedVector<Keys, 10> keys;  // all are made before the first send, so that their prefetches overlap
    for (const SendBatchEntry<T>& entry : entries) keys.push_back(Prefetch(entry.options));
    for (std::size_t i = 0; i < entries.size(); ++i) {
      auto& result = (*results)[i];
      if (!result.ok()) continue;
      if (this->quota_->counted() == FifoThroughputLimit::kPerMessageGroupId) {
        if (absl::Status status = TakeSend(*entries[i].options.group); !status.ok()) {
          result = std::move(status);
          continue;
        }
      }
      result = SendChecked(keys[i], std::move(entries[i].body), std::move(entries[i].options));
    }
    return results;
  }

  // Disregards the deduplication id: a message that is transferred here must not be lost because it was sent here
  // before.
  // A dead letter's own id becomes its deduplication id (SQS), so that two that were sent with one id in different
  // groups or times can be told apart, and one that is sent to its source again by that id is no duplicate there.
  bool EnqueueTransfer(Transfer<T>& transfer) override {
    LocalState& local = store_.local();
    if (transfer.is_dead_letter) transfer.metadata->deduplication_id = transfer.metadata->origin->id->ToString();
    std::optional<Message> to_requeue;
    std::uint64_t ticket = 0;
    {
      MessageGroups::GroupAppendGuard append_guard(*store_.groups(),
                                                   store_.groups()->Prefetch(transfer.metadata->group));
      const auto describe = [&](MessageMetadata& metadata) { metadata = std::move(*transfer.metadata); };
      if (!capacity_gate_.TryAdmitOne(local, transfer.bytes, ticket)) return false;
      local.counts.taken_over.Add(1);
      local.counts.taken_over_bytes.Add(transfer.bytes);
      const std::int64_t now = store_.Now();
      writer_.PublishInGroup(local, append_guard, ticket, now, now, describe, transfer.ConstructBody(), to_requeue);
    }
    Requeue(local, to_requeue);
    AdvanceHeadOncePerSegment(local, ticket);
    return true;
  }

  Acceptance Enqueue(const TopicDelivery& delivery) override {
    Acceptance checked = this->CheckTopicDelivery(delivery);
    if (checked == Acceptance::kTaken && !TakeSend(delivery.group).ok()) checked = Acceptance::kThrottled;
    if (checked != Acceptance::kTaken) return checked;
    const auto describe = [&](MessageMetadata& metadata) {
      metadata.group = delivery.group;
      metadata.deduplication_id = delivery.deduplication_id;
      metadata.is_replayed = delivery.is_replayed;
    };
    bool is_shared = false;
    const auto share = [&](Slot& slot) {
      is_shared = true;
      return slot.Share(delivery.body);
    };
    LocalState& local = store_.local();
    const std::size_t bytes = delivery.body->bytes();
    const Keys keys = Prefetch(delivery.group, delivery.deduplication_id);
    std::uint64_t ticket = 0;
    const auto attempt = [&] {
      if (this->closed()) return false;
      if (!delivery.is_replayed && !delivery.is_dead_letter) {
        return TrySend(local, keys, delivery.group, delivery.deduplication_id, bytes, describe, share, ticket);
      }
      std::optional<Message> to_requeue;
      {
        MessageGroups::GroupAppendGuard append_guard(*store_.groups(), keys.group);
        if (!Append(local, append_guard, bytes, store_.Now(), describe, share, ticket, to_requeue)) return false;
      }
      Requeue(local, to_requeue);
      AdvanceHeadOncePerSegment(local, ticket);
      return true;
    };
    if (!attempt()) {
      if (this->closed()) return Acceptance::kClosed;
      this->MakeRoom(local);
      if (!attempt()) return Acceptance::kFull;
    }
    if (!is_shared) delivery.body->RemoveReferences(1);  // a duplicate
    return Acceptance::kTaken;
  }

  ReceiveResult<T> Receive(const ReceiveOptions& options) override {
    const std::int64_t now = store_.Now();
    absl::Status status = checks_.CheckReceiveOptions(options);
    if (status.ok()) status = this->quota_->TakeReceive([now] { return now; });
    if (!status.ok()) return ReceiveResult<T>(std::move(status));
    deduplication_.DropSome(now);
    if (options.attempt_id) return ReceiveAttempt(options, now);
    ReceiveResult<T> result;
    Base::Receive(receiver_, options, now, result);
    return result;
  }

 private:
  using Base::capacity_gate_;
  using Base::checks_;
  using Base::config_;
  using Base::store_;
  using Base::writer_;

  // ---- sending ------------------------------------------------------------------------------------------------------

  // What the tables of groups and ids find a message by. The tables are larger than the caches, so their entries are
  // prefetched before everything else, and arrive while the send is checked (exp. 18), or while the entries before it
  // in its batch are sent.
  struct Keys {
    std::uint32_t group;
    Deduplication::Key id;
  };

  // Prefetches the group first, as its entry leads on to the group's last message.
  Keys Prefetch(std::string_view group, std::string_view id) {
    const std::uint32_t group_hash = store_.groups()->Prefetch(group);
    return {group_hash, deduplication_.Prefetch(group, id)};
  }
  Keys Prefetch(const SendOptions& options) {
    const auto text = [](const std::optional<std::string>& key) {
      return key ? std::string_view(*key) : std::string_view();
    };
    return Prefetch(text(options.group), text(options.deduplication_id));
  }

  absl::Status TakeSend(std::string_view group) {
    return this->quota_->TakeSend(group, [this] { return store_.Now(); });
  }

  // Whether messages need a deduplication id, as the queue does not compute one from the body.
  bool NeedsIds() const { return !is_content_based_.load(std::memory_order_relaxed); }

  absl::Status CheckOptions(const SendOptions& options, bool needs_id) const {
    absl::Status status = CheckOrderingKeys(options, needs_id, kOrderingKeysOfQueue);
    if (status.ok()) status = checks_.CheckFifoSendOptions(options);
    return status;
  }

  absl::StatusOr<SendResult> SendChecked(Keys keys, T&& body, SendOptions&& options) {
    if (!options.deduplication_id) {
      if constexpr (HasContent<T>) options.deduplication_id = ContentHashOf(std::as_const(body));
      keys = Prefetch(options);
    }
    const std::size_t bytes = Base::SizeOf(body, options);
    const auto describe = [&](MessageMetadata& metadata) {
      metadata.attributes = std::move(options.attributes);
      metadata.group = *std::move(options.group);
      metadata.deduplication_id = *std::move(options.deduplication_id);
    };
    const auto construct = [&](Slot& slot) { return slot.Construct(std::move(body)); };
    LocalState& local = store_.local();
    std::uint64_t ticket = 0;
    const auto attempt = [&] {
      return TrySend(local, keys, *options.group, *options.deduplication_id, bytes, describe, construct, ticket);
    };
    if (!attempt()) {
      absl::Status status = capacity_gate_.Admit(
          bytes, this->clock_, [&] { return this->MakeRoom(local); }, attempt);
      if (!status.ok()) return status;
    }
    return SendResult{MessageId(this->identity(), ticket), Base::SequenceNumberOf(ticket)};
  }

  // Out-parameters, not std::optional, here and below: the optional's flag defeats store-to-load forwarding (exp. 19).
  //
  // Sets `ticket` to that of the message, or of the first send of its deduplication id. Returns false, and does
  // nothing, if the queue is closed or full. describe(metadata) and construct(slot) are as for MessageWriter; they may
  // move from `group` and `id`.
  template <typename Describe, typename Construct>
  bool TrySend(LocalState& local, const Keys& keys, std::string_view group, std::string_view id, std::size_t bytes,
               const Describe& describe, const Construct& construct, std::uint64_t& ticket) {
    if (this->closed()) return false;  // to duplicates as well
    std::optional<Message> to_requeue;
    {
      Deduplication::DeduplicationGuard deduplication_guard(deduplication_, keys.id, group, id);
      MessageGroups::GroupAppendGuard append_guard(*store_.groups(), keys.group);
      const std::int64_t now = store_.Now();
      if (!deduplication_guard.TryRemember(now, ticket)) return true;
      append_guard.PrefetchLast();
      if (!Append(local, append_guard, bytes, now, describe, construct, ticket, to_requeue)) {
        deduplication_guard.Fail();
        return false;
      }
      deduplication_guard.Succeed(ticket);
    }
    Requeue(local, to_requeue);
    if (ticket % kSlotsPerSegment == 0) this->RunSomeTimeouts(local, store_.Now());
    return true;
  }

  // Appends the message to its group, and sets `ticket` to its ticket; returns false if the queue is closed or full.
  // After the append guard has ended, the caller passes `to_requeue` to Requeue().
  template <typename Describe, typename Construct>
  bool Append(LocalState& local, MessageGroups::GroupAppendGuard& append_guard, std::size_t bytes, std::int64_t now,
              const Describe& describe, const Construct& construct, std::uint64_t& ticket,
              std::optional<Message>& to_requeue) {
    if (!capacity_gate_.TryAdmit(local, 1, bytes, ticket) && !capacity_gate_.TryAdmitOne(local, bytes, ticket))
      return false;
    const std::int64_t visible_at = SaturatingAdd(now, config_.delay());
    writer_.PublishInGroup(local, append_guard, ticket, now, visible_at, describe, construct, to_requeue);
    return true;
  }

  // For messages that come in another way than by TrySend(), which runs timeouts now and then: moves the lane's head
  // on, so that the segments behind it can be freed. No message of a FIFO queue is claimed there, so this runs no user
  // code. Requires: the message of the ticket is published, and no guard is held.
  void AdvanceHeadOncePerSegment(LocalState& local, std::uint64_t ticket) {
    if (ticket % kSlotsPerSegment == 0) {
      this->retention_.RemoveExpiredAtHead(local, store_.Now(), 2 * kSlotsPerSegment);
    }
  }

  // Queues the new first message of a group, if there is one, for the receivers.
  void Requeue(LocalState& local, const std::optional<Message>& message) {
    if (!message) return;
    store_.Requeue(local, *message);
    store_.visible().Notify(1);
  }

  // ---- receiving ----------------------------------------------------------------------------------------------------

  ReceiveResult<T> ReceiveAttempt(const ReceiveOptions& options, std::int64_t now) {
    ReceiveResult<T> result;
    const std::int64_t visible_at = SaturatingAdd(now, this->VisibilityTimeoutOf(options));
    if (!attempts_.Repeat(store_.local(), *options.attempt_id, now, visible_at, this->SinkTo(*result))) {
      result = Base::Receive(receiver_, options);
      if (result.ok() && !result->empty()) attempts_.Remember(*options.attempt_id, store_.Now(), *result);
    }
    return result;
  }

  // ---- attributes ---------------------------------------------------------------------------------------------------

  absl::Status CheckOwnAttributes(const QueueAttributes& attributes) override {
    return CheckOwn(attributes, deduplication_.scope(), this->quota_->counted());
  }

  // `scope` and `counted` stand for what is not given.
  static absl::Status CheckOwn(const QueueAttributes& attributes, DeduplicationScope scope,
                               FifoThroughputLimit counted) {
    constexpr auto kError = Error::kInvalidAttributeValue;
    if (attributes.content_based_deduplication.value_or(false) && !HasContent<T>) {
      return MakeError(kError,
                       "content-based deduplication of bodies without a content; strings and spans of bytes have one, "
                       "and types with a DecoupleHashContent() of their own");
    }
    if (attributes.max_calls_per_second) {
      const std::int64_t calls = *attributes.max_calls_per_second;
      absl::Status status =
          CheckNumber(kError, "maximum of calls per second", calls, std::int64_t{0}, TokenBucket::kSecond);
      if (!status.ok()) return status;
    }
    scope = attributes.deduplication_scope.value_or(scope);
    counted = attributes.fifo_throughput_limit.value_or(counted);
    if (counted == FifoThroughputLimit::kPerMessageGroupId && scope != DeduplicationScope::kMessageGroup) {
      return MakeError(kError,
                       "a throughput limit per message group with deduplication in the whole queue; it is allowed only "
                       "where the deduplication scope is the message group");
    }
    return absl::OkStatus();
  }

  void ApplyOwnAttributes(const QueueAttributes& attributes) override {
    if (config_.delay() != applied_delay_) {
      applied_delay_ = config_.delay();
      delay_change_.Apply(applied_delay_, store_.Now());
    }
    // Relaxed: in force for calls that begin later.
    if (attributes.content_based_deduplication) {
      is_content_based_.store(*attributes.content_based_deduplication, std::memory_order_relaxed);
    }
    if (attributes.deduplication_scope) deduplication_.SetScope(*attributes.deduplication_scope, store_.Now());
    if (attributes.fifo_throughput_limit) this->quota_->Set(*attributes.fifo_throughput_limit);
    if (attributes.max_calls_per_second) this->quota_->Set(*attributes.max_calls_per_second);
  }

  void ReadOwnAttributes(QueueAttributes& attributes) const override {
    attributes.content_based_deduplication = is_content_based_.load(std::memory_order_relaxed);
    attributes.deduplication_scope = deduplication_.scope();
    attributes.fifo_throughput_limit = this->quota_->counted();
    attributes.max_calls_per_second = this->quota_->calls_per_second();
  }

  void ForgetSends() override { deduplication_.Clear(); }
  bool TryReceiveToMove(Deliveries<T>& delivery) override { return Base::TryReceiveToMove(receiver_, delivery); }

  std::int64_t applied_delay_ = 0;  // guarded by QueueCore's mutex of SetAttributes()
  DelayChange<T> delay_change_{store_};
  std::atomic<bool> is_content_based_{false};
  Deduplication deduplication_;
  FifoReceiver<T> receiver_{store_, this->limit_, this->sweep_, this->grant_, this->compaction_};
  ReceiveAttempts<T> attempts_{store_, this->receipts_};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FIFO_FIFO_QUEUE_CORE_H_
