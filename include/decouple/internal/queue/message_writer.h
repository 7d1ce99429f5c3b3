// Writes messages into the slots of their tickets, and publishes them by the slots' words.
//
// Before the word is stored no other thread looks at the slot. From the store on the message may be received, or gone.
// The caller takes the ticket beforehand, and notifies receivers afterwards.
//
// Everything in the slot is written relaxed: the release store of the word publishes it.

#ifndef DECOUPLE_INTERNAL_QUEUE_MESSAGE_WRITER_H_
#define DECOUPLE_INTERNAL_QUEUE_MESSAGE_WRITER_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "decouple/internal/base/rcu.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/message/message_content.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/message/standard_order.h"

namespace decouple::inline v0_1::internal {

// Publishes a message that the timeout sweep looks after: it is due at `visible_at`, or when its retention ends.
inline void PublishUnderDeadline(MessageStore& store, SlotRef message, std::uint64_t ticket, SlotState word,
                                 std::int64_t visible_at) {
  message.TimesToWrite().set_visible_at(visible_at);
  const std::int64_t due = std::min(visible_at, store.RetentionEnd(*message.slot));
  {
    const RcuReadGuard section;  // once it is published the message may end, and its segment may be freed
    MessageLane::PublishUnclaimable(*message.slot, word);
    store.LowerDeadline(*message.segment, due);
  }
  store.lane().ForgetSkip(ticket);
}

// Writes the messages of a standard queue.
class MessageWriter {
 public:
  explicit MessageWriter(MessageStore& store) : store_(store), messages_(store) {}

  // For a run of messages that were published as ready: makes those visible whose tickets were skipped. Requires: the
  // caller has passed a light fence since (TicketLane::MaybeSkipped).
  void RequeueSkippedInRun(LocalQueueState& local, std::uint64_t first, std::uint32_t n) {
    store_.lane().ForEachSkipped(first, n, local.cursor, [&](MessageLane::Place place) {
      RequeueSkipped({place.segment, place.slot});
    });
  }

  // Makes a message visible that was published as ready, but whose ticket was skipped: no receiver will claim it at the
  // head. Requires: the caller is its sender, to which the slot belongs then.
  [[gnu::noinline]] void RequeueSkipped(SlotRef message) {
    const SlotState ready(message.slot->word.load(std::memory_order_relaxed));
    LockSkipped(*message.slot, ready);
    messages_.MakeVisible(store_.local(), message, ready);
  }

  // Publishes any message that is sent to a standard queue; it is visible from `visible_at` on. `metadata` may be null.
  void PublishMessage(LocalQueueState& local, std::uint64_t ticket, std::unique_ptr<MessageMetadata> metadata,
                      std::int64_t sent_at, std::int64_t visible_at, BodySource& body) {
    const auto place = store_.lane().PlaceOf(ticket, local.cursor);
    const SlotRef message{place.segment, place.slot};
    const std::uint64_t ordinal = MessageLane::OrdinalOf(ticket);
    const std::uint32_t body_marks = body.WriteTo(*place.slot, store_.body_type());
    place.slot->sent_at.store(sent_at, std::memory_order_relaxed);
    if (metadata == nullptr && visible_at <= sent_at) [[likely]] {
      PublishReady(message, ticket, SlotState(Phase::kReady, ordinal, body_marks));
      return;
    }
    const bool has_group = metadata != nullptr && !metadata->group.empty();
    const std::uint32_t marks = body_marks | (metadata == nullptr ? 0 : SlotState::kHasMetadata);
    if (has_group) metadata->tenant = store_.FairSchedulerOrCreate().AddMessage(metadata->group, sent_at);
    if (metadata != nullptr) message.segment->data.Put(PlaceOf(message), std::move(metadata));
    if (visible_at > sent_at) {
      local.counts.delayed.Add(1);
      PublishUnderDeadline(store_, message, ticket, SlotState(Phase::kDelayed, ordinal, marks), visible_at);
    } else if (has_group) {
      const SlotState locked(Phase::kBusy, ordinal, marks);
      MessageLane::PublishUnclaimable(*place.slot, locked);
      store_.lane().ForgetSkip(ticket);
      messages_.MakeVisible(local, message, locked);
    } else {
      PublishReady(message, ticket, SlotState(Phase::kReady, ordinal, marks));
    }
  }

  // Publishes a message that a standard queue takes over from another queue. It goes into the redelivery lane at once,
  // because it may be older than the messages before it.
  void PublishTransferred(LocalQueueState& local, std::uint64_t ticket, std::unique_ptr<MessageMetadata> metadata,
                          std::int64_t sent_at, BodySource& body) {
    const auto place = store_.lane().PlaceOf(ticket, local.cursor);
    const SlotRef message{place.segment, place.slot};
    const std::uint32_t body_marks = body.WriteTo(*place.slot, store_.body_type());
    const SlotState locked(Phase::kBusy, MessageLane::OrdinalOf(ticket), body_marks | SlotState::kHasMetadata);
    place.slot->sent_at.store(sent_at, std::memory_order_relaxed);
    if (!metadata->group.empty()) {
      metadata->tenant = store_.FairSchedulerOrCreate().AddMessage(metadata->group, sent_at);
    }
    message.segment->data.Put(PlaceOf(message), std::move(metadata));
    store_.set_has_older_ones();
    MessageLane::PublishUnclaimable(*place.slot, locked);
    store_.lane().ForgetSkip(ticket);
    messages_.MakeVisible(local, message, locked);
  }

 private:
  void PublishReady(SlotRef message, std::uint64_t ticket, SlotState ready) {
    if (!store_.lane().Publish(*message.slot, ticket, ready)) [[unlikely]]
      RequeueSkipped(message);
  }

  MessageStore& store_;
  MessageState<StandardOrder> messages_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_MESSAGE_WRITER_H_
