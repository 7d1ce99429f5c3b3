// What lies in the slot of a message: its body, its own or one that others share, what it counts towards sizes, and its
// metadata; and how they end, and free the slot.
//
// All of it of a message that the caller holds or owns, so it stays where it is.

#ifndef DECOUPLE_INTERNAL_MESSAGE_MESSAGE_CONTENT_H_
#define DECOUPLE_INTERNAL_MESSAGE_MESSAGE_CONTENT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/message.h"

namespace decouple::internal {

template <typename T>
class MessageContent {
 public:
  using Slot = MessageSlot<T>;
  using Segment = typename SegmentPool<Slot>::Segment;
  using Message = MessageAt<T>;

  static Message MessageAtPlace(SlotRef place) {
    return {static_cast<Segment*>(place.segment), static_cast<Slot*>(place.slot)};
  }

  // Of a message that has some.
  static MessageMetadata& MetadataAt(Message message) { return message.segment->data.at(PlaceOf(message)); }

  // Where its segment's metadata have those of the message.
  static std::size_t PlaceOf(Message message) {
    return static_cast<std::size_t>(message.slot - message.segment->slots);
  }

  // `word`: any since the caller came to hold it.
  static const T& BodyOf(Message message, SlotState word) {
    if (word.Has(SlotState::kShared)) return *static_cast<const T*>(message.slot->shared().body());
    return message.slot->body();
  }

  // The attributes, group and more of a message that the caller holds or owns; null if it has none.
  static const MessageMetadata* MetadataOf(Message message) {
    const SlotState word(message.slot->word.load(std::memory_order_acquire));
    return word.Has(SlotState::kHasMetadata) ? &MetadataAt(message) : nullptr;
  }

  // The body that such a message shares with others; null if it has one of its own.
  static const SharedBody* SharedOf(Message message) {
    const SlotState word(message.slot->word.load(std::memory_order_acquire));
    return word.Has(SlotState::kShared) ? &message.slot->shared() : nullptr;
  }

  // What it counts towards sizes. `word`: as it is, or was before the caller owned it.
  static std::size_t BytesOf(Message message, SlotState word) {
    const std::size_t bytes = PlainBytesOf(message, word);
    const bool has_own_attributes = word.Has(SlotState::kHasMetadata) && !word.Has(SlotState::kShared);
    return has_own_attributes ? bytes + MetadataAt(message).attributes.bytes() : bytes;
  }
  // The same of one without attributes of its own.
  static std::size_t PlainBytesOf(Message message, SlotState word) {
    if (word.Has(SlotState::kShared)) return message.slot->shared().bytes();
    return MessageSize(std::as_const(message.slot->body()));
  }

  // Whether the only thing left of the message is the caller's hold on it. Acquire: pairs with whoever deleted it.
  static bool IsLastReference(SlotState word) {
    return word.phase() == Phase::kDeleted && !word.Has(SlotState::kMoreReferences | SlotState::kQueued);
  }

  // The caller holds the body no more, in the usual case: the message is deleted, and nobody else holds it. False: it
  // is not so, and nothing has happened.
  [[gnu::always_inline]] static bool TryReleasePlain(Message message) {
    const SlotState word(message.slot->word.load(std::memory_order_acquire));
    if (!word.IsPlainDeleted()) [[unlikely]]
      return false;
    DestroyBody(message, word);
    FreeLast(message, word);
    return true;
  }

  // The same where nothing is to be done about the body, either: it goes with its slot.
  [[gnu::always_inline]] static bool TryReleaseBare(Message message) {
    if constexpr (std::is_trivially_destructible_v<T>) {
      const SlotState word(message.slot->word.load(std::memory_order_acquire));
      if (!word.IsPlainDeleted() || word.Has(SlotState::kShared)) return false;
      FreeLast(message, word);
      return true;
    }
    return false;
  }

  static void DestroyBody(Message message, SlotState word) {
    if (word.Has(SlotState::kShared)) {
      message.slot->shared().RemoveReferences(1);
    } else {
      std::destroy_at(std::addressof(message.slot->body()));
    }
  }

  static void DestroyContent(Message message, SlotState word) {
    if (word.Has(SlotState::kHasMetadata)) [[unlikely]]
      message.segment->data.Clear(PlaceOf(message));
    DestroyBody(message, word);
  }

  // Frees the slot after its content. Release: the next one to use it comes after all that we did here.
  static void FreeLast(Message message, SlotState word) {
    message.slot->word.store(SlotState(Phase::kDone, word.generation()).bits(), std::memory_order_release);
  }
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_CONTENT_H_
