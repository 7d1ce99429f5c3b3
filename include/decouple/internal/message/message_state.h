// The state machine of a message: the functions that change the phase of its slot. What each phase means, and which
// thread may take a slot out of it: slot_state.h.
//
//                             LeaseReady
//              ┌──▶ kReady ──────────────────────┐
//              │                                 ▼        Remove, from each of the four;
//   kDone ─────┼──▶ kDelayed ─────────────▶ kInFlight ────────────────────────────▶ kDeleted ──────────────────▶ kDone
//      Message-│        │        Lease        │    ▲      by its holder                      ReleaseReference,
//      Writer  │        │ MakeVisible         │    │      TryRemovePlain and others         the last one
//              │        ▼                     │    │
//              └──▶ kVisibleAgain ◀───────────┘    │
//                          │       MakeVisible     │
//                          └───────────────────────┘ Lease, Hide
//
// All edges that leave kDelayed, kInFlight or kVisibleAgain go through kBusy, which is the slot's lock bit, except
// those of the holder. In full:
//
//   edge                                         made by
//   kDone → kReady                               MessageWriter: the usual message of a standard queue
//   kDone → kDelayed                             MessageWriter: a message with a delay
//   kDone → kVisibleAgain                        MessageWriter: a message of a FIFO queue
//   kDone → kBusy                                MessageWriter: with a group, or transferred; Compaction: the copy
//   kDone → kRequeued                            StandardOrder: to the back of the queue
//   kReady → kInFlight                           LeaseReady(), by the claimant
//   kReady → kDeleted                            Remove(), by the claimant: past its retention, or purged
//   kReady → kBusy                               LockSkipped(), by the sender, if skipped
//   kRequeued → kDone                            ConsumeRequeued(), by the claimant; StandardOrder, if skipped
//   kDelayed, kInFlight, kVisibleAgain → kBusy   TryLock()
//   kBusy → kVisibleAgain                        MakeVisible(), Restore(); Compaction: the copy
//   kBusy → kInFlight                            Lease(), Hide(), Restore(), UnlockReferenced(); Compaction: the copy
//   kBusy → kDelayed                             Restore(); Compaction: the copy
//   kBusy → kDeleted                             Remove(); Compaction: the original
//   kBusy → kDone                                FreeLast(): the original of a compaction, if its body is shared
//   kInFlight → kDeleted                         TryRemovePlain(), TryRemoveInFlight(), RemoveReferenced()
//   kVisibleAgain → kDeleted                     RemoveReferenced()
//   kDeleted → kDone                             MessageStore::ReleaseReference()
//
// A thread that has locked a slot and changes nothing stores the word that it had before, by Restore() or Unlock().
//
// The claimant is the thread that moved the lane's head past the slot; a slot whose ticket was skipped has none. The
// marks of a word change without its phase: kQueued by the order and by UnqueueAndTryLock(), kReferenced and
// kMoreReferences by ReleaseReference().
//
// Design. A message stays in its slot from its publication to its end, except that compaction may move it
// (compaction.h) when it is one of the last in its segment and no delivery refers to it. Ready messages are found by
// the lane's head. Those that are visible again are queued for redelivery: a second lane, normally empty, names them,
// and receivers look there first. Where the kinds of queues differ, an order decides (standard_order.h, fifo_order.h):
// messages of a FIFO queue are never ready but queued from the start, by way of their group.
//
// Threading. To change what other threads may change too, a thread locks the slot for a few instructions (kBusy). No
// user code runs meanwhile except the body's move constructor, when compaction or another queue takes the message over:
// a body is destroyed after its message is deleted, by the thread that releases the last reference.
//
// Deadlines. Each segment, each chunk and the store keep the earliest instant at which one of their messages may be
// due. A new deadline is passed to LowerDeadline() before the word that carries it is stored. So the sweep, when it
// recomputes the instant, counts a slot as due whose state is about to change (kReady behind the head, kBusy;
// timeout_sweep.h).

#ifndef DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STATE_H_
#define DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STATE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/single_writer_counter.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_content.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/moved_messages.h"
#include "decouple/internal/message/queue_counters.h"
#include "decouple/internal/message/slot_ref.h"

namespace decouple::inline v0_1::internal {

// ---- the usual ways of a message, the same for all orders, for fast paths ------------------------------------------

// To kInFlight by the first receive of a message whose slot the caller has claimed as kReady, not locked. The caller
// has passed the deadline to LowerDeadline(), and counts the receive.
[[gnu::always_inline]] inline SlotState LeaseReady(MessageSlot& slot, LeaseTimes& times, std::int64_t now,
                                                   std::int64_t visible_at) {
  const SlotState ready(slot.word.load(std::memory_order_relaxed));  // as the claim acquired it
  DECOUPLE_ASSERT(ready.phase() == Phase::kReady && IsConsistent(ready));
  times.set_visible_at(visible_at);
  times.set_first_received_at(now);
  // No other thread changes the word of a claimed kReady, so a store does. Release: as in Unlock().
  slot.word.store(ready.ReceivedFirst().bits(), std::memory_order_release);
  return ready.ReceivedFirst();
}

// To kDeleted by the holder of a delivery, in the usual case: the word is still `received`, as the receive made it,
// with no marks but kReferenced and kShared. Returns false, and does nothing, in every other case. Requires: in a read
// section in which the delete bias is given.
[[gnu::always_inline]] inline bool TryRemovePlain(const RcuReadGuard&, SlotRef message, SlotState received) {
  if (!received.IsPlainInFlight()) [[unlikely]]
    return false;
  std::atomic<std::uint64_t>& word = message.slot->word;
  if (word.load(std::memory_order_relaxed) != received.bits()) [[unlikely]]  // it was due at some time
    return false;
  // Release: pairs with the acquire in IsLastReference().
  word.store(received.DeletedPlain().bits(), std::memory_order_release);
  return true;
}

// Counts `n` removals by TryRemovePlain(); `bytes` is the sum of their bodies. Requires: `local` is from CachedLocal()
// or RecentLocal(), so that a light fence is a compiler barrier.
[[gnu::always_inline]] inline void CountPlainRemovals(MessageStore& store, LocalQueueState& local, std::size_t n,
                                                      std::size_t bytes) {
  local.counts.deleted.Add(n);
  local.counts.removed_bytes.Add(bytes);
  CompilerFence();
  store.AnnounceRemovalAfterFence();
}

// Called with a message that the caller has taken out of the redelivery lane, a kRequeued slot or the fair scheduler.
// Clears kQueued. If the message is still visible, locks its slot, sets `before` and returns true.
inline bool UnqueueAndTryLock(SlotRef message, SlotState& before) {
  for (;;) {
    std::uint64_t seen = message.slot->word.load(std::memory_order_acquire);
    const SlotState word(seen);
    DECOUPLE_ASSERT(word.phase() == Phase::kBusy || word.Has(SlotState::kQueued));
    if (word.phase() == Phase::kBusy) {
      Relax();
    } else if (word.phase() == Phase::kVisibleAgain) {
      before = word.Without(SlotState::kQueued);
      if (TryLock(*message.slot, word)) return true;
    } else if (message.slot->word.compare_exchange_strong(seen, word.Without(SlotState::kQueued).bits(),
                                                          std::memory_order_acq_rel, std::memory_order_relaxed)) {
      return false;
    }
  }
}

// ---- all other changes of a message's state -------------------------------------------------------------------------

// Order: StandardOrder or FifoOrder. Cheap to make: it only refers to the store.
template <typename Order>
class MessageState {
 public:
  explicit MessageState(MessageStore& store) : store_(store) {}

  Order order() const { return Order(store_); }

  // ---- transitions of a locked slot ---------------------------------------------------------------------------------
  // `before` is the word that the slot had before it was locked, with the marks that it is to have. Where nothing else
  // is said, these require that the caller has locked the slot, and unlock it.

  // To kVisibleAgain, queued for redelivery. The caller counts it and notifies visible().
  void MakeVisible(LocalQueueState& local, SlotRef message, SlotState before) {
    DECOUPLE_ASSERT(IsLocked(*message.slot));
    store_.LowerDeadline(*message.segment, store_.RetentionEnd(*message.slot));
    order().UnlockVisible(local, message, before);
  }

  // To kInFlight until `visible_at`, by a receive of the caller's, which has a reference then. Returns the new word.
  SlotState Lease(LocalQueueState& local, SlotRef message, SlotState before, std::int64_t now,
                  std::int64_t visible_at) {
    MessageSlot& slot = *message.slot;
    DECOUPLE_ASSERT(IsLocked(slot));
    DECOUPLE_ASSERT(IsAnyOf(before, Phase::kDelayed, Phase::kInFlight, Phase::kVisibleAgain));
    LeaseTimes& times = message.TimesToWrite();
    if (before.receive_count() == 0) times.set_first_received_at(now);
    times.set_visible_at(visible_at);
    store_.LowerDeadline(*message.segment, std::min(visible_at, store_.RetentionEnd(slot)));
    if (before.phase() == Phase::kDelayed) local.counts.delay_ended.Add(1);
    local.counts.received.Add(1);
    order().NoteLeased(message, before, now);
    const SlotState leased = store_.AddReference(slot, before.With(Phase::kInFlight).ReceivedOnceMore());
    Unlock(slot, leased);
    return leased;
  }

  // To kInFlight until `visible_at`, without a receive.
  void Hide(LocalQueueState& local, SlotRef message, SlotState before, std::int64_t now, std::int64_t visible_at) {
    MessageSlot& slot = *message.slot;
    DECOUPLE_ASSERT(IsLocked(slot) && IsAnyOf(before, Phase::kInFlight, Phase::kVisibleAgain));
    message.times().set_visible_at(visible_at);
    store_.LowerDeadline(*message.segment, std::min(visible_at, store_.RetentionEnd(slot)));
    if (before.phase() == Phase::kVisibleAgain) {
      local.counts.hidden_again.Add(1);
      if (order().Withdraw(message, before)) before = before.Without(SlotState::kQueued);
      order().NoteLeased(message, before, now);
    }
    Unlock(slot, before.With(Phase::kInFlight));
  }

  // Back to what it was before it was locked.
  void Restore(LocalQueueState& local, SlotRef message, SlotState before) { order().Restore(local, message, before); }

  // To kDeleted. The caller has a reference then, which it releases by ReleaseReference(). `how` is one of the five
  // counts of removals. Requires: the caller has locked the slot, or claimed it as kReady.
  void Remove(LocalQueueState& local, SlotRef message, SlotState before, SingleWriterCounter LocalQueueCounts::*how) {
    Remove(local, message, before, how, BytesOf(message, before, store_.body_type()));
  }
  // Same as Remove(), for a message whose body has been moved away; it counted `bytes`.
  void Remove(LocalQueueState& local, SlotRef message, SlotState before, SingleWriterCounter LocalQueueCounts::*how,
              std::size_t bytes) {
    DECOUPLE_ASSERT(IsLocked(*message.slot) || (before.phase() == Phase::kReady && WordOf(*message.slot) == before));
    const SlotState deleted = store_.AddReference(*message.slot, before.With(Phase::kDeleted));
    message.slot->word.store(deleted.bits(), std::memory_order_release);  // as in Unlock()
    CountRemoval(local, message, before, how, bytes);
  }

  // Counts the end of a delay or of a time in flight. Called before MakeVisible(), or before Lease() of a message that
  // is due.
  void NoteReturned(LocalQueueState& local, SlotRef message, SlotState before) {
    if (before.phase() == Phase::kDelayed) {
      local.counts.delay_ended.Add(1);
      return;
    }
    local.counts.returned.Add(1);
    order().NoteUnleased(message, before);
  }

  // ---- deletion by the holder of a delivery; each requires that the caller has a reference --------------------------

  // Deletes the message if it is in flight by that receive, whatever its marks. Returns false, and does nothing, if it
  // is not, or if another thread has locked the slot or changes its word just now.
  bool TryRemoveInFlight(LocalQueueState& local, SlotRef message, std::uint32_t receive) {
    // Acquire: pairs with the last store of the word, for the metadata.
    std::uint64_t seen = message.slot->word.load(std::memory_order_acquire);
    const SlotState word(seen);
    if (word.phase() != Phase::kInFlight || word.receive_count() != receive) return false;
    if (!message.slot->word.compare_exchange_strong(seen, word.With(Phase::kDeleted).bits(), std::memory_order_acq_rel,
                                                    std::memory_order_relaxed)) {
      return false;
    }
    CountRemoval(local, message, word, &LocalQueueCounts::deleted, BytesOf(message, word, store_.body_type()));
    return true;
  }

  // The general case: deletes the message if `receive` was its last receive, in flight or visible again; waits while
  // another thread has locked the slot. Returns false if the message was received again or has been removed.
  bool RemoveReferenced(LocalQueueState& local, SlotRef message, std::uint32_t receive) {
    for (;;) {
      // Acquire: pairs with the last store of the word, for the metadata.
      std::uint64_t seen = message.slot->word.load(std::memory_order_acquire);
      const SlotState word(seen);
      DECOUPLE_ASSERT(word.Has(SlotState::kReferenced));
      if (word.receive_count() != receive) return false;
      if (word.phase() == Phase::kBusy) {
        Relax();
      } else if (word.phase() != Phase::kInFlight && word.phase() != Phase::kVisibleAgain) {
        return false;
      } else if (message.slot->word.compare_exchange_strong(seen, word.With(Phase::kDeleted).bits(),
                                                            std::memory_order_acq_rel, std::memory_order_relaxed)) {
        CountRemoval(local, message, word, &LocalQueueCounts::deleted, BytesOf(message, word, store_.body_type()));
        return true;
      }
    }
  }

 private:
  // Takes a message that has just become kDeleted out of its group or tenant, and counts it. `before` is its word
  // before that. Requires: the caller has a reference to the message.
  void CountRemoval(LocalQueueState& local, SlotRef message, SlotState before,
                    SingleWriterCounter LocalQueueCounts::*how, std::size_t bytes) {
    if (before.Has(SlotState::kHasMetadata)) [[unlikely]] {
      const MessageMetadata& metadata = MetadataAt(message);
      order().NoteRemoved(local, message, before);
      if (metadata.is_moved) store_.moved_messages()->Remove(metadata.moved_from);
    }
    if (before.phase() != Phase::kInFlight) local.counts.removed_waiting.Add(1);
    if (before.phase() == Phase::kDelayed) local.counts.removed_delayed.Add(1);
    (local.counts.*how).Add(1);
    local.counts.removed_bytes.Add(bytes);
    store_.AnnounceRemoval();
  }

  MessageStore& store_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STATE_H_
