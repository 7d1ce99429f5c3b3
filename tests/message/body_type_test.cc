// What the library knows of a body's type, and where bodies lie.

#include "decouple/internal/message/body_type.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"
#include "decouple/internal/message/message_store.h"

namespace decouple::testing {
namespace {

using internal::BodyLayout;
using internal::BodySource;
using internal::BodyType;
using internal::kBodyType;
using internal::MessageSlot;

struct alignas(64) Aligned {
  char bytes[40];
};
struct Large {
  char bytes[1000];
};

// Memory of one slot of bodies of type T.
template <typename T>
struct OneSlot {
  alignas(BodyLayout<T>::kAlignment) std::byte memory[BodyLayout<T>::kStride];
  MessageSlot& slot = *::new (static_cast<void*>(memory)) MessageSlot;
};

template <typename T>
void CheckLayout() {
  static_assert(BodyLayout<T>::kOffset >= sizeof(MessageSlot) && BodyLayout<T>::kOffset % alignof(T) == 0);
  static_assert(BodyLayout<T>::kStride >= BodyLayout<T>::kOffset + sizeof(T));
  static_assert(BodyLayout<T>::kStride >= sizeof(MessageSlot) + sizeof(void*), "room for a shared body's pointer");
  static_assert(BodyLayout<T>::kStride % BodyLayout<T>::kAlignment == 0);
  CHECK(kBodyType<T>.layout.stride == BodyLayout<T>::kStride);
  CHECK(kBodyType<T>.identity == internal::kTypeIdentity<T>);
}

TEST_CASE("a slot has room for its body where the body's alignment wants it, and no more") {
  CheckLayout<char>();
  CheckLayout<int>();
  CheckLayout<std::string>();
  CheckLayout<Aligned>();
  CheckLayout<Large>();
  CHECK(BodyLayout<char>::kStride == 24);
  CHECK(BodyLayout<std::uint64_t>::kStride == 24);
  CHECK(BodyLayout<std::string>::kStride == 16 + sizeof(std::string));
  CHECK(BodyLayout<Aligned>::kStride == 128);
  CHECK(BodyLayout<Large>::kStride == 1016);
}

TEST_CASE("a body is written, measured, moved and destroyed by its table alone") {
  const BodyType& type = kBodyType<std::shared_ptr<std::string>>;
  OneSlot<std::shared_ptr<std::string>> a;
  OneSlot<std::shared_ptr<std::string>> b;
  auto body = std::make_shared<std::string>("text");
  const std::weak_ptr<std::string> alive = body;
  BodySource source{.body = &body};
  CHECK(source.WriteTo(a.slot, type) == 0);
  CHECK(body == nullptr);
  source = {.body = type.BodyIn(a.slot)};
  CHECK(source.WriteTo(b.slot, type) == 0);
  CHECK(type.BytesOf(type.BodyIn(b.slot)) == sizeof(std::shared_ptr<std::string>));
  CHECK(alive.use_count() == 1);
  type.Destroy(type.BodyIn(a.slot));
  CHECK(alive.use_count() == 1);
  type.Destroy(type.BodyIn(b.slot));
  CHECK(alive.expired());
}

TEST_CASE("texts tell their length, and whether they are empty") {
  const std::string empty;
  const std::string text = "text";
  const int number = 0;
  CHECK(kBodyType<std::string>.BytesOf(&text) == 4);
  CHECK(kBodyType<std::string>.IsEmptyText(&empty));
  CHECK_FALSE(kBodyType<std::string>.IsEmptyText(&text));
  CHECK_FALSE(kBodyType<int>.IsEmptyText(&number));
  CHECK(kBodyType<int>.BytesOf(&number) == sizeof(int));
}

TEST_CASE("a slot is found from its segment and back, whatever the distance of slots") {
  const auto check = [](const internal::SlotLayout& layout) {
    internal::MessageLane lane(layout);
    internal::MessageLane::Cursor cursor;
    for (std::uint64_t ticket = lane.TakeTickets(130); ticket < 130; ++ticket) {
      const auto place = lane.PlaceOf(ticket, cursor);
      REQUIRE(place.segment->PlaceOf(*place.slot) == ticket % internal::kSlotsPerSegment);
      REQUIRE(&place.segment->slot(ticket % internal::kSlotsPerSegment) == place.slot);
      REQUIRE(reinterpret_cast<std::uintptr_t>(place.slot) % layout.alignment == 0);
      REQUIRE(internal::MessageLane::TicketOf(*place.segment, *place.slot) == ticket);
    }
  };
  for (std::uint32_t stride = 16; stride < 1'100; stride += 8) check({.stride = stride, .alignment = 8});
  for (std::uint32_t alignment = 16; alignment <= 65'536; alignment *= 2) {
    check({.stride = 3 * alignment, .alignment = alignment});
  }
  check({.stride = 1'000'000, .alignment = 8});
}

}  // namespace
}  // namespace decouple::testing
