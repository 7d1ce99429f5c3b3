// The slot of one message: 16 bytes of state, and the body. The lease times (when the message becomes visible again,
// and when it was first received) are the slot's cold fields and lie apart (segment_pool.h): a message that only waits
// has none.
//
// What few messages have (attributes, a group, a past in another queue) is kept by the segment (message_metadata.h).

#ifndef DECOUPLE_INTERNAL_MESSAGE_MESSAGE_SLOT_H_
#define DECOUPLE_INTERNAL_MESSAGE_MESSAGE_SLOT_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/shared_body.h"

namespace decouple::inline v0_1::internal {

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

template <typename T>
struct MessageSlot {
  using SegmentData = MetadataTable;
  using ColdFields = LeaseTimes;

  static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>,
                "decouple: a message body must be a non-const object type");
  static_assert(std::is_nothrow_destructible_v<T>,
                "decouple: a message body must be destructible without throwing; mark its destructor noexcept");
  static_assert(std::is_nothrow_move_constructible_v<T>,
                "decouple: a message body must be movable without throwing; mark its move constructor noexcept");

  // A SlotState (slot_state.h); it guards all that follows. First, as MessageGroups finds it at the slot's address.
  std::atomic<std::uint64_t> word{0};

  // In nanoseconds since the epoch. Atomic because the timeout sweep reads it before it has locked the slot.
  std::atomic<std::int64_t> sent_at{0};

  // A body, or, where the word has kShared, a pointer to one.
  static constexpr std::size_t kSize = std::max(sizeof(T), sizeof(void*));
  alignas(T) alignas(SharedBody*) std::byte content[kSize];

  T& body() { return *std::launder(reinterpret_cast<T*>(content)); }
  SharedBody& shared() { return **std::launder(reinterpret_cast<SharedBody**>(content)); }

  // Construct() and Share() return the marks that the word must have for what they wrote.
  std::uint32_t Construct(T&& body) {
    static_assert(offsetof(MessageSlot, word) == 0 && offsetof(MessageSlot, sent_at) == 8);
    static_assert(offsetof(MessageSlot, content) == std::max(std::size_t{16}, alignof(MessageSlot)));
    ::new (static_cast<void*>(content)) T(std::move(body));
    return 0;
  }
  // Takes over a reference of the caller's.
  std::uint32_t Share(SharedBody* shared) {
    ::new (static_cast<void*>(content)) SharedBody*(shared);
    return SlotState::kShared;
  }
};

// Names a slot with a message. It stays valid while the caller has a reference to the message or has locked the slot,
// or while the message is queued for redelivery.
template <typename T>
struct MessageAt {
  typename SegmentPool<MessageSlot<T>>::Segment* segment = nullptr;
  MessageSlot<T>* slot = nullptr;

  LeaseTimes& times() const { return segment->ColdFieldsOf(*slot); }
  // Same as times(), for a caller that writes them: allocates their memory if there is none yet.
  LeaseTimes& TimesToWrite() const { return segment->ColdFieldsToWrite(*slot); }
};

// Whether a thread has locked the slot. Only for assertions: if that is not the caller, the answer may be outdated.
// Relaxed, as no other thread takes a slot out of kBusy.
template <typename Slot>
bool IsLocked(const Slot& slot) {
  return SlotState(slot.word.load(std::memory_order_relaxed)).phase() == Phase::kBusy;
}

// For assertions: whether the word is in one of these phases.
template <typename... Phases>
constexpr bool IsAnyOf(SlotState word, Phases... phases) {
  return ((word.phase() == phases) || ...);
}

// A slot of the redelivery lane: names one message that is visible again.
template <typename T>
struct RedeliverySlot {
  struct SegmentData {};
  struct ColdFields {};

  // Keep the two pointers apart: side by side, compilers write them as one, from two registers by way of the stack, and
  // stall on store forwarding (exp. 15).
  typename SegmentPool<MessageSlot<T>>::Segment* segment = nullptr;
  std::atomic<std::uint64_t> word{0};
  MessageSlot<T>* message = nullptr;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_SLOT_H_
