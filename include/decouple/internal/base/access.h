// The one friend of the public classes: by it the library makes their objects and reaches what is not for users.
//
//   friend struct internal::Access;                             // in the public class
//
//   auto iterator = Access::Make<ShardIterator<T>>(core, shard, position);
//   const auto& core = Access::Core(queue);
//
// It names no public type, so every header may include it. All functions compile to the access itself.

#ifndef DECOUPLE_INTERNAL_BASE_ACCESS_H_
#define DECOUPLE_INTERNAL_BASE_ACCESS_H_

#include <cstdint>
#include <new>
#include <utility>

namespace decouple::inline v0_1::internal {

struct Access {
  // Makes an object by a private constructor.
  template <typename Object, typename... Arguments>
  [[gnu::always_inline]] static constexpr Object Make(Arguments&&... arguments) {
    return Object(std::forward<Arguments>(arguments)...);
  }

  // Same as Make(), in the memory at `place`.
  template <typename Object, typename... Arguments>
  [[gnu::always_inline]] static Object* MakeAt(void* place, Arguments&&... arguments) {
    return ::new (place) Object(std::forward<Arguments>(arguments)...);
  }

  // The shared pointer by which a Queue<T>, a QueueReference or a Stream<T> keeps its core. Valid as long as the
  // handle.
  template <typename Handle>
  [[gnu::always_inline]] static const auto& Core(const Handle& handle) {
    return handle.core_;
  }

  // What a Delivery holds of its message.
  template <typename Delivery>
  [[gnu::always_inline]] static const auto& Held(const Delivery& delivery) {
    return delivery.held_;
  }

  // The identity of the topic that a TopicReference names.
  template <typename Reference>
  [[gnu::always_inline]] static auto Identity(const Reference& reference) {
    return reference.identity_;
  }

  // The fields of a ReceiptHandle, which is opaque to all but its queue.
  template <typename Receipt>
  [[gnu::always_inline]] static constexpr auto Queue(const Receipt& receipt) {
    return receipt.queue_;
  }
  template <typename Receipt>
  [[gnu::always_inline]] static constexpr auto Ticket(const Receipt& receipt) {
    return receipt.ticket_;
  }
  template <typename Receipt>
  [[gnu::always_inline]] static constexpr auto Segment(const Receipt& receipt) {
    return receipt.segment_;
  }
  template <typename Receipt>
  [[gnu::always_inline]] static constexpr auto Receive(const Receipt& receipt) {
    return receipt.receive_;
  }

  // The stream and the shard of a SequenceNumber; 0: it is no record's. And how they are put together.
  template <typename Number>
  [[gnu::always_inline]] static constexpr auto Origin(const Number& number) {
    return number.origin_;
  }
  template <typename Number>
  static constexpr auto OriginOf(std::uint64_t stream_incarnation, std::uint64_t shard_number) {
    return Number::OriginOf(stream_incarnation, shard_number);
  }

  // The body of a Record, with a reference that is the caller's.
  template <typename Record>
  static auto Share(const Record& record) {
    return record.Share();
  }

  // The tree of a FilterPolicy; null lets all messages through.
  template <typename Policy>
  static auto Tree(const Policy& policy) {
    return policy.tree();
  }

  // Makes a FilterPolicy of a tree; an error if the tree exceeds `limits`.
  template <typename Policy, typename Tree, typename Limits>
  static auto PolicyOf(Tree tree, const Limits& limits) {
    return Policy::Of(std::move(tree), limits);
  }

  // Whether a FilterPolicy's tree is within `limits`.
  template <typename Policy, typename Limits>
  static auto CheckSize(const Policy& policy, const Limits& limits) {
    return policy.CheckSize(limits);
  }
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_ACCESS_H_
