// The gates of the limit of messages in flight.

#include "decouple/internal/queue/in_flight_limit.h"

#include <cstdint>

#include "catch.h"
#include "decouple/internal/base/rcu.h"
#include "store_testing.h"

namespace decouple::testing {
namespace {

using internal::InFlightLimit;
using Claimant = InFlightLimit::Claimant;

std::uint64_t LaneRoom(const TestStore& t, const InFlightLimit& limit) {
  const std::uint64_t gate = limit.lane_gate();
  return gate - std::min(gate, t.store.lane().head());
}

TEST_CASE("gates are closed at first, and open for good without a limit") {
  TestStore t;
  InFlightLimit limit(t.store);
  CHECK(limit.ClaimSingle(1) == 0);
  CHECK(limit.TryOpenGates(Claimant::kSingle));
  CHECK(limit.lane_gate() == internal::kOpenUntil);
  CHECK(limit.redelivery_gate() == internal::kOpenUntil);
  CHECK(limit.ClaimSingle(1'000) == 1'000);
}

TEST_CASE("the room that is left is dealt out, half of it or more to the claimant that met a closed gate") {
  for (const std::int64_t most : {1, 2, 3, 4, 10, 1'000}) {
    CAPTURE(most);
    TestStore t;
    InFlightLimit limit(t.store);
    limit.SetLimit(most);
    REQUIRE(limit.TryOpenGates(Claimant::kLane));
    const auto lane = static_cast<std::int64_t>(LaneRoom(t, limit));
    const auto redelivery = static_cast<std::int64_t>(limit.redelivery_gate());
    const auto single = static_cast<std::int64_t>(limit.ClaimSingle(UINT32_MAX));
    CHECK(lane + redelivery + single == most);
    CHECK(lane * 2 >= most);
    CHECK(redelivery == single);
    CHECK(limit.ClaimSingle(1) == 0);
  }
}

TEST_CASE("what is in flight counts, and makes room when it ends") {
  TestStore t;
  InFlightLimit limit(t.store);
  limit.SetLimit(2);
  const internal::SlotRef first = t.InFlight();
  REQUIRE(limit.TryOpenGates(Claimant::kLane));
  CHECK(LaneRoom(t, limit) == 1);
  t.InFlight();
  CHECK_FALSE(limit.TryOpenGates(Claimant::kLane));
  CHECK(LaneRoom(t, limit) == 0);
  internal::MessageState<internal::StandardOrder>(t.store).Remove(t.local, first, t.Lock(first),
                                                                  &internal::LocalQueueCounts::deleted);
  CHECK(limit.TryOpenGates(Claimant::kLane));
  CHECK(LaneRoom(t, limit) == 1);
}

TEST_CASE("a claim counts until it has led to a lease or to nothing") {
  TestStore t;
  InFlightLimit limit(t.store);
  limit.SetLimit(1);
  REQUIRE(limit.TryOpenGates(Claimant::kSingle));
  REQUIRE(limit.ClaimSingle(1) == 1);
  CHECK_FALSE(limit.TryOpenGates(Claimant::kSingle));
  t.local.counts.not_leased.Add(1);
  CHECK(limit.TryOpenGates(Claimant::kSingle));
}

TEST_CASE("a message that is hidden without a claim counts once the gates are closed") {
  TestStore t;
  InFlightLimit limit(t.store);
  limit.SetLimit(1);
  const internal::SlotRef message = t.VisibleAgain();
  t.local.counts.returned.Add(1);
  REQUIRE(limit.TryOpenGates(Claimant::kLane));
  internal::MessageState<internal::StandardOrder>(t.store).Hide(t.local, message, t.Lock(message), 0, 1);
  limit.CloseGates();
  CHECK(LaneRoom(t, limit) == 0);
  CHECK_FALSE(limit.TryOpenGates(Claimant::kLane));
}

TEST_CASE("a limit takes effect at once, in both directions, and none after the end") {
  TestStore t;
  InFlightLimit limit(t.store);
  limit.SetLimit(100);
  REQUIRE(limit.TryOpenGates(Claimant::kLane));
  limit.SetLimit(1);
  CHECK(LaneRoom(t, limit) == 0);
  REQUIRE(limit.TryOpenGates(Claimant::kLane));
  CHECK(LaneRoom(t, limit) == 1);
  limit.CloseForGood();
  CHECK(LaneRoom(t, limit) == 0);
  CHECK_FALSE(limit.TryOpenGates(Claimant::kLane));
  limit.SetLimit(100);
  CHECK_FALSE(limit.TryOpenGates(Claimant::kSingle));
}

}  // namespace
}  // namespace decouple::testing
