// Writes messages into the slots of their tickets, and publishes them by the slots' words.
//
// Before the word is stored no other thread looks at the slot. From the store on the message may be received, or gone.
// The caller takes the ticket beforehand, and notifies receivers afterwards.
//
// In all functions construct(slot) writes the body into the slot, and returns the marks that MessageSlot gives for it.
// Everything in the slot is written relaxed: the release store of the word publishes it.

#ifndef DECOUPLE_INTERNAL_QUEUE_MESSAGE_WRITER_H_
#define DECOUPLE_INTERNAL_QUEUE_MESSAGE_WRITER_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_groups.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_store.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class MessageWriter {
 public:
  using Store = MessageStore<T>;
  using Lane = typename Store::Lane;
  using Message = typename Store::Message;
  using LocalState = typename Store::LocalState;
  using Slot = typename Store::Slot;

  explicit MessageWriter(Store& store) : store_(store) {}

  // Publishes a plain message of a standard queue: visible at once, without metadata.
  template <typename Construct>
  [[gnu::always_inline]] void PublishPlain(LocalState& local, std::uint64_t ticket, std::int64_t sent_at,
                                           Construct construct) {
    const auto place = store_.lane().PlaceOf(ticket, local.cursor);
    const SlotState ready = WritePlain(*place.slot, local.cursor.send_word(), sent_at, construct);
    PublishReady({place.segment, place.slot}, ticket, ready);
  }

  // The first half of PublishPlain(): writes the slot of the caller's own ticket, and returns the word to publish,
  // which is `ready` with the body's marks.
  template <typename Construct>
  [[gnu::always_inline]] static SlotState WritePlain(Slot& slot, SlotState ready, std::int64_t sent_at,
                                                     Construct construct) {
    const std::uint32_t marks = construct(slot);
    slot.sent_at.store(sent_at, std::memory_order_relaxed);
    return ready.With(marks);
  }

  // Publishes `n` plain messages with consecutive tickets; calls construct(slot) for each in turn. After a light fence
  // the caller calls RequeueSkippedInRun() if some tickets may have been skipped (TicketLane::MaybeSkipped).
  template <typename Construct>
  [[gnu::always_inline]] void PublishPlainRun(LocalState& local, std::uint64_t first, std::uint32_t n,
                                              std::int64_t sent_at, Construct construct) {
    store_.lane().PublishRunOnly(first, n, local.cursor, [&](Slot& slot, SlotState ready) {
      return WritePlain(slot, ready, sent_at, construct);
    });
  }
  void RequeueSkippedInRun(LocalState& local, std::uint64_t first, std::uint32_t n) {
    store_.lane().ForEachSkipped(first, n, local.cursor, [&](typename Lane::Place place) {
      RequeueSkipped({place.segment, place.slot});
    });
  }

  // Makes a message visible that was published as ready, but whose ticket was skipped: no receiver will claim it at the
  // head. Requires: the caller is its sender, to which the slot belongs then.
  [[gnu::noinline]] void RequeueSkipped(Message message) {
    const SlotState ready(message.slot->word.load(std::memory_order_relaxed));
    Store::LockSkipped(*message.slot, ready);
    store_.MakeVisible(store_.local(), message, ready);
  }

  // Publishes any message that is sent to a standard queue; it is visible from `visible_at` on. `metadata` may be null.
  template <typename Construct>
  void PublishMessage(LocalState& local, std::uint64_t ticket, std::unique_ptr<MessageMetadata> metadata,
                      std::int64_t sent_at, std::int64_t visible_at, Construct construct) {
    const auto place = store_.lane().PlaceOf(ticket, local.cursor);
    const Message message{place.segment, place.slot};
    const std::uint64_t ordinal = Lane::OrdinalOf(ticket);
    const std::uint32_t body_marks = construct(*place.slot);
    place.slot->sent_at.store(sent_at, std::memory_order_relaxed);
    if (metadata == nullptr && visible_at <= sent_at) [[likely]] {
      PublishReady(message, ticket, SlotState(Phase::kReady, ordinal, body_marks));
      return;
    }
    const bool has_group = metadata != nullptr && !metadata->group.empty();
    const std::uint32_t marks = body_marks | (metadata == nullptr ? 0 : SlotState::kHasMetadata);
    if (has_group) metadata->tenant = store_.FairSchedulerOrCreate().AddMessage(metadata->group, sent_at);
    if (metadata != nullptr) message.segment->data.Put(Store::PlaceOf(message), std::move(metadata));
    if (visible_at > sent_at) {
      local.counts.delayed.Add(1);
      PublishUnderDeadline(message, ticket, SlotState(Phase::kDelayed, ordinal, marks), visible_at);
    } else if (has_group) {
      const SlotState locked(Phase::kBusy, ordinal, marks);
      Lane::PublishUnclaimable(*place.slot, locked);
      store_.lane().ForgetSkip(ticket);
      store_.MakeVisible(local, message, locked);
    } else {
      PublishReady(message, ticket, SlotState(Phase::kReady, ordinal, marks));
    }
  }

  // Publishes a message that a standard queue takes over from another queue. It goes into the redelivery lane at once,
  // because it may be older than the messages before it.
  template <typename Construct>
  void PublishTransferred(LocalState& local, std::uint64_t ticket, std::unique_ptr<MessageMetadata> metadata,
                          std::int64_t sent_at, Construct construct) {
    const auto place = store_.lane().PlaceOf(ticket, local.cursor);
    const Message message{place.segment, place.slot};
    const SlotState locked(Phase::kBusy, Lane::OrdinalOf(ticket), construct(*place.slot) | SlotState::kHasMetadata);
    place.slot->sent_at.store(sent_at, std::memory_order_relaxed);
    if (!metadata->group.empty()) {
      metadata->tenant = store_.FairSchedulerOrCreate().AddMessage(metadata->group, sent_at);
    }
    message.segment->data.Put(Store::PlaceOf(message), std::move(metadata));
    store_.set_has_older_ones();
    Lane::PublishUnclaimable(*place.slot, locked);
    store_.lane().ForgetSkip(ticket);
    store_.MakeVisible(local, message, locked);
  }

  // Publishes a message of a FIFO queue. describe(metadata) writes its metadata. Sets `to_requeue` if the message is
  // the first of its group and visible: then the caller requeues it once it has left the append guard. Requires: the
  // guard is that of the message's group, and the ticket was taken within it.
  template <typename Describe, typename Construct>
  void PublishInGroup(LocalState& local, MessageGroups::GroupAppendGuard& append_guard, std::uint64_t ticket,
                      std::int64_t sent_at, std::int64_t visible_at, Describe describe, Construct construct,
                      std::optional<Message>& to_requeue) {
    static_assert(std::is_standard_layout_v<Slot> && offsetof(Slot, word) == 0, "MessageGroups finds the word there");
    const auto place = store_.lane().PlaceOf(ticket, local.cursor);
    const Message message{place.segment, place.slot};
    MessageMetadata& metadata = message.segment->data.InRow(Store::PlaceOf(message));
    describe(metadata);
    const std::uint32_t body_marks = construct(*place.slot);
    place.slot->sent_at.store(sent_at, std::memory_order_relaxed);
    metadata.in_group.place = {message.segment, message.slot};
    SlotState word(Phase::kVisibleAgain, Lane::OrdinalOf(ticket), body_marks | SlotState::kHasMetadata);
    const bool is_first = append_guard.Append(metadata);
    const bool is_delayed = visible_at > sent_at;
    if (is_delayed) {
      local.counts.delayed.Add(1);
      word = word.With(Phase::kDelayed);
    } else if (is_first) {
      word = word.With(SlotState::kQueued);
    }
    PublishUnderDeadline(message, ticket, word, is_delayed ? visible_at : kForever);
    if (is_first && !is_delayed) to_requeue.emplace(message);
  }

 private:
  // Publishes a message that the timeout sweep looks after: it is due at `visible_at`, or when its retention ends.
  void PublishUnderDeadline(Message message, std::uint64_t ticket, SlotState word, std::int64_t visible_at) {
    message.TimesToWrite().set_visible_at(visible_at);
    const std::int64_t due = std::min(visible_at, store_.RetentionEnd(*message.slot));
    {
      const RcuReadGuard section;  // once it is published the message may end, and its segment may be freed
      Lane::PublishUnclaimable(*message.slot, word);
      store_.LowerDeadline(*message.segment, due);
    }
    store_.lane().ForgetSkip(ticket);
  }

  [[gnu::always_inline]] void PublishReady(Message message, std::uint64_t ticket, SlotState ready) {
    if (!store_.lane().Publish(*message.slot, ticket, ready)) [[unlikely]]
      RequeueSkipped(message);
  }

  Store& store_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_MESSAGE_WRITER_H_
