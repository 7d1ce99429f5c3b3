// Writes the messages of a FIFO queue into the slots of their tickets, and publishes them as members of their groups;
// see queue/message_writer.h.

#ifndef DECOUPLE_INTERNAL_FIFO_GROUP_WRITER_H_
#define DECOUPLE_INTERNAL_FIFO_GROUP_WRITER_H_

#include <atomic>
#include <cstdint>
#include <optional>

#include "decouple/internal/base/time_math.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/message/message_content.h"
#include "decouple/internal/message/message_groups.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/queue/message_writer.h"

namespace decouple::inline v0_1::internal {

// describe(metadata) writes the message's metadata. Sets `to_requeue` if the message is the first of its group and
// visible: then the caller requeues it once it has left the append guard. Requires: the guard is that of the message's
// group, and the ticket was taken within it.
template <typename Describe>
void PublishInGroup(MessageStore& store, LocalQueueState& local, MessageGroups::GroupAppendGuard& append_guard,
                    std::uint64_t ticket, std::int64_t sent_at, std::int64_t visible_at, const Describe& describe,
                    BodySource& body, std::optional<SlotRef>& to_requeue) {
  const auto place = store.lane().PlaceOf(ticket, local.cursor);
  const SlotRef message{place.segment, place.slot};
  MessageMetadata& metadata = message.segment->data.InRow(PlaceOf(message));
  describe(metadata);
  const std::uint32_t body_marks = body.WriteTo(*message.slot, store.body_type());
  message.slot->sent_at.store(sent_at, std::memory_order_relaxed);
  metadata.in_group.place = message;
  SlotState word(Phase::kVisibleAgain, MessageLane::OrdinalOf(ticket), body_marks | SlotState::kHasMetadata);
  const bool is_first = append_guard.Append(metadata);
  const bool is_delayed = visible_at > sent_at;
  if (is_delayed) {
    local.counts.delayed.Add(1);
    word = word.With(Phase::kDelayed);
  } else if (is_first) {
    word = word.With(SlotState::kQueued);
  }
  PublishUnderDeadline(store, message, ticket, word, is_delayed ? visible_at : kForever);
  if (is_first && !is_delayed) to_requeue.emplace(message);
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FIFO_GROUP_WRITER_H_
