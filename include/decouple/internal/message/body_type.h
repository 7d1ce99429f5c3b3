// What the library has to know of the type of a queue's bodies, where it does not name that type: how a body lies in
// its slot, and the few operations that touch one. Only the fast paths of send, receive and delete are compiled for
// each type; everything else goes by this table, and is compiled once.

#ifndef DECOUPLE_INTERNAL_MESSAGE_BODY_TYPE_H_
#define DECOUPLE_INTERNAL_MESSAGE_BODY_TYPE_H_

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include "decouple/internal/base/type_identity.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/message.h"

namespace decouple::inline v0_1::internal {

// Where a body of type T lies in its slot.
template <typename T>
struct BodyLayout {
  static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>,
                "decouple: a message body must be a non-const object type");
  static_assert(std::is_nothrow_destructible_v<T>,
                "decouple: a message body must be destructible without throwing; mark its destructor noexcept");
  static_assert(std::is_nothrow_move_constructible_v<T>,
                "decouple: a message body must be movable without throwing; mark its move constructor noexcept");
  static_assert(sizeof(T) < std::size_t{1} << 31 && alignof(T) < std::size_t{1} << 31,
                "decouple: a message body must be smaller than 2 GiB; put a large one behind a pointer");

  static constexpr std::uint32_t kAlignment = std::max(alignof(T), alignof(MessageSlot));
  static constexpr std::uint32_t kOffset = std::max(sizeof(MessageSlot), alignof(T));
  // A slot also has room for the pointer to a shared body.
  static constexpr std::uint32_t kStride =
      (kOffset + std::max(sizeof(T), sizeof(void*)) + kAlignment - 1) / kAlignment * kAlignment;
};

// The body in a slot. Requires: the slot has one of its own, of type T.
template <typename T>
T& BodyIn(MessageSlot& slot) {
  return *std::launder(reinterpret_cast<T*>(reinterpret_cast<std::byte*>(&slot) + BodyLayout<T>::kOffset));
}
template <typename T>
[[gnu::always_inline]] inline void ConstructBody(MessageSlot& slot, std::type_identity_t<T>&& body) {
  ::new (static_cast<void*>(reinterpret_cast<std::byte*>(&slot) + BodyLayout<T>::kOffset)) T(std::move(body));
}

template <typename T>
bool IsEmptyText(const T& body) {
  if constexpr (std::convertible_to<const T&, std::string_view>) {
    return std::string_view(body).empty();
  } else {
    return false;
  }
}

struct BodyType {
  const TypeIdentity& identity;
  SlotLayout layout;
  std::uint32_t offset;     // of the body in its slot
  std::size_t fixed_bytes;  // MessageSize() of every body; 0: bytes() tells
  std::size_t (*bytes)(const void* body);
  bool (*is_empty_text)(const void* body);  // null: never
  void (*destroy)(void* body);              // null: nothing has to be done
  void (*move)(void* to, void* from);       // constructs the body at `to`

  void* BodyIn(MessageSlot& slot) const { return reinterpret_cast<std::byte*>(&slot) + offset; }
  std::size_t BytesOf(const void* body) const { return fixed_bytes != 0 ? fixed_bytes : bytes(body); }
  bool IsEmptyText(const void* body) const { return is_empty_text != nullptr && is_empty_text(body); }
  void Destroy(void* body) const {
    if (destroy != nullptr) destroy(body);
  }

  template <typename T>
  static constexpr BodyType Of() {
    BodyType type{
        .identity = kTypeIdentity<T>,
        .layout = {.stride = BodyLayout<T>::kStride, .alignment = BodyLayout<T>::kAlignment, .has_cold_fields = true},
        .offset = BodyLayout<T>::kOffset,
        .fixed_bytes = HasFixedSize<T> ? sizeof(T) : 0,
        .bytes = nullptr,
        .is_empty_text = nullptr,
        .destroy = nullptr,
        .move = [](void* to, void* from) { ::new (to) T(std::move(*static_cast<T*>(from))); }};
    if constexpr (!HasFixedSize<T>) {
      type.bytes = [](const void* body) { return MessageSize(*static_cast<const T*>(body)); };
    }
    if constexpr (std::convertible_to<const T&, std::string_view>) {
      type.is_empty_text = [](const void* body) { return internal::IsEmptyText(*static_cast<const T*>(body)); };
    }
    if constexpr (!std::is_trivially_destructible_v<T>) {
      type.destroy = [](void* body) { std::destroy_at(static_cast<T*>(body)); };
    }
    return type;
  }
};

template <typename T>
inline constexpr BodyType kBodyType = BodyType::Of<T>();

// Where the body of a new message comes from: it is moved, or, if it is shared with other messages, the new one takes
// over a reference to it.
struct BodySource {
  void* body = nullptr;          // to be moved from
  SharedBody* shared = nullptr;  // or this, with a reference; null once a message has taken it over

  // Writes it into a slot, and returns the marks that the slot's word must have for it.
  std::uint32_t WriteTo(MessageSlot& slot, const BodyType& type) {
    if (shared != nullptr) {
      slot.set_shared(std::exchange(shared, nullptr));
      return SlotState::kShared;
    }
    type.move(type.BodyIn(slot), body);
    return 0;
  }
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_BODY_TYPE_H_
