// The sweep of timeouts, step by step.

#include "decouple/internal/queue/timeout_sweep.h"

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "catch.h"
#include "decouple/clock.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/queue/standard_kind.h"
#include "decouple/standard_queue.h"

namespace decouple::testing {
namespace {

using internal::kSlotsPerSegment;
using internal::LocalQueueState;
using internal::QueueState;
using internal::SlotState;
using Sweep = internal::TimeoutSweep<internal::StandardKind>;

// A queue, and the sweep as its calls use it.
struct SweptQueue {
  ManualClock clock;
  StandardQueue<int> queue =
      StandardQueue<int>::Create({.visibility_timeout = absl::Seconds(10), .clock = &clock}).value();
  QueueState& state = internal::Access::Core(queue)->state();
  LocalQueueState& local = state.store.local();
  std::vector<Deliveries<int>> held;

  // Sends and receives so many messages: they are due in ten seconds.
  void Receive(std::uint32_t messages) {
    for (std::uint32_t i = 0; i < messages; ++i) {
      REQUIRE(queue.Send(1).ok());
      held.push_back(queue.Receive().value());
      REQUIRE(held.back().size() == 1);
    }
  }
  std::int64_t InFlight() const { return state.store.Sums().in_flight(); }
  std::int64_t Now() const { return state.store.Now(); }
};

TEST_CASE("nothing is swept before it is due, and at that instant it is") {
  SweptQueue q;
  q.Receive(1);
  q.clock.Advance(absl::Seconds(10) - absl::Nanoseconds(1));
  Sweep(q.state).RunAll(q.local, q.Now());
  CHECK(q.InFlight() == 1);
  q.clock.Advance(absl::Nanoseconds(1));
  Sweep(q.state).RunAll(q.local, q.Now());
  CHECK(q.InFlight() == 0);
}

TEST_CASE("a step goes through one segment, however much is due") {
  SweptQueue q;
  q.Receive(3 * kSlotsPerSegment);
  q.clock.Advance(absl::Seconds(10));
  for (const std::int64_t left : {2, 1, 0}) {
    Sweep(q.state).RunSteps(q.local, q.Now(), 1);
    CHECK(q.InFlight() == left * kSlotsPerSegment);
  }
}

TEST_CASE("so many steps are run as are asked for, and no more once nothing is due") {
  SweptQueue q;
  q.Receive(3 * kSlotsPerSegment);
  q.clock.Advance(absl::Seconds(10));
  Sweep(q.state).RunSteps(q.local, q.Now(), 2);
  CHECK(q.InFlight() == kSlotsPerSegment);
  Sweep(q.state).RunSteps(q.local, q.Now(), 100);
  CHECK(q.InFlight() == 0);
  CHECK(q.state.store.earliest().get() > q.Now());
}

TEST_CASE("the earliest deadline after a sweep is that of what is left") {
  SweptQueue q;
  q.Receive(1);
  q.clock.Advance(absl::Seconds(3));
  q.Receive(1);
  q.clock.Advance(absl::Seconds(7));
  Sweep(q.state).RunAll(q.local, q.Now());
  CHECK(q.InFlight() == 1);
  CHECK(q.state.store.earliest().get() == q.Now() + absl::ToInt64Nanoseconds(absl::Seconds(3)));
}

TEST_CASE("a message past its retention is removed, in flight or not") {
  SweptQueue q;
  REQUIRE(q.queue.SetAttributes({.visibility_timeout = absl::Seconds(600), .retention = absl::Seconds(60)}).ok());
  q.Receive(2);
  REQUIRE(q.held[0].front().Release().ok());
  q.clock.Advance(absl::Seconds(60));
  Sweep(q.state).RunAll(q.local, q.Now());
  CHECK(q.state.store.Sums().expired == 2);
  CHECK(q.state.store.Sums().messages() == 0);
}

TEST_CASE("a slot that another thread has locked is due still, and is swept when that has unlocked it") {
  SweptQueue q;
  q.Receive(1);
  const internal::SlotRef message = internal::Access::Held(q.held[0].front()).message;
  const SlotState before(message.slot->word);
  q.clock.Advance(absl::Seconds(10));
  REQUIRE(internal::TryLock(*message.slot, before));
  Sweep(q.state).RunSteps(q.local, q.Now(), 1);
  CHECK(q.InFlight() == 1);
  CHECK(q.state.store.earliest().get() <= q.Now());
  internal::Unlock(*message.slot, before);
  Sweep(q.state).RunSteps(q.local, q.Now(), 1);
  CHECK(q.InFlight() == 0);
}

TEST_CASE("a step revokes the delete bias, which comes back a tenth of a second after that") {
  SweptQueue q;
  q.Receive(1);
  const auto is_given = [&] { return q.state.store.bias().IsGiven(internal::RcuReadGuard()); };
  CHECK(is_given());
  q.clock.Advance(absl::Seconds(10));
  Sweep(q.state).RunSteps(q.local, q.Now(), 1);
  CHECK_FALSE(is_given());
  q.clock.Advance(absl::Milliseconds(100) - absl::Nanoseconds(1));
  Sweep(q.state).RestoreBiasIfIdle(q.Now());
  CHECK_FALSE(is_given());
  q.clock.Advance(absl::Nanoseconds(1));
  Sweep(q.state).RestoreBiasIfIdle(q.Now());
  CHECK(is_given());
}

}  // namespace
}  // namespace decouple::testing
