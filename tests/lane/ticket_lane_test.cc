#include "decouple/internal/lane/ticket_lane.h"

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "catch.h"
#include "decouple/internal/base/rcu.h"

namespace decouple::inline v0_1::internal {

struct NumberSlot {
  struct SegmentData {};
  struct ColdFields {};
  std::atomic<std::uint64_t> word{0};
  std::uint64_t number = 0;
};

using Lane = TicketLane<NumberSlot>;

const std::atomic<std::uint64_t> open_gate{~std::uint64_t{0}};

bool TakeAll(const NumberSlot&, SlotState) { return true; }

bool Publish(Lane& lane, Lane::Cursor& cursor, std::uint64_t ticket) {
  const auto place = lane.PlaceOf(ticket, cursor);
  place.slot->number = ticket;
  return lane.Publish(*place.slot, ticket, SlotState(Phase::kReady, Lane::OrdinalOf(ticket)));
}

void Send(Lane& lane, Lane::Cursor& cursor) { REQUIRE(Publish(lane, cursor, lane.TakeTickets(1))); }

void Free(const Lane::Run& run, std::uint32_t i) {
  run.slot(i).word.store(SlotState(Phase::kDone, run.ordinal).bits(), std::memory_order_release);
}

TEST_CASE("slots are claimed in the order of their tickets, a run at a time") {
  Lane lane(LayoutOf<NumberSlot>());
  Lane::Cursor cursor;
  for (int i = 0; i < 200; ++i) Send(lane, cursor);
  std::uint64_t expected = 0;
  while (expected < 200) {
    const auto run = lane.Claim(cursor, 10, open_gate, TakeAll);
    REQUIRE(run.size > 0);
    REQUIRE(run.size <= 10);
    for (std::uint32_t i = 0; i < run.size; ++i) {
      REQUIRE(run.slot(i).number == expected++);
      Free(run, i);
    }
  }
  CHECK(lane.Claim(cursor, 10, open_gate, TakeAll).size == 0);
}

TEST_CASE("an unpublished ticket ends a run, and is not skipped while it is the last") {
  Lane lane(LayoutOf<NumberSlot>());
  Lane::Cursor cursor;
  Send(lane, cursor);
  const std::uint64_t stalled = lane.TakeTickets(1);
  CHECK(lane.Claim(cursor, 10, open_gate, TakeAll).size == 1);
  CHECK(lane.Claim(cursor, 10, open_gate, TakeAll).size == 0);
  CHECK(lane.head() == stalled);
  CHECK(Publish(lane, cursor, stalled));
  CHECK(lane.Claim(cursor, 10, open_gate, TakeAll).size == 1);
}

TEST_CASE("a stalled sender is skipped once a later ticket has been published, and finds out") {
  Lane lane(LayoutOf<NumberSlot>());
  Lane::Cursor cursor;
  const std::uint64_t stalled = lane.TakeTickets(1);
  lane.PlaceOf(stalled, cursor);
  Send(lane, cursor);
  const auto skipped = lane.Claim(cursor, 10, open_gate, TakeAll);
  CHECK(skipped.size == 1);
  CHECK(skipped.taken == 0);
  const auto run = lane.Claim(cursor, 10, open_gate, TakeAll);
  REQUIRE(run.size == 1);
  CHECK(run.slot(0).number == 1);
  Send(lane, cursor);  // other senders are not affected
  CHECK_FALSE(Publish(lane, cursor, stalled));
  CHECK(lane.Claim(cursor, 10, open_gate, TakeAll).size == 1);
}

TEST_CASE("a ticket without a segment is not skipped") {
  Lane lane(LayoutOf<NumberSlot>());
  Lane::Cursor cursor;
  lane.TakeTickets(kSlotsPerSegment);  // a whole segment of senders that have not begun
  const std::uint64_t behind = lane.TakeTickets(1);
  REQUIRE(Publish(lane, cursor, behind));
  CHECK(lane.Claim(cursor, 10, open_gate, TakeAll).size == 0);
  CHECK(lane.head() == 0);
  for (std::uint64_t ticket = 0; ticket < kSlotsPerSegment; ++ticket) REQUIRE(Publish(lane, cursor, ticket));
  CHECK(lane.Claim(cursor, kSlotsPerSegment, open_gate, TakeAll).size == kSlotsPerSegment);
  CHECK(lane.Claim(cursor, 1, open_gate, TakeAll).slot(0).number == behind);
}

TEST_CASE("any number of senders may be skipped, and each finds out about its own ticket") {
  Lane lane(LayoutOf<NumberSlot>());
  Lane::Cursor cursor;
  constexpr std::uint64_t kStalled = 100;
  lane.TakeTickets(kStalled);
  for (std::uint64_t ticket = 0; ticket < kStalled; ++ticket) lane.PlaceOf(ticket, cursor);
  Send(lane, cursor);
  while (lane.head() <= kStalled) lane.Claim(cursor, 10, open_gate, TakeAll);
  Lane::Cursor other;
  for (const std::uint64_t ticket : {kStalled / 2, kStalled - 1, std::uint64_t{0}}) {
    CHECK_FALSE(Publish(lane, other, ticket));
  }
  Send(lane, cursor);
  CHECK(lane.Claim(cursor, 10, open_gate, TakeAll).taken_count() == 1);
}

TEST_CASE("a claim takes ready slots up to the first that is not wanted, and passes those in other phases") {
  Lane lane(LayoutOf<NumberSlot>());
  Lane::Cursor cursor;
  for (int i = 0; i < 10; ++i) {
    const std::uint64_t ticket = lane.TakeTickets(1);
    const Phase phase = ticket % 2 == 0 ? Phase::kDelayed : ticket == 9 ? Phase::kRequeued : Phase::kReady;
    const auto place = lane.PlaceOf(ticket, cursor);
    place.slot->number = ticket;
    REQUIRE(lane.Publish(*place.slot, ticket, SlotState(phase, Lane::OrdinalOf(ticket))));
  }
  const auto wants = [](const NumberSlot& slot, SlotState) { return slot.number != 7; };
  const auto taken = [](const Lane::Run& run) {
    std::vector<std::uint64_t> numbers;
    run.ForEachTaken([&](const NumberSlot& slot, SlotState) { numbers.push_back(slot.number); });
    return numbers;
  };
  const auto two = lane.Claim(cursor, 2, open_gate, wants);
  CHECK(two.size == 4);
  CHECK(taken(two) == std::vector<std::uint64_t>{1, 3});
  const auto up_to_seven = lane.Claim(cursor, 10, open_gate, wants);
  CHECK(up_to_seven.size == 3);
  CHECK(taken(up_to_seven) == std::vector<std::uint64_t>{5});
  CHECK(lane.Claim(cursor, 10, open_gate, wants).size == 0);
  CHECK(taken(lane.Claim(cursor, 10, open_gate, TakeAll)) == std::vector<std::uint64_t>{7, 9});
}

TEST_CASE("a claim takes nothing from the gate on") {
  Lane lane(LayoutOf<NumberSlot>());
  Lane::Cursor cursor;
  for (int i = 0; i < 10; ++i) Send(lane, cursor);
  std::atomic<std::uint64_t> gate{3};
  CHECK(lane.Claim(cursor, 10, gate, TakeAll).size == 3);
  const auto refused = lane.Claim(cursor, 10, gate, TakeAll);
  CHECK(refused.size == 0);
  CHECK(refused.gated);
  gate.store(5);
  CHECK(lane.Claim(cursor, 10, gate, TakeAll).size == 2);
}

TEST_CASE("a segment that the head has left is found by its number until all its slots are free") {
  Lane lane(LayoutOf<NumberSlot>());
  Lane::Cursor cursor;
  for (std::uint32_t i = 0; i < 3 * kSlotsPerSegment; ++i) Send(lane, cursor);
  const auto first = lane.Claim(cursor, kSlotsPerSegment, open_gate, TakeAll);
  const std::uint32_t number = first.segment->number();
  for (std::uint32_t i = 1; i < first.size; ++i) Free(first, i);
  lane.TryReclaim(10);
  {
    const RcuReadGuard section;
    CHECK(lane.FindByNumber(number, 0).slot == &first.slot(0));
    CHECK(lane.FindByNumber(number, kSlotsPerSegment).slot == nullptr);  // that ticket is elsewhere
    CHECK(lane.FindByNumber(12345, 0).slot == nullptr);
  }
  Free(first, 0);
  lane.TryReclaim(10);
  const RcuReadGuard section;
  CHECK(lane.FindByNumber(number, 0).slot == nullptr);
}

TEST_CASE("a slot that stays in use keeps its own segment from being reused, and no later one") {
  Lane lane(LayoutOf<NumberSlot>());
  Lane::Cursor cursor;
  constexpr std::uint32_t kSegments = 1000;
  std::uint32_t highest = 0;
  for (std::uint32_t segment = 0; segment < kSegments; ++segment) {
    for (std::uint32_t i = 0; i < kSlotsPerSegment; ++i) Send(lane, cursor);
    const auto run = lane.Claim(cursor, kSlotsPerSegment, open_gate, TakeAll);
    highest = std::max(highest, run.segment->number());
    for (std::uint32_t i = 0; i < run.size; ++i) {
      if (segment != 0 || i != 5) Free(run, i);
    }
    lane.TryReclaim(2);
  }
  CHECK(highest < 200);  // segments are reused
}

// Fills `segments` segments, and claims and frees each of them once `behind` more have been filled. Reclaims the rounds
// that end, and returns how many did.
std::uint32_t CountRounds(Lane& lane, Lane::Cursor& cursor, std::uint32_t segments, std::uint32_t behind) {
  const auto fill = [&] {
    for (std::uint32_t i = 0; i < kSlotsPerSegment; ++i) Send(lane, cursor);
  };
  std::uint32_t rounds = 0;
  const auto drain = [&] {
    const auto run = lane.Claim(cursor, kSlotsPerSegment, open_gate, TakeAll);
    REQUIRE(run.size == kSlotsPerSegment);
    for (std::uint32_t i = 0; i < run.size; ++i) Free(run, i);
    if (!run.ends_round) return;
    ++rounds;
    lane.ReclaimRound();
  };
  for (std::uint32_t i = 0; i < behind; ++i) fill();
  for (std::uint32_t i = 0; i < segments; ++i) {
    fill();
    drain();
  }
  for (std::uint32_t i = 0; i < behind; ++i) drain();
  return rounds;
}

TEST_CASE("segments are reclaimed one by one while they are few, and in larger rounds the more there are") {
  {
    Lane lane(LayoutOf<NumberSlot>());
    Lane::Cursor cursor;
    CHECK(CountRounds(lane, cursor, 60, 1) == 61);
    CHECK(lane.pool().segments() <= 4);
    CHECK(CountRounds(lane, cursor, 1000, 1) <= 252);  // rounds of four: many messages have passed through
    CHECK(lane.pool().segments() <= 16);
  }
  Lane lane(LayoutOf<NumberSlot>());
  Lane::Cursor cursor;
  CHECK(CountRounds(lane, cursor, 200, 100) <= 40);  // rounds of eight
}

TEST_CASE("every ticket of many senders is claimed by exactly one of many receivers") {
  constexpr std::uint64_t kTickets = 1'000'000;
  Lane lane(LayoutOf<NumberSlot>());
  std::vector<std::atomic<std::uint8_t>> claimed(kTickets);
  std::atomic<std::uint64_t> left{kTickets};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      Lane::Cursor cursor;
      for (;;) {
        const std::uint64_t ticket = lane.TakeTickets(1);
        if (ticket >= kTickets) {
          Publish(lane, cursor, ticket);
          return;
        }
        if (!Publish(lane, cursor, ticket)) {  // skipped: counted as received here
          claimed[ticket].fetch_add(1);
          left.fetch_sub(1);
          lane.PlaceOf(ticket, cursor).slot->word.store(SlotState(Phase::kDone, Lane::OrdinalOf(ticket)).bits());
        }
      }
    });
    threads.emplace_back([&, i] {
      Lane::Cursor cursor;
      while (left.load() > 0) {
        const auto run = lane.Claim(cursor, i == 0 ? 1 : 10, open_gate, TakeAll);
        run.ForEachTaken([&](NumberSlot& slot, SlotState) {
          const std::uint64_t ticket = slot.number;
          slot.word.store(SlotState(Phase::kDone, run.ordinal).bits(), std::memory_order_release);
          if (ticket >= kTickets) return;
          claimed[ticket].fetch_add(1);
          left.fetch_sub(1);
        });
        if (run.ends_round) lane.ReclaimRound();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  std::uint64_t once = 0;
  for (const auto& count : claimed) once += count.load() == 1 ? 1 : 0;
  CHECK(once == kTickets);
}

}  // namespace decouple::inline v0_1::internal
