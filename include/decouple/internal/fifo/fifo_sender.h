// The ways of a message into a FIFO queue: each deduplication id is taken once, and the messages of each group are kept
// in order.
//
// Lock order of a send: first the shard of its deduplication id (deduplication.h), then the shard of its group
// (message_groups.h). Two sends wait for each other only if they fall into the same of the 32 shards of either. Then
// the message is written and published as in a standard queue.

#ifndef DECOUPLE_INTERNAL_FIFO_FIFO_SENDER_H_
#define DECOUPLE_INTERNAL_FIFO_FIFO_SENDER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "decouple/batch.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/fifo/deduplication.h"
#include "decouple/internal/fifo/fifo_kind.h"
#include "decouple/internal/fifo/fifo_state.h"
#include "decouple/internal/fifo/group_writer.h"
#include "decouple/internal/fifo/ordering_keys.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/message/message_groups.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/queue/call_quota.h"
#include "decouple/internal/queue/message_names.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_state.h"
#include "decouple/internal/queue/redrive/message_transfer.h"
#include "decouple/internal/queue/retention.h"
#include "decouple/internal/queue/send_checks.h"
#include "decouple/internal/queue/timeouts.h"
#include "decouple/message.h"
#include "decouple/queue_options.h"

namespace decouple::inline v0_1::internal {

class FifoSender {
 public:
  explicit FifoSender(FifoState& state) : state_(state), queue_(state.queue), store_(state.queue.store) {}

  absl::StatusOr<SendResult> Send(void* body, SendOptions&& options) {
    const Keys keys = Prefetch(options);
    const BodyType& type = store_.body_type();
    absl::Status status = queue_.checks.CheckBody(type.IsEmptyText(body), SizeOf(type, body, options));
    status.Update(CheckOptions(options, NeedsIds()));
    if (status.ok()) status = TakeSend(*options.group);
    if (!status.ok()) return status;
    return SendChecked(keys, body, std::move(options));
  }

  absl::StatusOr<SendOutcomes> SendBatch(std::span<const SendRequest> requests) {
    const bool needs_ids = NeedsIds();
    auto results =
        CheckSendBatch(queue_, requests, [&](const SendOptions& options) { return CheckOptions(options, needs_ids); });
    if (!results.ok()) return results;
    if (absl::Status status = CheckOrderingKeysOfBatch(requests, needs_ids, kOrderingKeysOfQueue); !status.ok()) {
      return status;
    }
    if (state_.quota.counted() == FifoThroughputLimit::kPerQueue) {
      if (absl::Status status = TakeSend({}); !status.ok()) return status;
    }
    absl::InlinedVector<Keys, 10> keys;  // all are made before the first send, so that their prefetches overlap
    for (const SendRequest& request : requests) keys.push_back(Prefetch(request.options));
    for (std::size_t i = 0; i < requests.size(); ++i) {
      auto& result = (*results)[i];
      if (!result.ok()) continue;
      if (state_.quota.counted() == FifoThroughputLimit::kPerMessageGroupId) {
        if (absl::Status status = TakeSend(*requests[i].options.group); !status.ok()) {
          result = std::move(status);
          continue;
        }
      }
      result = SendChecked(keys[i], requests[i].body, std::move(requests[i].options));
    }
    return results;
  }

  // Disregards the deduplication id: a message that is transferred here must not be lost because it was sent here
  // before.
  // A dead letter's own id becomes its deduplication id (SQS), so that two that were sent with one id in different
  // groups or times can be told apart, and one that is sent to its source again by that id is no duplicate there.
  bool EnqueueTransfer(Transfer& transfer) {
    LocalQueueState& local = store_.local();
    if (transfer.is_dead_letter) transfer.metadata->deduplication_id = transfer.metadata->origin->id->ToString();
    std::optional<SlotRef> to_requeue;
    std::uint64_t ticket = 0;
    {
      MessageGroups::GroupAppendGuard append_guard(store_.groups(), store_.groups().Prefetch(transfer.metadata->group));
      const auto describe = [&](MessageMetadata& metadata) { metadata = std::move(*transfer.metadata); };
      if (!queue_.gate.TryAdmitOne(local, transfer.bytes, ticket)) return false;
      local.counts.taken_over.Add(1);
      local.counts.taken_over_bytes.Add(transfer.bytes);
      const std::int64_t now = store_.Now();
      BodySource body = transfer.TakeBody();
      PublishInGroup(store_, local, append_guard, ticket, now, now, describe, body, to_requeue);
    }
    Requeue(local, to_requeue);
    AdvanceHeadOncePerSegment(local, ticket);
    return true;
  }

  Acceptance Enqueue(const TopicDelivery& delivery) {
    Acceptance checked = CheckTopicDelivery(queue_, delivery);
    if (checked == Acceptance::kTaken && !TakeSend(delivery.group).ok()) checked = Acceptance::kThrottled;
    if (checked != Acceptance::kTaken) return checked;
    const auto describe = [&](MessageMetadata& metadata) {
      metadata.group = delivery.group;
      metadata.deduplication_id = delivery.deduplication_id;
      metadata.is_replayed = delivery.is_replayed;
    };
    BodySource body{.shared = delivery.body};
    LocalQueueState& local = store_.local();
    const std::size_t bytes = delivery.body->bytes();
    const Keys keys = Prefetch(delivery.group, delivery.deduplication_id);
    std::uint64_t ticket = 0;
    const auto attempt = [&] {
      if (queue_.gate.closed()) return false;
      if (!delivery.is_replayed && !delivery.is_dead_letter) {
        return TrySend(local, keys, delivery.group, delivery.deduplication_id, bytes, describe, body, ticket);
      }
      std::optional<SlotRef> to_requeue;
      {
        MessageGroups::GroupAppendGuard append_guard(store_.groups(), keys.group);
        if (!Append(local, append_guard, bytes, store_.Now(), describe, body, ticket, to_requeue)) return false;
      }
      Requeue(local, to_requeue);
      AdvanceHeadOncePerSegment(local, ticket);
      return true;
    };
    if (!attempt()) {
      if (queue_.gate.closed()) return Acceptance::kClosed;
      Timeouts<FifoKind>(queue_).MakeRoom(local);
      if (!attempt()) return Acceptance::kFull;
    }
    if (body.shared != nullptr) body.shared->RemoveReferences(1);  // a duplicate: no message has taken it over
    return Acceptance::kTaken;
  }

 private:
  // What the tables of groups and ids find a message by. The tables are larger than the caches, so their entries are
  // prefetched before everything else, and arrive while the send is checked (exp. 18), or while the entries before it
  // in its batch are sent.
  struct Keys {
    std::uint32_t group;
    Deduplication::Key id;
  };

  // Prefetches the group first, as its entry leads on to the group's last message.
  Keys Prefetch(std::string_view group, std::string_view id) {
    const std::uint32_t group_hash = store_.groups().Prefetch(group);
    return {group_hash, state_.deduplication.Prefetch(group, id)};
  }
  Keys Prefetch(const SendOptions& options) {
    const auto text = [](const std::optional<std::string>& key) {
      return key ? std::string_view(*key) : std::string_view();
    };
    return Prefetch(text(options.group), text(options.deduplication_id));
  }

  absl::Status TakeSend(std::string_view group) {
    return state_.quota.TakeSend(group, [this] { return store_.Now(); });
  }

  // Whether messages need a deduplication id, as the queue does not compute one from the body.
  bool NeedsIds() const { return !state_.is_content_based.load(std::memory_order_relaxed); }

  absl::Status CheckOptions(const SendOptions& options, bool needs_id) const {
    absl::Status status = CheckOrderingKeys(options, needs_id, kOrderingKeysOfQueue);
    if (status.ok()) status = queue_.checks.CheckFifoSendOptions(options);
    return status;
  }

  absl::StatusOr<SendResult> SendChecked(Keys keys, void* body, SendOptions&& options) {
    if (!options.deduplication_id) {
      options.deduplication_id = state_.content_hasher(body);
      keys = Prefetch(options);
    }
    const std::size_t bytes = SizeOf(store_.body_type(), body, options);
    const auto describe = [&](MessageMetadata& metadata) {
      metadata.attributes = std::move(options.attributes);
      metadata.group = *std::move(options.group);
      metadata.deduplication_id = *std::move(options.deduplication_id);
    };
    BodySource source{.body = body};
    LocalQueueState& local = store_.local();
    std::uint64_t ticket = 0;
    const auto attempt = [&] {
      return TrySend(local, keys, *options.group, *options.deduplication_id, bytes, describe, source, ticket);
    };
    if (!attempt()) {
      absl::Status status = queue_.gate.Admit(
          bytes, queue_.clock, [&] { return Timeouts<FifoKind>(queue_).MakeRoom(local); }, attempt);
      if (!status.ok()) return status;
    }
    return SendResult{MessageId(queue_.identity.value(), ticket), SequenceNumberOf(ticket)};
  }

  // Out-parameters, not std::optional, here and below: the optional's flag defeats store-to-load forwarding (exp. 19).
  //
  // Sets `ticket` to that of the message, or of the first send of its deduplication id. Returns false, and does
  // nothing, if the queue is closed or full. describe(metadata) is as for PublishInGroup(); it may move from `group`
  // and `id`.
  template <typename Describe>
  bool TrySend(LocalQueueState& local, const Keys& keys, std::string_view group, std::string_view id, std::size_t bytes,
               const Describe& describe, BodySource& body, std::uint64_t& ticket) {
    if (queue_.gate.closed()) return false;  // to duplicates as well
    std::optional<SlotRef> to_requeue;
    {
      Deduplication::DeduplicationGuard deduplication_guard(state_.deduplication, keys.id, group, id);
      MessageGroups::GroupAppendGuard append_guard(store_.groups(), keys.group);
      const std::int64_t now = store_.Now();
      if (!deduplication_guard.TryRemember(now, ticket)) return true;
      append_guard.PrefetchLast();
      if (!Append(local, append_guard, bytes, now, describe, body, ticket, to_requeue)) {
        deduplication_guard.Fail();
        return false;
      }
      deduplication_guard.Succeed(ticket);
    }
    Requeue(local, to_requeue);
    if (ticket % kSlotsPerSegment == 0) Timeouts<FifoKind>(queue_).RunSome(local, store_.Now());
    return true;
  }

  // Appends the message to its group, and sets `ticket` to its ticket; returns false if the queue is closed or full.
  // After the append guard has ended, the caller passes `to_requeue` to Requeue().
  template <typename Describe>
  bool Append(LocalQueueState& local, MessageGroups::GroupAppendGuard& append_guard, std::size_t bytes,
              std::int64_t now, const Describe& describe, BodySource& body, std::uint64_t& ticket,
              std::optional<SlotRef>& to_requeue) {
    if (!queue_.gate.TryAdmit(local, 1, bytes, ticket) && !queue_.gate.TryAdmitOne(local, bytes, ticket)) return false;
    const std::int64_t visible_at = SaturatingAdd(now, queue_.config.delay());
    PublishInGroup(store_, local, append_guard, ticket, now, visible_at, describe, body, to_requeue);
    return true;
  }

  // For messages that come in another way than by TrySend(), which runs timeouts now and then: moves the lane's head
  // on, so that the segments behind it can be freed. No message of a FIFO queue is claimed there, so this runs no user
  // code. Requires: the message of the ticket is published, and no guard is held.
  void AdvanceHeadOncePerSegment(LocalQueueState& local, std::uint64_t ticket) {
    if (ticket % kSlotsPerSegment == 0) {
      Retention<FifoKind>(queue_).RemoveExpiredAtHead(local, store_.Now(), 2 * kSlotsPerSegment);
    }
  }

  // Queues the new first message of a group, if there is one, for the receivers.
  void Requeue(LocalQueueState& local, const std::optional<SlotRef>& message) {
    if (!message) return;
    store_.Requeue(local, *message);
    store_.visible().Notify(1);
  }

  FifoState& state_;
  QueueState& queue_;
  MessageStore& store_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FIFO_FIFO_SENDER_H_
