// How messages come into a store: each is written into the slot of its ticket, and published by the slot's word.
//
// Before the word is stored nobody looks at the slot; after it the message may be somebody's, or gone. The caller has
// taken the ticket and notifies receivers afterwards.

#ifndef DECOUPLE_INTERNAL_QUEUE_MESSAGE_WRITER_H_
#define DECOUPLE_INTERNAL_QUEUE_MESSAGE_WRITER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_groups.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_store.h"

namespace decouple::internal {

template <typename T>
class MessageWriter {
 public:
  using Store = MessageStore<T>;
  using Lane = typename Store::Lane;
  using Message = typename Store::Message;
  using LocalState = typename Store::LocalState;
  using Slot = typename Store::Slot;

  explicit MessageWriter(Store& store) : store_(store) {}

  // The usual message of a standard queue: visible at once, and nothing to be said of it. Here and below,
  // construct(slot) writes the body, and returns the marks that MessageSlot gives for it.
  template <typename Construct>
  [[gnu::always_inline]] void PublishPlain(LocalState& local, std::uint64_t ticket, std::int64_t sent_at,
                                           Construct construct) {
    const auto place = store_.lane().PlaceOf(ticket, local.cursor);
    const SlotState ready = WritePlain(*place.slot, local.cursor.send_word(), sent_at, construct);
    PublishReady({place.segment, place.slot}, ticket, ready);
  }

  // The first half of it: writes the slot, which is nobody else's yet, and returns its word. `ready` is that without
  // marks.
  template <typename Construct>
  [[gnu::always_inline]] static SlotState WritePlain(Slot& slot, SlotState ready, std::int64_t sent_at,
                                                     Construct construct) {
    const std::uint32_t marks = construct(slot);
    // Relaxed, as all of the slot is until the word is stored: that publishes it.
    slot.sent_at.store(sent_at, std::memory_order_relaxed);
    return ready.With(marks);
  }

  // Several of these, with consecutive tickets: construct(slot) for each in turn. After a light fence the caller asks
  // for those that were skipped, if there may be some.
  template <typename Construct>
  [[gnu::always_inline]] void PublishPlainRunOnly(LocalState& local, std::uint64_t first, std::uint32_t n,
                                                  std::int64_t sent_at, Construct construct) {
    store_.lane().PublishRunOnly(first, n, local.cursor, [&](Slot& slot, SlotState ready) {
      return WritePlain(slot, ready, sent_at, construct);
    });
  }
  void RequeueSkippedOfRun(LocalState& local, std::uint64_t first, std::uint32_t n) {
    store_.lane().ForEachSkipped(first, n, local.cursor, [&](typename Lane::Place place) {
      RequeueSkipped({place.segment, place.slot});
    });
  }

  // A message that has been published as ready, but whose ticket was skipped: no receiver will come for it there, so it
  // is the caller's to list.
  [[gnu::noinline]] void RequeueSkipped(Message message) {
    const SlotState ready(message.slot->word.load(std::memory_order_relaxed));
    Store::LockSkipped(*message.slot, ready);
    store_.MakeVisible(store_.local(), message, ready);
  }

  // A message that was sent to a standard queue; visible from `visible_at` on. Null metadata: it has none.
  template <typename Construct>
  void Publish(LocalState& local, std::uint64_t ticket, std::unique_ptr<MessageMetadata> metadata, std::int64_t sent_at,
               std::int64_t visible_at, Construct construct) {
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
    if (has_group) metadata->tenant = store_.FairSchedulerOrCreate().Enrol(metadata->group, sent_at);
    if (metadata != nullptr) message.segment->data.Put(Store::PlaceOf(message), std::move(metadata));
    if (visible_at > sent_at) {
      local.counts.delayed.Add(1);
      PublishUnderDeadline(message, ticket, SlotState(Phase::kDelayed, ordinal, marks), visible_at);
    } else if (has_group) {
      const SlotState owned(Phase::kBusy, ordinal, marks);
      Lane::PublishUnclaimable(*place.slot, owned);
      store_.lane().ForgetSkip(ticket);
      store_.MakeVisible(local, message, owned);
    } else {
      PublishReady(message, ticket, SlotState(Phase::kReady, ordinal, marks));
    }
  }

  // One that a standard queue takes over from another: listed at once, as it may be older than those before it.
  template <typename Construct>
  void PublishTakenOver(LocalState& local, std::uint64_t ticket, std::unique_ptr<MessageMetadata> metadata,
                        std::int64_t sent_at, Construct construct) {
    const auto place = store_.lane().PlaceOf(ticket, local.cursor);
    const Message message{place.segment, place.slot};
    const SlotState owned(Phase::kBusy, Lane::OrdinalOf(ticket), construct(*place.slot) | SlotState::kHasMetadata);
    place.slot->sent_at.store(sent_at, std::memory_order_relaxed);
    if (!metadata->group.empty()) metadata->tenant = store_.FairSchedulerOrCreate().Enrol(metadata->group, sent_at);
    message.segment->data.Put(Store::PlaceOf(message), std::move(metadata));
    store_.set_has_older_ones();
    Lane::PublishUnclaimable(*place.slot, owned);
    store_.lane().ForgetSkip(ticket);
    store_.MakeVisible(local, message, owned);
  }

  // One that comes into a FIFO queue, in the append guard of its group; else as the two above. describe(metadata) writes
  // what is to be said of it. `to_requeue` is set if the caller has to list it, once he has left the append_guard.
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
  // A message that becomes somebody's at `visible_at`, or when its retention ends, which is seen to from then on.
  void PublishUnderDeadline(Message message, std::uint64_t ticket, SlotState word, std::int64_t visible_at) {
    message.TimesToWrite().set_visible_at(visible_at);
    const std::int64_t due = std::min(visible_at, store_.RetentionEnd(*message.slot));
    {
      const RcuReadGuard section;  // once it is published, it may come to its end, and its segment too
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

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_MESSAGE_WRITER_H_
