// The ways of a message into a standard queue: a send, a batch of sends, a delivery by a topic, and a transfer from
// another queue. Each admits the message, takes its ticket, writes the slot and publishes it, and then notifies
// receivers and runs some timeouts. The usual send, and the usual batch, are in fast_send.h.

#ifndef DECOUPLE_INTERNAL_QUEUE_STANDARD_SENDER_H_
#define DECOUPLE_INTERNAL_QUEUE_STANDARD_SENDER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "decouple/batch.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/queue/message_writer.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_state.h"
#include "decouple/internal/queue/redrive/message_transfer.h"
#include "decouple/internal/queue/send_checks.h"
#include "decouple/internal/queue/standard_kind.h"
#include "decouple/internal/queue/standard_state.h"
#include "decouple/internal/queue/timeouts.h"
#include "decouple/message.h"
#include "decouple/queue_options.h"

namespace decouple::inline v0_1::internal {

class StandardSender {
 public:
  explicit StandardSender(StandardState& state) : StandardSender(state.queue) {}
  explicit StandardSender(QueueState& queue) : queue_(queue) {}

  absl::StatusOr<SendResult> Send(void* body, SendOptions&& options) {
    const BodyType& type = queue_.store.body_type();
    const std::size_t size = SizeOf(type, body, options);
    absl::Status status = queue_.checks.CheckBody(type.IsEmptyText(body), size);
    status.Update(queue_.checks.CheckStandardSendOptions(options));
    if (!status.ok()) return status;
    LocalQueueState& local = queue_.store.local();
    std::uint64_t ticket = 0;
    if (!queue_.gate.TryAdmit(local, 1, size, ticket)) {
      status = queue_.gate.Admit(local, size, queue_.clock, ticket,
                                 [&] { return Timeouts<StandardKind>(queue_).MakeRoom(local); });
      if (!status.ok()) return status;
    }
    const std::int64_t now = queue_.store.Now();
    Publish(local, ticket, body, std::move(options), now);
    FinishPublished(local, ticket, 1, now);
    return SendResult{MessageId(queue_.identity.value(), ticket)};
  }

  absl::StatusOr<SendOutcomes> SendBatch(std::span<const SendRequest> requests) {
    auto results = CheckSendBatch(queue_, requests, [this](const SendOptions& options) {
      return queue_.checks.CheckStandardSendOptions(options);
    });
    if (results.ok()) SendValidEntries(requests, *results);
    return results;
  }

  bool EnqueueTransfer(Transfer& transfer) {
    DECOUPLE_ASSERT(transfer.metadata != nullptr);
    LocalQueueState& local = queue_.store.local();
    std::uint64_t ticket = 0;
    if (!queue_.gate.TryAdmitOne(local, transfer.bytes, ticket)) return false;
    local.counts.taken_over.Add(1);
    local.counts.taken_over_bytes.Add(transfer.bytes);
    const std::int64_t sent_at = transfer.is_dead_letter ? transfer.sent_at : queue_.store.Now();
    BodySource body = transfer.TakeBody();
    MessageWriter(queue_.store).PublishTransferred(local, ticket, std::move(transfer.metadata), sent_at, body);
    queue_.store.visible().Notify(1);
    return true;
  }

  // The usual delivery goes as a fast send does (fast_send.h). A topic goes from queue to queue, so the thread's state
  // is looked up by RecentLocal().
  [[gnu::always_inline]] Acceptance Enqueue(const TopicDelivery& delivery) {
    const std::size_t bytes = delivery.body->bytes();
    LocalQueueState* const local = queue_.store.RecentLocal();
    if (local == nullptr) [[unlikely]]
      return EnqueueAfterCacheMiss(delivery);
    if (!delivery.IsPlain() || !queue_.senders.AllowsEverybody() || queue_.config.delay() != 0 ||
        bytes > queue_.config.max_message_size() || queue_.store.IsEmptyText(delivery.body->body())) [[unlikely]]
      return EnqueueSlow(delivery);
    std::uint64_t ticket = 0;
    bool is_admitted = false;
    {
      const RcuReadGuard section(local->record, MembarrierAvailable());
      is_admitted = queue_.gate.TryAdmit(section, *local, 1, bytes, ticket);
    }
    if (!is_admitted) [[unlikely]]
      return EnqueueSlow(delivery);
    MessageSlot* const slot = MessageLane::CachedPlaceOf(ticket, local->cursor, queue_.store.stride());
    if (slot == nullptr || delivery.clock != &queue_.clock) [[unlikely]]
      return EnqueueAdmitted(*local, ticket, delivery);
    slot->set_shared(delivery.body);
    slot->sent_at.store(delivery.now, std::memory_order_relaxed);
    MessageLane::PublishOnly(*slot, local->cursor.send_word().With(SlotState::kShared));
    CompilerFence();  // the light fence of both TicketLane and EventCount, as `local` is not null
    if (queue_.store.lane().MaybeSkipped(ticket) || queue_.store.visible().HasWaitersAfterFence()) [[unlikely]]
      NotifyReceivers({local->cursor.send_segment, slot}, ticket);
    return Acceptance::kTaken;
  }

  // ---- the rest of a fast send --------------------------------------------------------------------------------------

  // Once the message has its ticket: the thread sends into a part of the lane that it does not know yet, or the clock
  // must be asked another way.
  absl::StatusOr<SendResult> SendAdmitted(LocalQueueState& local, std::uint64_t ticket, void* body) {
    BodySource source{.body = body};
    PublishAdmitted(local, ticket, queue_.store.Now(), source);
    return SendResult{MessageId(queue_.identity.value(), ticket)};
  }

  // Once the message is published: a receiver waits for it, or its ticket may have been skipped.
  void NotifyReceivers(SlotRef message, std::uint64_t ticket) {
    if (queue_.store.lane().WasSkipped(ticket)) MessageWriter(queue_.store).RequeueSkipped(message);
    queue_.store.visible().Notify(1);
  }
  void NotifyReceiversOfRun(LocalQueueState& local, std::uint64_t first, std::uint32_t n) {
    MessageWriter(queue_.store).RequeueSkippedInRun(local, first, n);
    queue_.store.visible().Notify(n);
  }

  // Runs some timeouts if one of the `n` tickets up to `end` was the first of a segment. Requires: all of these are
  // published, because running timeouts may claim at the head, and would wait for them.
  void RunTimeoutsOncePerSegment(LocalQueueState& local, std::uint64_t end, std::uint32_t n, std::int64_t now) {
    if ((end - 1) % kSlotsPerSegment < n) [[unlikely]]
      Timeouts<StandardKind>(queue_).RunSomeForSender(local, now);
  }

 private:
  void Publish(LocalQueueState& local, std::uint64_t ticket, void* body, SendOptions&& options, std::int64_t now) {
    const std::int64_t delay = options.delay ? absl::ToInt64Nanoseconds(*options.delay) : queue_.config.delay();
    std::unique_ptr<MessageMetadata> metadata;
    if (!options.attributes.empty() || options.group) {
      metadata = std::make_unique<MessageMetadata>();
      metadata->attributes = std::move(options.attributes);
      if (options.group) metadata->group = *std::move(options.group);
    }
    BodySource source{.body = body};
    MessageWriter(queue_.store)
        .PublishMessage(local, ticket, std::move(metadata), now, SaturatingAdd(now, delay), source);
  }
  void PublishAdmitted(LocalQueueState& local, std::uint64_t ticket, std::int64_t now, BodySource& body) {
    MessageWriter(queue_.store).PublishMessage(local, ticket, nullptr, now, now, body);
    FinishPublished(local, ticket, 1, now);
  }
  // After `n` messages with consecutive tickets have been published.
  void FinishPublished(LocalQueueState& local, std::uint64_t first, std::uint32_t n, std::int64_t now) {
    queue_.store.visible().Notify(n);
    RunTimeoutsOncePerSegment(local, first + n, n, now);
  }

  // This thread has used many other queues since. Look its state up, then try again.
  [[gnu::noinline]] Acceptance EnqueueAfterCacheMiss(const TopicDelivery& delivery) {
    queue_.store.RenewLocal();
    return queue_.store.RecentLocal() != nullptr ? Enqueue(delivery) : EnqueueSlow(delivery);
  }
  [[gnu::noinline]] Acceptance EnqueueAdmitted(LocalQueueState& local, std::uint64_t ticket,
                                               const TopicDelivery& delivery) {
    BodySource source{.shared = delivery.body};
    PublishAdmitted(local, ticket, NowOf(queue_, delivery), source);
    return Acceptance::kTaken;
  }
  [[gnu::noinline]] Acceptance EnqueueSlow(const TopicDelivery& delivery) {
    if (const Acceptance checked = CheckTopicDelivery(queue_, delivery); checked != Acceptance::kTaken) return checked;
    LocalQueueState& local = queue_.store.local();
    const std::size_t bytes = delivery.body->bytes();
    std::uint64_t ticket = 0;
    if (!queue_.gate.TryAdmit(local, 1, bytes, ticket) && !queue_.gate.TryAdmitOne(local, bytes, ticket)) {
      if (queue_.gate.closed()) return Acceptance::kClosed;
      Timeouts<StandardKind>(queue_).MakeRoom(local);
      if (!queue_.gate.TryAdmitOne(local, bytes, ticket)) return Acceptance::kFull;
    }
    std::unique_ptr<MessageMetadata> metadata;
    if (!delivery.group.empty() || delivery.is_replayed) [[unlikely]] {
      metadata = std::make_unique<MessageMetadata>();
      metadata->group = delivery.group;
      metadata->is_replayed = delivery.is_replayed;
    }
    const std::int64_t now = NowOf(queue_, delivery);
    BodySource source{.shared = delivery.body};
    MessageWriter(queue_.store)
        .PublishMessage(local, ticket, std::move(metadata), now, SaturatingAdd(now, queue_.config.delay()), source);
    FinishPublished(local, ticket, 1, now);
    return Acceptance::kTaken;
  }

  // Sends the entries whose result is not an error: with consecutive tickets that are taken at once, or one by one if
  // the queue is closed or bounded.
  void SendValidEntries(std::span<const SendRequest> requests, SendOutcomes& results) {
    std::uint32_t valid = 0;
    std::size_t valid_bytes = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (!results[i].ok()) continue;
      ++valid;
      valid_bytes += requests[i].bytes;
    }
    if (valid == 0) return;
    LocalQueueState& local = queue_.store.local();
    std::uint64_t first = 0;
    if (!queue_.gate.TryAdmit(local, valid, valid_bytes, first)) {
      for (std::size_t i = 0; i < requests.size(); ++i) {
        if (results[i].ok()) results[i] = Send(requests[i].body, std::move(requests[i].options));
      }
      return;
    }
    const std::int64_t now = queue_.store.Now();
    std::uint64_t ticket = first;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (!results[i].ok()) continue;
      Publish(local, ticket, requests[i].body, std::move(requests[i].options), now);
      results[i] = SendResult{MessageId(queue_.identity.value(), ticket)};
      ++ticket;
    }
    DECOUPLE_ASSERT(ticket == first + valid);
    FinishPublished(local, first, valid, now);
  }

  QueueState& queue_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_STANDARD_SENDER_H_
