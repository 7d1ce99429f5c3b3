// A store of messages without a queue around it, for tests of its parts.

#ifndef DECOUPLE_TESTS_STORE_TESTING_H_
#define DECOUPLE_TESTS_STORE_TESTING_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "catch.h"
#include "decouple/clock.h"
#include "decouple/internal/lane/lane_cursor.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/message/message_groups.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/redelivery_entry.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/message/standard_order.h"

namespace decouple::testing {

inline internal::SlotState WordOf(internal::SlotRef message) { return internal::WordOf(*message.slot); }

// Bodies are strings. Times are in nanoseconds since the clock's beginning.
struct TestStore {
  static constexpr std::int64_t kTimeout = 1'000;

  ManualClock clock;
  internal::MessageStore store{internal::kBodyType<std::string>, &clock};
  internal::LocalQueueState& local = store.local();

  // A message that was sent and has not been claimed, in kReady.
  internal::SlotRef Ready(std::string body = "a body that is on the heap, as it is too long") {
    const std::uint64_t ticket = store.lane().TakeTickets(1);
    const internal::SlotRef message = Write(ticket, std::move(body));
    const internal::SlotState ready(internal::Phase::kReady, internal::MessageLane::OrdinalOf(ticket));
    REQUIRE(store.lane().Publish(*message.slot, ticket, ready));
    return message;
  }
  // The same, claimed.
  internal::SlotRef Claimed() {
    const internal::SlotRef message = Ready();
    const auto run = store.lane().Claim(local.cursor, 1, internal::kOpenGate, internal::WantAll());
    REQUIRE((run.size == 1 && &run.slot(0) == message.slot));
    return message;
  }
  // In kInFlight by its first receive, until kTimeout from now.
  internal::SlotRef InFlight() {
    const internal::SlotRef message = Claimed();
    internal::LeaseReady(*message.slot, message.TimesToWrite(), store.Now(), store.Now() + kTimeout);
    local.counts.received.Add(1);
    return message;
  }
  // In kDelayed.
  internal::SlotRef Delayed() {
    const std::uint64_t ticket = store.lane().TakeTickets(1);
    const internal::SlotRef message = Write(ticket, "delayed");
    message.TimesToWrite().set_visible_at(store.Now() + kTimeout);
    local.counts.delayed.Add(1);
    internal::MessageLane::PublishUnclaimable(
        *message.slot, internal::SlotState(internal::Phase::kDelayed, internal::MessageLane::OrdinalOf(ticket)));
    return message;
  }
  // In kVisibleAgain after its first receive, queued for redelivery.
  internal::SlotRef VisibleAgain() {
    const internal::SlotRef message = InFlight();
    internal::MessageState<internal::StandardOrder>(store).MakeVisible(local, message, Lock(message));
    return message;
  }

  // Locks the slot, and returns the word that it had before.
  internal::SlotState Lock(internal::SlotRef message) {
    const internal::SlotState before = WordOf(message);
    REQUIRE(internal::TryLock(*message.slot, before));
    return before;
  }

  // The next message that the redelivery lane names; none if it names no more.
  std::optional<internal::SlotRef> NextQueued() {
    internal::MessageLane* const lane = store.redelivery_lane();
    if (lane == nullptr) return std::nullopt;
    const auto run = lane->Claim(local.redelivery_cursor, 1, internal::kOpenGate, internal::WantAll());
    if (run.size == 0) return std::nullopt;
    return internal::ConsumeEntry(run.slot(0), internal::WordOf(run.slot(0)));
  }

  internal::SlotRef Write(std::uint64_t ticket, std::string body) {
    const auto place = store.lane().PlaceOf(ticket, local.cursor);
    internal::ConstructBody<std::string>(*place.slot, std::move(body));
    place.slot->sent_at.store(store.Now(), std::memory_order_relaxed);
    local.counts.sent.Add(1);
    return {place.segment, place.slot};
  }
};

// The same for a FIFO queue: messages have a group, and are visible from the start.
struct TestGroupStore : TestStore {
  internal::SlotRef Send(const std::string& group) {
    std::optional<internal::SlotRef> to_requeue;
    const std::uint32_t hash = store.groups().Prefetch(group);
    internal::SlotRef message;
    {
      internal::MessageGroups::GroupAppendGuard guard(store.groups(), hash);
      const std::uint64_t ticket = store.lane().TakeTickets(1);
      message = Write(ticket, "body");
      internal::MessageMetadata& metadata = message.segment->data.InRow(internal::PlaceOf(message));
      metadata.group = group;
      metadata.in_group.place = message;
      const bool is_first = guard.Append(metadata);
      const std::uint32_t marks = internal::SlotState::kHasMetadata | (is_first ? internal::SlotState::kQueued : 0);
      internal::MessageLane::PublishUnclaimable(
          *message.slot,
          internal::SlotState(internal::Phase::kVisibleAgain, internal::MessageLane::OrdinalOf(ticket), marks));
      if (is_first) to_requeue = message;
    }
    if (to_requeue) store.Requeue(local, *to_requeue);
    return message;
  }
};

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_STORE_TESTING_H_
