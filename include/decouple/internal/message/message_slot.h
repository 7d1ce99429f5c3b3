// The slot of one message: 16 bytes of state, and behind them the body, of which only its type knows (body_type.h). The
// lease times (when the message becomes visible again, and when it was first received) are the slot's cold fields and
// lie apart (segment_pool.h): a message that only waits has none.
//
// What few messages have (attributes, a group, a past in another queue) is kept by the segment (message_metadata.h).

#ifndef DECOUPLE_INTERNAL_MESSAGE_MESSAGE_SLOT_H_
#define DECOUPLE_INTERNAL_MESSAGE_MESSAGE_SLOT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/lane/ticket_lane.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/slot_ref.h"

namespace decouple::inline v0_1::internal {

class SharedBody;

// In nanoseconds since the epoch. Guarded by the slot's word, except that the timeout sweep reads visible_at before it
// has locked the slot. Trivial, so that untouched memory holds valid objects.
class LeaseTimes {
 public:
  // In kDelayed and kInFlight: when the message becomes visible (again). Relaxed: the word orders it.
  std::int64_t visible_at() { return __atomic_load_n(&visible_at_, __ATOMIC_RELAXED); }
  void set_visible_at(std::int64_t nanos) { __atomic_store_n(&visible_at_, nanos, __ATOMIC_RELAXED); }

  std::int64_t first_received_at() const { return first_received_at_; }
  void set_first_received_at(std::int64_t nanos) { first_received_at_ = nanos; }

 private:
  std::int64_t visible_at_;
  std::int64_t first_received_at_;
};
static_assert(std::is_trivial_v<LeaseTimes> && sizeof(LeaseTimes) == 16);

struct MessageSlot {
  using SegmentData = MetadataTable;
  using ColdFields = LeaseTimes;

  // A SlotState (slot_state.h); it guards all that follows.
  std::atomic<std::uint64_t> word{0};

  // In nanoseconds since the epoch. Atomic because the timeout sweep reads it before it has locked the slot.
  std::atomic<std::int64_t> sent_at{0};

  // The memory behind these fields: a body, or, where the word has kShared, a pointer to a shared one. A body whose
  // alignment is larger begins further behind (BodyType::offset).
  std::byte* content() { return reinterpret_cast<std::byte*>(this) + sizeof(MessageSlot); }

  // The pointer to the shared body. Requires: the word has kShared.
  SharedBody& shared() { return **std::launder(reinterpret_cast<SharedBody**>(content())); }
  // Takes over a reference of the caller's. The word that is published must have kShared.
  void set_shared(SharedBody* body) { ::new (static_cast<void*>(content())) SharedBody*(body); }
};
static_assert(sizeof(MessageSlot) == 16 && alignof(MessageSlot) == 8);

using MessageLane = TicketLane<MessageSlot>;

inline LeaseTimes& SlotRef::times() const { return segment->ColdFieldsOf(*slot); }
inline LeaseTimes& SlotRef::TimesToWrite() const { return segment->ColdFieldsToWrite(*slot); }
inline LeaseTimes* SlotRef::FindTimes() const { return segment->FindColdFieldsAt(segment->PlaceOf(*slot)); }

// For assertions about a slot that no other thread may change now.
inline SlotState WordOf(const MessageSlot& slot) { return SlotState(slot.word.load(std::memory_order_relaxed)); }

// Whether a thread has locked the slot. Only for assertions: if that is not the caller, the answer may be outdated.
// Relaxed, as no other thread takes a slot out of kBusy.
inline bool IsLocked(const MessageSlot& slot) { return WordOf(slot).phase() == Phase::kBusy; }

// For assertions: whether the word is in one of these phases.
template <typename... Phases>
constexpr bool IsAnyOf(SlotState word, Phases... phases) {
  return ((word.phase() == phases) || ...);
}

// ---- locking a slot -------------------------------------------------------------------------------------------------

// Locks the slot if its word is `seen`. Requires: the slot must stay where it is, as by an RcuReadGuard. Sequentially
// consistent: a sweep that recomputes the deadline sees either kBusy or the word that is stored after it.
inline bool TryLock(MessageSlot& slot, SlotState seen) {
  DECOUPLE_ASSERT(IsAnyOf(seen, Phase::kDelayed, Phase::kInFlight, Phase::kVisibleAgain));
  std::uint64_t expected = seen.bits();
  return slot.word.compare_exchange_strong(expected, seen.With(Phase::kBusy).bits(), std::memory_order_seq_cst,
                                           std::memory_order_relaxed);
}

// Locks a slot that was published as `ready`, but whose ticket was skipped, so no receiver will claim it. Requires: the
// caller is its sender.
inline void LockSkipped(MessageSlot& slot, SlotState ready) {
  DECOUPLE_ASSERT(WordOf(slot) == ready && IsTransition(ready, ready.With(Phase::kBusy)));
  slot.word.store(ready.With(Phase::kBusy).bits(), std::memory_order_release);
}

// Stores the next word of a slot that the caller has locked. Release: pairs with the acquire of the next thread that
// locks or reads the slot.
inline void Unlock(MessageSlot& slot, SlotState word) {
  DECOUPLE_ASSERT(IsLocked(slot) && IsTransition(WordOf(slot), word));
  slot.word.store(word.bits(), std::memory_order_release);
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_SLOT_H_
