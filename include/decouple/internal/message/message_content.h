// What a message consists of: its body, which lies in the slot or is shared, its metadata, and what it counts towards
// sizes; and how these are destroyed and the slot is freed.
//
// Every function requires that the caller has a reference to the message or has locked its slot, so that it stays where
// it is. A parameter `word` is the slot's word at any time since then, or as it was when the caller locked the slot.

#ifndef DECOUPLE_INTERNAL_MESSAGE_MESSAGE_CONTENT_H_
#define DECOUPLE_INTERNAL_MESSAGE_MESSAGE_CONTENT_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/message.h"

namespace decouple::inline v0_1::internal {

// ---- metadata -------------------------------------------------------------------------------------------------------

// The index of the message's slot in its segment.
inline std::uint32_t PlaceOf(SlotRef message) { return message.segment->PlaceOf(*message.slot); }

// Requires: the message has metadata.
inline MessageMetadata& MetadataAt(SlotRef message) { return message.segment->data.at(PlaceOf(message)); }

// Null if the message has no metadata.
inline const MessageMetadata* MetadataOf(SlotRef message) {
  const SlotState word(message.slot->word.load(std::memory_order_acquire));
  return word.Has(SlotState::kHasMetadata) ? &MetadataAt(message) : nullptr;
}

// Null if the message was sent to this queue.
inline const Origin* OriginOf(SlotRef message, SlotState word) {
  if (!word.Has(SlotState::kHasMetadata)) [[likely]]
    return nullptr;
  const MessageMetadata& metadata = MetadataAt(message);
  return metadata.has_origin ? metadata.origin.get() : nullptr;
}

// How often the message was received: as a dead letter also in the queues that it came from. The word itself counts the
// receives in this queue, which is what a receipt names, and what sends a message to the back. In a FIFO queue the lock
// of the message's group will do, too.
inline std::uint32_t ReceivesOf(SlotRef message, SlotState word) {
  const Origin* const origin = OriginOf(message, word);
  if (origin == nullptr) [[likely]]
    return word.receive_count();
  const std::uint64_t receives = std::uint64_t{origin->receives} + word.receive_count();
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(receives, UINT32_MAX));
}

// When it was received first, in nanoseconds since the epoch. Requires: ReceivesOf() is not 0.
inline std::int64_t FirstReceivedAt(SlotRef message, SlotState word) {
  const Origin* const origin = OriginOf(message, word);
  if (origin != nullptr && origin->receives != 0) return origin->first_received_at;
  return message.times().first_received_at();
}

// ---- the body -------------------------------------------------------------------------------------------------------

// Requires: the bodies are of type T.
template <typename T>
const T& BodyOf(SlotRef message, SlotState word) {
  if (word.Has(SlotState::kShared)) return *static_cast<const T*>(message.slot->shared().body());
  return BodyIn<T>(*message.slot);
}

// The body that the message shares with others; null if it has a body of its own.
inline const SharedBody* SharedOf(SlotRef message) {
  const SlotState word(message.slot->word.load(std::memory_order_acquire));
  return word.Has(SlotState::kShared) ? &message.slot->shared() : nullptr;
}

// What the message counts towards sizes.
inline std::size_t BytesOf(SlotRef message, SlotState word, const BodyType& type) {
  if (word.Has(SlotState::kShared)) return message.slot->shared().bytes();
  const std::size_t bytes = type.BytesOf(type.BodyIn(*message.slot));
  return word.Has(SlotState::kHasMetadata) ? bytes + MetadataAt(message).attributes.bytes() : bytes;
}
// Same as BytesOf(), for a message without attributes of its own whose body is of type T.
template <typename T>
std::size_t PlainBytesOf(SlotRef message, SlotState word) {
  if (word.Has(SlotState::kShared)) return message.slot->shared().bytes();
  return MessageSize(std::as_const(BodyIn<T>(*message.slot)));
}

// ---- the end --------------------------------------------------------------------------------------------------------

// Destroys metadata and body.
inline void DestroyContent(SlotRef message, SlotState word, const BodyType& type) {
  if (word.Has(SlotState::kHasMetadata)) [[unlikely]]
    message.segment->data.Clear(PlaceOf(message));
  if (word.Has(SlotState::kShared)) {
    message.slot->shared().RemoveReferences(1);
  } else {
    type.Destroy(type.BodyIn(*message.slot));
  }
}

// Frees the slot, whose content has been destroyed or moved: kDeleted or kBusy → kDone. Release: the slot's next sender
// comes after all that was done here.
inline void FreeLast(SlotRef message, SlotState word) {
  DECOUPLE_ASSERT(IsAnyOf(WordOf(*message.slot), Phase::kDeleted, Phase::kBusy));
  message.slot->word.store(SlotState(Phase::kDone, word.generation()).bits(), std::memory_order_release);
}

// Whether the message is deleted, the caller's reference is the last one, and the slot is not queued for redelivery.
// The word must have been acquired: that pairs with the release of the thread that deleted the message.
inline bool IsLastReference(SlotState word) {
  return word.phase() == Phase::kDeleted && !word.Has(SlotState::kMoreReferences | SlotState::kQueued);
}

// Releases the caller's reference in the usual case: the message is deleted, has no metadata, and the reference is the
// last one. Returns false, and does nothing, in every other case. Acquire: as for IsLastReference().
template <typename T>
[[gnu::always_inline]] inline bool TryReleasePlain(SlotRef message) {
  const SlotState word(message.slot->word.load(std::memory_order_acquire));
  if (!word.IsPlainDeleted()) [[unlikely]]
    return false;
  if (word.Has(SlotState::kShared)) {
    message.slot->shared().RemoveReferences(1);
  } else {
    std::destroy_at(std::addressof(BodyIn<T>(*message.slot)));
  }
  FreeLast(message, word);
  return true;
}

// Same as TryReleasePlain(), only for a body in the slot that needs no destruction.
template <typename T>
[[gnu::always_inline]] inline bool TryReleaseBare(SlotRef message) {
  if constexpr (std::is_trivially_destructible_v<T>) {
    const SlotState word(message.slot->word.load(std::memory_order_acquire));
    if (!word.IsPlainDeleted() || word.Has(SlotState::kShared)) return false;
    FreeLast(message, word);
    return true;
  }
  return false;
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_CONTENT_H_
