// What the holder of a received message does with it: deletes it, and releases the reference that keeps its body. These
// are fast paths, compiled for each type of bodies and inlined into the caller; every rare case is a tail call to a
// function that is not, so they spill no registers.

#ifndef DECOUPLE_INTERNAL_QUEUE_HELD_MESSAGE_H_
#define DECOUPLE_INTERNAL_QUEUE_HELD_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_content.h"
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/received_messages.h"
#include "decouple/message.h"

namespace decouple::inline v0_1::internal {

// A message in flight, by the receive that gave the holder its reference to it.
struct HeldMessage {
  // The message's two pointers come first and are written and read as one. Keep the queue apart from them: a load of
  // one of them together with it, which is stored on its own, would defeat store-to-load forwarding (exp. 25).
  SlotRef message;
  QueueBase* queue = nullptr;  // null: moved from
  // The slot's word as this receive left it. While the slot still has it, a deletion is one store (delete_bias.h). Once
  // the holder is moved from, it is the word of no message.
  SlotState received;
};
static_assert(offsetof(HeldMessage, message) == 0 && sizeof(SlotRef) == 2 * sizeof(void*));
static_assert(offsetof(HeldMessage, queue) == 2 * sizeof(void*));
static_assert(offsetof(HeldMessage, received) == 3 * sizeof(void*));
static_assert(sizeof(HeldMessage) == 3 * sizeof(void*) + sizeof(std::uint64_t));

// T: the type of the queue's bodies.
template <typename T>
struct Holder {
  // Deletes the message. A message with metadata is never deleted here, so neither is one of a FIFO queue, whose quota
  // counts deletes.
  [[gnu::always_inline]] static absl::Status Delete(const HeldMessage& held) {
    DECOUPLE_ASSERT(held.received.phase() == Phase::kInFlight);
    MessageStore& store = held.queue->state().store;
    LocalQueueState* const local = store.CachedLocal<T>();
    if (local == nullptr || !TryDeletePlain(store, *local, held)) [[unlikely]]
      return DeleteSlow(*held.queue, held.message, held.received);
    CountPlainRemovals(store, *local, 1, PlainBytesOf<T>(held.message, held.received));
    return absl::OkStatus();
  }

  // Deletes the messages of one receive, as many as possible. Returns the first error of the others. Delivery: a
  // Delivery<T>, possibly moved from.
  template <typename Delivery>
  [[gnu::noinline]] static absl::Status DeleteAll(QueueBase& queue, std::span<Delivery> deliveries) {
    MessageStore& store = queue.state().store;
    store.local<T>();  // makes CachedLocal() hit if the thread has used another queue since
    LocalQueueState* const local = store.CachedLocal<T>();
    const Delivery* const first = deliveries.data();
    const Delivery* const end = first + deliveries.size();
    const Delivery* rest = first;
    if (local != nullptr) [[likely]] {
      SlotState marks;
      rest = RemovePlainOnes(store, *local, first, end, marks);
      // Outside of the section: MessageSize() may be the user's code.
      CountPlainRemovals(store, *local, static_cast<std::size_t>(rest - first), PlainBytesOfAll(first, rest, marks));
    }
    if (rest != end) [[unlikely]]
      return DeleteEach(queue, rest, end);
    return absl::OkStatus();
  }

  // Releases the reference, and counts it. The queue may be gone when these return.
  [[gnu::always_inline]] static void Release(const HeldMessage& held) {
    LocalQueueState* const local = held.queue->state().store.CachedLocal<T>();
    if (local == nullptr) [[unlikely]]
      return ReleaseAfterCacheMiss(*held.queue, held.message);
    if (!TryReleaseBare<T>(held.message)) return ReleaseSlow(*held.queue, *local, held.message);
    CountReleased(*held.queue, *local, 1);
  }
  // Same as Release(), for the deliveries of one receive; some of them may have been moved from.
  template <typename Delivery>
  [[gnu::always_inline]] static void ReleaseAll(QueueBase& queue, std::span<Delivery> deliveries) {
    MessageStore& store = queue.state().store;
    auto released = static_cast<std::int64_t>(deliveries.size());
    for (const Delivery& delivery : deliveries) {
      const HeldMessage& held = Access::Held(delivery);
      if (held.queue == nullptr) [[unlikely]] {
        --released;
      } else if (!TryReleaseBare<T>(held.message) && !TryReleasePlain<T>(held.message)) {  // bare is all for most
        store.ReleaseReference(held.message);
      }
    }
    store.local<T>();  // makes CachedLocal() hit if the thread has used another queue since
    if (LocalQueueState* const local = store.CachedLocal<T>()) [[likely]] {
      CountReleased(queue, *local, released);
    } else {
      queue.CountReleased(released);
    }
  }

 private:
  [[gnu::always_inline]] static bool TryDeletePlain(MessageStore& store, LocalQueueState& local,
                                                    const HeldMessage& held) {
    const RcuReadGuard section(local.record, MembarrierAvailable());
    return store.bias().IsGiven(section) && TryRemovePlain(section, held.message, held.received);
  }
  [[gnu::noinline]] static absl::Status DeleteSlow(QueueBase& queue, SlotRef message, SlotState received) {
    queue.state().store.local<T>();  // makes CachedLocal() hit from now on
    return queue.Delete(message, received.receive_count());
  }

  // Removes messages from `first` on, up to the first that needs another way, which it returns. Adds up the marks of
  // the removed ones.
  template <typename Delivery>
  [[gnu::always_inline]] static const Delivery* RemovePlainOnes(MessageStore& store, LocalQueueState& local,
                                                                const Delivery* first, const Delivery* end,
                                                                SlotState& marks) {
    const RcuReadGuard section(local.record, MembarrierAvailable());
    if (!store.bias().IsGiven(section)) [[unlikely]]
      return first;
    std::uint64_t bits = 0;
    for (; first != end; ++first) {
      const HeldMessage& held = Access::Held(*first);
      if (!TryRemovePlain(section, held.message, held.received)) break;
      bits |= held.received.bits();
    }
    marks = SlotState(bits);
    return first;
  }
  template <typename Delivery>
  [[gnu::always_inline]] static std::size_t PlainBytesOfAll(const Delivery* first, const Delivery* end,
                                                            SlotState marks) {
    if constexpr (HasFixedSize<T>) {
      if (!marks.Has(SlotState::kShared)) return static_cast<std::size_t>(end - first) * sizeof(T);
    }
    std::size_t bytes = 0;
    for (; first != end; ++first) {
      bytes += PlainBytesOf<T>(Access::Held(*first).message, Access::Held(*first).received);
    }
    return bytes;
  }
  // The messages that DeleteAll() could not delete together.
  template <typename Delivery>
  [[gnu::noinline]] static absl::Status DeleteEach(QueueBase& queue, const Delivery* first, const Delivery* end) {
    ReceivedMessages rest;
    for (; first != end; ++first) {
      const HeldMessage& held = Access::Held(*first);
      if (held.queue != nullptr) rest.push_back({held.message, held.received});
    }
    return queue.DeleteEach(rest);
  }

  [[gnu::noinline]] static void ReleaseAfterCacheMiss(QueueBase& queue, SlotRef message) {
    queue.state().store.local<T>();  // makes CachedLocal() hit from now on
    queue.ReleaseReference(message);
  }
  [[gnu::noinline]] static void ReleaseSlow(QueueBase& queue, LocalQueueState& local, SlotRef message) {
    if (!TryReleasePlain<T>(message)) queue.state().store.ReleaseReference(message);
    CountReleased(queue, local, 1);
  }
  [[gnu::always_inline]] static void CountReleased(QueueBase& queue, LocalQueueState& local, std::int64_t deliveries) {
    if (!queue.TryCountReleased(RcuReadGuard(local.record, MembarrierAvailable()), local, deliveries)) [[unlikely]]
      queue.CountReleasedAbandoned(deliveries);
  }
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_HELD_MESSAGE_H_
