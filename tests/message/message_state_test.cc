// The state machine of a message: each edge of the table in message_state.h, by the function that makes it, and that
// the functions refuse every state that their edge does not leave.

#include "decouple/internal/message/message_state.h"

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"
#include "decouple/internal/message/fifo_order.h"
#include "decouple/internal/message/standard_order.h"
#include "store_testing.h"

namespace decouple::testing {
namespace {

using internal::FifoOrder;
using internal::LocalQueueCounts;
using internal::MessageLane;
using internal::MessageState;
using internal::Phase;
using internal::SlotRef;
using internal::SlotState;
using internal::StandardOrder;

using State = MessageState<StandardOrder>;

TEST_CASE("a claimed message is leased by its first receive") {
  TestStore t;
  const SlotRef message = t.Claimed();
  const SlotState word = internal::LeaseReady(*message.slot, message.TimesToWrite(), 7, 100);
  CHECK(WordOf(message) == word);
  CHECK(word.IsPlainInFlight());
  CHECK(word.receive_count() == 1);
  CHECK(message.times().first_received_at() == 7);
  CHECK(message.times().visible_at() == 100);
}

TEST_CASE("a claimed message is removed") {
  TestStore t;
  const SlotRef message = t.Claimed();
  State(t.store).Remove(t.local, message, WordOf(message), &LocalQueueCounts::expired);
  CHECK(WordOf(message).phase() == Phase::kDeleted);
  CHECK(t.store.Sums().expired == 1);
  CHECK(t.store.Sums().removed_waiting == 1);
  CHECK(t.store.Sums().removed_bytes == 45);
}

TEST_CASE("a message whose ticket was skipped is locked by its sender, and made visible") {
  TestStore t;
  const SlotRef message = t.Claimed();  // the claim stands for the skip: no receiver comes for it any more
  const SlotState ready = WordOf(message);
  internal::LockSkipped(*message.slot, ready);
  CHECK(WordOf(message).phase() == Phase::kBusy);
  State(t.store).MakeVisible(t.local, message, ready);
  CHECK(WordOf(message).phase() == Phase::kVisibleAgain);
  CHECK(t.NextQueued() == message);
}

TEST_CASE("a delayed message becomes visible when its delay is over, and is counted as no longer delayed") {
  TestStore t;
  const SlotRef message = t.Delayed();
  const SlotState before = t.Lock(message);
  CHECK(WordOf(message) == before.With(Phase::kBusy));
  State(t.store).NoteReturned(t.local, message, before);
  State(t.store).MakeVisible(t.local, message, before);
  CHECK(WordOf(message) == before.With(Phase::kVisibleAgain).With(SlotState::kQueued));
  CHECK(t.store.Sums().waiting_for_delay() == 0);
  CHECK(t.NextQueued() == message);
}

TEST_CASE("a delayed message is leased") {
  TestStore t;
  const SlotRef message = t.Delayed();
  const SlotState leased = State(t.store).Lease(t.local, message, t.Lock(message), 5, 50);
  CHECK(WordOf(message) == leased);
  CHECK(leased.phase() == Phase::kInFlight);
  CHECK(leased.receive_count() == 1);
  CHECK(message.times().first_received_at() == 5);
  CHECK(t.store.Sums().waiting_for_delay() == 0);
}

TEST_CASE("a message in flight becomes visible, once, whatever names it already") {
  TestStore t;
  const SlotRef message = t.InFlight();
  const SlotState before = t.Lock(message);
  State(t.store).NoteReturned(t.local, message, before);
  State(t.store).MakeVisible(t.local, message, before);
  CHECK(WordOf(message).phase() == Phase::kVisibleAgain);
  // It is hidden and comes back before a receiver has met its name: that names it still.
  State(t.store).Hide(t.local, message, t.Lock(message), 0, 10);
  CHECK(WordOf(message).Has(SlotState::kQueued));
  State(t.store).MakeVisible(t.local, message, t.Lock(message));
  CHECK(t.NextQueued() == message);
  CHECK_FALSE(t.NextQueued());
}

TEST_CASE("a message in flight is hidden until another time, without a receive") {
  TestStore t;
  const SlotRef message = t.InFlight();
  const SlotState before = t.Lock(message);
  State(t.store).Hide(t.local, message, before, 20, 70);
  CHECK(WordOf(message) == before);
  CHECK(message.times().visible_at() == 70);
  CHECK(t.store.Sums().hidden_again == 0);
}

TEST_CASE("a visible message is leased once more, and its first receive stays") {
  TestStore t;
  const SlotRef message = t.VisibleAgain();
  t.clock.Advance(absl::Seconds(1));
  SlotState before;
  REQUIRE(t.NextQueued() == message);
  REQUIRE(internal::UnqueueAndTryLock(message, before));
  const std::int64_t first = message.times().first_received_at();
  const SlotState leased = State(t.store).Lease(t.local, message, before, t.store.Now(), t.store.Now() + 5);
  CHECK(leased.phase() == Phase::kInFlight);
  CHECK(leased.receive_count() == 2);
  CHECK_FALSE(leased.Has(SlotState::kQueued));
  CHECK(message.times().first_received_at() == first);
}

TEST_CASE("a visible message is hidden, which counts as in flight without a receive") {
  TestStore t;
  const SlotRef message = t.VisibleAgain();
  const SlotState before = t.Lock(message);
  State(t.store).Hide(t.local, message, before, 20, 70);
  CHECK(WordOf(message) == before.With(Phase::kInFlight));
  CHECK(t.store.Sums().hidden_again == 1);
}

TEST_CASE("a locked message goes back to what it was") {
  TestStore t;
  for (const SlotRef message : {t.InFlight(), t.VisibleAgain(), t.Delayed()}) {
    const SlotState before = t.Lock(message);
    State(t.store).Restore(t.local, message, before);
    CHECK(WordOf(message) == before);
  }
}

TEST_CASE("a locked message is removed from each of its states, and counted as what it was") {
  TestStore t;
  for (const SlotRef message : {t.InFlight(), t.VisibleAgain(), t.Delayed()}) {
    State(t.store).Remove(t.local, message, t.Lock(message), &LocalQueueCounts::purged);
    CHECK(WordOf(message).phase() == Phase::kDeleted);
    CHECK(WordOf(message).Has(SlotState::kReferenced));
  }
  const internal::QueueSums sums = t.store.Sums();
  CHECK(sums.purged == 3);
  CHECK(sums.removed_waiting == 2);
  CHECK(sums.removed_delayed == 1);
}

// A way for the holder of a delivery to delete the message that it received by `word`.
using HolderDelete = std::function<bool(TestStore&, SlotRef, SlotState)>;

bool DeletePlain(TestStore&, SlotRef message, SlotState word) {
  return internal::TryRemovePlain(internal::RcuReadGuard(), message, word);
}
bool DeleteInFlight(TestStore& t, SlotRef message, SlotState word) {
  return State(t.store).TryRemoveInFlight(t.local, message, word.receive_count());
}
bool DeleteReferenced(TestStore& t, SlotRef message, SlotState word) {
  return State(t.store).RemoveReferenced(t.local, message, word.receive_count());
}

TEST_CASE("the holder deletes a message in flight in each of the three ways") {
  for (const HolderDelete& remove :
       {HolderDelete(DeletePlain), HolderDelete(DeleteInFlight), HolderDelete(DeleteReferenced)}) {
    TestStore t;
    const SlotRef message = t.InFlight();
    const SlotState received = WordOf(message);
    CHECK(remove(t, message, received));
    CHECK(WordOf(message) == received.With(Phase::kDeleted));
    CHECK_FALSE(remove(t, message, received));  // it is over
    CHECK(WordOf(message) == received.With(Phase::kDeleted));
  }
}

TEST_CASE("the holder deletes a visible message only in the general way") {
  TestStore t;
  const SlotRef message = t.VisibleAgain();
  const SlotState visible = WordOf(message);
  CHECK_FALSE(DeletePlain(t, message, visible));
  CHECK_FALSE(DeleteInFlight(t, message, visible));
  CHECK(WordOf(message) == visible);
  CHECK(DeleteReferenced(t, message, visible));
  CHECK(WordOf(message).phase() == Phase::kDeleted);
}

TEST_CASE("the holder of an earlier receive deletes nothing") {
  for (const HolderDelete& remove :
       {HolderDelete(DeletePlain), HolderDelete(DeleteInFlight), HolderDelete(DeleteReferenced)}) {
    TestStore t;
    const SlotRef message = t.InFlight();
    const SlotState first = WordOf(message);
    State(t.store).Lease(t.local, message, t.Lock(message), 1, 2);
    const SlotState second = WordOf(message);
    CHECK_FALSE(remove(t, message, first));
    CHECK(WordOf(message) == second);
  }
}

TEST_CASE("no slot is locked that is ready, requeued, over or locked already") {
  TestStore t;
  const SlotRef locked = t.InFlight();
  t.Lock(locked);
  const SlotRef deleted = t.InFlight();
  REQUIRE(DeletePlain(t, deleted, WordOf(deleted)));
  // What a thread may have seen before: none of it is the slot's word any more.
  for (const SlotRef message : {locked, deleted}) {
    const SlotState word = WordOf(message);
    for (const Phase seen : {Phase::kDelayed, Phase::kInFlight, Phase::kVisibleAgain}) {
      CHECK_FALSE(internal::TryLock(*message.slot, word.With(seen)));
    }
    CHECK(WordOf(message) == word);
  }
}

TEST_CASE("a name that is met after its message has ended frees the slot, and locks nothing") {
  TestStore t;
  const SlotRef message = t.VisibleAgain();
  REQUIRE(DeleteReferenced(t, message, WordOf(message)));
  t.store.ReleaseReference(message);
  CHECK(WordOf(message).phase() == Phase::kDone);
  CHECK(WordOf(message).Has(SlotState::kQueued));  // the redelivery lane still names it
  REQUIRE(t.NextQueued() == message);
  SlotState before;
  CHECK_FALSE(internal::UnqueueAndTryLock(message, before));
  CHECK(WordOf(message) == SlotState(Phase::kDone, WordOf(message).generation()));
}

TEST_CASE("the last reference frees the slot of a deleted message, and no earlier one does") {
  TestStore t;
  const SlotRef message = t.InFlight();
  State(t.store).Lease(t.local, message, t.Lock(message), 1, 2);  // a second delivery of the body
  CHECK(WordOf(message).Has(SlotState::kMoreReferences));
  REQUIRE(DeleteInFlight(t, message, WordOf(message)));
  t.store.ReleaseReference(message);
  CHECK(WordOf(message).phase() == Phase::kDeleted);
  CHECK(internal::BodyOf<std::string>(message, WordOf(message)).size() == 45);
  t.store.ReleaseReference(message);
  CHECK(WordOf(message).IsFree(WordOf(message).generation()));
}

TEST_CASE("a message that lives on loses its reference, and nothing else") {
  TestStore t;
  const SlotRef message = t.InFlight();
  const SlotState before = WordOf(message);
  t.store.ReleaseReference(message);
  CHECK(WordOf(message) == before.Without(SlotState::kReferenced));
}

TEST_CASE("a message that was received three times goes to the back: a slot at the tail names it") {
  TestStore t;
  const SlotRef message = t.InFlight();
  State(t.store).Lease(t.local, message, t.Lock(message), 1, 2);
  State(t.store).Lease(t.local, message, t.Lock(message), 1, 2);
  REQUIRE(WordOf(message).receive_count() == StandardOrder::kReceivesBeforeTheBack);
  const SlotRef younger = t.Ready();
  State(t.store).MakeVisible(t.local, message, t.Lock(message));
  CHECK_FALSE(t.NextQueued());
  const auto run = t.store.lane().Claim(t.local.cursor, 10, internal::kOpenGate, internal::WantAll());
  REQUIRE(run.taken_count() == 2);
  CHECK(&run.slot(0) == younger.slot);
  const SlotRef requeued{run.segment, &run.slot(1)};
  REQUIRE(WordOf(requeued).phase() == Phase::kRequeued);
  CHECK(internal::ConsumeRequeued(requeued, WordOf(requeued)) == message);
  CHECK(WordOf(requeued).phase() == Phase::kDone);
  SlotState before;
  CHECK(internal::UnqueueAndTryLock(message, before));
}

TEST_CASE("in a FIFO queue only the first message of a group is queued, and the next when that has ended") {
  TestGroupStore t;
  MessageState<FifoOrder> state(t.store);
  const SlotRef first = t.Send("a");
  const SlotRef second = t.Send("a");
  const SlotRef other = t.Send("b");
  CHECK(t.NextQueued() == first);
  CHECK(t.NextQueued() == other);
  CHECK_FALSE(t.NextQueued());
  SlotState before;
  REQUIRE(internal::UnqueueAndTryLock(first, before));
  state.Remove(t.local, first, before, &LocalQueueCounts::deleted);
  CHECK(t.NextQueued() == second);
  CHECK_FALSE(t.NextQueued());
}

TEST_CASE("in a FIFO queue a locked message that becomes the first is queued by the thread that unlocks it") {
  TestGroupStore t;
  MessageState<FifoOrder> state(t.store);
  const SlotRef first = t.Send("a");
  const SlotRef second = t.Send("a");
  REQUIRE(t.NextQueued() == first);
  const SlotState locked = t.Lock(second);
  SlotState before;
  REQUIRE(internal::UnqueueAndTryLock(first, before));
  state.Remove(t.local, first, before, &LocalQueueCounts::deleted);
  CHECK_FALSE(t.NextQueued());  // it is locked
  state.Restore(t.local, second, locked);
  CHECK(t.NextQueued() == second);
}

TEST_CASE("in a FIFO queue a message in flight keeps its group, and comes back as its first") {
  TestGroupStore t;
  MessageState<FifoOrder> state(t.store);
  const SlotRef first = t.Send("a");
  t.Send("a");
  REQUIRE(t.NextQueued() == first);
  SlotState before;
  REQUIRE(internal::UnqueueAndTryLock(first, before));
  state.Lease(t.local, first, before, 1, 2);
  CHECK_FALSE(t.NextQueued());
  state.MakeVisible(t.local, first, t.Lock(first));
  CHECK(t.NextQueued() == first);
}

}  // namespace
}  // namespace decouple::testing
