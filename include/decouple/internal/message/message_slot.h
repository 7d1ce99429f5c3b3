// One message where it lies: 16 bytes of state, and the body. When it is visible again, and since when it has been
// received, lies beside it (segment_pool.h): what only waits has neither.
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

namespace decouple::internal {

// Nanoseconds since the epoch. Plain, so that memory that nobody touched has them. Guarded by the slot's word, but for
// whoever looks for what is due: he reads visible_at before he owns the slot.
class LeaseTimes {
 public:
  // kDelayed, kInFlight: when the message is visible (again). Relaxed: the word orders it.
  std::int64_t visible_at() { return __atomic_load_n(&visible_at_, __ATOMIC_RELAXED); }
  void set_visible_at(std::int64_t nanos) { __atomic_store_n(&visible_at_, nanos, __ATOMIC_RELAXED); }

  std::int64_t first_received_at() const { return first_received_at_; }
  void set_first_received_at(std::int64_t nanos) { first_received_at_ = nanos; }

 private:
  std::int64_t visible_at_;
  std::int64_t first_received_at_;
};

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

  std::atomic<std::uint64_t> word{0};  // see slot_state.h; it guards all that follows

  // Nanoseconds since the epoch. Atomic because whoever looks for what is due reads it before owning the slot.
  std::atomic<std::int64_t> sent_at{0};

  // A body, or where the word says kShared, what points to one.
  static constexpr std::size_t kSize = std::max(sizeof(T), sizeof(void*));
  alignas(T) alignas(SharedBody*) std::byte content[kSize];

  T& body() { return *std::launder(reinterpret_cast<T*>(content)); }
  SharedBody& shared() { return **std::launder(reinterpret_cast<SharedBody**>(content)); }

  // Both return the marks that the word is to have for it.
  std::uint32_t Construct(T&& body) {
    ::new (static_cast<void*>(content)) T(std::move(body));
    return 0;
  }
  // Takes over a hold.
  std::uint32_t Share(SharedBody* hold) {
    ::new (static_cast<void*>(content)) SharedBody*(hold);
    return SlotState::kShared;
  }
};

// Names a slot that stays where it is as long as the caller holds or owns it, or a line names it.
template <typename T>
struct MessageAt {
  typename SegmentPool<MessageSlot<T>>::Segment* segment = nullptr;
  MessageSlot<T>* slot = nullptr;

  LeaseTimes& times() const { return segment->ColdFieldsOf(*slot); }
  // Before they are written, for the first time or not.
  LeaseTimes& TimesToWrite() const { return segment->ColdFieldsToWrite(*slot); }
};

// An entry of a line of messages that are visible again: names one message.
template <typename T>
struct RedeliverySlot {
  struct SegmentData {};
  struct ColdFields {};

  // What names the message is not side by side, or compilers write it as one, from two registers by way of the stack,
  // and wait for that (a hundredth of a FIFO queue's cycle).
  typename SegmentPool<MessageSlot<T>>::Segment* segment = nullptr;
  std::atomic<std::uint64_t> word{0};
  MessageSlot<T>* message = nullptr;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_SLOT_H_
