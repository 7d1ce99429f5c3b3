#include "decouple/internal/lane/slot_state.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>

#include "catch.h"
#include "seed.h"

namespace decouple::testing {
namespace {

using internal::IsConsistent;
using internal::IsTransition;
using internal::Phase;
using internal::SlotState;

constexpr std::size_t kPhases = 8;
constexpr std::uint32_t kAllMarks = SlotState::kReferenced | SlotState::kMoreReferences | SlotState::kQueued |
                                    SlotState::kHasMetadata | SlotState::kShared;

// The table at the top of slot_state.h, a row per phase that is left and a column per phase that follows: x may follow,
// m is a change of marks alone.
constexpr std::array<const char*, kPhases> kTable = {
    // done, ready, requeued, delayed, in flight, visible again, busy, deleted
    "m x x x . x x .",  // kDone
    "x . . . x . x x",  // kReady
    "x . . . . . . .",  // kRequeued
    ". . . . . . x .",  // kDelayed
    ". . . . m . x x",  // kInFlight
    ". . . . . m x x",  // kVisibleAgain
    "x . . x x x . x",  // kBusy
    "x . . . . . . m",  // kDeleted
};

TEST_CASE("a phase is followed by those that the documentation names, and by no other") {
  for (std::size_t before = 0; before < kPhases; ++before) {
    for (std::size_t after = 0; after < kPhases; ++after) {
      CAPTURE(before, after);
      const bool is_named = kTable[before][2 * after] != '.';
      CHECK(IsTransition(static_cast<Phase>(before), static_cast<Phase>(after)) == is_named);
    }
  }
}

TEST_CASE("a word has the phase, generation, marks and receive count that it was made of") {
  ForEachSeed(100, [](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto phase = static_cast<Phase>(random() % kPhases);
    const std::uint64_t ordinal = random();
    const auto marks = static_cast<std::uint32_t>(random()) & kAllMarks;
    const auto receive_count = static_cast<std::uint32_t>(random());
    const SlotState word(phase, ordinal, marks, receive_count);
    CHECK(word.phase() == phase);
    CHECK(word.generation() == (ordinal & SlotState::kGenerationMask));
    CHECK(word.receive_count() == receive_count);
    for (std::uint32_t mark = SlotState::kReferenced; mark <= SlotState::kShared; mark <<= 1) {
      CHECK(word.Has(mark) == ((marks & mark) != 0));
    }
    CHECK(word.Is(phase, ordinal));
    CHECK(SlotState(phase, word.generation(), marks, receive_count) == word);
    CHECK(SlotState(word.bits()) == word);
  });
}

TEST_CASE("no field of a word runs into another") {
  constexpr auto kLargest = UINT32_MAX;
  STATIC_REQUIRE(SlotState(Phase::kDone, ~std::uint64_t{0}).phase() == Phase::kDone);
  STATIC_REQUIRE_FALSE(SlotState(Phase::kDone, ~std::uint64_t{0}).Has(kAllMarks));
  STATIC_REQUIRE(SlotState(Phase::kDone, ~std::uint64_t{0}).receive_count() == 0);
  STATIC_REQUIRE(SlotState(Phase::kDone, 0, 0, kLargest).generation() == 0);
  STATIC_REQUIRE(SlotState(Phase::kDone, 0, kAllMarks).generation() == 0);
  STATIC_REQUIRE(SlotState(Phase::kDone, 0, kAllMarks).phase() == Phase::kDone);
}

TEST_CASE("the receive count stops at its largest value") {
  constexpr SlotState kFirst = SlotState(Phase::kBusy, 7).ReceivedOnceMore();
  STATIC_REQUIRE(kFirst.receive_count() == 1);
  STATIC_REQUIRE(kFirst.ReceivedOnceLess() == SlotState(Phase::kBusy, 7));
  constexpr SlotState kOften(Phase::kBusy, 7, 0, UINT32_MAX);
  STATIC_REQUIRE(kOften.ReceivedOnceMore() == kOften);
}

TEST_CASE("the short cuts of a plain message are transitions") {
  for (const std::uint32_t marks : {0U, SlotState::kShared}) {
    const SlotState ready(Phase::kReady, 7, marks);
    const SlotState received = ready.ReceivedFirst();
    CHECK(received == SlotState(Phase::kInFlight, 7, marks | SlotState::kReferenced, 1));
    CHECK(received.IsPlainInFlight());
    CHECK(received.DeletedPlain() == received.With(Phase::kDeleted));
    CHECK(received.DeletedPlain().IsPlainDeleted());
    const SlotState free(Phase::kDone, 7);
    CHECK(free.IsFree(7));
    CHECK(IsTransition(SlotState(Phase::kDone, 6), ready));
    CHECK(IsTransition(ready, received));
    CHECK(IsTransition(received, received.DeletedPlain()));
    CHECK(IsTransition(received.DeletedPlain(), free));
  }
}

TEST_CASE("only a free slot is reused, and with another generation") {
  const SlotState ready(Phase::kReady, 8);
  CHECK(IsTransition(SlotState(Phase::kDone, 7), ready));
  CHECK_FALSE(IsTransition(SlotState(Phase::kDone, 8), ready));
  CHECK_FALSE(IsTransition(SlotState(Phase::kDone, 7, SlotState::kQueued), ready));
  CHECK(IsTransition(SlotState(Phase::kDone, 8, SlotState::kQueued), SlotState(Phase::kDone, 8)));
  CHECK_FALSE(IsTransition(SlotState(Phase::kInFlight, 7), SlotState(Phase::kBusy, 8)));
}

TEST_CASE("a message that was never received has no references, and a deleted one has some") {
  constexpr std::uint32_t kReferenced = SlotState::kReferenced;
  CHECK_FALSE(IsConsistent(SlotState(Phase::kReady, 7, kReferenced)));
  CHECK_FALSE(IsConsistent(SlotState(Phase::kDelayed, 7, 0, 1)));
  CHECK_FALSE(IsConsistent(SlotState(Phase::kRequeued, 7, SlotState::kHasMetadata)));
  CHECK_FALSE(IsConsistent(SlotState(Phase::kDone, 7, SlotState::kShared)));
  CHECK_FALSE(IsConsistent(SlotState(Phase::kDeleted, 7)));
  CHECK_FALSE(IsConsistent(SlotState(Phase::kBusy, 7, SlotState::kMoreReferences)));
  CHECK(IsConsistent(SlotState(Phase::kDeleted, 7, kReferenced | SlotState::kMoreReferences | SlotState::kQueued, 3)));
}

TEST_CASE("marks and the receive count change only as their rules say") {
  constexpr std::uint32_t kReferenced = SlotState::kReferenced;
  const SlotState in_flight(Phase::kInFlight, 7, kReferenced, 1);
  SECTION("a reference goes while the phase stays, and comes under the lock") {
    CHECK(IsTransition(in_flight, in_flight.Without(kReferenced)));
    CHECK_FALSE(IsTransition(in_flight.Without(kReferenced), in_flight));
    CHECK_FALSE(IsTransition(in_flight, SlotState(Phase::kBusy, 7, 0, 1)));
    CHECK(IsTransition(SlotState(Phase::kBusy, 7, 0, 1), in_flight));
  }
  SECTION("the body stays shared or not") {
    CHECK_FALSE(IsTransition(in_flight, in_flight.With(Phase::kBusy).With(SlotState::kShared)));
    CHECK_FALSE(IsTransition(in_flight.With(SlotState::kShared), in_flight.With(Phase::kDeleted)));
  }
  SECTION("metadata goes only under the lock, and never comes") {
    const SlotState described = in_flight.With(SlotState::kHasMetadata);
    CHECK_FALSE(IsTransition(described, in_flight.With(Phase::kDeleted)));
    CHECK(IsTransition(described.With(Phase::kBusy), in_flight.With(Phase::kDeleted)));
    CHECK_FALSE(IsTransition(in_flight.With(Phase::kBusy), described));
  }
  SECTION("a slot is queued and unqueued under the lock, or while the phase stays") {
    const SlotState visible(Phase::kVisibleAgain, 7, 0, 1);
    CHECK(IsTransition(visible, visible.With(SlotState::kQueued)));
    CHECK(IsTransition(visible.With(Phase::kBusy), visible.With(SlotState::kQueued)));
    CHECK_FALSE(IsTransition(visible.With(SlotState::kQueued), visible.With(Phase::kBusy)));
    const SlotState over(Phase::kDone, 7);
    const SlotState deleted(Phase::kDeleted, 7, kReferenced, 1);
    CHECK(IsTransition(deleted.With(SlotState::kQueued), over.With(SlotState::kQueued)));
    CHECK_FALSE(IsTransition(deleted, over.With(SlotState::kQueued)));
  }
  SECTION("a receive is counted under the lock or by the claimant, and taken back under the lock") {
    const SlotState locked = in_flight.With(Phase::kBusy);
    CHECK(IsTransition(locked, in_flight.ReceivedOnceMore()));
    CHECK(IsTransition(locked, in_flight.ReceivedOnceLess().With(Phase::kVisibleAgain)));
    CHECK_FALSE(IsTransition(locked, in_flight.ReceivedOnceMore().ReceivedOnceMore()));
    CHECK_FALSE(IsTransition(in_flight, locked.ReceivedOnceMore()));
    CHECK_FALSE(IsTransition(SlotState(Phase::kReady, 7), SlotState(Phase::kInFlight, 7, kReferenced)));
  }
}

}  // namespace
}  // namespace decouple::testing
